//! A command line: the command, its options and its events.

use perfsec_wire::attr::{BranchSampleType, Named as _};

use super::event::{PerfEvent, read_list};
use super::tool::{Does, Meaning, OptionData, Tool, Tools, ValuePlace};
use crate::why::facts::DataError;

/// A command as people run it.
#[derive(Clone, Debug)]
pub struct ToolCommand {
    /// The words, as they were given.
    pub words: Vec<String>,
    /// It was started with `sudo` or the like.
    pub sudo: bool,
    /// Words that were not understood.
    pub ignored: Vec<String>,
    pub(crate) tool: &'static Tool,
    pub(crate) events: Vec<PerfEvent>,
    pub(crate) monitors: Monitored,
    pub(crate) cgroup: bool,
    pub(crate) callchain: bool,
    /// The filter of the branch stack, if there is one.
    pub(crate) branches: Option<Vec<BranchSampleType>>,
    pub(crate) physical: bool,
    pub(crate) registers: bool,
    pub(crate) namespaces: bool,
    pub(crate) raw: bool,
    pub(crate) program: bool,
    /// The kernel is excluded from every event.
    pub(crate) user_only: bool,
    /// User space is excluded from every event.
    pub(crate) kernel_only: bool,
    /// Pages of the buffer without the first; `None` for the default.
    pub(crate) pages: Option<u32>,
    /// Runs a program to measure it.
    pub(crate) measures: bool,
    /// Options that a release of perf does not have, with the first that has them.
    pub(crate) newer: Vec<(String, crate::kernel::KernelVersion)>,
}

/// The tasks that a command monitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Monitored {
    /// The command that it runs, or itself.
    Own,
    /// A process or thread that is named.
    Other,
    /// Every task on CPUs.
    Every,
}

/// The reason why a command line cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ToolCommandError {
    /// No words.
    #[error("explain nothing: give a command behind `--`, such as `perf stat -a`")]
    Empty,
    /// perf has no such subcommand.
    #[error("explain `perf {name}`{close}")]
    Subcommand {
        /// The subcommand.
        name: String,
        /// The closest one.
        close: String,
    },
    /// The program is neither perf nor one that loads BPF programs.
    #[error("explain `{0}`: it is not perf, and it is not known to use perf's system calls")]
    Unknown(String),
    /// The data is wrong.
    #[error(transparent)]
    Data(#[from] &'static DataError),
}

/// Programs that start another as root.
const SUDO: &[&str] = &["sudo", "doas", "pkexec", "run0"];

impl ToolCommand {
    /// Reads a command line.
    ///
    /// # Errors
    ///
    /// It is not a command about perf.
    pub fn read(words: &[String]) -> Result<Self, ToolCommandError> {
        let tools = Tools::built_in()?;
        let mut rest: Vec<String> = words.to_vec();
        let sudo = rest.first().is_some_and(|word| SUDO.contains(&word.as_str()));
        if sudo {
            rest.remove(0);
        }
        let Some(program) = rest.first_mut() else { return Err(ToolCommandError::Empty) };
        *program = plain_name(program);
        let program = program.clone();
        let Some((tool, length)) = tools.tool(&rest) else {
            let Some(sub) = rest.get(1).filter(|_| program == "perf") else {
                return Err(match program.as_str() {
                    "perf" => {
                        ToolCommandError::Subcommand { name: String::new(), close: String::new() }
                    }
                    _ => ToolCommandError::Unknown(program),
                });
            };
            let close = crate::suggest::closest(sub, tools.subcommands());
            return Err(ToolCommandError::Subcommand { name: sub.clone(), close });
        };
        let mut command = Self::of(tool, words.to_vec());
        command.sudo = sudo;
        command.options(&rest[length..], tools);
        command.complete(tools);
        Ok(command)
    }

    /// A command without options.
    pub(crate) fn of(tool: &'static Tool, words: Vec<String>) -> Self {
        Self {
            words,
            sudo: false,
            ignored: Vec::new(),
            events: Vec::new(),
            monitors: Monitored::Own,
            cgroup: false,
            callchain: tool.holds.contains(&Meaning::Callchain),
            branches: None,
            physical: tool.holds.contains(&Meaning::PhysicalAddresses),
            registers: false,
            namespaces: false,
            raw: false,
            program: tool.does == Does::Program,
            user_only: false,
            kernel_only: false,
            pages: None,
            measures: false,
            newer: Vec::new(),
            tool,
        }
    }

