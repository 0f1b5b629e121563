//! The memory that the agent and a subject share (`perfsec_subject`): a program goes in, results come out.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use perfsec_subject as layout;
use perfsec_wire::CapSet;
use perfsec_wire::observation::SubjectSeen;

use super::program::Program;
use crate::error::{Doing, Error, Result, returned};
use crate::sys::Shared;

/// How far an entry came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not reached, or left out because what it needs was never made.
    Untouched,
    /// The syscall was made and has not returned.
    Begun,
    /// The syscall's result.
    Done(i64),
}

/// One region.
pub(crate) struct Region {
    fd: OwnedFd,
    memory: Shared,
    /// Bytes that the last program left behind what arguments point to.
    used: usize,
}

impl Region {
    /// Makes one. Where it is the agent's own steps that use it, it lies where a subject has it.
    pub(crate) fn new(at_base: bool) -> Result<Self> {
        // Not closed on exec: a program that a subject executes goes on with it.
        let fd = memfd_create(c"perfsec", MFdFlags::empty()).doing("make shared memory")?;
        nix::unistd::ftruncate(&fd, layout::LENGTH as i64).doing("size shared memory")?;
        let at = at_base.then_some(layout::BASE);
        let memory = Shared::map(fd.as_fd(), layout::LENGTH, at).doing("map shared memory")?;
        Ok(Self { fd, memory, used: 0 })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Puts a program in, to be performed from its first entry on.
    pub(crate) fn put(&mut self, program: &Program) -> Result<()> {
        let data = program.data();
        if layout::DATA + data.len() > layout::LENGTH {
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

    /// The entry that comes next.
    pub(crate) fn next(&self) -> usize {
        self.get(layout::NEXT) as usize
    }

    /// How many programs have introduced themselves: more than one after an exec.
    pub(crate) fn starts(&self) -> u64 {
        self.get(layout::STARTS)
    }

    /// Stores a word that a structure needs before it is passed on.
    pub(crate) fn store(&self, offset: usize, word: u32) {
        self.memory.store(offset, &word.to_ne_bytes());
    }

    /// The value of a slot, if it has one.
    pub(crate) fn slot(&self, slot: usize) -> Option<i32> {
        i32::try_from(self.get(layout::SLOTS + slot)).ok()
    }

    pub(crate) fn progress(&self, index: usize) -> Progress {
        match self.get(layout::entry(index, layout::STATE)) {
            layout::UNTOUCHED => Progress::Untouched,
            layout::BEGUN => Progress::Begun,
            _ => Progress::Done(self.get(layout::entry(index, layout::RESULT)) as i64),
        }
    }

    /// Who the subject said it is when it started.
    pub(crate) fn seen(&self) -> Result<SubjectSeen> {
        let doing = "read back who the subject is";
        if self.starts() == 0 {
            return Err(Error::new(doing, "it stopped without a word"));
        }
        let length = self.get(layout::CONTEXT_LENGTH) as i64;
        let mut context = vec![0; usize::try_from(length).unwrap_or(0).min(layout::CONTEXT_ROOM)];
        match length {
            length if length >= 0 => self.memory.load(layout::CONTEXT, &mut context),
            // Without a security module that has contexts, reading one is EINVAL.
            length if length == -i64::from(libc::EINVAL) => {}
            length => drop(returned(length).doing(doing)?),
        }
        let context = String::from_utf8_lossy(&context);
        // struct __user_cap_data_struct: effective, permitted, inheritable; low words first.
        let word = |at: usize| {
            let value = self.get(layout::CAP_DATA + at / 2);
            u64::from((value >> (32 * (at % 2))) as u32)
        };
        Ok(SubjectSeen {
            pid: self.get(layout::PID) as u32,
            uid: self.get(layout::UID) as u32,
            effective: CapSet(word(0) | word(3) << 32),
            permitted: CapSet(word(1) | word(4) << 32),
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
