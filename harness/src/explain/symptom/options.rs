//! Reads the options of a symptom, as perf spells them.

use super::model::{PerfTool, Symptom};

impl Symptom {
    /// Reads an option and its value, and returns the number of words taken. Options are case
    /// sensitive, as in perf.
    pub(super) fn option(&mut self, word: &str, after: &[&str]) -> usize {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let next = after.first().copied().unwrap_or_default();
        let samples = matches!(self.tool, Some(PerfTool::Record | PerfTool::Top));
        let stat = self.tool == Some(PerfTool::Stat);
        // The number of words in a separate value, unless the value follows `=`.
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
}

/// True for numbers, ranges and sizes: `1`, `0-3`, `128K`.
pub(super) fn is_number(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_ascii_digit())
        && word
            .trim_end_matches(['K', 'M', 'G', 'k', 's'])
            .chars()
            .all(|letter| letter.is_ascii_digit() || ".-".contains(letter))
}
