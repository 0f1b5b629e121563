//! Remembers which accelerator works on this host.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Probe;
use crate::{Accel, Error};

/// The lifetime of a result. The key covers most changes, but not those of an outer hypervisor.
const EXPIRY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The time for which KVM is believed to start guests since it last did. A module can be unloaded
/// and another hypervisor can take the CPU at any time.
const CONFIRMED: Duration = Duration::from_secs(10 * 60);

/// The results of earlier probes. The caller keeps them between runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    version: u32,
    /// By [`key`]: several hosts may share a home directory.
    probes: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// When it was probed, in seconds since the epoch.
    at: u64,
    /// When a guest last started with it, in seconds since the epoch.
    confirmed: u64,
    #[serde(flatten)]
    probe: Probe,
}

impl Memory {
    /// Raise it with every change of the types, and of what a probe does.
    const VERSION: u32 = 3;

    /// Parses what [`text`](Self::text) returned. Text of another version of this library, or
    /// malformed text, gives an empty memory.
    pub fn parse(text: &[u8]) -> Self {
        serde_json::from_slice(text)
            .ok()
            .filter(|memory: &Self| memory.version == Self::VERSION)
            .unwrap_or_default()
    }

    /// Its text.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers, strings and maps with string keys")
    }

    /// The result under this key, if it still holds.
    pub(super) fn get(&self, key: &str, now: SystemTime) -> Option<Probe> {
        let entry = self.probes.get(key).filter(|entry| entry.holds(seconds(now)))?;
        Some(entry.probe.clone())
    }

    /// Adds a result and drops those that have expired.
    pub(super) fn insert(&mut self, key: String, probe: Probe, now: SystemTime) {
        let now = seconds(now);
        self.probes.retain(|_, entry| entry.holds(now));
        self.probes.insert(key, Entry { at: now, confirmed: now, probe });
    }

    /// True if a guest should be started before this result is believed.
    pub(super) fn is_doubtful(&self, key: &str, now: SystemTime) -> bool {
        let age = |entry: &Entry| seconds(now).checked_sub(entry.confirmed);
        let recent = |entry: &Entry| age(entry).is_some_and(|age| age < CONFIRMED.as_secs());
        self.probes.get(key).is_some_and(|it| it.probe.accel == Accel::Kvm && !recent(it))
    }

    /// Notes that a guest has started.
    pub(super) fn confirm(&mut self, key: &str, now: SystemTime) {
        if let Some(entry) = self.probes.get_mut(key) {
            entry.confirmed = seconds(now);
        }
    }

    /// Forgets a result. Returns it, if there was one.
    pub(super) fn forget(&mut self, key: &str) -> Option<Probe> {
        self.probes.remove(key).map(|entry| entry.probe)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self { version: Self::VERSION, probes: BTreeMap::new() }
    }
}

