//! The data about perf's command line, and about programs that people take for perf.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::kernel::KernelVersion;
use crate::why::facts::DataError;

/// The commands, options and PMUs that perfsec knows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tools {
    #[serde(rename = "tool")]
    tools: Vec<Tool>,
    #[serde(rename = "option")]
    options: Vec<OptionData>,
    #[serde(rename = "pmu")]
    pmus: Vec<Pmu>,
}

/// A command.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tool {
    /// Its words.
    pub(crate) name: String,
    /// Other programs that do the same.
    #[serde(default)]
    also: Vec<String>,
    /// Its kind of work.
    pub(crate) does: Does,
    /// Events that it opens without `-e`.
    #[serde(default)]
    pub(crate) events: Vec<String>,
    /// It monitors every task, unless a process or a command is given.
    #[serde(default)]
    pub(crate) every: bool,
    /// It monitors every task in any case.
    #[serde(default)]
    pub(crate) always: bool,
    /// It tries an event again without the kernel.
    #[serde(default)]
    pub(crate) retry: bool,
    /// It stops by itself unless it runs as root.
    #[serde(default)]
    pub(crate) root: bool,
    /// The contents of its samples.
    #[serde(default)]
    pub(crate) holds: Vec<Meaning>,
    /// The first release of perf that has it.
    pub(crate) since: Option<KernelVersion>,
    /// A sentence for the answer.
    pub(crate) note: Option<String>,
    /// The file that shows it.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers of the data"))]
    source: String,
}

/// A command's kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Does {
    /// Counts events.
    Counts,
    /// Samples events into a buffer.
    Samples,
    /// Samples the raw data of tracepoints.
    Traces,
    /// Writes files of tracefs.
    Tracefs,
    /// Loads BPF programs.
    Program,
    /// Uses ptrace(2), for which perf's privileges do not count.
    Ptrace,
    /// Opens no event.
    Nothing,
}

/// An option.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OptionData {
    names: Vec<String>,
    /// The commands that have it, by their first words; empty for all.
    #[serde(default)]
    of: Vec<String>,
    /// The place of its value.
    pub(crate) value: Option<ValuePlace>,
    /// The first release of perf that has it.
    pub(crate) since: Option<KernelVersion>,
    /// Its meaning.
    pub(crate) means: Meaning,
}

/// The place of an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ValuePlace {
    /// The rest of the word, or the next one.
    Next,
    /// The rest of the word only.
    Attached,
}

/// The meaning of an option for the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Meaning {
    /// Every task on CPUs.
    EveryTask,
    /// Other processes or threads.
    Process,
    /// A cgroup.
    Cgroup,
    /// Call chains.
    Callchain,
    /// Events.
    Event,
    /// More hardware events.
    Hardware,
    /// The branch stack.
    Branches,
    /// The branch stack, with what it includes.
    BranchFilter,
    /// A BPF program.
    Program,
    /// Physical addresses.
    PhysicalAddresses,
    /// Registers at the interrupt.
    InterruptRegisters,
    /// Namespaces.
    Namespaces,
    /// User space only.
    UserOnly,
    /// The kernel only.
    KernelOnly,
    /// Raw data of tracepoints.
    Raw,
    /// The size of the buffer.
    Pages,
    /// Nothing that matters here.
    Nothing,
}

/// A PMU.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pmu {
    /// The beginning of its name.
    name: String,
    /// False if it cannot leave the kernel out.
    #[serde(default = "yes")]
    pub(crate) kernel: bool,
    /// True if its events are always of a CPU.
    #[serde(default)]
    pub(crate) cpu: bool,
    /// The file that shows it.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers of the data"))]
    source: String,
}

fn yes() -> bool {
    true
}

impl Tools {
    /// The data that is compiled into the program.
    ///
    /// # Errors
    ///
    /// Mistakes in it, which the project's tests rule out.
    pub(crate) fn built_in() -> Result<&'static Self, &'static DataError> {
        static DATA: LazyLock<Result<Tools, DataError>> = LazyLock::new(|| {
            toml::from_str(include_str!("perf.toml"))
                .map_err(|error| DataError { file: "perf.toml", error })
        });
        DATA.as_ref()
    }

    /// The command with the most of these words, and their number.
    pub(crate) fn tool(&self, words: &[String]) -> Option<(&Tool, usize)> {
        let fits = |tool: &&Tool| {
            let name: Vec<_> = tool.name.split(' ').collect();
            name.len() <= words.len() && name.iter().zip(words).all(|(a, b)| a == b)
        };
        let length = |tool: &&Tool| tool.name.split(' ').count();
        let tool = self.tools.iter().filter(fits).max_by_key(length);
        let same = || {
            let program = words.first()?;
            let of_bcc = program.ends_with("-bpfcc").then(|| self.named("bcc")).flatten();
            self.tools.iter().find(|tool| tool.also.contains(program)).or(of_bcc)
        };
        tool.map(|tool| (tool, length(&tool))).or_else(|| Some((same()?, 1)))
    }

    /// The subcommands of perf.
    pub(crate) fn subcommands(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().filter_map(|tool| tool.name.strip_prefix("perf "))
    }

    /// The command of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// The option of a command with this name. One that is limited to the command goes first.
    pub(crate) fn option(&self, tool: &Tool, name: &str) -> Option<&OptionData> {
        let mut named = self.options.iter().filter(|it| it.names.iter().any(|one| one == name));
        let own = |it: &&OptionData| it.of.iter().any(|of| tool.name.starts_with(of.as_str()));
        named.clone().find(own).or_else(|| named.find(|it| it.of.is_empty()))
    }

    /// The data about a PMU.
    pub(crate) fn pmu(&self, name: &str) -> Option<&Pmu> {
        self.pmus.iter().find(|pmu| name.starts_with(&pmu.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_complete() {
        let tools = Tools::built_in().unwrap();
        assert!(tools.tools.iter().all(|tool| !tool.source.is_empty()));
        assert!(tools.pmus.iter().all(|pmu| !pmu.source.is_empty()));
        for tool in &tools.tools {
            let opens = matches!(tool.does, Does::Counts | Does::Samples | Does::Traces);
            assert_eq!(opens, !tool.events.is_empty(), "{}", tool.name);
        }
    }

    #[test]
    fn the_longest_command_counts() {
        let tools = Tools::built_in().unwrap();
        let name = |words: &str| {
            let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
            tools.tool(&words).map(|(tool, length)| (tool.name.as_str(), length))
        };
        assert_eq!(name("perf mem record -a"), Some(("perf mem record", 3)));
        assert_eq!(name("perf mem report"), Some(("perf mem", 2)));
        assert_eq!(name("ls -l"), None);
    }

    #[test]
    fn an_option_of_the_command_goes_before_a_common_one() {
        let tools = Tools::built_in().unwrap();
        let means = |tool: &str, name: &str| {
            let tool = tools.named(tool).unwrap();
            tools.option(tool, name).map(|option| option.means)
        };
        assert_eq!(means("perf stat", "-b"), Some(Meaning::Program));
        assert_eq!(means("perf record", "-b"), Some(Meaning::Branches));
        assert_eq!(means("perf mem", "-p"), Some(Meaning::PhysicalAddresses));
        assert_eq!(means("perf stat", "-p"), Some(Meaning::Process));
        assert_eq!(means("perf stat", "-Z"), None);
    }
}
