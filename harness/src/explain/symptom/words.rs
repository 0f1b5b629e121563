//! Reads the words of a symptom. An unknown word is an error, because it could change the answer.

use perfsec_wire::Mode;
use perfsec_wire::attr::{Address, Event};

use super::error::SymptomError;
use super::event::is_of;
use super::model::{PerfTool, Symptom};
use super::options::is_number;
use super::phrases::{JOINING, PHRASES};
use crate::errno::Errno;
use crate::grant::cap_number;

/// The number of characters to print of an unknown word.
const SHOWN: usize = 40;

impl Symptom {
    /// Reads words in any order.
    ///
    /// # Errors
    ///
    /// If no word describes a symptom, or one is unknown.
    pub fn read(text: &str) -> Result<Self, SymptomError> {
        let shown = || text.chars().take(4 * SHOWN).collect::<String>();
        let mut plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for (phrase, words) in PHRASES {
            while let Some(at) = plain.to_ascii_lowercase().find(phrase) {
                plain.replace_range(at..at + phrase.len(), &format!(" {words} "));
            }
        }
        let separators = |letter: char| letter.is_whitespace() || ",;()\"'`".contains(letter);
        let words: Vec<_> = plain
            .split(separators)
            .filter(|word| word.chars().any(char::is_alphanumeric) || matches!(*word, "=" | "--"))
            .collect();
        if words.iter().any(|word| matches!(word.to_lowercase().as_str(), "bpf" | "bpftrace")) {
            return Err(SymptomError::Bpf);
        }
        let mut symptom = Self::default();
        let mut rest = words.as_slice();
        while let [word, after @ ..] = rest {
            let taken = symptom.word(word, after).max(1);
            rest = rest.get(taken..).unwrap_or_default();
        }
        if let Some((user, kernel)) = symptom.sides {
            symptom.user_side |= user;
            symptom.kernel_side |= kernel;
        }
        if symptom.user_side && symptom.kernel_side {
            symptom.refuse("the kernel only and user space only at once");
        }
        let kernel =
            matches!(symptom.event, Some(Event::Breakpoint { address: Address::Kernel, .. }));
        if kernel && symptom.user_side {
            symptom.refuse("a breakpoint in the kernel with user space only");
        }
        if symptom.capabilities.iter().any(|held| symptom.lacks.contains(held))
            || symptom.no_capabilities && !symptom.capabilities.is_empty()
        {
            symptom.refuse("a capability both held and excluded");
        }
        let unknown = std::mem::take(&mut symptom.unknown);
        if symptom == Self::default() {
            return Err(SymptomError::Nothing(shown()));
        }
        if unknown.is_empty() {
            return Ok(symptom);
        }
        let words: Vec<_> = unknown.iter().map(|word| format!("`{word}`")).collect();
        let stated = symptom.stated();
        let understood = if stated.is_empty() { "nothing".to_owned() } else { stated.join(", ") };
        Err(SymptomError::Unknown { words: words.join(", "), understood })
    }

    /// Notes words that cannot be understood.
    pub(super) fn refuse(&mut self, word: &str) {
        let word = word.chars().take(SHOWN).collect::<String>();
        if self.unknown.len() < 8 && !self.unknown.contains(&word) {
            self.unknown.push(word);
        }
    }

    fn tool(&mut self, tool: PerfTool) {
        match self.tool {
            Some(known) if known != tool => {
                self.refuse(&format!("{} and {} at once", known.name(), tool.name()));
            }
            _ => self.tool = Some(tool),
        }
    }

    fn errno(&mut self, errno: Errno) {
        match self.errno {
            Some(known) if known != errno => self.refuse(&format!("{known} and {errno} at once")),
            _ => self.errno = Some(errno),
        }
    }

