//! What can be wrong with a fragment, and with what came out of it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::reason::Reason;
use crate::counted::counted;
use crate::kernel::KernelVersion;
use crate::printable::printable_line;

/// Why a fragment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FragmentError {
    /// It is neither one of ours nor a file.
    #[error("find fragment `{name}`: it is neither a file nor one of {known}{close}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// A suggestion, with the words around it.
        close: String,
        /// The names of ours.
        known: String,
    },
    /// The file cannot be read.
    #[error("read fragment {}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not one.
    #[error("read fragment {}: it is larger than {limit} MiB", .path.display())]
    Large {
        /// Which.
        path: PathBuf,
        /// The limit, in MiB.
        limit: u64,
    },
    /// The file is not text.
    #[error("read fragment {}: line {line} is not UTF-8", .path.display())]
    NotText {
        /// Which.
        path: PathBuf,
        /// Where.
        line: usize,
    },
    /// A line is none of a fragment.
    #[error("read fragment {name}:{line}: {reason}")]
    Line {
        /// The fragment.
        name: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a tree cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum KconfigError {
    /// The kernel's own scripts cannot work there.
    #[error(
        "configure a kernel in {}: make takes no folder with {what} in its path; use another one",
        .path.display()
    )]
    Folder {
        /// Which.
        path: PathBuf,
        /// The character, in words.
        what: &'static str,
    },
    /// A file cannot be written or read.
    #[error("{what} {}", .path.display())]
    File {
        /// What was done.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Options did not come out as they were asked for.
    #[error("configure Linux {version}: {}", told(.dropped))]
    Dropped {
        /// The tree's version.
        version: KernelVersion,
        /// What, in the order of the fragments; never empty.
        dropped: Vec<DroppedOption>,
    },
}

/// A request that was not met, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedOption {
    /// The line of the fragment: `CONFIG_INET=y`.
    pub line: String,
    /// Where it stands: `selinux:6`.
    pub place: String,
    /// The value that came out; `None` when it is not set.
    pub value: Option<String>,
    /// Where the tree defines the option: `net/Kconfig:82`.
    pub defined: Option<String>,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for DroppedOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) ", self.line, printable_line(&self.place))?;
        match &self.value {
            None => f.write_str("is not set: ")?,
            Some(value) => write!(f, "is {}: ", printable_line(value))?,
        }
        write!(f, "it {}", printable_line(&self.reason.to_string()))?;
        if let Some(place) = &self.defined {
            write!(f, " ({})", printable_line(place))?;
        }
        let cure = self.reason.cure();
        if cure.is_empty() { Ok(()) } else { write!(f, "; add {}", cure.join(", ")) }
    }
}

/// How many dropped options are told one by one.
const TOLD: usize = 20;

fn told(dropped: &[DroppedOption]) -> String {
    let mut text = format!("{} did not come out as asked for", counted(dropped.len(), "option"));
    for own in dropped.iter().take(TOLD) {
        text.push_str("\n  ");
        text.push_str(&own.to_string());
    }
    if let Some(more) = dropped.len().checked_sub(TOLD).filter(|more| *more > 0) {
        text.push_str(&format!("\n  and {}", counted(more, "other")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_dropped_options_are_told_and_what_a_file_says_is_made_printable() {
        let own = DroppedOption {
            line: "CONFIG_A=y".to_owned(),
            place: "a\u{1b}[2J:1".to_owned(),
            value: Some("m".to_owned()),
            defined: Some("Kconfig:3".to_owned()),
            reason: Reason::Unknown,
        };
        let version = KernelVersion::new(6, 1, 0);
        let told = |number: usize| {
            KconfigError::Dropped { version, dropped: vec![own.clone(); number] }.to_string()
        };
        assert!(
            told(1).contains("CONFIG_A=y (a\\u{1b}[2J:1) is m: it was left out"),
            "{}",
            told(1)
        );
        assert!(!told(TOLD).contains("and 0"));
        assert_eq!(told(TOLD + 2).lines().last(), Some("  and 2 others"));
    }
}