impl Entry {
    /// A result from the future (the clock was set back) does not hold either.
    fn holds(&self, now: u64) -> bool {
        now.checked_sub(self.at).is_some_and(|age| age < EXPIRY.as_secs())
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Identifies everything that a result depends on: this boot of this host, `device`, and the QEMU
/// program.
///
/// QEMU is identified by its file: asking it for its version takes longer than the cache saves.
pub(super) fn key(device: &str, qemu: &Path) -> Result<String, Error> {
    key_on(&host(), device, qemu)
}

fn key_on(host: &str, device: &str, qemu: &Path) -> Result<String, Error> {
    let file = find(qemu)?;
    let meta = File::open(&file).and_then(|file| file.metadata());
    let meta = meta.map_err(|_| Error::NotExecutable { path: file.clone() })?;
    let changed = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let changed = changed.unwrap_or_default().as_nanos();
    Ok(format!("{host} {device} {} {} {changed}", file.display(), meta.len()))
}

/// This host, its boot, its kernel and its CPU.
fn host() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name\t: "));
    // Clones of an image share the machine id, containers of a host its kernel and boot: together
    // they suffice.
    [
        read("/etc/machine-id").trim(),
        read("/proc/sys/kernel/hostname").trim(),
        // The firmware, and usually the parameters of the KVM module, change only across a boot.
        read("/proc/sys/kernel/random/boot_id").trim(),
        read("/proc/sys/kernel/osrelease").trim(),
        cpu.unwrap_or_default(),
    ]
    .join(" ")
}

/// Finds the program by the rules of execvp(3).
fn find(program: &Path) -> Result<PathBuf, Error> {
    let missing = || Error::NoProgram { path: program.to_owned() };
    if program.components().count() > 1 {
        return program.canonicalize().map_err(|_| missing());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .and_then(|file| file.canonicalize().ok())
        .ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::Accel;

    fn probe() -> Probe {
        Probe { accel: Accel::Tcg, why: "because".into(), detail: Some("at\nlength".into()) }
    }

    fn time(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_result_is_read_back_only_under_its_key() {
        let mut memory = Memory::default();
        memory.insert("here".into(), probe(), time(5));
        let mut memory = Memory::parse(memory.text().as_bytes());
        assert_eq!(memory.get("here", time(6)), Some(probe()));
        assert_eq!(memory.get("there", time(6)), None);
        assert_eq!(memory.forget("here"), Some(probe()));
        assert_eq!(memory, Memory::default());
    }

    #[rstest]
    #[case::kvm_at_once(Accel::Kvm, 0, false)]
    #[case::kvm_later(Accel::Kvm, CONFIRMED.as_secs(), true)]
    #[case::emulation(Accel::Tcg, CONFIRMED.as_secs(), false)]
    fn only_kvm_has_to_be_confirmed(
        #[case] accel: Accel,
        #[case] age: u64,
        #[case] is_doubtful: bool,
    ) {
        let mut memory = Memory::default();
        memory.insert("here".into(), Probe { accel, ..probe() }, time(5));
        let now = time(5 + age);
        assert_eq!(memory.is_doubtful("here", now), is_doubtful);
        memory.confirm("here", now);
        assert!(!memory.is_doubtful("here", now));
    }

    #[rstest]
    #[case::at_once(0, true)]
    #[case::in_time(EXPIRY.as_secs() - 1, true)]
    #[case::too_old(EXPIRY.as_secs(), false)]
    fn a_result_holds_for_a_week(#[case] age: u64, #[case] holds: bool) {
        let began = 1_000_000_000;
        let mut memory = Memory::default();
        memory.insert("here".into(), probe(), time(began));
        assert_eq!(memory.get("here", time(began + age)).is_some(), holds);
        assert_eq!(memory.get("here", time(began - 1)), None, "from the future");
        memory.insert("there".into(), probe(), time(began + age));
        assert_eq!(memory.probes.contains_key("here"), holds);
    }

    #[rstest]
    #[case("")]
    #[case("{")]
    #[case("\u{0}\u{1b}")]
    #[case(r#"{"version":9,"probes":{"a":{"at":1,"confirmed":1,"accel":"kvm","why":"later"}}}"#)]
    #[case(r#"{"version":1,"probes":{"a":{"accel":"kvm","why":"earlier"}}}"#)]
    #[case(r#"{"version":3,"probes":{"a":{"at":1,"confirmed":1,"accel":"hvf","why":"far"}}}"#)]
    fn a_text_of_another_kind_is_an_empty_memory(#[case] text: &str) {
        assert_eq!(Memory::parse(text.as_bytes()), Memory::default());
    }

    #[test]
    fn another_host_device_or_qemu_is_another_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let qemu = folder.path().join("qemu");
        let key = |host, device| key_on(host, device, &qemu).expect("a key");
        fs::write(&qemu, "1").expect("a written file");
        let first = key("here", "kvm");
        assert_eq!(key("here", "kvm"), first);
        assert_ne!(key("there", "kvm"), first);
        assert_ne!(key("here", "another kvm"), first);
        fs::write(&qemu, "22").expect("a written file");
        assert_ne!(key("here", "kvm"), first);
    }

    #[rstest]
    #[case("no-such-program-of-perfsec")]
    #[case("/no/such/folder/qemu")]
    fn a_missing_qemu_is_an_error_and_not_a_choice(#[case] qemu: &str) {
        let error = key("kvm", Path::new(qemu));
        assert!(matches!(error, Err(Error::NoProgram { .. })), "{error:?}");
    }
}
