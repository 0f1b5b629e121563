//! The memory that the agent and a subject share: the plan goes in, what was seen comes out.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::memfd::{MFdFlags, memfd_create};
use perfsec_wire::frame;
use perfsec_wire::observation::{SetupFailure, SubjectSeen};
use perfsec_wire::step::Step;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Error, Result};
use crate::perform::Names;
use crate::sys::Shared;

/// What a subject is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) names: Names,
}

/// What is known when the subject has stopped before its first step, or has given up.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Start {
    Ready(SubjectSeen),
    Failed(SetupFailure),
}

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not reached, or left out because its descriptor was never made.
    Untouched,
    /// The syscall was made and has not returned.
    Begun,
    /// The syscall's result.
    Done(i64),
}

const PLAN: usize = 0;
const START: usize = 192 << 10;
const RESULTS: usize = 224 << 10;
const LENGTH: usize = 256 << 10;
/// Two words for each step.
const STEP: usize = 16;
/// How many steps a cell can have.
const MAX_STEPS: usize = (LENGTH - RESULTS) / STEP;

/// The shared memory, laid out.
pub(crate) struct Report {
    fd: OwnedFd,
    memory: Shared,
}

impl Report {
    /// Makes a fresh one; it is closed on exec unless asked otherwise.
    pub(crate) fn new() -> Result<Self> {
        let fd = memfd_create(c"perfsec", MFdFlags::MFD_CLOEXEC).doing("make shared memory")?;
        nix::unistd::ftruncate(&fd, LENGTH as i64).doing("size shared memory")?;
        Self::open(fd)
    }

    /// Maps one that another process made.
    pub(crate) fn open(fd: OwnedFd) -> Result<Self> {
        let length = const { NonZeroUsize::new(LENGTH).expect("not zero") };
        let memory = Shared::map(fd.as_fd(), length).doing("map shared memory")?;
        Ok(Self { fd, memory })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Forgets the cell before.
    pub(crate) fn clear(&self, steps: usize) -> Result<()> {
        if steps > MAX_STEPS {
            return Err(Error::new("plan the cell", format!("it has {steps} steps")));
        }
        self.memory.store(PLAN, &[0; 4]);
        self.memory.store(START, &[0; 4]);
        for step in 0..steps {
            self.memory.store(RESULTS + step * STEP, &[0; STEP]);
        }
        Ok(())
    }

    pub(crate) fn put_plan(&self, plan: &Plan) -> Result<()> {
        self.put(PLAN, START, plan)
    }

    pub(crate) fn plan(&self) -> Option<Plan> {
        self.get(PLAN, START)
    }

    pub(crate) fn put_start(&self, start: &Start) -> Result<()> {
        self.put(START, RESULTS, start)
    }

    pub(crate) fn start(&self) -> Option<Start> {
        self.get(START, RESULTS)
    }

    /// Notes how far a step came; a store to memory and nothing else.
    pub(crate) fn note(&self, step: usize, progress: Progress) {
        let (state, result) = match progress {
            Progress::Untouched => (0u64, 0),
            Progress::Begun => (1, 0),
            Progress::Done(result) => (2, result),
        };
        let mut words = [0; STEP];
        words[..8].copy_from_slice(&state.to_ne_bytes());
        words[8..].copy_from_slice(&result.to_ne_bytes());
        self.memory.store(RESULTS + step * STEP, &words);
    }

    pub(crate) fn progress(&self, step: usize) -> Progress {
        let mut words = [[0; 8]; 2];
        self.memory.load(RESULTS + step * STEP, words.as_flattened_mut());
        match u64::from_ne_bytes(words[0]) {
            0 => Progress::Untouched,
            1 => Progress::Begun,
            _ => Progress::Done(i64::from_ne_bytes(words[1])),
        }
    }

    fn put<T: Serialize>(&self, offset: usize, end: usize, value: &T) -> Result<()> {
        let bytes =
            frame::encode(value).map_err(|error| Error::new("encode for the subject", error))?;
        if offset + 4 + bytes.len() > end {
            return Err(Error::new("plan the cell", format!("it takes {} bytes", bytes.len())));
        }
        self.memory.store(offset + 4, &bytes);
        self.memory.store(offset, &(bytes.len() as u32).to_ne_bytes());
        Ok(())
    }

    fn get<T: DeserializeOwned>(&self, offset: usize, end: usize) -> Option<T> {
        let mut length = [0; 4];
        self.memory.load(offset, &mut length);
        let length = u32::from_ne_bytes(length) as usize;
        if length == 0 || offset + 4 + length > end {
            return None;
        }
        let mut bytes = vec![0; length];
        self.memory.load(offset + 4, &mut bytes);
        frame::decode(&bytes).ok()
    }
}