    /// Reads a word and perhaps some of the next ones. Returns the number of words taken.
    fn word(&mut self, word: &str, after: &[&str]) -> usize {
        if word.starts_with('-') && !matches!(word, "-1" | "-13") {
            return self.option(word, after);
        }
        let lower = word.trim_end_matches(['.', ':', '?', '!']).to_lowercase();
        let next = after.first().copied().unwrap_or_default();
        match lower.as_str() {
            "stat" => self.tool(PerfTool::Stat),
            "record" => self.tool(PerfTool::Record),
            "top" => self.tool(PerfTool::Top),
            "trace" => self.tool(PerfTool::Trace),
            "probe" => self.tool(PerfTool::Probe),
            "perf" => {
                let follows = next.chars().next().is_some_and(char::is_alphabetic);
                let known = ["stat", "record", "top", "trace", "probe"].contains(&next);
                if follows && !known && !JOINING.contains(&next) && cap_number(next).is_ok() {
                    self.refuse(&format!("perf {next}"));
                    return 2;
                }
            }
            "system-wide" | "systemwide" => self.system_wide = true,
            "~limited" => self.limited = true,
            "~silent" => self.silent = true,
            "~own" => self.own = true,
            "~mmap" | "mmap" | "mlock" | "perf_event_mlock_kb" => self.mmap = true,
            "current" if next == "value:" => {
                let numbers = after.iter().skip(1).take_while(|word| is_number(word));
                return 2 + numbers.count();
            }
            "ls" | "true" | "cmd" | "command" => self.command = true,
            "sleep" => {
                self.command = true;
                return 1 + usize::from(is_number(next));
            }
            "without" | "no" | "not" | "lacks" | "lacking" | "non" => {
                return 1 + self.negated(word, after);
            }
            "none" => self.no_capabilities = true,
            "root" | "sudo" => self.who(true),
            "user" | "unprivileged" | "nobody" | "non-root" => self.who(false),
            "container" | "docker" | "podman" | "lxc" => self.container = true,
            "userns" | "rootless" => (self.container, self.userns) = (true, true),
            "enforcing" => self.mode(Mode::Enforcing),
            "permissive" => self.mode(Mode::Permissive),
            "debian" | "upstream" | "vanilla" | "mainline" => {
                if self.distribution.as_ref().is_some_and(|known| *known != lower) {
                    self.refuse(word);
                }
                self.distribution = Some(lower);
            }
            "eacces" | "-13" => self.errno(Errno::EACCES),
            // In strace's output, before the errno's name.
            "-1" if next.parse::<Errno>().is_ok() => {}
            "eperm" | "-1" => self.errno(Errno::EPERM),
            "paranoid" | "perf_event_paranoid" | "kernel.perf_event_paranoid" | "level" => {
                return 1 + self.level(word, after);
            }
            "user-only" => self.user_side = true,
            _ => self.other(word, &lower),
        }
        1
    }

    fn who(&mut self, root: bool) {
        if self.root.is_some_and(|known| known != root) {
            self.refuse("root and a user at once");
        }
        self.root = Some(root);
    }

    fn mode(&mut self, mode: Mode) {
        if self.mode.is_some_and(|known| known != mode) {
            self.refuse("enforcing and permissive at once");
        }
        self.mode = Some(mode);
    }

    /// Reads what follows a negation. Returns the number of words taken.
    fn negated(&mut self, word: &str, after: &[&str]) -> usize {
        let mut taken = 0;
        let mut any = false;
        for next in after {
            let next = next.trim_end_matches('.').to_lowercase();
            if let Some(capabilities) = capabilities(&next) {
                self.lacks.extend(capabilities);
                any = true;
            } else if matches!(next.as_str(), "root" | "sudo") && !any {
                self.who(false);
                return taken + 1;
            } else if matches!(next.as_str(), "capability" | "capabilities" | "caps") && !any {
                self.no_capabilities = true;
                return taken + 1;
            } else {
                let joins: &[&str] = match any {
                    true => &["and", "or", "nor"],
                    false => &["the", "any", "have", "has", "as"],
                };
                if !joins.contains(&next.as_str()) {
                    break;
                }
            }
            taken += 1;
        }
        if !any {
            let rest = after.get(..after.len().min(taken + 1)).unwrap_or_default();
            self.refuse(&[&[word], rest].concat().join(" "));
            return taken + 1;
        }
        taken
    }

