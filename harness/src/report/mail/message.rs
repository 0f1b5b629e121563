//! An RFC 5322 message with a report as its body, in a file for `git send-email`.

use mail_builder::MessageBuilder;
use mail_builder::headers::HeaderType;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::message_id::MessageId as Ids;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text as Encoded;
use mail_builder::mime::MimePart;

use super::page::Page;
use super::regzbot::{LIST, Regzbot};
use super::{bisection, plain, series, text, verdict};
use crate::bisect;
use crate::mbox::{Mailbox, MessageId};
use crate::record::Run;
use crate::reproduce::Attachment;
use crate::series::SeriesOutcome;
use crate::text::Text;

/// Longest subject, in characters: a header line may have at most 998 octets.
const SUBJECT: usize = 300;

/// The message to reply to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Its id.
    pub parent: MessageId,
    /// The ids of its own parents, the oldest first.
    pub earlier: Vec<MessageId>,
    /// Its subject, if known.
    pub subject: Option<String>,
}

/// A message about a run, a series or a bisection.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The sender, and the tester of what passed.
    pub from: Mailbox,
    /// Recipients.
    pub to: Vec<Mailbox>,
    /// Further recipients.
    pub cc: Vec<Mailbox>,
    /// The subject; by default one that mailing lists expect.
    pub subject: Option<String>,
    /// Its own id.
    pub id: MessageId,
    /// The message to reply to.
    pub thread: Option<Thread>,
    /// Commands for the regression tracking bot.
    pub regzbot: Regzbot,
    /// Programs that show failures of a run.
    pub attachments: Vec<Attachment>,
    /// Seconds since 1970: the date, unless the record has the time of its end.
    pub now: i64,
}

impl Letter {
    /// Writes the message about a run.
    #[must_use]
    pub fn write(&self, run: &Run) -> Text {
        let mut body = self.body(run);
        self.name_attachments(&mut body);
        self.compose(&verdict::headline(run), self.with_regzbot(body), date(run), &self.attachments)
    }

    /// Writes the message about a series.
    #[must_use]
    pub fn write_series(&self, outcome: &SeriesOutcome) -> Text {
        let body = series::text(outcome, Some(&self.from));
        self.compose(&plain::prose(&outcome.headline()), body, None, &[])
    }

    /// Writes the message about a bisection.
    #[must_use]
    pub fn write_bisection(&self, outcome: &bisect::Bisection) -> Text {
        let body = self.with_regzbot(bisection::text(outcome));
        self.compose(&bisection::headline(outcome), body, None, &[])
    }

    /// Writes the message with this body, with the line ends of `git format-patch`. The headline is
    /// the subject of a message that is not a reply.
    fn compose(
        &self,
        headline: &str,
        body: Text,
        date: Option<i64>,
        attachments: &[Attachment],
    ) -> Text {
        let body = body.plain();
        let (to, cc) = self.recipients();
        let mut message = MessageBuilder::new().from(address(&self.from));
        for (name, list) in [("To", &to), ("Cc", &cc)] {
            if !list.is_empty() {
                message =
                    message.header(name, Address::new_list(list.iter().map(address).collect()));
            }
        }
        message = message
            .header("Subject", subject(self.subject(headline)))
            .date(date.unwrap_or(self.now))
            .message_id(self.id.as_str());
        if let Some(thread) = &self.thread {
            let parent = thread.parent.as_str();
            let references = thread.earlier.iter().map(MessageId::as_str).chain([parent]);
            message = message.in_reply_to(parent).references(Ids::new_list(references));
        }
        // 7bit and 8bit leave the text readable in the file; quoted-printable would not.
        let (charset, encoding) =
            if body.is_ascii() { ("us-ascii", "7bit") } else { ("utf-8", "8bit") };
        let part =
            |kind: &'static str, charset: &'static str, text: String, encoding: &'static str| {
                let kind = ContentType::new(kind).attribute("charset", charset);
                MimePart::new(kind, text).transfer_encoding(encoding)
            };
        let text = part("text/plain", charset, body, encoding);
        let message = message.body(match attachments {
            [] => text,
            // Lists keep texts; a reader shows those that are inline.
            several => {
                let programs = several.iter().map(|program| {
                    part("text/x-csrc", "us-ascii", program.text.clone(), "7bit")
                        .attachment(program.name.clone())
                });
                MimePart::new(
                    "multipart/mixed",
                    std::iter::once(text).chain(programs).collect::<Vec<_>>(),
                )
            }
        });
        let mut bytes = Vec::new();
        message.serialize(&mut bytes);
        Text::of_block(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"))
    }

