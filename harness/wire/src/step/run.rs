//! Steps that run a real program.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ResultForm, Syscall};

/// Runs a program of the guest with the user id, the capabilities and the domain of the cell, and
/// waits until it ends. The capabilities are on the program's own file while it runs. Its current
/// directory is new and empty, its standard input is empty, and its standard output and error are
/// one file.
///
/// Observed are the program, its threads and its children: the system calls that concern perf,
/// and all during which the kernel writes an audit record or asks for a capability of perf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Run {
    /// The program and its arguments. A program without a slash is looked for in `/usr/sbin`,
    /// `/usr/bin`, `/sbin` and `/bin`. `{NAME}` in an argument is the pid of a process of the case.
    pub argv: Vec<String>,
    /// Lines of output that contain one of these texts are part of the transcript, as that text;
    /// `*` matches anything.
    #[serde(default)]
    pub output: Vec<String>,
    /// Seconds after which the agent sends SIGINT, as a person ends `perf top`; without it the
    /// program ends by itself.
    #[serde(default)]
    pub interrupt_after: Option<u32>,
}

impl Run {
    /// Directories in which a program without a slash is looked for.
    pub const PATH: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

    /// The program.
    #[must_use]
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }
}

impl Syscall for Run {
    fn name(&self) -> &'static str {
        "run"
    }

    fn result_form(&self) -> ResultForm<'_> {
        ResultForm::Text
    }
}

/// The command line. A word with another letter than a shell leaves alone is in quotes.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%{}".contains(c);
        for (index, word) in self.argv.iter().enumerate() {
            let blank = if index > 0 { " " } else { "" };
            if !word.is_empty() && word.chars().all(plain) {
                write!(f, "{blank}{word}")?;
            } else {
                write!(f, "{blank}{word:?}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_a_shell_would_change_is_in_quotes() {
        let words = ["perf", "stat", "-e", "cpu-clock:u", "--", "sh", "-c", "a b; \"c\"", ""];
        let argv = words.map(str::to_owned).to_vec();
        let run = Run { argv, output: Vec::new(), interrupt_after: None };
        assert_eq!(run.to_string(), r#"perf stat -e cpu-clock:u -- sh -c "a b; \"c\"" """#);
    }
}
