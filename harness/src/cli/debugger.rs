//! `perfsec run --gdb`: the command that attaches gdb to a guest.

use std::path::{Path, PathBuf};

use perfsec_subject as subject;
use perfsec_wire::Step;
use tempfile::TempDir;

use super::Failure;
use crate::counted::counted;
use crate::engine::LanePlan;
use crate::kernel::{EntryPoint, Kernel};
use crate::plan::Filter;

/// A step at which gdb stops, and the socket on which it attaches.
#[derive(Debug)]
pub(super) struct Debugger {
    room: TempDir,
    /// From 0.
    step: usize,
}

impl Debugger {
    /// Makes the directory of the socket, which only this user can enter: who attaches controls
    /// the guest.
    ///
    /// # Errors
    ///
    /// If no temporary directory can be made.
    pub(super) fn at_step(step: u16) -> Result<Self, Failure> {
        let room = tempfile::Builder::new().prefix("perfsec-gdb-").tempdir().map_err(|error| {
            Failure::host(format!("make a directory for the socket of gdb: {error}"))
        })?;
        Ok(Self { room, step: usize::from(step) - 1 })
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.room.path().join("gdb")
    }

    /// The command to paste.
    ///
    /// # Errors
    ///
    /// If more than one cell was selected, controls apart, or the cell has no such step.
    pub(super) fn command(&self, plans: &[LanePlan], filter: &Filter) -> Result<String, Failure> {
        let selects = filter.matcher()?;
        let lanes = plans
            .iter()
            .flat_map(|plan| plan.cells.iter().enumerate().map(move |(id, cell)| (plan, id, cell)));
        let selected: Vec<_> =
            lanes.filter(|(_, _, cell)| selects(&cell.name(), &cell.at)).collect();
        let [(plan, id, cell)] = selected[..] else {
            return Err(Failure::input(format!(
                "--gdb stops in one cell on one kernel; {} selected",
                counted(selected.len(), "cell")
            )));
        };
        let (steps, number, name) = (&cell.case.steps, self.step + 1, cell.name());
        match steps.get(self.step) {
            Some(Step::Agent(_)) => Err(Failure::input(format!(
                "step {number} of {name} is perfsec's own: --gdb stops before a syscall of the subject"
            ))),
            Some(_) => Ok(command(&self.socket(), symbols(&plan.kernel), id as u32, self.step)),
            None => Err(Failure::input(format!(
                "{name} has no step {number}, but {}: see `perfsec show`",
                counted(steps.len(), "step")
            ))),
        }
    }
}

/// The subject notes each step in its memory before the syscall (`perfsec_subject::CURRENT`).
fn command(socket: &Path, symbols: Option<&Path>, cell: u32, step: usize) -> String {
    let word = subject::BASE + subject::CURRENT * subject::WORD;
    let (word, value) = (format!("*(unsigned long *){word:#x}"), subject::step(cell, step));
    let symbols = symbols.map_or(String::new(), |path| format!(" {}", path.display()));
    let words = [
        "gdb",
        "-ex 'set architecture i386:x86-64'",
        &format!("-ex 'target remote {}'", socket.display()),
        &format!("-ex 'watch {word} if {word} == {value:#x}'"),
        "-ex continue",
    ];
    words.join(" ") + &symbols
}

/// The kernel as a file that gdb reads, with the symbols that it has.
fn symbols(kernel: &Kernel) -> Option<&Path> {
    let image = kernel.image.as_ref().filter(|image| image.entry == EntryPoint::Pvh);
    image.map(|image| image.path.as_path())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn the_command_watches_the_word_that_the_subject_stores() {
        let text = command(Path::new("/tmp/gdb"), Some(Path::new("vmlinux")), 2, 0);
        assert!(text.contains("'target remote /tmp/gdb'"), "{text}");
        let watched =
            "'watch *(unsigned long *)0xc0000060 if *(unsigned long *)0xc0000060 == 0x300000001'";
        assert!(text.contains(watched), "{text}");
    }
}
