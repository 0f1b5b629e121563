//! Errors of configuring, with the options that were dropped.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::reason::Reason;
use crate::counted::counted;
use crate::kernel::KernelVersion;

/// A tree that cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum KconfigError {
    /// The kernel's scripts do not work with this path.
    #[error(
        "configure a kernel in {}: make cannot handle {what} in a path; use another directory",
        .path.display()
    )]
    Folder {
        /// Path of the tree or the build directory.
        path: PathBuf,
        /// The character, in words.
        what: &'static str,
    },
    /// A file cannot be written or read.
    #[error("{what} {}", .path.display())]
    File {
        /// The attempted action, as a verb.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Options do not have the requested value.
    #[error("configure Linux {version}: {}", list_dropped(.dropped))]
    Dropped {
        /// The tree's version.
        version: KernelVersion,
        /// The options, in the order of the fragments; never empty.
        dropped: Vec<DroppedOption>,
    },
}

/// A request that was not met, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedOption {
    /// The line of the fragment: `CONFIG_INET=y`.
    pub line: String,
    /// Fragment and line: `selinux:6`.
    pub location: String,
    /// The resulting value; `None` if the option is not set.
    pub value: Option<String>,
    /// The Kconfig file and line that define the option: `net/Kconfig:82`.
    pub defined: Option<String>,
    /// The reason.
    pub reason: Reason,
}

impl fmt::Display for DroppedOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) ", self.line, self.location)?;
        match &self.value {
            None => f.write_str("is not set: ")?,
            Some(value) => write!(f, "is {value}: ")?,
        }
        write!(f, "it {}", self.reason)?;
        if let Some(defined) = &self.defined {
            write!(f, " ({defined})")?;
        }
        let cure = self.reason.cure();
        if cure.is_empty() { Ok(()) } else { write!(f, "; add {}", cure.join(", ")) }
    }
}

/// Number of dropped options that are listed one by one.
const LISTED: usize = 20;

fn list_dropped(dropped: &[DroppedOption]) -> String {
    let verb = if dropped.len() == 1 { "does" } else { "do" };
    let options = counted(dropped.len(), "option");
    let mut text = format!("{options} {verb} not have the requested value");
    for own in dropped.iter().take(LISTED) {
        text.push_str("\n  ");
        text.push_str(&own.to_string());
    }
    if let Some(more) = dropped.len().checked_sub(LISTED).filter(|more| *more > 0) {
        text.push_str(&format!("\n  and {}", counted(more, "other")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_dropped_options_is_cut() {
        let own = DroppedOption {
            line: "CONFIG_A=y".to_owned(),
            location: "a:1".to_owned(),
            value: Some("m".to_owned()),
            defined: Some("Kconfig:3".to_owned()),
            reason: Reason::Unknown,
        };
        let version = KernelVersion::new(6, 1, 0);
        let text = |number: usize| {
            KconfigError::Dropped { version, dropped: vec![own.clone(); number] }.to_string()
        };
        assert!(text(1).contains("CONFIG_A=y (a:1) is m: it was left out"), "{}", text(1));
        assert!(!text(LISTED).contains("and 0"));
        assert_eq!(text(LISTED + 2).lines().last(), Some("  and 2 others"));
    }
}