    /// The recipients, each once and without the sender; the regression list is added for its bot.
    fn recipients(&self) -> (Vec<Mailbox>, Vec<Mailbox>) {
        let mut seen = vec![self.from.clone()];
        let mut fresh = |mailbox: &Mailbox| {
            let new = !seen.iter().any(|known| known.same(mailbox));
            seen.push(mailbox.clone());
            new.then(|| mailbox.clone())
        };
        let list = (!self.regzbot.is_empty()).then(|| Mailbox::new("", LIST).ok()).flatten();
        let to = self.to.iter().filter_map(&mut fresh).collect();
        let cc = self.cc.iter().chain(&list).filter_map(&mut fresh).collect();
        (to, cc)
    }

    fn subject(&self, headline: &str) -> String {
        let own = || match self.regzbot.title() {
            Some(title) if self.regzbot.reports() => title.to_owned(),
            _ => headline.to_owned(),
        };
        let answered = self.thread.as_ref().and_then(|thread| thread.subject.as_deref());
        let text = match (&self.subject, answered) {
            (Some(subject), _) => return one_line(subject),
            (None, Some(answered)) => format!("Re: {}", without_re(&one_line(answered))),
            (None, None) => own(),
        };
        let text = one_line(&text);
        if self.regzbot.reports() {
            let marked = text.to_ascii_uppercase().contains("[REGRESSION]");
            if marked { text } else { format!("[REGRESSION] {text}") }
        } else if answered.is_some() {
            text
        } else {
            format!("[STATUS] {text}")
        }
    }

    fn body(&self, run: &Run) -> Text {
        // A mail cannot both vouch for a kernel and report a regression in it.
        let tester = (!self.regzbot.reports()).then_some(&self.from);
        text::text(run, tester)
    }

    /// Says what the attached programs are.
    fn name_attachments(&self, body: &mut Text) {
        if self.attachments.is_empty() {
            return;
        }
        let mut page = Page::default();
        let (program, show) = match self.attachments.len() {
            1 => ("a C program", "shows a failure"),
            _ => ("C programs", "each show a failure"),
        };
        page.prose(
            0,
            &format!(
                "Attached: {program} that {show} without perfsec, on any machine with SELinux \
                 and audit. Run as root, the exit code is 0 if the kernel does what is expected, \
                 1 if it does not."
            ),
        );
        for attachment in &self.attachments {
            page.name(2, &attachment.cell, "");
        }
        body.end().append(&page.finish());
    }

    fn with_regzbot(&self, mut body: Text) -> Text {
        if !self.regzbot.is_empty() {
            body.end().append(&self.regzbot.paragraph());
        }
        body
    }
}

/// An ASCII subject is folded but not encoded: filters and people look for `[REGRESSION]` in the
/// file.
fn subject(text: String) -> HeaderType<'static> {
    let encoded = !text.is_ascii() || text.contains("=?");
    if encoded { Encoded::new(text).into() } else { Raw::new(text).into() }
}

fn address(mailbox: &Mailbox) -> Address<'_> {
    Address::new_address(mailbox.name(), mailbox.address())
}

/// The end of the run, in seconds since 1970.
fn date(run: &Run) -> Option<i64> {
    let started: jiff::Timestamp = run.started.started.parse().ok()?;
    let millis = i64::try_from(run.end.as_ref()?.millis).ok()?;
    let ended = started.as_second().checked_add(millis / 1000)?;
    // The range that other programs accept.
    (0..=253_402_300_799).contains(&ended).then_some(ended)
}

/// A text as the value of a header: one line of limited length.
fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words.join(" ").chars().take(SUBJECT).collect()
}

