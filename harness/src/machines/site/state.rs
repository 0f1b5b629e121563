//! The state of machines that outlives a run: who uses one, and if it is broken.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::Phase;
use super::name::SiteName;
use super::way::BootKind;
use crate::foreign;

/// The directory of states.
#[derive(Clone, Debug)]
pub struct States(PathBuf);

/// The state of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineState {
    /// Set when the machine could not be brought back, until it is checked again.
    pub broken: Option<Broken>,
    /// Known good kernels that the machine has started.
    #[serde(default)]
    pub controls: Vec<Control>,
    /// The next boot may start a kernel under test: a perfsec armed it, and has not cleared it.
    #[serde(default)]
    pub armed: bool,
    /// A kernel under test may run on it: a perfsec started one, and has not seen it return.
    #[serde(default)]
    pub away: bool,
    /// The lab's reservation was taken, and not ended.
    #[serde(default)]
    pub reserved: bool,
}

/// The reason why a machine is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The phase that failed.
    pub phase: Phase,
    /// The reason, as a clause.
    pub reason: String,
    /// The time.
    pub since: Timestamp,
}

/// A known good kernel that a machine has started, and returned from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Vendor and version of the machine's firmware.
    pub firmware: String,
    /// Release of the kernel.
    pub release: String,
    /// The way in which it was started.
    #[serde(default)]
    pub boot: BootKind,
    /// The time.
    pub passed: Timestamp,
}

/// A machine that this process alone uses. It is free again when this is dropped, or the process
/// ends.
#[derive(Debug)]
pub struct Lease(File);

/// A machine that somebody uses.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another perfsec uses it.
    #[error("it is leased by {0}")]
    Leased(String),
    /// The lock cannot be made.
    #[error("cannot lock {}: {source}", .path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl States {
    /// The user's, `~/.local/state/perfsec/machines`.
    ///
    /// # Errors
    ///
    /// If the user has no home, or the directory cannot be made.
    pub fn of_user() -> io::Result<Self> {
        let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".local/state"));
        let user = env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home);
        let user = user.filter(|path| path.is_absolute());
        let user =
            user.ok_or_else(|| io::Error::other("neither XDG_STATE_HOME nor HOME is set"))?;
        Self::at(&user.join("perfsec/machines"))
    }

    /// Those in a directory, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn at(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self(path.to_owned()))
    }

    /// The state of a machine. One whose state cannot be read is broken: perhaps it was before.
    #[must_use]
    pub fn read(&self, name: &SiteName) -> MachineState {
        let path = self.file(name, "json");
        let parsed = match foreign::read_text(&path, &foreign::DEFAULTS) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(MachineState::default()),
            Err(error) => Err(error.to_string()),
        };
        parsed.unwrap_or_else(|error| {
            let reason = format!("its state {} cannot be read: {error}", path.display());
            let broken = Broken { phase: Phase::System, reason, since: Timestamp::now() };
            MachineState { broken: Some(broken), ..MachineState::default() }
        })
    }

    /// Writes the state of a machine.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn write(&self, name: &SiteName, state: &MachineState) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        serde_json::to_writer_pretty(&mut file, state)?;
        file.flush()?;
        file.persist(self.file(name, "json"))?;
        Ok(())
    }

    /// Keeps an archive of files that were in a machine's pstore. Returns its path.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn keep_pstore(&self, name: &SiteName, archive: &[u8]) -> io::Result<PathBuf> {
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(archive)?;
        // The originals are about to be deleted.
        file.as_file().sync_all()?;
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let path = self.0.join(format!("{name}-pstore-{time}.tar"));
        file.persist_noclobber(&path)?;
        Ok(path)
    }

    /// Leases a machine.
    ///
    /// # Errors
    ///
    /// If another process has it.
    pub fn lease(&self, name: &SiteName) -> Result<Lease, LeaseError> {
        let path = self.file(name, "lock");
        let failed = |source| LeaseError::Lock { path: path.clone(), source };
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LeaseError::Leased(holder(&mut file))),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let user = env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
        let text = format!("{user}, process {}, since {:.0}", std::process::id(), Timestamp::now());
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(text.as_bytes())
        };
        write(&mut file).map_err(failed)?;
        Ok(Lease(file))
    }

    /// The process that leases a machine, if one does.
    #[must_use]
    pub fn lessee(&self, name: &SiteName) -> Option<String> {
        let mut file = File::open(self.file(name, "lock")).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(holder(&mut file)),
            _ => None,
        }
    }

    fn file(&self, name: &SiteName, extension: &str) -> PathBuf {
        self.0.join(format!("{name}.{extension}"))
    }
}

/// The text of a lock that somebody holds.
fn holder(file: &mut File) -> String {
    const LONGEST: u64 = 200;
    let mut text = String::new();
    // Whoever has it may be about to write.
    let _ = file.take(LONGEST).read_to_string(&mut text);
    match text.trim() {
        "" => "another process".to_owned(),
        text => text.to_owned(),
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = self.0.set_len(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_leased_once_and_free_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let states = States::at(folder.path()).unwrap();
        let name: SiteName = "rack1".parse().unwrap();
        assert_eq!(states.lessee(&name), None);
        let lease = states.lease(&name).unwrap();
        let process = format!("process {}", std::process::id());
        assert!(states.lease(&name).unwrap_err().to_string().contains(&process));
        assert!(states.lessee(&name).unwrap().contains(&process));
        drop(lease);
        assert_eq!(states.lessee(&name), None);
        drop(states.lease(&name).unwrap());
    }

    #[test]
    fn a_broken_machine_stays_broken_until_somebody_writes_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let states = States::at(folder.path()).unwrap();
        let name: SiteName = "rack1".parse().unwrap();
        assert_eq!(states.read(&name), MachineState::default());
        let broken = Broken {
            phase: Phase::Power,
            reason: "it is not off".to_owned(),
            since: Timestamp::UNIX_EPOCH,
        };
        let state = MachineState { broken: Some(broken), ..MachineState::default() };
        states.write(&name, &state).unwrap();
        assert_eq!(states.read(&name), state);
        fs::write(folder.path().join("rack1.json"), "{").unwrap();
        let damaged = states.read(&name).broken.unwrap();
        assert!(damaged.reason.contains("rack1.json cannot be read"), "{}", damaged.reason);
    }
}
