//! `perfsec why`, and `perfsec explain` of words.

use perfsec_wire::CapSet;

use super::args::{WhyArgs, WhyFormat};
use super::{Exit, Failure};
use crate::case::UNPRIVILEGED;
use crate::grant::Grant;
use crate::kernel::KernelVersion;
use crate::text;
use crate::why::words::{Scanned, scan};
use crate::why::{
    DataError, Distributions, Facts, Given, Inquiry, Known, Reading, Root, ToolCommand,
    ToolCommandError, WhyAnswer, answer, read,
};

/// Directories of programs, where PATH is not set.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

pub(super) fn why(args: &WhyArgs) -> Result<Exit, Failure> {
    let command = ToolCommand::read(&args.command)?;
    let given = given(args)?;
    let reading = match args.elsewhere {
        true => Reading::default(),
        false => {
            let path = std::env::var("PATH").unwrap_or_else(|_| PATH.to_owned());
            read(&Root::of_this_machine(), args.pid, command.program(), &path)
        }
    };
    let read = reading.given.fitting(&given);
    // A policy that is loaded here answers about contexts of this machine.
    let policy = reading.policy.filter(|_| read.domain.is_some() || args.domain.is_some());
    let facts = Facts::new(given.or(read), policy)?;
    let inquiry =
        Inquiry { unread: reading.unread, notes: reading.notes, ..Inquiry::about(facts, command) };
    print(&answer(inquiry), args.format)
}

/// The facts that options state.
fn given(args: &WhyArgs) -> Result<Given, Failure> {
    let uid = match (args.user, args.root, args.uid) {
        (true, ..) => Some(UNPRIVILEGED),
        (_, true, _) => Some(0),
        (.., uid) => uid,
    };
    let caps = args.cap.iter().fold(CapSet::EMPTY, |set, Grant(caps)| set.with(*caps));
    let kernel = args.kernel.as_deref().map(|text| {
        text.parse::<KernelVersion>().map_err(|error| Failure::input(format!("cannot {error}")))
    });
    let distribution = args.distribution.as_deref().map(|name| -> Result<_, Failure> {
        Ok(Distributions::built_in()?.named(name).unwrap_or(name).to_owned())
    });
    let yes = |flag: bool| flag.then(|| Known::given(true));
    Ok(Given {
        kernel: kernel.transpose()?.map(Known::given),
        distribution: distribution.transpose()?.map(Known::given),
        level: args.paranoid.map(Known::given),
        uid: uid.map(Known::given),
        caps: (!args.cap.is_empty()).then(|| Known::given(caps)),
        container: args.container.clone().map(Known::given),
        selinux: args.selinux.map(|mode| Known::given(mode.into())),
        domain: args.domain.clone().map(Known::given),
        no_new_privs: yes(args.no_new_privs),
        nosuid: yes(args.nosuid),
        userns: yes(args.userns),
        seccomp: yes(args.seccomp),
        bounding: args.bounding.map(|Grant(caps)| Known::given(caps)),
        lockdown: args.lockdown.map(|level| Known::given(level.into())),
        errno: args.errno,
        ..Given::default()
    })
}

/// Explains words, or the messages of tools. `kernel` completes what they say.
pub(super) fn words(text: &str, kernel: Option<&str>) -> Result<Exit, Failure> {
    scanned(scan(text)?, kernel)
}

/// Explains the findings in words or messages.
pub(super) fn scanned(found: Scanned, kernel: Option<&str>) -> Result<Exit, Failure> {
    if !found.concerns_perf && found.command.is_none() {
        return Err(Failure {
            exit: Exit::NothingRan,
            error: "nothing here concerns perf: give an AVC record, a cell, `-` for a log on \
                    standard input, or words such as `perf stat -a as user with cap_perfmon, \
                    paranoid 2`; `perfsec why -- COMMAND` answers for a command"
                .into(),
        });
    }
    print(&answer(Inquiry::of_words(found, named(kernel)?)?), WhyFormat::Text)
}

/// The kernel that `--kernel` names.
fn named(kernel: Option<&str>) -> Result<Given, Failure> {
    let Some(text) = kernel else { return Ok(Given::default()) };
    let (distribution, version) = super::show::kernel(Some(text))?;
    Ok(Given {
        kernel: Some(Known::given(version)),
        distribution: distribution.map(|id| Known::given(id.to_owned())),
        ..Given::default()
    })
}

fn print(answer: &WhyAnswer, format: WhyFormat) -> Result<Exit, Failure> {
    super::print(&match format {
        WhyFormat::Text => answer.text(),
        WhyFormat::Json => text::json(answer),
    })?;
    Ok(if answer.concerns_perf() { Exit::Success } else { Exit::NothingRan })
}

impl From<ToolCommandError> for Failure {
    fn from(error: ToolCommandError) -> Self {
        let exit = match error {
            ToolCommandError::Unknown(_) => Exit::NothingRan,
            _ => Exit::Input,
        };
        super::exit::cannot(exit, &error)
    }
}

impl From<&'static DataError> for Failure {
    fn from(error: &'static DataError) -> Self {
        super::exit::cannot(Exit::Input, error)
    }
}