    fn options(&mut self, words: &[String], tools: &Tools) {
        // Their own command lines say what they load.
        if self.tool.does == Does::Program {
            return;
        }
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                self.measures = rest.next().is_some();
                return;
            }
            if !word.starts_with('-') || word == "-" {
                // `perf mem record`, `perf kvm stat live`: the action is part of the command.
                let action = ["record", "report", "live", "timehist", "latency", "stat", "top"];
                if action.contains(&word.as_str()) && !self.measures {
                    continue;
                }
                self.measures = true;
                return;
            }
            if let Some((name, value)) = word.split_once('=').filter(|_| word.starts_with("--")) {
                match tools.option(self.tool, name) {
                    Some(option) => self.apply(option, name, Some(value), tools),
                    None => self.ignored.push(word.clone()),
                }
            } else if word.starts_with("--") {
                match tools.option(self.tool, word) {
                    Some(option) if option.value == Some(ValuePlace::Next) => {
                        let value = rest.next().map(String::as_str);
                        self.apply(option, word, value, tools);
                    }
                    Some(option) => self.apply(option, word, None, tools),
                    None => self.ignored.push(word.clone()),
                }
            } else {
                self.letters(word, &mut rest, tools);
            }
        }
    }

    /// Short options in one word, such as `-ag` or `-F99`; the last can take the next word.
    fn letters<'w>(
        &mut self,
        word: &str,
        rest: &mut impl Iterator<Item = &'w String>,
        tools: &Tools,
    ) {
        let letters = &word[1..];
        for (at, letter) in letters.char_indices() {
            let name = format!("-{letter}");
            let after = &letters[at + letter.len_utf8()..];
            let Some(option) = tools.option(self.tool, &name) else {
                self.ignored.push(name);
                continue;
            };
            match option.value {
                None => self.apply(option, &name, None, tools),
                Some(ValuePlace::Attached) => {
                    self.apply(option, &name, Some(after), tools);
                    return;
                }
                Some(ValuePlace::Next) => {
                    let value = if after.is_empty() {
                        rest.next().map(String::as_str)
                    } else {
                        Some(after)
                    };
                    self.apply(option, &name, value, tools);
                    return;
                }
            }
        }
    }

    fn apply(&mut self, option: &OptionData, name: &str, value: Option<&str>, tools: &Tools) {
        if let Some(since) = option.since {
            self.newer.push((name.to_owned(), since));
        }
        let value = value.unwrap_or_default();
        match option.means {
            Meaning::EveryTask => self.monitors = Monitored::Every,
            Meaning::Process => self.monitors = Monitored::Other,
            Meaning::Cgroup => self.cgroup = true,
            Meaning::Callchain => self.callchain(value),
            Meaning::Event => self.events.extend(read_list(value, tools)),
            Meaning::Hardware => self.events.extend(read_list("cycles", tools)),
            Meaning::Branches => self.branches = Some(vec![BranchSampleType::Any]),
            Meaning::BranchFilter => self.branches = Some(branch_filter(value)),
            Meaning::Program => self.program = true,
            Meaning::PhysicalAddresses => self.physical = true,
            Meaning::InterruptRegisters => self.registers = true,
            Meaning::Namespaces => self.namespaces = true,
            Meaning::UserOnly => self.user_only = true,
            Meaning::KernelOnly => self.kernel_only = true,
            Meaning::Raw => self.raw = true,
            Meaning::Pages => self.pages = pages(value),
            Meaning::Nothing => {}
        }
    }

    fn callchain(&mut self, how: &str) {
        self.callchain = true;
        // The hardware's branches of user space (evsel__config_callgraph()).
        if how.starts_with("lbr") {
            self.branches = Some(vec![BranchSampleType::User, BranchSampleType::CallStack]);
        }
    }

    /// Adds what a command does without options.
    fn complete(&mut self, tools: &Tools) {
        if self.events.is_empty() {
            let names = self.tool.events.iter();
            self.events = names.filter_map(|name| PerfEvent::read(name, tools)).collect();
        }
        let own = self.monitors == Monitored::Own && !self.measures && !self.cgroup;
        if self.tool.always || self.tool.every && own {
            self.monitors = Monitored::Every;
        }
        if self.cgroup {
            self.monitors = Monitored::Every;
        }
        for event in &mut self.events {
            if self.user_only {
                (event.exclude_kernel, event.exclude_hv) = (true, true);
            }
            event.exclude_user |= self.kernel_only;
        }
    }

    /// True if perf tries an event again without the kernel.
    pub(crate) fn retries(&self) -> bool {
        self.tool.retry && self.events.iter().any(|it| !it.exclude_user && !it.exclude_kernel)
    }

    /// The command without the kernel, as `:u` or the second attempt of perf.
    pub(crate) fn without_kernel(&self) -> Self {
        let events = self.events.iter().map(|event| match event.exclude_user {
            true => event.clone(),
            false => event.without_kernel(),
        });
        Self { events: events.collect(), ..self.clone() }
    }

    /// True if every event can leave the kernel out.
    pub(crate) fn can_exclude_kernel(&self) -> bool {
        !self.events.is_empty()
            && self.events.iter().all(|event| event.can_exclude && !event.is_tracepoint())
            && self.events.iter().any(|event| !event.exclude_kernel)
            && !self.events.iter().any(|event| event.exclude_user)
    }

    /// The program that is executed.
    #[must_use]
    pub fn program(&self) -> &str {
        let words = self.words.iter().skip(usize::from(self.sudo));
        words.map(String::as_str).next().unwrap_or("perf")
    }

    /// The words in one line.
    #[must_use]
    pub fn line(&self) -> String {
        self.words.join(" ")
    }
}

