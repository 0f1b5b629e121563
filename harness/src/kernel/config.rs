//! A kernel's configuration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The options that can change perfsec's results, each with its effect. A trailing `*` matches any
/// suffix.
pub const RELEVANT: &[(&str, &str)] = &[
    ("CONFIG_AUDIT*", "without it the kernel writes no audit records"),
    ("CONFIG_BPF*", "the bpf() paths that ask for CAP_BPF and CAP_PERFMON"),
    ("CONFIG_CC_VERSION_TEXT", "inlining decides which functions can carry a kprobe"),
    ("CONFIG_COMPAT", "the 32-bit system call entry"),
    ("CONFIG_DEFAULT_SECURITY*", "the LSM that a kernel without CONFIG_LSM starts"),
    ("CONFIG_DEBUG_INFO_BTF", "kernel types can be read in the guest"),
    ("CONFIG_DEVTMPFS", "the agent finds its channel in /dev"),
    ("CONFIG_FTRACE*", "tracepoints and kprobe events depend on it"),
    ("CONFIG_IKCONFIG*", "the guest can read its own configuration"),
    ("CONFIG_KALLSYMS*", "kprobes are placed by symbol"),
    ("CONFIG_KASAN", "slow; its reports count as findings"),
    ("CONFIG_KPROBE*", "kprobe events show capability checks before 6.14"),
    ("CONFIG_LOCKDEP", "slow; its reports count as findings"),
    ("CONFIG_LSM", "the order of the LSMs decides which one refuses first"),
    ("CONFIG_NET", "netlink carries the audit records"),
    ("CONFIG_PERF_EVENTS*", "the code under test"),
    ("CONFIG_PREEMPT*", "how records of two tasks interleave"),
    ("CONFIG_PROVE_LOCKING", "slow; its reports count as findings"),
    ("CONFIG_PVH", "the uncompressed kernel boots"),
    ("CONFIG_SECURITY_LOCKDOWN*", "lockdown refuses some uses of perf itself"),
    ("CONFIG_SECURITY_PERF_EVENTS_RESTRICT", "Debian's perf_event_paranoid level 3"),
    ("CONFIG_SECURITY_SELINUX*", "without it no SELinux check happens"),
    ("CONFIG_SECURITYFS", "lists the active LSMs"),
    ("CONFIG_SERIAL_8250_CONSOLE", "the guest's console"),
    ("CONFIG_SMP", "per-CPU events"),
    ("CONFIG_TMPFS*", "a filesystem that honours file capabilities"),
    ("CONFIG_TRACEPOINTS", "the capability tracepoint"),
    ("CONFIG_UPROBE_EVENTS", "one of the event types under test"),
    ("CONFIG_USER_EVENTS", "a path that asks for CAP_PERFMON"),
];

/// The options that are set, by name with the `CONFIG_` prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Config {
    options: BTreeMap<String, String>,
}

impl Config {
    /// Reads a `.config`. Skips lines that set no option.
    pub fn parse(text: &str) -> Self {
        let options = text
            .lines()
            .filter_map(|line| line.trim().split_once('='))
            .filter(|(name, _)| name.starts_with("CONFIG_"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { options }
    }

    /// True if an option such as `CONFIG_AUDIT` is built in (`y`).
    pub fn is_set(&self, name: &str) -> bool {
        self.get(name) == Some("y")
    }

    /// The value of an option: `y`, `m`, a number, or a string without its quotes.
    pub fn get(&self, name: &str) -> Option<&str> {
        let inner = |value: &str| value.strip_prefix('"')?.strip_suffix('"').map(str::len);
        self.options.get(name).map(|value| match inner(value) {
            Some(length) => &value[1..=length],
            None => value.as_str(),
        })
    }

    /// Only the options of [`RELEVANT`], for the run record.
    pub fn relevant(&self) -> Self {
        let wanted = |name: &str| {
            RELEVANT.iter().any(|(pattern, _)| match pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == *pattern,
            })
        };
        let kept = self.options.iter().filter(|(name, _)| wanted(name));
        Self { options: kept.map(|(name, value)| (name.clone(), value.clone())).collect() }
    }

    /// Every option with its value, sorted by name.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// True if no option is set, which no real configuration is.
    pub fn is_empty(&self) -> bool {
        self.options.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#\n# Automatically generated file\nCONFIG_AUDIT=y\nCONFIG_KVM=m\n\
        # CONFIG_SECURITY_SELINUX_DEBUG is not set\nCONFIG_LSM=\"landlock,selinux\"\n\
        CONFIG_LSM_MMAP_MIN_ADDR=65536\nCONFIG_AUDITSYSCALL=y\nnoise\n";

    #[test]
    fn an_option_is_set_only_when_it_is_built_in() {
        let config = Config::parse(TEXT);
        assert!(config.is_set("CONFIG_AUDIT"));
        assert!(!config.is_set("CONFIG_KVM"));
        assert!(!config.is_set("CONFIG_SECURITY_SELINUX_DEBUG"));
        assert_eq!(config.get("CONFIG_LSM"), Some("landlock,selinux"));
        assert_eq!(config.get("CONFIG_LSM_MMAP_MIN_ADDR"), Some("65536"));
    }

    #[test]
    fn a_string_loses_only_the_quotes_around_it() {
        let config = Config::parse("CONFIG_CMDLINE=\"dyndbg=\\\"file a\\\"\"\nCONFIG_EMPTY=\"\"\n");
        assert_eq!(config.get("CONFIG_CMDLINE"), Some(r#"dyndbg=\"file a\""#));
        assert_eq!(config.get("CONFIG_EMPTY"), Some(""));
    }

    #[test]
    fn only_relevant_options_are_kept() {
        let relevant = Config::parse(TEXT).relevant();
        let names: Vec<&str> = relevant.options().map(|(name, _)| name).collect();
        assert_eq!(names, ["CONFIG_AUDIT", "CONFIG_AUDITSYSCALL", "CONFIG_LSM"]);
    }

    #[test]
    fn a_configuration_survives_a_record() {
        let config = Config::parse(TEXT);
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    }
}
