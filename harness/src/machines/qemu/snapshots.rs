//! Saved guests in the cache, so that the next run need not boot.
//!
//! A snapshot is named by everything that decides what the guest would be after a boot: kernel,
//! guest system, initramfs (the agent, the subject, the policies), machine with the kernel's parameters, and
//! QEMU.
//! It is never reused when any of them has changed.

use std::fs::File;
use std::thread::{self, JoinHandle};

use perfsec_qemu::{Machine, SaveError, Vm};

use crate::cache::{Cache, Room};
use crate::guest::GuestImage;
use crate::interrupt::Interrupt;
use crate::kernel::hash;

/// The entry that remembers why this QEMU cannot save a guest.
const REFUSAL: &str = "unsaved";
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
    pub(super) fn key(
        &self,
        kernel: &str,
        guest: Option<&GuestImage>,
        machine: &Machine,
    ) -> String {
        let initramfs = hash::sha256(machine.initramfs.as_bytes());
        let (identity, base) = (machine.identity(), guest.map_or("", |image| &image.sha256));
        let parts = [kernel, base, &initramfs, &identity, &self.version];
        hash::sha256(parts.map(|part| format!("{} {part}\n", part.len())).concat().as_bytes())
    }

    /// A snapshot that is what was saved, if there is one.
    pub(super) fn open(&self, key: &str) -> Option<File> {
        File::open(self.cache.find(Room::SNAPSHOTS, key)?).ok()
    }

    /// Deletes a snapshot.
    pub(super) fn remove(&self, key: &str) {
        self.cache.remove(Room::SNAPSHOTS, key);
    }

    /// Saves a machine, unless that is known to be impossible or done. The guest stands still only
    /// while its state is written; the rest goes on beside it.
    pub(super) fn save(&self, key: &str, vm: &Vm) -> Option<Saving> {
        let saved = self.cache.find(Room::SNAPSHOTS, key).is_some();
        if saved || refusal(&self.cache, &self.version).is_some() {
            return None;
        }
        let mut file = self.cache.temporary_file().ok()?;
        match vm.save(file.as_file_mut()) {
            Ok(()) => {}
            // A full disk or a guest that died meanwhile says nothing about the next time.
            Err(SaveError::Write(_) | SaveError::Ended) => return None,
            Err(error) => {
                self.note_refusal(&error.to_string());
                return None;
            }
        }
        let (cache, key) = (self.cache.clone(), key.to_owned());
        let complete = move || {
            if let Ok(sha256) = hash::sha256_file(file.as_file_mut(), &Interrupt::default()) {
                // Without the snapshot, the next run boots.
                let _ = cache.adopt(Room::SNAPSHOTS, &key, &file.into_temp_path(), sha256);
            }
        };
        let thread = thread::Builder::new().name("snapshot".to_owned()).spawn(complete);
        thread.ok().map(|thread| Saving(Some(thread)))
    }

    fn note_refusal(&self, why: &str) {
        let text = format!("{}\n{why}", self.version);
        // Without the note, the next boot tries again.
        let _ = self.cache.publish(Room::ACCEL, REFUSAL, text.as_bytes());
    }
}

/// The reason why this version of QEMU could not save a guest on this host.
pub(super) fn refusal(cache: &Cache, version: &str) -> Option<String> {
    let text = String::from_utf8(cache.read(Room::ACCEL, REFUSAL)?).ok()?;
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tempfile::TempDir;

    use super::*;
    use crate::cache::spoil;

    fn fixture() -> (TempDir, Snapshots) {
        let directory = TempDir::new().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        (directory, Snapshots::new(cache, "QEMU emulator version 7.2.22"))
    }

    #[test]
    fn a_snapshot_is_opened_at_its_start() {
        let (_directory, snapshots) = fixture();
        snapshots.cache.publish(Room::SNAPSHOTS, "key", b"state").unwrap();
        let mut state = String::new();
        snapshots.open("key").unwrap().read_to_string(&mut state).unwrap();
        assert_eq!(state, "state");
        assert!(snapshots.open("other").is_none());
    }

    #[test]
    fn a_damaged_snapshot_is_not_opened() {
        let (_directory, snapshots) = fixture();
        let cache = &snapshots.cache;
        let save = || drop(cache.publish(Room::SNAPSHOTS, "key", b"state").unwrap());
        let is_opened = || snapshots.open("key").is_some();
        spoil::is_never_believed(cache, Room::SNAPSHOTS, save, is_opened);
    }

    #[test]
    fn another_qemu_may_be_able_to_save() {
        let (_directory, snapshots) = fixture();
        snapshots.note_refusal("State blocked by device");
        let why = |version| refusal(&snapshots.cache, version);
        assert_eq!(why(&snapshots.version).as_deref(), Some("State blocked by device"));
        assert_eq!(why("QEMU emulator version 10.0.2"), None);
    }

    #[test]
    fn a_damaged_refusal_is_none() {
        let (_directory, snapshots) = fixture();
        let cache = &snapshots.cache;
        let refuse = || snapshots.note_refusal("State blocked by device");
        let is_refused = || refusal(cache, &snapshots.version).is_some();
        spoil::is_never_believed(cache, Room::ACCEL, refuse, is_refused);
    }
}
