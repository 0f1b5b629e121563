//! Saved guests in the cache, so that the next run need not boot.
//!
//! A snapshot is named by everything that decides what the guest would be after a boot: kernel,
//! initramfs (the agent, the subject, the policies), machine with the kernel's parameters, and QEMU.
//! It is never reused when any of them has changed.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use perfsec_qemu::{Machine, SaveError, Vm};
use tempfile::NamedTempFile;

use crate::cache::Cache;
use crate::foreign;
use crate::kernel::hash;

/// The cache's directory of snapshots.
const ROOM: &str = "snapshots";
/// The snapshots may fill this many bytes; the ones that were used longest ago are deleted. One has
/// some 70 MB.
const LIMIT: u64 = 4 << 30;
/// The file that remembers why this QEMU cannot save a guest.
const REFUSAL: &str = "unsaved";
/// Length of the trailer: length and CRC-32 of the state.
const TRAILER: usize = 12;
/// Digits of a key that people see.
const SHOWN: usize = 12;

/// The snapshots of guests of one QEMU.
#[derive(Clone, Debug)]
pub(super) struct Snapshots {
    cache: Cache,
    /// QEMU's version, in its own words.
    version: String,
}

/// A snapshot that is being completed. Dropping it waits until it is.
pub(super) struct Saving(Option<JoinHandle<()>>);

impl Snapshots {
    pub(super) fn new(cache: Cache, version: &str) -> Self {
        Self { cache, version: version.to_owned() }
    }

    /// The name of the snapshot of a machine that boots this kernel.
    pub(super) fn key(&self, kernel: &str, machine: &Machine) -> String {
        let initramfs = hash::sha256(machine.initramfs.as_bytes());
        let parts = [kernel, &initramfs, &machine.identity(), &self.version];
        hash::sha256(parts.map(|part| format!("{} {part}\n", part.len())).concat().as_bytes())
    }

    fn path(&self, key: &str) -> PathBuf {
        self.cache.path(ROOM, key)
    }

    /// A snapshot that is whole, if there is one.
    pub(super) fn open(&self, key: &str) -> Option<File> {
        let mut state = File::options().read(true).write(true).open(self.path(key)).ok()?;
        if !is_whole(&mut state).unwrap_or(false) {
            self.remove(key);
            return None;
        }
        // The time of its last use. If it cannot be set, it is deleted earlier than others.
        let _ = state.set_modified(SystemTime::now());
        Some(state)
    }

    /// Deletes a snapshot.
    pub(super) fn remove(&self, key: &str) {
        // Another perfsec may have deleted it, or its guest may be the next to fail.
        let _ = fs::remove_file(self.path(key));
    }

    /// Saves a machine, unless that is known to be impossible or done. The guest stands still only
    /// while its state is written; the rest goes on beside it.
    pub(super) fn save(&self, key: &str, vm: &Vm) -> Option<Saving> {
        if self.path(key).exists() || refusal(&self.cache, &self.version).is_some() {
            return None;
        }
        self.cache.directory(ROOM, "").ok()?;
        let mut file = NamedTempFile::new_in(self.cache.path("tmp", "")).ok()?;
        match vm.save(file.as_file_mut()) {
            Ok(()) => {}
            // A full disk or a guest that died meanwhile says nothing about the next time.
            Err(SaveError::Write(_) | SaveError::Ended) => return None,
            Err(error) => {
                self.note_refusal(&error.to_string());
                return None;
            }
        }
        let this = self.clone();
        let path = self.path(key);
        let complete = move || {
            let sealed = seal(file.as_file_mut());
            if sealed.is_ok() && file.persist(path).is_ok() {
                this.forget_oldest();
            }
        };
        let thread = thread::Builder::new().name("snapshot".to_owned()).spawn(complete);
        thread.ok().map(|thread| Saving(Some(thread)))
    }

    fn note_refusal(&self, why: &str) {
        let text = format!("{}\n{why}", self.version);
        // Without the note, the next boot tries again.
        let _ = self.cache.publish_bytes("accel", REFUSAL, text.as_bytes());
    }

    /// Keeps to the limit.
    fn forget_oldest(&self) {
        let Ok(entries) = fs::read_dir(self.cache.path(ROOM, "")) else { return };
        let entry = |entry: fs::DirEntry| {
            let data = entry.metadata().ok()?;
            Some((data.modified().ok()?, data.len(), entry.path()))
        };
        let mut all: Vec<_> = entries.flatten().filter_map(entry).collect();
        all.sort();
        let mut size: u64 = all.iter().map(|(_, size, _)| size).sum();
        for (_, freed, path) in all {
            if size <= LIMIT {
                break;
            }
            let _ = fs::remove_file(path);
            size -= freed;
        }
    }
}

