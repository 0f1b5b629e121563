//! Messages to mailing lists, and the tester that a report names.

use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::args::{MailArgs, ReportArgs};
use super::destination::{self, Destination};
use super::exit::cannot;
use super::{Exit, Failure, record};
use crate::case::Library;
use crate::mbox::{Mailbox, MessageId};
use crate::record::{Run, Selection};
use crate::report::mail::{self, Letter, Original, Regzbot, Thread};
use crate::report::{Format, FormatOptions};
use crate::reproduce;
use crate::text::eprint_line;

/// The reason why a run that passed has no `Tested-by:` line.
const NOBODY: &str =
    "no Tested-by line: give --from 'NAME <ADDRESS>', or set git's user.name and user.email";

/// Why a run of some cells has no `Tested-by:` line.
const SOME_CELLS: &str = "no Tested-by line: only some of the cells ran";

/// Writes the message about a run to a file or to standard output.
pub(super) fn write(args: &ReportArgs) -> Result<Exit, Failure> {
    let regzbot = Regzbot::parse(&args.regzbot).map_err(Failure::input)?;
    let answers = regzbot.answers();
    let letter = Letter { regzbot, ..letter(&args.mail, args.options.from.as_ref(), None)? };
    if answers && letter.thread.is_none() {
        return Err(Failure::input(
            "without --regzbot introduced=… the bot needs the report that the mail answers: give \
             --in-reply-to or --reply-to-mbox",
        ));
    }
    let run = record::read(args.record()?)?;
    let letter =
        Letter { attachments: reproduce::of_failures(&run, &Library::built_in()?), ..letter };
    remarks(&run, &letter.regzbot, letter.thread.as_ref(), args.mail.subject.is_some());
    if mail::passes(&run) && !letter.regzbot.reports() {
        vouches(Some(&letter.from), &run.started.asked);
    }
    destination::write(Destination::optional(args.out.as_deref())?, &letter.write(&run))?;
    Ok(Exit::Success)
}

/// The message that the options describe, from `from` or else git's user. It answers `answered`
/// unless the options name another message.
pub(super) fn letter(
    options: &MailArgs,
    from: Option<&Mailbox>,
    answered: Option<Original>,
) -> Result<Letter, Failure> {
    let Some(from) = from.cloned().or_else(of_git) else {
        return Err(Failure::input(
            "a mail needs a sender: give --from 'NAME <ADDRESS>', or set git's user.name and \
             user.email",
        ));
    };
    let (mut to, mut cc) = (options.to.clone(), options.cc.clone());
    let original = match (&options.reply_to_mbox, &options.in_reply_to) {
        (Some(path), wanted) => {
            let original = Original::read(path, wanted.as_ref());
            Some(original.map_err(|error| cannot(Exit::Input, &error))?)
        }
        (None, Some(_)) => None,
        (None, None) => answered,
    };
    let thread = match original {
        Some(original) => {
            to.extend(original.to);
            cc.extend(original.cc);
            Some(original.thread)
        }
        None => options.in_reply_to.clone().map(|parent| {
            let subject = options.subject_of.clone();
            Thread { parent, earlier: Vec::new(), subject }
        }),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Letter {
        id: id(&from, now.as_nanos()),
        from,
        to,
        cc,
        subject: options.subject.clone(),
        thread,
        regzbot: Regzbot::default(),
        attachments: Vec::new(),
        now: now.as_secs().try_into().unwrap_or_default(),
    })
}

/// Says why what is fine has no `Tested-by:` line, if it has none.
pub(super) fn vouches(tester: Option<&Mailbox>, asked: &Selection) {
    if !asked.is_whole() {
        remark(SOME_CELLS);
    } else if tester.and_then(Mailbox::name).is_none() {
        remark(NOBODY);
    }
}

/// Prints what to know before sending the message.
fn remarks(run: &Run, regzbot: &Regzbot, thread: Option<&Thread>, subject: bool) {
    if thread.is_some_and(|thread| thread.subject.is_none()) && !subject {
        remark("an answer needs the subject of the original: give --subject-of or --reply-to-mbox");
    }
    if regzbot.is_stable() {
        remark("report a regression within a stable series to stable@vger.kernel.org too: --cc");
    }
    if regzbot.reports() && mail::passes(run) {
        remark("nothing failed in this run: what is the regression?");
    }
    let distribution = run.lanes.iter().find_map(|lane| lane.started.kernel.distribution.as_ref());
    if regzbot.reports()
        && let Some(distribution) = distribution
    {
        remark(&format!(
            "the regression list is about upstream kernels, and {distribution} built this one"
        ));
    }
}

fn remark(text: &str) {
    eprint_line!("remark: {text}");
}

/// The options of reports in these formats, with git's user as the tester in the text of a run that
/// passed, unless another is named.
pub(super) fn vouched(options: &FormatOptions, formats: &[Format], run: &Run) -> FormatOptions {
    let mut options = options.clone();
    if formats.contains(&Format::Text) && mail::passes(run) {
        options.from = options.from.or_else(of_git);
        vouches(options.from.as_ref(), &run.started.asked);
    }
    options
}

/// Git's user.
pub(super) fn of_git() -> Option<Mailbox> {
    let value = |name: &str| {
        let git =
            Command::new("git").args(["config", "--get", name]).stderr(Stdio::null()).output();
        let output = git.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    let address = value("user.email")?;
    Mailbox::new(&value("user.name").unwrap_or_default(), &address).ok()
}

/// A unique message id.
fn id(from: &Mailbox, now: u128) -> MessageId {
    let unique = format!("{} {now}", std::process::id());
    let hash = crate::hex(&Sha256::digest(unique));
    let text = format!("perfsec.{}@{}", &hash[..24], from.domain());
    text.parse().expect("hexadecimal digits and the domain of an address")
}