    /// Reads a level after its name: `2`, `= 2`, `is 2`, `level 2`. Returns the number of words
    /// taken.
    fn level(&mut self, name: &str, after: &[&str]) -> usize {
        for (number, word) in after.iter().take(4).enumerate() {
            let text = word.trim_start_matches('=').trim_end_matches(['.', ':']);
            if let Ok(level) = text.parse() {
                self.set_level(level);
                return number + 1;
            }
            if !matches!(*word, "=" | "is" | "level" | "set" | "setting" | "to" | "at" | "of") {
                break;
            }
        }
        let next = after.first().copied().unwrap_or_default();
        self.refuse(&format!("{name} {next}, not a number"));
        1
    }

    fn set_level(&mut self, level: i32) {
        match self.level {
            Some(known) if known != level => {
                self.refuse(&format!("level {known} and level {level} at once"));
            }
            _ => self.level = Some(level),
        }
    }

    fn other(&mut self, word: &str, lower: &str) {
        let level = ["paranoid=", "level="].iter().find_map(|key| Some(lower.rsplit_once(key)?.1));
        if let Some(level) = level {
            match level.parse() {
                Ok(level) => self.set_level(level),
                Err(_) => self.refuse(word),
            }
        } else if let Some(held) = capabilities(lower) {
            self.capabilities.extend(held);
        } else if let Some(kind) = domain(word) {
            self.domain = Some(kind.to_owned());
        } else if let Ok(errno) = word.trim_end_matches('.').to_uppercase().parse::<Errno>() {
            self.errno(errno);
        } else if !self.event(word) && !JOINING.contains(&lower) && word != "=" {
            self.refuse(word);
        }
    }
}

/// Reads effective capabilities: `cap_perfmon`, `perfmon+sys_admin`, `cap_perfmon=ep`.
fn capabilities(lower: &str) -> Option<Vec<u32>> {
    let (flags, names): (Vec<_>, Vec<_>) = lower
        .split(['+', '='])
        .filter(|name| !name.is_empty())
        .partition(|name| is_of(name, "eip"));
    // A capability that is only permitted or inheritable is not effective.
    if names.is_empty() || flags.iter().any(|flags| !flags.contains('e')) {
        return None;
    }
    names.iter().map(|name| cap_number(name.strip_prefix("cap_").unwrap_or(name)).ok()).collect()
}

/// Reads a type: `user_t`, or that in `user_u:user_r:user_t:s0`.
fn domain(word: &str) -> Option<&str> {
    let kind = word.split(':').nth(2).unwrap_or(word);
    (kind.ends_with("_t") && kind.len() > 2 && crate::audit::is_name(kind)).then_some(kind)
}

#[cfg(test)]
mod tests {
    use perfsec_wire::attr::Hardware;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn caps(numbers: &[u32]) -> Symptom {
        Symptom { capabilities: numbers.iter().copied().collect(), ..Symptom::default() }
    }