/// The reason why this version of QEMU could not save a guest on this host.
pub(super) fn refusal(cache: &Cache, version: &str) -> Option<String> {
    let text = foreign::read_text(&cache.path("accel", REFUSAL), &foreign::CACHED).ok()?;
    let (saved_by, why) = text.split_once('\n')?;
    (saved_by == version).then(|| why.to_owned())
}

/// The name of a snapshot in messages.
pub(super) fn display(key: &str) -> String {
    let digits: String = key.chars().take(SHOWN).collect();
    format!("snapshot {digits}")
}

impl Drop for Saving {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // A snapshot that was not completed is one less.
            let _ = thread.join();
        }
    }
}

/// Appends the trailer. QEMU stops reading at the end of the state.
fn seal(file: &mut File) -> io::Result<()> {
    let (length, sum) = checksum(file, None)?;
    file.write_all(&[&length.to_le_bytes()[..], &sum.to_le_bytes()].concat())
}

/// True if a file is as it was sealed.
fn is_whole(file: &mut File) -> io::Result<bool> {
    let size = file.seek(SeekFrom::End(0))?;
    let Some(length) = size.checked_sub(TRAILER as u64) else { return Ok(false) };
    let (length, sum) = checksum(file, Some(length))?;
    let mut trailer = [0; TRAILER];
    file.read_exact(&mut trailer)?;
    file.rewind()?;
    Ok(trailer[..] == [&length.to_le_bytes()[..], &sum.to_le_bytes()].concat())
}

/// Length and CRC-32 of a file up to `length`. The file is then positioned there.
fn checksum(file: &mut File, length: Option<u64>) -> io::Result<(u64, u32)> {
    file.rewind()?;
    let mut left = length.unwrap_or(u64::MAX);
    let (mut hasher, mut buffer, mut read) = (crc32fast::Hasher::new(), vec![0; 1 << 18], 0);
    while left > 0 {
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match file.read(&mut buffer[..want])? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                (read, left) = (read + count as u64, left - count as u64);
            }
        }
    }
    Ok((read, hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::time::Duration;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;

    fn fixture() -> (TempDir, Snapshots) {
        let directory = TempDir::new().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        cache.directory(ROOM, "").unwrap();
        (directory, Snapshots::new(cache, "QEMU emulator version 7.2.22"))
    }

    fn put(snapshots: &Snapshots, key: &str, state: &[u8]) -> File {
        let mut file = File::create_new(snapshots.path(key)).unwrap();
        file.write_all(state).unwrap();
        let mut file = File::options().read(true).write(true).open(snapshots.path(key)).unwrap();
        seal(&mut file).unwrap();
        file
    }

    #[test]
    fn a_snapshot_is_opened_at_its_start() {
        let (_directory, snapshots) = fixture();
        put(&snapshots, "key", b"state");
        let mut state = [0; 5];
        snapshots.open("key").unwrap().read_exact(&mut state).unwrap();
        assert_eq!(&state, b"state");
        assert!(snapshots.open("other").is_none());
    }

    #[rstest]
    #[case::cut_off(|file: &File| file.set_len(14).unwrap())]
    #[case::empty(|file: &File| file.set_len(0).unwrap())]
    #[case::longer(|file: &File| file.set_len(18).unwrap())]
    #[case::changed(|file: &File| file.write_all_at(b"S", 0).unwrap())]
    fn a_damaged_snapshot_is_deleted(#[case] damage: fn(&File)) {
        let (_directory, snapshots) = fixture();
        damage(&put(&snapshots, "key", b"state"));
        assert!(snapshots.open("key").is_none());
        assert!(!snapshots.path("key").exists());
    }

    #[test]
    fn the_snapshots_that_were_used_longest_ago_are_deleted_first() {
        let (_directory, snapshots) = fixture();
        for (age, key) in [(1, "newer"), (3, "oldest"), (2, "older")] {
            let file = put(&snapshots, key, b"state");
            file.set_len(LIMIT / 2).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        snapshots.forget_oldest();
        let kept = ["newer", "older", "oldest"].map(|key| snapshots.path(key).exists());
        assert_eq!(kept, [true, true, false]);
    }

    #[test]
    fn another_qemu_may_be_able_to_save() {
        let (_directory, snapshots) = fixture();
        snapshots.note_refusal("State blocked by device");
        let why = |version| refusal(&snapshots.cache, version);
        assert_eq!(why(&snapshots.version).as_deref(), Some("State blocked by device"));
        assert_eq!(why("QEMU emulator version 10.0.2"), None);
    }
}
