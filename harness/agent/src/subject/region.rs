//! The memory shared by the agent and a subject (`perfsec_subject`): the agent puts a program in,
//! the subject stores results.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use perfsec_subject as layout;
use perfsec_wire::observation::SubjectSeen;

use super::output::{self, Output};
use super::program::Program;
use crate::error::{Error, ErrorContext, Result, check_result};
use crate::sys::Shared;

/// The progress of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not reached, or skipped because something that it needs was never made.
    Untouched,
    /// The syscall was entered and has not returned.
    Begun,
    /// The syscall's result.
    Done(i64),
}

/// One region.
pub(crate) struct Region {
    fd: OwnedFd,
    memory: Shared,
    /// Length in bytes of the last program's data.
    used: usize,
}

impl Region {
    /// Makes a region. `at_base` maps it at the address that a subject uses, for steps that the
    /// agent performs.
    pub(crate) fn new(at_base: bool) -> Result<Self> {
        // Not closed on exec: every program that a subject executes uses it.
        let fd = memfd_create(c"perfsec", MFdFlags::empty()).doing("make shared memory")?;
        nix::unistd::ftruncate(&fd, layout::LENGTH as i64).doing("size shared memory")?;
        let at = at_base.then_some(layout::BASE);
        let memory = Shared::map(fd.as_fd(), layout::LENGTH, at).doing("map shared memory")?;
        // The subject must not be the one that allocates the page: that asks for memory.
        memory.store(layout::EDGE, &[0; layout::LENGTH - layout::EDGE]);
        Ok(Self { fd, memory, used: 0 })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Stores a program, to be performed from its first entry.
    pub(crate) fn put(&mut self, program: &Program) -> Result<()> {
        let data = program.data();
        if layout::DATA + data.len() > layout::STACKS {
            return Err(Error::new("lay out the steps", format!("they take {} bytes", data.len())));
        }
        self.memory.store(0, &[0; layout::HEADER * layout::WORD]);
        for (slot, value) in program.slots().iter().enumerate() {
            self.set(layout::SLOTS + slot, *value);
        }
        for (index, entry) in program.entries().iter().enumerate() {
            for (word, value) in entry.iter().enumerate() {
                self.set(layout::entry(index, word), *value);
            }
        }
        self.set(layout::COUNT, program.entries().len() as u64);
        self.memory.store(layout::DATA, data);
        if let Some(rest) = self.used.checked_sub(data.len()) {
            self.memory.store(layout::DATA + data.len(), &vec![0; rest]);
        }
        self.used = data.len();
        Ok(())
    }

    /// Index of the next entry.
    pub(crate) fn next(&self) -> usize {
        self.get(layout::NEXT) as usize
    }

    /// The number of programs that have started: more than one after an exec.
    pub(crate) fn starts(&self) -> u64 {
        self.get(layout::STARTS)
    }

    /// Stores a word in a structure.
    pub(crate) fn store(&self, offset: usize, word: u32) {
        self.memory.store(offset, &word.to_ne_bytes());
    }

    /// Copies bytes between two offsets.
    pub(crate) fn copy(&self, from: usize, to: usize, count: usize) {
        let mut bytes = vec![0; count];
        self.memory.load(from, &mut bytes);
        self.memory.store(to, &bytes);
    }

    /// The value of a slot, `None` if it is empty.
    pub(crate) fn slot(&self, slot: usize) -> Option<i32> {
        i32::try_from(self.get(layout::SLOTS + slot)).ok()
    }

    /// The first arguments of an entry that was begun.
    pub(crate) fn arguments(&self, index: usize) -> [u64; 4] {
        std::array::from_fn(|at| self.get(layout::entry(index, layout::ARGUMENTS + at)))
    }

    /// The result of a step that returned `result` and has a text as its result.
    pub(crate) fn output(&self, output: &Output, result: i64) -> String {
        let room = layout::STACKS - output.offset;
        let mut bytes = vec![0; output.length(result).min(room)];
        self.memory.load(output.offset, &mut bytes);
        output.text(&bytes)
    }

    pub(crate) fn progress(&self, index: usize) -> Progress {
        match self.get(layout::entry(index, layout::STATE)) {
            layout::UNTOUCHED => Progress::Untouched,
            layout::BEGUN => Progress::Begun,
            _ => Progress::Done(self.get(layout::entry(index, layout::RESULT)) as i64),
        }
    }

    /// The credentials that the subject stored when it started.
    pub(crate) fn seen(&self) -> Result<SubjectSeen> {
        let doing = "read the subject's credentials back";
        if self.starts() == 0 {
            return Err(Error::new(doing, "it stopped before it stored them"));
        }
        let length = self.get(layout::CONTEXT_LENGTH) as i64;
        let mut context = vec![0; usize::try_from(length).unwrap_or(0).min(layout::CONTEXT_ROOM)];
        match length {
            length if length >= 0 => self.memory.load(layout::CONTEXT, &mut context),
            // EINVAL: no security module has contexts.
            length if length == -i64::from(libc::EINVAL) => {}
            length => drop(check_result(length).doing(doing)?),
        }
        let context = String::from_utf8_lossy(&context);
        let mut caps = [0; output::CAPS];
        self.memory.load(layout::CAP_DATA * layout::WORD, &mut caps);
        let [effective, permitted, _] = output::caps(&caps);
        Ok(SubjectSeen {
            pid: self.get(layout::PID) as u32,
            uid: self.get(layout::UID) as u32,
            effective,
            permitted,
            context: context.trim_end_matches(['\0', '\n']).to_owned(),
        })
    }

    fn get(&self, word: usize) -> u64 {
        let mut bytes = [0; layout::WORD];
        self.memory.load(word * layout::WORD, &mut bytes);
        u64::from_ne_bytes(bytes)
    }

    fn set(&self, word: usize, value: u64) {
        self.memory.store(word * layout::WORD, &value.to_ne_bytes());
    }
}