    #[rstest]
    #[case(
        "perf stat as user with cap_perfmon, paranoid 3",
        Symptom {
            tool: Some(PerfTool::Stat), root: Some(false), level: Some(3), ..caps(&[38])
        }
    )]
    #[case(
        "perf stat -a",
        Symptom { tool: Some(PerfTool::Stat), system_wide: true, ..Symptom::default() }
    )]
    #[case(
        "EACCES from perf record -g -p 1234",
        Symptom {
            tool: Some(PerfTool::Record),
            callchains: true,
            other_process: true,
            errno: Some(Errno::EACCES),
            ..Symptom::default()
        }
    )]
    #[case("CAP_SYS_ADMIN+ep perf top", Symptom { tool: Some(PerfTool::Top), ..caps(&[21]) })]
    #[case("perfmon+sys_admin", caps(&[38, 21]))]
    #[case("cap_sys_ptrace,cap_syslog,cap_perfmon=ep", caps(&[19, 34, 38]))]
    #[case("cap_bpf and cap_sys_ptrace+eip", caps(&[39, 19]))]
    #[case(
        "perf_event_open() = -1 EACCES (Permission denied)",
        Symptom { errno: Some(Errno::EACCES), ..Symptom::default() }
    )]
    #[case(
        "Permission error mapping pages. Consider increasing \
         /proc/sys/kernel/perf_event_mlock_kb, or try again with a smaller value of \
         -m/--mmap_pages. (current value: 128,0)",
        Symptom { mmap: true, errno: Some(Errno::EPERM), ..Symptom::default() }
    )]
    #[case(
        "Access to performance monitoring and observability operations is limited.\n\
         Consider adjusting /proc/sys/kernel/perf_event_paranoid setting to open\n\
         access to performance monitoring and observability operations for processes\n\
         without CAP_PERFMON, CAP_SYS_PTRACE or CAP_SYS_ADMIN Linux capability.\n\
         perf_event_paranoid setting is 2:\n\
         \x20 -1: Allow use of (almost) all events by all users",
        Symptom { limited: true, level: Some(2), ..Symptom::default() }
    )]
    #[case("perf_event_paranoid is -1", Symptom { level: Some(-1), ..Symptom::default() })]
    #[case(
        "kernel.perf_event_paranoid = 2, root",
        Symptom { level: Some(2), root: Some(true), ..Symptom::default() }
    )]
    #[case(
        "paranoid=0 on debian",
        Symptom { level: Some(0), distribution: Some("debian".to_owned()), ..Symptom::default() }
    )]
    #[case(
        "perf record -e sched:sched_switch in user_t, enforcing",
        Symptom {
            tool: Some(PerfTool::Record),
            event: Some(Event::Tracepoint {
                category: "sched".to_owned(), name: "sched_switch".to_owned()
            }),
            sides: Some((false, false)),
            domain: Some("user_t".to_owned()),
            mode: Some(Mode::Enforcing),
            ..Symptom::default()
        }
    )]
    #[case(
        "perf stat -e cycles:u under staff_u:staff_r:staff_t:s0",
        Symptom {
            tool: Some(PerfTool::Stat),
            user_side: true,
            event: Some(Event::Hardware(Hardware::CpuCycles)),
            sides: Some((true, false)),
            domain: Some("staff_t".to_owned()),
            ..Symptom::default()
        }
    )]
    #[case(
        "as root in a container",
        Symptom { root: Some(true), container: true, ..Symptom::default() }
    )]
    fn words_are_understood_in_any_order(#[case] text: &str, #[case] symptom: Symptom) {
        assert_eq!(Symptom::read(text), Ok(symptom));
    }

    #[rstest]
    #[case("")]
    #[case("hello world")]
    #[case("the perf of it")]
    #[case("\u{1b}[2J")]
    fn words_without_a_symptom_are_refused(#[case] text: &str) {
        assert!(Symptom::read(text).is_err());
    }

    #[rstest]
    #[case("perf stat frobnicates", "`frobnicates`")]
    #[case("perf ftrace as user", "`ftrace`")]
    #[case("perf kvm stat", "`kvm`")]
    #[case("perf record -b as user", "`-b`")]
    #[case("perf record -e nosuch as user", "`-e nosuch`")]
    #[case("perf stat -c 0 -Z", "`-Z`")]
    #[case("perf stat, paranoid high", "`paranoid high, not a number`")]
    #[case("perf stat paranoid=x", "`paranoid=x`")]
    #[case("perf stat with cap_perfmon=p", "`cap_perfmon=p`")]
    #[case("perf stat not enforcing", "`not enforcing`")]
    #[case("perf stat -e cycles:u,instructions", "`instructions beside another event`")]
    #[case("bpftrace as user", "bpf(2)")]
    #[case("bpf() with cap_perfmon", "bpf(2)")]
    fn words_that_could_change_the_answer_are_refused(#[case] text: &str, #[case] words: &str) {
        let error = Symptom::read(text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    proptest! {
        #[test]
        fn hostile_words_never_panic(text in "(perf |cap_|paranoid |-p |=)?.{0,80}") {
            let _ = Symptom::read(&text);
        }
    }
}
