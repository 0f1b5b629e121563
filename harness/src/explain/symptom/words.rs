//! Reads the words of a symptom; one that is not understood is an error, for it could change the answer.

use std::collections::BTreeSet;

use perfsec_wire::Mode;
use perfsec_wire::attr::{Access, Address, Event, Hardware};

use super::phrases::{JOINING, PHRASES, PLAIN};
use crate::errno::Errno;
use crate::grant::cap_number;
use crate::printable::printable_line;

/// A symptom, as far as it was understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symptom {
    /// What of perf is run.
    pub tool: Option<PerfTool>,
    /// Every task of every CPU: `-a`.
    pub system_wide: bool,
    /// A cgroup: `-G`, which is opened on every CPU.
    pub cgroup: bool,
    /// Another process: `-p`.
    pub other_process: bool,
    /// That process is the user's own.
    pub own: bool,
    /// A command is given, which the tool runs.
    pub command: bool,
    /// Call chains: `-g`.
    pub callchains: bool,
    /// Only the user's side: `:u`.
    pub user_side: bool,
    /// Only the kernel's side: `:k`.
    pub kernel_side: bool,
    /// Namespaces are recorded.
    pub namespaces: bool,
    /// The event, when it is named and of a kind that matters.
    pub event: Option<Event>,
    /// It is about mapping the buffer: `-m`.
    pub mmap: bool,
    /// Run by root; none when it is not said.
    pub root: Option<bool>,
    /// In a container, whose root may be nobody outside.
    pub container: bool,
    /// The container has a user namespace of its own.
    pub userns: bool,
    /// Capabilities by number.
    pub capabilities: BTreeSet<u32>,
    /// Capabilities that are said not to be held.
    pub lacks: BTreeSet<u32>,
    /// No capability is held.
    pub no_capabilities: bool,
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
    /// perf said that access is limited, as it does for EACCES and EPERM.
    pub limited: bool,
    /// No AVC record was found.
    pub silent: bool,
    /// What was not understood, printable.
    unknown: Vec<String>,
    /// The sides that the event's modifier names.
    sides: Option<(bool, bool)>,
}

/// A part of perf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerfTool {
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

/// Why words are not explained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SymptomError {
    /// They say nothing about a symptom.
    #[error(
        "understand `{0}`: give an AVC record, a cell, `-` for a log on standard input, or a symptom such as \
         `perf stat -a as user with cap_perfmon, paranoid 2`"
    )]
    Nothing(String),
    /// Some of them are not understood, and could change the answer.
    #[error(
        "understand {words}, which could change the answer (understood: {understood}): write perf stat, record, \
         top, trace or probe; -a, -C CPU, -G CGROUP, -p PID, -g, -m PAGES, -e EVENT; root, user, `with CAP` or \
         `without CAP`; `paranoid N`; the domain; EACCES or EPERM; and leave out what does not matter"
    )]
    Unknown {
        /// What is not.
        words: String,
        /// What is.
        understood: String,
    },
    /// It is about another system call.
    #[error(
        "explain bpf(2) from words, which are about perf_event_open() only: give its AVC record, or a cell of \
         `bpf/` (`perfsec run --list`); write `cap_bpf` for the capability"
    )]
    Bpf,
}

/// How much of a word that was not understood is shown.
const SHOWN: usize = 40;

