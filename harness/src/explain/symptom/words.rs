//! Reads the words of a symptom; what is not understood is kept, to be told.

use std::collections::BTreeSet;

use perfsec_wire::Mode;

use crate::errno::Errno;
use crate::grant::cap_number;
use crate::printable::printable_line;

/// A symptom, as far as it was understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symptom {
    /// What of perf is run.
    pub tool: Option<Tool>,
    /// Every task of every CPU: `-a`.
    pub system_wide: bool,
    /// Another process: `-p`.
    pub other_process: bool,
    /// Call chains: `-g`.
    pub callchains: bool,
    /// Only the user's side: `:u`.
    pub user_side: bool,
    /// A tracepoint.
    pub tracepoint: Option<(String, String)>,
    /// Run by root; none when it is not said.
    pub root: Option<bool>,
    /// In a container, whose root may be nobody outside.
    pub container: bool,
    /// Capabilities by number.
    pub capabilities: BTreeSet<u32>,
    /// `kernel.perf_event_paranoid`
    pub level: Option<i32>,
    /// The distribution.
    pub distribution: Option<String>,
    /// The domain.
    pub domain: Option<String>,
    /// The mode.
    pub mode: Option<Mode>,
    /// The error that was seen.
    pub errno: Option<Errno>,
    /// Words that were not understood, printable.
    pub unknown: Vec<String>,
}

/// A part of perf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `perf stat`
    Stat,
    /// `perf record`
    Record,
    /// `perf top`
    Top,
    /// `perf trace`
    Trace,
    /// `perf probe`
    Probe,
}

/// Words that say nothing about a symptom.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "understand `{0}`: give an AVC record, a cell, `-` for a log on standard input, or a symptom such as \
     `perf stat -a as user with cap_perfmon, paranoid 2`"
)]
pub struct SymptomError(String);

/// Words that only join others.
const JOINING: &[&str] = &[
    "a",
    "an",
    "and",
    "are",
    "as",
    "at",
    "by",
    "cap",
    "capabilities",
    "capability",
    "class",
    "cmd",
    "command",
    "denied",
    "domain",
    "error",
    "fails",
    "for",
    "from",
    "get",
    "gets",
    "gives",
    "has",
    "i",
    "in",
    "is",
    "kernel.perf_event_paranoid",
    "level",
    "ls",
    "mode",
    "my",
    "not",
    "of",
    "on",
    "only",
    "paranoid",
    "perf",
    "perf_event_paranoid",
    "permission",
    "run",
    "runs",
    "says",
    "selinux",
    "sees",
    "that",
    "the",
    "to",
    "under",
    "use",
    "when",
    "while",
    "with",
    "run_by",
    "sleep",
    "true",
    "it",
    "limited",
    "access",
];

/// How much of a word that was not understood is shown.
const SHOWN: usize = 40;

impl Tool {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stat => "perf stat",
            Self::Record => "perf record",
            Self::Top => "perf top",
            Self::Trace => "perf trace",
            Self::Probe => "perf probe",
        }
    }
}

impl Symptom {
    /// Reads words in any order.
    ///
    /// # Errors
    ///
    /// When none of them says anything.
    pub fn read(text: &str) -> Result<Self, SymptomError> {
        let separators = |letter: char| letter.is_whitespace() || ",;()\"'`".contains(letter);
        let words: Vec<_> = text.split(separators).filter(|word| !word.is_empty()).collect();
        let mut symptom = Self::default();
        let mut rest = words.as_slice();
        while let [word, after @ ..] = rest {
            let taken = symptom.word(word, after);
            rest = &rest[taken.max(1)..];
        }
        let empty = Self { unknown: symptom.unknown.clone(), ..Self::default() };
        if symptom == empty {
            return Err(SymptomError(printable_line(
                &text.chars().take(4 * SHOWN).collect::<String>(),
            )));
        }
        Ok(symptom)
    }