/// A subject without the `Re:` of earlier replies.
fn without_re(subject: &str) -> &str {
    let mut rest = subject;
    while let Some(start) = rest.get(..3)
        && start.eq_ignore_ascii_case("re:")
    {
        rest = rest[3..].trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::fixture;
    use super::*;

    const STATUS: &str =
        "[STATUS] perfsec: Linux 7.3.4 and 6.1.192 fail: 14 of 55 cells are not as expected";

    fn letter() -> Letter {
        Letter {
            from: "Ann Example <ann@example.org>".parse().unwrap(),
            to: vec!["selinux@vger.kernel.org".parse().unwrap()],
            cc: Vec::new(),
            subject: None,
            id: "own@example.org".parse().unwrap(),
            thread: None,
            regzbot: Regzbot::default(),
            attachments: Vec::new(),
            now: 0,
        }
    }

    fn thread(subject: Option<&str>) -> Option<Thread> {
        Some(Thread {
            parent: "2@example.org".parse().unwrap(),
            earlier: vec!["1@example.org".parse().unwrap()],
            subject: subject.map(str::to_owned),
        })
    }

    /// The unfolded headers of a mail, and its body.
    fn parts(mail: &str) -> (Vec<String>, &str) {
        let (head, body) = mail.split_once("\n\n").unwrap();
        let unfolded = head.replace("\n ", " ");
        (unfolded.lines().map(str::to_owned).collect(), body)
    }

    fn header(mail: &str, name: &str) -> Option<String> {
        let start = format!("{name}: ");
        let (head, _) = parts(mail);
        head.iter().find_map(|line| Some(line.strip_prefix(&start)?.to_owned()))
    }

    #[rstest]
    #[case::status(None, &[], STATUS)]
    #[case::reply(Some("[PATCH v5 01/10] a"), &[], "Re: [PATCH v5 01/10] a")]
    #[case::reply_to_a_reply(Some("RE: re: [PATCH] a"), &[], "Re: [PATCH] a")]
    #[case::regression(
        None,
        &["introduced=v6.12..v6.13"],
        "[REGRESSION] perfsec: Linux 7.3.4 and 6.1.192 fail: 14 of 55 cells are not as expected"
    )]
    #[case::with_title(None, &["introduced=v6.12..v6.13", "title=perf: a"], "[REGRESSION] perf: a")]
    #[case::regression_of_a_patch(
        Some("[PATCH] a"),
        &["introduced=1f2e3d4c5d"],
        "[REGRESSION] Re: [PATCH] a"
    )]
    #[case::reply_to_a_report(
        Some("[REGRESSION] a"),
        &["^introduced=1f2e3d4c5d"],
        "Re: [REGRESSION] a"
    )]
    #[case::marked_already(
        Some("[REGRESSION] a"),
        &["introduced=1f2e3d4c5d"],
        "Re: [REGRESSION] a"
    )]
    fn the_subject_is_the_one_that_a_list_expects(
        #[case] answered: Option<&str>,
        #[case] regzbot: &[&str],
        #[case] expected: &str,
    ) {
        let mut letter = letter();
        letter.thread = answered.and_then(|subject| thread(Some(subject)));
        letter.regzbot = Regzbot::parse(regzbot).unwrap();
        let mail = letter.write(&fixture::run()).plain();
        assert_eq!(header(&mail, "Subject").as_deref(), Some(expected));
    }

    #[test]
    fn a_reply_is_threaded() {
        let mut letter = letter();
        letter.thread = thread(None);
        let mail = letter.write(&fixture::run()).plain();
        assert_eq!(header(&mail, "In-Reply-To").as_deref(), Some("<2@example.org>"));
        let references = header(&mail, "References");
        assert_eq!(references.as_deref(), Some("<1@example.org> <2@example.org>"));
        assert_eq!(header(&letter_alone(), "References"), None);
    }

    fn letter_alone() -> String {
        letter().write(&fixture::run()).plain()
    }

    #[test]
    fn the_date_is_that_of_the_end_of_the_run() {
        let mut run = fixture::run();
        run.started.started = "2026-11-25T00:57:55.299458777Z".to_owned();
        run.end.as_mut().unwrap().millis = 9_100;
        let date = header(&letter().write(&run).plain(), "Date");
        assert_eq!(date.as_deref(), Some("Wed, 25 Nov 2026 00:58:04 +0000"));
    }

    #[test]
    fn the_bots_commands_are_a_paragraph_and_its_list_gets_the_mail_once() {
        let mut letter = letter();
        letter.regzbot = Regzbot::parse(&["introduced=v6.12..v6.13", "title=perf: a"]).unwrap();
        let mail = letter.write(&fixture::run()).plain();
        let paragraph = "\n\n#regzbot introduced: v6.12..v6.13\n#regzbot title: perf: a\n";
        assert!(mail.ends_with(paragraph), "{mail}");
        assert_eq!(header(&mail, "Cc").as_deref(), Some("<regressions@lists.linux.dev>"));
        letter.to = vec!["Regressions@lists.linux.dev".parse().unwrap()];
        assert_eq!(header(&letter.write(&fixture::run()).plain(), "Cc"), None);
    }

    #[test]
    fn every_recipient_gets_it_once_and_the_sender_does_not() {
        let mut letter = letter();
        let cc = [
            "ann@example.org",
            "SELinux@vger.kernel.org",
            "Bob <bob@example.org>",
            "bob@example.org",
        ];
        letter.cc = cc.map(|mailbox| mailbox.parse().unwrap()).to_vec();
        let mail = letter.write(&fixture::run()).plain();
        assert_eq!(header(&mail, "To").as_deref(), Some("<selinux@vger.kernel.org>"));
        assert_eq!(header(&mail, "Cc").as_deref(), Some("\"Bob\" <bob@example.org>"));
    }

    #[test]
    fn a_report_of_a_regression_has_no_tested_by() {
        let mut letter = letter();
        assert!(
            letter
                .write(&fixture::passed())
                .plain()
                .ends_with("\nTested-by: Ann Example <ann@example.org>\n")
        );
        letter.regzbot = Regzbot::parse(&["introduced=v6.12..v6.13"]).unwrap();
        assert!(!letter.write(&fixture::passed()).plain().contains("Tested-by"));
    }

    #[rstest]
    #[case("Ann Example <ann@example.org>", "charset=\"us-ascii\"", "7bit")]
    #[case("Ann Exämple <ann@example.org>", "charset=\"utf-8\"", "8bit")]
    fn the_text_is_not_encoded(#[case] from: &str, #[case] charset: &str, #[case] encoding: &str) {
        let letter = Letter { from: from.parse().unwrap(), ..letter() };
        let mail = letter.write(&fixture::passed()).plain();
        assert!(header(&mail, "Content-Type").unwrap().contains(charset));
        assert_eq!(header(&mail, "Content-Transfer-Encoding").as_deref(), Some(encoding));
        assert_eq!(header(&mail, "MIME-Version").as_deref(), Some("1.0"));
        assert_eq!(parts(&mail).1, text::text(&fixture::passed(), Some(&letter.from)).plain());
    }

    #[rstest]
    #[case("a\nBcc: all@example.org")]
    #[case("a\r\n\r\nbody")]
    #[case("a\u{85}b\u{2028}Bcc: all@example.org")]
    fn no_subject_can_add_a_header(#[case] subject: &str) {
        let mut letter = letter();
        let names = |mail: &str| -> Vec<String> {
            let name = |line: &String| line.split(':').next().unwrap_or_default().to_owned();
            parts(mail).0.iter().map(name).collect()
        };
        letter.thread = thread(Some("plain"));
        let plain = names(&letter.write(&fixture::run()).plain());
        letter.thread = thread(Some(subject));
        assert_eq!(names(&letter.write(&fixture::run()).plain()), plain);
        letter.subject = Some(subject.to_owned());
        assert_eq!(names(&letter.write(&fixture::run()).plain()), plain);
    }

    #[test]
    fn programs_are_attached_and_named() {
        let mut letter = letter();
        letter.attachments = vec![Attachment {
            name: "open-cpu.c".to_owned(),
            cell: "open/cpu/none_t".to_owned(),
            text: "int main(void)\n{\n\treturn 4;\n}\n".to_owned(),
        }];
        let mail = letter.write(&fixture::run()).plain();
        assert!(header(&mail, "Content-Type").unwrap().starts_with("multipart/mixed"), "{mail}");
        assert!(mail.contains("a C program that shows a failure without perfsec"), "{mail}");
        assert!(mail.contains("\n  open/cpu/none_t\n"), "{mail}");
        assert!(mail.contains("filename=\"open-cpu.c\""), "{mail}");
        assert!(mail.contains("\nint main(void)\n{\n\treturn 4;\n}\n"), "{mail}");
        letter.attachments.clear();
        let plain = letter.write(&fixture::run()).plain();
        assert!(!plain.contains("multipart") && !plain.contains("Attached"), "{plain}");
    }

    #[test]
    fn a_hostile_record_still_makes_a_valid_mail() {
        let mut letter = letter();
        letter.subject = Some(fixture::hostile());
        let mail = letter.write(&fixture::hostile_run()).plain();
        assert!(mail.is_ascii() && mail.lines().all(|line| line.len() <= 998));
        assert!(mail.bytes().all(|byte| byte == b'\n' || byte == b' ' || byte.is_ascii_graphic()));
        assert!(
            !mail.contains("\nFrom me")
                && !mail.contains("\n#regzbot")
                && !mail.contains("\nTested-by")
        );
    }
}