impl PerfTool {
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

/// The modifiers of an event.
const MODIFIERS: &str = "ukhpPSDGHWeIb";

impl Symptom {
    /// Reads words in any order.
    ///
    /// # Errors
    ///
    /// When none of them says anything, or one is not understood.
    pub fn read(text: &str) -> Result<Self, SymptomError> {
        let shown = || printable_line(&text.chars().take(4 * SHOWN).collect::<String>());
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
            symptom.refuse("the kernel's side and the user's side only");
        }
        let kernel =
            matches!(symptom.event, Some(Event::Breakpoint { address: Address::Kernel, .. }));
        if kernel && symptom.user_side {
            symptom.refuse("a breakpoint in the kernel with the user's side only");
        }
        if symptom.capabilities.iter().any(|held| symptom.lacks.contains(held))
            || symptom.no_capabilities && !symptom.capabilities.is_empty()
        {
            symptom.refuse("a capability both held and not");
        }
        let unknown = std::mem::take(&mut symptom.unknown);
        if symptom == Self::default() {
            return Err(SymptomError::Nothing(shown()));
        }
        if unknown.is_empty() {
            return Ok(symptom);
        }
        let words: Vec<_> = unknown.iter().map(|word| format!("`{word}`")).collect();
        let said = symptom.said();
        let understood = if said.is_empty() { "nothing".to_owned() } else { said.join(", ") };
        Err(SymptomError::Unknown { words: words.join(", "), understood })
    }

    fn refuse(&mut self, word: &str) {
        let word = printable_line(&word.chars().take(SHOWN).collect::<String>());
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

    /// Takes in a word and perhaps those after it; says how many.
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
            // As strace shows it, before the name.
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

    /// Options, as perf writes them: `-C` is another than `-c`.
    fn option(&mut self, word: &str, after: &[&str]) -> usize {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let next = after.first().copied().unwrap_or_default();
        let samples = matches!(self.tool, Some(PerfTool::Record | PerfTool::Top));
        let stat = self.tool == Some(PerfTool::Stat);
        // A value of its own, unless it stands after `=`.
        let numbers = || match value {
            Some(_) => 0,
            None => after.iter().take_while(|word| is_number(word)).count(),
        };
        match name {
            "-a" | "--all-cpus" => self.system_wide = true,
            "-C" | "--cpu" => {
                self.system_wide = true;
                return 1 + numbers();
            }
            "-p" | "--pid" | "-t" | "--tid" => {
                self.other_process = true;
                let named = value.is_none() && matches!(next, "PID" | "TID" | "pid" | "tid");
                return 1 + numbers().max(usize::from(named));
            }
            "-G" | "--cgroup" => {
                self.cgroup = true;
                return 1 + usize::from(value.is_none() && !next.is_empty());
            }
            "-g" => self.callchains = true,
            "--call-graph" => {
                let how = value.unwrap_or(next);
                self.callchains = true;
                if how == "lbr" {
                    self.refuse("--call-graph lbr");
                }
                return 1 + usize::from(value.is_none() && matches!(how, "fp" | "dwarf" | "lbr"));
            }
            "-e" | "--event" => {
                let (event, taken) = match value {
                    Some(event) => (event, 0),
                    None => (next, 1),
                };
                if !self.event(event) {
                    self.refuse(&format!("{name} {event}"));
                }
                return 1 + taken;
            }
            "-m" | "--mmap-pages" => {
                self.mmap = true;
                return 1 + numbers();
            }
            "--all-user" => self.user_side = true,
            "--all-kernel" => self.kernel_side = true,
            "--namespaces" => self.namespaces = true,
            "-F" | "--freq" | "-c" | "--count" if samples => {
                return 1 + numbers().max(usize::from(value.is_none() && next == "max"));
            }
            "-A" | "--no-aggr" | "-d" | "--detailed" if stat => {}
            "-I" | "-r" if stat => return 1 + numbers(),
            "-v" | "-q" | "--verbose" | "--quiet" => {}
            "--" => {
                self.command = true;
                return 2;
            }
            _ => self.refuse(word),
        }
        1
    }

    /// What is said not to be so.
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

    /// A level after its name: `2`, `= 2`, `is 2`, `level 2`.
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
        self.refuse(&format!("{name} {next}, no number"));
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

    /// An event as perf names it; false when it is none.
    fn event(&mut self, word: &str) -> bool {
        let (event, modifiers) = if let Some(rest) = word.strip_prefix("mem:0x") {
            let mut parts = rest.split(':');
            let address = parts.next().unwrap_or_default();
            let digits = address.split('/').next().unwrap_or_default().trim_end_matches(['…', '.']);
            let kernel = digits.to_lowercase().starts_with("ffff");
            if !kernel && u64::from_str_radix(digits, 16).is_err() {
                return false;
            }
            let rest: Vec<_> = parts.collect();
            let modifiers = match rest.as_slice() {
                [] => "",
                [access] if is_of(access, "rwx") => "",
                [access, modifiers] if is_of(access, "rwx") => modifiers,
                [modifiers] => modifiers,
                _ => return false,
            };
            let address = if kernel { Address::Kernel } else { Address::Own };
            (Some(Event::Breakpoint { access: vec![Access::R, Access::W], address }), modifiers)
        } else {
            let (name, modifiers) = word.rsplit_once(':').unwrap_or((word, ""));
            let lower = name.to_lowercase();
            let cache = ["l1-", "llc-", "dtlb-", "itlb-"].iter().any(|key| lower.starts_with(key));
            match lower.as_str() {
                _ if PLAIN.contains(&lower.as_str()) || cache => (None, modifiers),
                "uprobe" | "uprobes" => (Some(Event::Uprobe), modifiers),
                "kprobe" | "kprobes" => (Some(Event::Kprobe(String::new())), modifiers),
                _ => {
                    let (point, modifiers) = match name.contains(':') {
                        true if is_of(modifiers, MODIFIERS) => (name, modifiers),
                        _ => (word, ""),
                    };
                    let Some((category, name)) = tracepoint(point) else { return false };
                    let (category, name) = (category.to_owned(), name.to_owned());
                    (Some(Event::Tracepoint { category, name }), modifiers)
                }
            }
        };
        if !modifiers.is_empty() && !is_of(modifiers, MODIFIERS) {
            return false;
        }
        // Whoever names a side leaves out the others.
        let kernel = modifiers.contains('k');
        let sides = (modifiers.contains(['u', 'h']) && !kernel, kernel && !modifiers.contains('u'));
        let event = event.unwrap_or(Event::Hardware(Hardware::CpuCycles));
        let differs = self.event.as_ref().is_some_and(|known| *known != event)
            || self.sides.is_some_and(|known| known != sides);
        if differs {
            self.refuse(&format!("{word} beside another event"));
        }
        (self.event, self.sides) = (Some(event), Some(sides));
        true
    }
}

/// Whether a word has no other letters than these, and one at least.
fn is_of(word: &str, letters: &str) -> bool {
    !word.is_empty() && word.chars().all(|letter| letters.contains(letter))
}

/// `1`, `0-3`, `128K`
fn is_number(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_ascii_digit())
        && word
            .trim_end_matches(['K', 'M', 'G', 'k', 's'])
            .chars()
            .all(|letter| letter.is_ascii_digit() || ".-".contains(letter))
}