    /// Takes in a word and perhaps those after it; says how many.
    fn word(&mut self, word: &str, after: &[&str]) -> usize {
        let lower = word.trim_end_matches('.').to_lowercase();
        let next = after.first().copied().unwrap_or_default();
        match lower.as_str() {
            "stat" => self.tool = Some(Tool::Stat),
            "record" => self.tool = Some(Tool::Record),
            "top" => self.tool = Some(Tool::Top),
            "trace" => self.tool = Some(Tool::Trace),
            "probe" => self.tool = Some(Tool::Probe),
            "-a" | "--all-cpus" | "system-wide" | "systemwide" => self.system_wide = true,
            "-c" | "--cpu" => {
                self.system_wide = true;
                return 1 + usize::from(next.starts_with(|c: char| c.is_ascii_digit()));
            }
            "-p" | "--pid" | "-t" | "--tid" => {
                self.other_process = true;
                let number = next.starts_with(|c: char| c.is_ascii_digit());
                return 1 + usize::from(number || matches!(next, "PID" | "TID" | "pid" | "tid"));
            }
            "-g" | "--call-graph" => self.callchains = true,
            "-e" | "--event" => {}
            "root" | "sudo" => self.root = Some(true),
            "user" | "unprivileged" | "nobody" | "non-root" => self.root = Some(false),
            "container" | "docker" | "podman" | "lxc" | "userns" | "rootless" => {
                self.container = true
            }
            "enforcing" => self.mode = Some(Mode::Enforcing),
            "permissive" => self.mode = Some(Mode::Permissive),
            "debian" | "upstream" | "vanilla" | "mainline" => self.distribution = Some(lower),
            "eacces" | "-13" => self.errno = Some(Errno::EACCES),
            "eperm" | "-1" if !self.expects_level(word) => self.errno = Some(Errno::EPERM),
            "paranoid" | "perf_event_paranoid" | "kernel.perf_event_paranoid" | "level" => {
                return 1 + self.level(after);
            }
            _ => return self.other(word, &lower),
        }
        1
    }

    /// `-1` alone is an errno as strace shows it; a level stands after its name.
    fn expects_level(&self, word: &str) -> bool {
        word == "-1" && self.errno.is_some()
    }

    /// A level after its name: `2`, `= 2`, `is 2`, `level 2`.
    fn level(&mut self, after: &[&str]) -> usize {
        for (number, word) in after.iter().take(3).enumerate() {
            let text = word.trim_start_matches('=').trim_end_matches('.');
            if let Ok(level) = text.parse() {
                self.level = Some(level);
                return number + 1;
            }
            if !matches!(*word, "=" | "is" | "level" | "set" | "to") {
                break;
            }
        }
        0
    }

    fn other(&mut self, word: &str, lower: &str) -> usize {
        let level = ["paranoid=", "perf_event_paranoid=", "level="]
            .iter()
            .find_map(|key| lower.rsplit_once(key)?.1.parse().ok());
        let capability = |name: &str| {
            let name = name.trim_end_matches(['=', 'e', 'p', 'i']);
            cap_number(name).ok()
        };
        let named = |name: &str| cap_number(name).ok().or_else(|| capability(name));
        // `cap_perfmon,cap_sys_ptrace=ep` has been split at the comma.
        let set = lower.trim_start_matches("cap_").split(['+', '=']);
        let numbers: Vec<_> = set
            .filter(|name| !matches!(*name, "" | "e" | "p" | "i" | "ep" | "eip" | "pe"))
            .collect();
        let caps: Vec<_> =
            numbers.iter().map(|name| named(name.trim_start_matches("cap_"))).collect();
        if let Some(level) = level {
            self.level = Some(level);
        } else if !caps.is_empty() && caps.iter().all(Option::is_some) {
            self.capabilities.extend(caps.into_iter().flatten());
        } else if lower == "none" || lower == "without" {
            // `with none`, `without capabilities`: nothing to add.
        } else if lower.ends_with(":u") || lower == "user-only" {
            self.user_side = true;
        } else if let Some((category, name)) = tracepoint(word) {
            self.tracepoint = Some((category.to_owned(), name.to_owned()));
        } else if let Some(kind) = domain(word) {
            self.domain = Some(kind.to_owned());
        } else if let Ok(errno) = word.parse::<Errno>() {
            self.errno = Some(errno);
        } else if !JOINING.contains(&lower) && !word.chars().all(|letter| !letter.is_alphanumeric())
        {
            self.unknown.push(printable_line(&word.chars().take(SHOWN).collect::<String>()));
        }
        1
    }
}

