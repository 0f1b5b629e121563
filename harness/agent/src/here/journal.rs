//! The journal: every change of the machine, written down before it is made.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::BufReader;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use perfsec_wire::frame::{Reader, Writer};

use super::change::{self, Change};
use super::policy;
use crate::audit::Limits;
use crate::error::{Error, ErrorContext, Result};

/// The journal of this process. One that owns its machine has none.
static JOURNAL: Mutex<Option<Journal>> = Mutex::new(None);

/// Where changes are written down.
struct Journal {
    file: Writer<File>,
    /// The directory of the journal, for state before a change that is long.
    directory: PathBuf,
    /// The paths whose values were written down; the first one is that of the machine.
    paths: HashSet<PathBuf>,
    noted: HashSet<Change>,
}

fn journal() -> MutexGuard<'static, Option<Journal>> {
    // A panic ends the agent.
    JOURNAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the journal. From now on nothing is changed that is not in it.
pub(super) fn open(path: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create_new(true).mode(0o600).open(path);
    let file = file.doing(format_args!("make the journal {}", path.display()))?;
    // Plain: each frame can be read without the others.
    let file = Writer::plain(file);
    let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
    let (paths, noted) = (HashSet::new(), HashSet::new());
    *journal() = Some(Journal { file, directory, paths, noted });
    Ok(())
}

/// Notes that a file of the kernel is about to be written.
///
/// # Errors
///
/// If that could not be undone, or the journal cannot be written: then the change must not be made.
pub(crate) fn note_write(path: &Path) -> Result<()> {
    let mut journal = journal();
    let Some(journal) = &mut *journal else { return Ok(()) };
    if journal.paths.contains(path) {
        return Ok(());
    }
    if let Some(change) = change::of_write(path)? {
        journal.note(change)?;
    }
    journal.paths.insert(path.to_owned());
    Ok(())
}

/// Notes that another policy is about to be loaded.
///
/// # Errors
///
/// If the loaded one cannot be kept, or the journal cannot be written: then none must be loaded.
pub(crate) fn note_policy() -> Result<()> {
    let mut journal = journal();
    let Some(journal) = &mut *journal else { return Ok(()) };
    // The first one is the machine's.
    if journal.noted.iter().any(|change| matches!(change, Change::Policy(_))) {
        return Ok(());
    }
    let before = policy::Before::keep(&journal.directory)?;
    journal.note(Change::Policy(before))
}

/// Notes that audit is about to get other limits than these.
pub(crate) fn note_audit(before: Limits) -> Result<()> {
    note(Change::Audit(before))
}

/// Notes that the agent is about to become the audit daemon.
pub(crate) fn note_daemon() -> Result<()> {
    note(Change::Daemon)
}

/// Notes that an audit rule is about to be added.
pub(crate) fn note_rule(rule: &[u8]) -> Result<()> {
    note(Change::Rule(rule.to_vec()))
}

/// Notes that a trace of the agent's own is about to be made, with probes.
pub(crate) fn note_trace(path: &Path) -> Result<()> {
    // In this order: a probe can be removed once no trace uses it.
    note(Change::Probes)?;
    note(Change::Trace(path.display().to_string()))
}

/// Makes a directory and those above it that are missing.
pub(crate) fn make_directories(path: &Path) -> Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|path| !path.exists()).collect();
    for path in missing.into_iter().rev() {
        note(Change::Directory(path.display().to_string()))?;
        std::fs::create_dir(path).doing(format_args!("make {}", path.display()))?;
    }
    Ok(())
}

/// Notes a change that is about to be made.
fn note(change: Change) -> Result<()> {
    match &mut *journal() {
        Some(journal) => journal.note(change),
        None => Ok(()),
    }
}

impl Journal {
    fn note(&mut self, change: Change) -> Result<()> {
        if self.noted.contains(&change) {
            return Ok(());
        }
        let written = self.file.write(&change);
        written.map_err(|error| Error::new("write the journal", error))?;
        self.noted.insert(change);
        Ok(())
    }
}

/// The changes in a journal, the newest first. A change that was not written whole was not made.
pub(super) fn read(path: &Path) -> Result<Vec<Change>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.doing(format_args!("read the journal {}", path.display()))?,
    };
    let mut reader = Reader::new(BufReader::new(file));
    let mut changes = Vec::new();
    while let Ok(Some(change)) = reader.read() {
        changes.push(change);
    }
    changes.reverse();
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn changes_are_read_back_newest_first_without_one_that_was_cut_off() {
        let folder = std::env::temp_dir().join(format!("perfsec-journal-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let (path, value) = (folder.join("journal"), folder.join("value"));
        std::fs::write(&value, "1").unwrap();
        // Nothing is noted without a journal.
        note_daemon().unwrap();
        open(&path).unwrap();
        note_write(&value).unwrap();
        std::fs::write(&value, "2").unwrap();
        // The value before the first write is that of the machine.
        note_write(&value).unwrap();
        note_daemon().unwrap();
        note_daemon().unwrap();
        *journal() = None;
        let before = "1".to_owned();
        let wanted = [Change::Daemon, Change::File { path: value.display().to_string(), before }];
        assert_eq!(read(&path).unwrap(), wanted);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&[9, 0, 0]).unwrap();
        assert_eq!(read(&path).unwrap(), wanted);
        assert_eq!(read(&folder.join("none")).unwrap(), []);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
