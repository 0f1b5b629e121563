//! A kernel's configuration.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::foreign;

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

/// The error for a file that is not a kernel configuration. The text fits after "cannot".
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("read the kernel configuration {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// It has no line such as `CONFIG_AUDIT=y`.
    #[error(
        "read the kernel configuration {}: it sets no option; give the `.config` that the kernel \
         was built with",
        .path.display()
    )]
    Nothing {
        /// The file.
        path: PathBuf,
    },
}

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

    /// Reads a `.config` file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is not a regular file, or sets no option.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let error = |source| ConfigError::Read { path: path.to_owned(), source };
        let bytes = foreign::read(path, &foreign::CONFIG).map_err(error)?;
        let config = Self::parse(&String::from_utf8_lossy(&bytes));
        if config.is_empty() {
            return Err(ConfigError::Nothing { path: path.to_owned() });
        }
        Ok(config)
    }

    /// Reads a `/proc/config.gz`. `None` if it is damaged, too large or sets nothing.
    pub fn unpack(packed: &[u8]) -> Option<Self> {
        let text = foreign::read_all(GzDecoder::new(packed), &foreign::CONFIG).ok()?;
        Some(Self::parse(std::str::from_utf8(&text).ok()?)).filter(|config| !config.is_empty())
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

    /// The value of an option as written in a `.config`: strings keep their quotes.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Sets an option to a value as written in a `.config`; `None` unsets it.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.options.insert(name.to_owned(), value.to_owned()),
            None => self.options.remove(name),
        };
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

    #[test]
    fn a_packed_configuration_is_read_and_a_damaged_one_is_not() {
        use std::io::Write as _;

        let pack = |text: &str| {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            packed.write_all(text.as_bytes()).unwrap();
            packed.finish().unwrap()
        };
        assert_eq!(Config::unpack(&pack(TEXT)), Some(Config::parse(TEXT)));
        assert_eq!(Config::unpack(&pack("noise\n")), None);
        assert_eq!(Config::unpack(&pack(TEXT)[..20]), None);
    }
}