/// `cap_perfmon`, `perfmon+sys_admin`, `cap_perfmon=ep`: those that are effective.
fn capabilities(lower: &str) -> Option<Vec<u32>> {
    let (flags, names): (Vec<_>, Vec<_>) = lower
        .split(['+', '='])
        .filter(|name| !name.is_empty())
        .partition(|name| is_of(name, "eip"));
    // Permitted or inheritable alone is not held yet.
    if names.is_empty() || flags.iter().any(|flags| !flags.contains('e')) {
        return None;
    }
    names.iter().map(|name| cap_number(name.strip_prefix("cap_").unwrap_or(name)).ok()).collect()
}

/// `sched:sched_switch`
fn tracepoint(word: &str) -> Option<(&str, &str)> {
    let (category, name) = word.split_once(':')?;
    let is_name = |text: &str| {
        text.len() > 1
            && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_*-".contains(letter))
    };
    (is_name(category) && is_name(name) && !is_of(name, MODIFIERS)).then_some((category, name))
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
    #[case("perf stat as user with cap_perfmon, paranoid 3", Symptom { tool: Some(PerfTool::Stat), root: Some(false), level: Some(3), ..caps(&[38]) })]
    #[case("perf stat -a", Symptom { tool: Some(PerfTool::Stat), system_wide: true, ..Symptom::default() })]
    #[case("EACCES from perf record -g -p 1234", Symptom { tool: Some(PerfTool::Record), callchains: true, other_process: true, errno: Some(Errno::EACCES), ..Symptom::default() })]
    #[case("CAP_SYS_ADMIN+ep perf top", Symptom { tool: Some(PerfTool::Top), ..caps(&[21]) })]
    #[case("perfmon+sys_admin", caps(&[38, 21]))]
    #[case("cap_sys_ptrace,cap_syslog,cap_perfmon=ep", caps(&[19, 34, 38]))]
    #[case("cap_bpf and cap_sys_ptrace+eip", caps(&[39, 19]))]
    #[case("perf_event_open() = -1 EACCES (Permission denied)", Symptom { errno: Some(Errno::EACCES), ..Symptom::default() })]
    #[case("Permission error mapping pages. Consider increasing /proc/sys/kernel/perf_event_mlock_kb, or try again with a smaller value of -m/--mmap_pages. (current value: 128,0)", Symptom { mmap: true, errno: Some(Errno::EPERM), ..Symptom::default() })]
    #[case("Access to performance monitoring and observability operations is limited.\nConsider adjusting /proc/sys/kernel/perf_event_paranoid setting to open\naccess to performance monitoring and observability operations for processes\nwithout CAP_PERFMON, CAP_SYS_PTRACE or CAP_SYS_ADMIN Linux capability.\nperf_event_paranoid setting is 2:\n  -1: Allow use of (almost) all events by all users", Symptom { limited: true, level: Some(2), ..Symptom::default() })]
    #[case("perf_event_paranoid is -1", Symptom { level: Some(-1), ..Symptom::default() })]
    #[case("kernel.perf_event_paranoid = 2, root", Symptom { level: Some(2), root: Some(true), ..Symptom::default() })]
    #[case("paranoid=0 on debian", Symptom { level: Some(0), distribution: Some("debian".to_owned()), ..Symptom::default() })]
    #[case("perf record -e sched:sched_switch in user_t, enforcing", Symptom { tool: Some(PerfTool::Record), event: Some(Event::Tracepoint { category: "sched".to_owned(), name: "sched_switch".to_owned() }), sides: Some((false, false)), domain: Some("user_t".to_owned()), mode: Some(Mode::Enforcing), ..Symptom::default() })]
    #[case("perf stat -e cycles:u under staff_u:staff_r:staff_t:s0", Symptom { tool: Some(PerfTool::Stat), user_side: true, event: Some(Event::Hardware(Hardware::CpuCycles)), sides: Some((true, false)), domain: Some("staff_t".to_owned()), ..Symptom::default() })]
    #[case("as root in a container", Symptom { root: Some(true), container: true, ..Symptom::default() })]
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

    #[rstest]
    #[case("perf stat frobnicates", "`frobnicates`")]
    #[case("perf ftrace as user", "`ftrace`")]
    #[case("perf kvm stat", "`kvm`")]
    #[case("perf record -b as user", "`-b`")]
    #[case("perf record -e nosuch as user", "`-e nosuch`")]
    #[case("perf stat -c 0 -Z", "`-Z`")]
    #[case("perf stat, paranoid high", "`paranoid high, no number`")]
    #[case("perf stat paranoid=x", "`paranoid=x`")]
    #[case("perf stat with cap_perfmon=p", "`cap_perfmon=p`")]
    #[case("perf stat not enforcing", "`not enforcing`")]
    #[case("perf stat -e cycles:u,instructions", "`instructions beside another event`")]
    #[case("bpftrace as user", "bpf(2)")]
    #[case("bpf() with cap_perfmon", "bpf(2)")]
    fn what_could_change_the_answer_is_refused(#[case] text: &str, #[case] words: &str) {
        let error = Symptom::read(text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    proptest! {
        #[test]
        fn hostile_words_never_panic(text in "(perf |cap_|paranoid |-p |=)?.{0,80}") {
            if let Err(error) = Symptom::read(&text) {
                prop_assert!(!error.to_string().contains(char::is_control));
            }
        }
    }
}
