//! What must be put back when the agent runs on a machine that lives on.

use std::path::{Path, PathBuf};

use crate::knob;

/// Things to put back, newest first, when it is dropped.
#[derive(Default)]
pub(crate) struct Undo {
    /// Unset in a guest that is about to be powered off.
    wanted: bool,
    steps: Vec<PutBack>,
}

enum PutBack {
    Write(PathBuf, String),
    RemoveInstance(PathBuf),
}

impl Undo {
    pub(crate) fn new(wanted: bool) -> Self {
        Self { wanted, steps: Vec::new() }
    }

    /// Whether anything is put back at all.
    pub(crate) fn wanted(&self) -> bool {
        self.wanted
    }

    /// Remembers what a file holds now. One that cannot be read will not be written either.
    pub(crate) fn file(&mut self, path: impl AsRef<Path>) {
        if self.wanted
            && let Ok(value) = knob::read(path.as_ref())
        {
            self.steps.push(PutBack::Write(path.as_ref().to_owned(), value));
        }
    }

    /// Remembers that `text` is to be written.
    pub(crate) fn write(&mut self, path: impl AsRef<Path>, text: &str) {
        if self.wanted {
            self.steps.push(PutBack::Write(path.as_ref().to_owned(), text.to_owned()));
        }
    }

    /// Remembers a tracing instance that the agent made.
    pub(crate) fn instance(&mut self, path: &Path) {
        if self.wanted {
            self.steps.push(PutBack::RemoveInstance(path.to_owned()));
        }
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        for step in self.steps.drain(..).rev() {
            // Nobody is left to be told, and what follows must still be put back.
            let _ = match step {
                PutBack::Write(path, text) => {
                    knob::append(&path, &text).map_err(|error| error.to_string())
                }
                PutBack::RemoveInstance(path) => {
                    std::fs::remove_dir(path).map_err(|error| error.to_string())
                }
            };
        }
    }
}