/// `sched:sched_switch`
fn tracepoint(word: &str) -> Option<(&str, &str)> {
    let (category, name) = word.split_once(':')?;
    let is_name = |text: &str| {
        text.len() > 1
            && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_*".contains(letter))
    };
    (is_name(category) && is_name(name)).then_some((category, name))
}

/// `user_t`, or the type in `user_u:user_r:user_t:s0`.
fn domain(word: &str) -> Option<&str> {
    let kind = word.split(':').nth(2).unwrap_or(word);
    (kind.ends_with("_t") && kind.len() > 2 && crate::audit::is_name(kind)).then_some(kind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn caps(numbers: &[u32]) -> Symptom {
        Symptom { capabilities: numbers.iter().copied().collect(), ..Symptom::default() }
    }

    #[rstest]
    #[case("perf stat as user with cap_perfmon, paranoid 3", Symptom { tool: Some(Tool::Stat), root: Some(false), level: Some(3), ..caps(&[38]) })]
    #[case("perf stat -a", Symptom { tool: Some(Tool::Stat), system_wide: true, ..Symptom::default() })]
    #[case("EACCES from perf record -g -p 1234", Symptom { tool: Some(Tool::Record), callchains: true, other_process: true, errno: Some(Errno::EACCES), ..Symptom::default() })]
    #[case("CAP_SYS_ADMIN+ep perf top", Symptom { tool: Some(Tool::Top), ..caps(&[21]) })]
    #[case("perfmon+sys_admin", caps(&[38, 21]))]
    #[case("cap_sys_ptrace,cap_syslog,cap_perfmon=ep", caps(&[19, 34, 38]))]
    #[case("cap_bpf and cap_sys_ptrace+eip", caps(&[39, 19]))]
    #[case("perf_event_paranoid is -1", Symptom { level: Some(-1), ..Symptom::default() })]
    #[case("kernel.perf_event_paranoid = 2, root", Symptom { level: Some(2), root: Some(true), ..Symptom::default() })]
    #[case("paranoid=0 on debian", Symptom { level: Some(0), distribution: Some("debian".to_owned()), ..Symptom::default() })]
    #[case("perf record -e sched:sched_switch in user_t, enforcing", Symptom { tool: Some(Tool::Record), tracepoint: Some(("sched".to_owned(), "sched_switch".to_owned())), domain: Some("user_t".to_owned()), mode: Some(Mode::Enforcing), ..Symptom::default() })]
    #[case("perf stat -e cycles:u under staff_u:staff_r:staff_t:s0", Symptom { tool: Some(Tool::Stat), user_side: true, domain: Some("staff_t".to_owned()), ..Symptom::default() })]
    #[case("as root in a container", Symptom { root: Some(true), container: true, ..Symptom::default() })]
    #[case("perf stat frobnicates", Symptom { tool: Some(Tool::Stat), unknown: vec!["frobnicates".to_owned()], ..Symptom::default() })]
    fn words_are_understood_in_any_order(#[case] text: &str, #[case] symptom: Symptom) {
        assert_eq!(Symptom::read(text), Ok(symptom));
    }

    #[rstest]
    #[case("")]
    #[case("hello world")]
    #[case("the perf of it")]
    #[case("\u{1b}[2J")]
    fn words_that_say_nothing_are_refused(#[case] text: &str) {
        let error = Symptom::read(text).unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
    }

    proptest! {
        #[test]
        fn hostile_words_never_panic(text in "(perf |cap_|paranoid |-p |=)?.{0,80}") {
            if let Ok(symptom) = Symptom::read(&text) {
                prop_assert!(symptom.unknown.iter().all(|word| !word.contains(char::is_control)));
            }
        }
    }
}