/// The name of a program without its directory and, for perf, without a version.
fn plain_name(program: &str) -> String {
    let name = program.rsplit('/').next().unwrap_or(program);
    // perf_6.1, perf-next
    match name.strip_prefix("perf").and_then(|rest| rest.chars().next()) {
        Some('_' | '-' | '.') if name != "perf_event_open" => "perf".to_owned(),
        _ => name.to_owned(),
    }
}

/// The bits of `-j`; the kernel derives those of privilege from the event if none is given.
fn branch_filter(text: &str) -> Vec<BranchSampleType> {
    let named = text.split(',').filter_map(|name| match name {
        "u" => Some(BranchSampleType::User),
        "k" => Some(BranchSampleType::Kernel),
        "hv" => Some(BranchSampleType::Hv),
        name => BranchSampleType::named(&name.to_uppercase()),
    });
    let mut bits: Vec<_> = named.collect();
    if bits.is_empty() {
        bits.push(BranchSampleType::Any);
    }
    bits
}

/// Pages of 4096 bytes in `-m`: a number, or a size such as `128K`.
fn pages(text: &str) -> Option<u32> {
    let text = text.split(',').next().unwrap_or_default();
    let end = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let pages = match text[end..].to_lowercase().as_str() {
        "" => number,
        "b" => number.div_ceil(4096),
        "k" => (number << 10).div_ceil(4096),
        "m" => number << 8,
        "g" => number << 18,
        _ => return None,
    };
    u32::try_from(pages).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(text: &str) -> ToolCommand {
        let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
        ToolCommand::read(&words).unwrap()
    }

    #[rstest]
    #[case("perf stat ls", Monitored::Own)]
    #[case("perf stat", Monitored::Own)]
    #[case("perf stat -a", Monitored::Every)]
    #[case("perf stat -C0 ls", Monitored::Every)]
    #[case("perf record -ag -- sleep 10", Monitored::Every)]
    #[case("perf record -F99 -p 1234", Monitored::Other)]
    #[case("perf record --pid=1234", Monitored::Other)]
    #[case("perf top", Monitored::Every)]
    #[case("perf top -p 7", Monitored::Other)]
    #[case("perf trace", Monitored::Every)]
    #[case("perf trace ls", Monitored::Own)]
    #[case("perf sched record -- sleep 1", Monitored::Every)]
    #[case("perf stat -G web -a", Monitored::Every)]
    #[case("perf mem record ls", Monitored::Own)]
    #[case("/usr/bin/perf_6.1 stat -a", Monitored::Every)]
    #[case("./perf-next stat -a", Monitored::Every)]
    fn a_command_monitors_tasks(#[case] text: &str, #[case] expected: Monitored) {
        assert_eq!(read(text).monitors, expected);
    }

    #[rstest]
    #[case("perf record -ag", true, false, false)]
    #[case("perf record -g -b", true, true, false)]
    #[case("perf record --call-graph lbr", true, true, false)]
    #[case("perf record --call-graph=dwarf,8192 ls", true, false, false)]
    #[case("perf record -j any,u", false, true, false)]
    #[case("perf stat -b 12", false, false, true)]
    #[case("perf stat --bpf-counters -a", false, false, true)]
    #[case("bpftrace -e kprobe:do_exit{}", false, false, true)]
    #[case("execsnoop-bpfcc -p 1", false, false, true)]
    fn flags_have_meanings(
        #[case] text: &str,
        #[case] callchain: bool,
        #[case] branches: bool,
        #[case] program: bool,
    ) {
        let found = read(text);
        let flags = (found.callchain, found.branches.is_some(), found.program);
        assert_eq!(flags, (callchain, branches, program));
    }

    #[rstest]
    #[case("perf stat", 5)]
    #[case("perf stat -e cycles,instructions ls", 2)]
    #[case("perf record -e {cycles,faults}:u -e cs", 3)]
    #[case("perf probe --add do_exit", 0)]
    fn a_command_opens_events(#[case] text: &str, #[case] count: usize) {
        assert_eq!(read(text).events.len(), count);
    }

    #[test]
    fn what_follows_the_options_is_the_measured_program() {
        let found = read("perf stat -e cycles -- perf record -a");
        assert!(found.measures && found.monitors == Monitored::Own);
        assert!(read("perf record make -j 4").branches.is_none());
        assert_eq!(read("perf stat -Z ls").ignored, ["-Z"]);
        assert!(read("sudo perf stat").sudo);
    }

    #[rstest]
    #[case("128", Some(128))]
    #[case("512K", Some(128))]
    #[case("1M", Some(256))]
    #[case("4096B", Some(1))]
    #[case("much", None)]
    fn a_buffer_has_pages(#[case] text: &str, #[case] expected: Option<u32>) {
        assert_eq!(pages(text), expected);
    }

    #[rstest]
    #[case("", "give a command")]
    #[case("perf", "explain `perf `")]
    #[case("perf recrod", "did you mean `record`?")]
    #[case("emacs", "is not perf")]
    fn another_command_is_refused(#[case] text: &str, #[case] words: &str) {
        let given: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        let error = ToolCommand::read(&given).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
