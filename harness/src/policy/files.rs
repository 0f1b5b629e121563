//! The files of a distribution's policy, from a package or a directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::compile::PolicyError;
use super::request::Obtaining;
use super::store::{Configuration, Store, StoredModule, Transaction};
use crate::foreign;
use crate::foreign::meter::LONGEST_HEADER;
use crate::interrupt::Interrupt;
use crate::kernel::deb::{self, DebError};
use crate::kernel::rpm::{self, RpmError};

/// The priority of a distribution's modules: `priority` in the `postinst` of Debian's package, and
/// the directory `100` in Fedora's store.
const PRIORITY: u16 = 100;

/// Most files of a policy. Fedora's store has 1,600.
const MOST_FILES: usize = 50_000;

/// The files that make a policy.
#[derive(Clone, Debug, Default)]
pub(super) struct PolicyFiles {
    /// The type of the policy, as in `SELINUXTYPE`.
    pub(super) kind: String,
    /// Modules to install, by file name.
    modules: BTreeMap<String, Vec<u8>>,
    /// Names of modules to disable.
    disabled: Vec<String>,
    /// A store in which they are installed: files below `/var/lib/selinux/TYPE/active`.
    store: BTreeMap<PathBuf, Vec<u8>>,
    /// The policy that the distribution linked, and the version in its file name.
    binary: Option<(u32, Vec<u8>)>,
    /// How it is linked.
    pub(super) configuration: Configuration,
}

impl PolicyFiles {
    /// Modules that are in no package.
    pub(super) fn of_modules(kind: &str, modules: BTreeMap<String, Vec<u8>>) -> Self {
        Self { kind: kind.to_owned(), modules, ..Self::default() }
    }

    /// The linked policy, if the files have one.
    pub(super) fn binary(&self) -> Option<&[u8]> {
        self.binary.as_ref().map(|(_, binary)| binary.as_slice())
    }

    /// The same, linked with these settings.
    pub(super) fn linked_with(self, configuration: Configuration) -> Self {
        Self { configuration, ..self }
    }

    /// True if they have a store.
    pub(super) fn has_store(&self) -> bool {
        !self.store.is_empty()
    }

    /// True if `semodule` can build the policy.
    pub(super) fn has_modules(&self) -> bool {
        !self.modules.is_empty() || !self.store.is_empty()
    }

    /// The identity of what `semodule` reads.
    pub(super) fn key(&self) -> String {
        let mut key = Sha256::new();
        let mut add = |name: &[u8], bytes: &[u8]| {
            for part in [name, bytes] {
                key.update(part.len().to_le_bytes());
                key.update(part);
            }
        };
        add(self.kind.as_bytes(), self.disabled.join(" ").as_bytes());
        self.modules.iter().for_each(|(name, bytes)| add(name.as_bytes(), bytes));
        let store = self.store.iter();
        store.for_each(|(path, bytes)| add(path.as_os_str().as_encoded_bytes(), bytes));
        if self.configuration != Configuration::default() {
            add(b"configuration", self.configuration.to_string().as_bytes());
        }
        crate::hex(&key.finalize())
    }

    /// Fills an empty store, and returns its policy; `None` if modules that come with a store of
    /// their own are to be linked with a `change`, which `semodule` does in one go.
    ///
    /// # Errors
    ///
    /// semodule refuses a module, or the store cannot be written.
    pub(super) fn install(
        &self,
        store: &Store<'_>,
        change: bool,
        obtaining: &Obtaining<'_>,
    ) -> Result<Option<Vec<u8>>, PolicyError> {
        let write = |path: &Path, bytes: &[u8]| {
            let made = path.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::write(path, bytes))
                .map_err(|error| obtaining.cache.error("write", path, error))
        };
        let active = store.path().join(store.active());
        for (path, bytes) in &self.store {
            write(&active.join(path), bytes)?;
        }
        if change && self.modules.is_empty() {
            return Ok(None);
        }
        let files: Vec<_> = self.modules.keys().map(PathBuf::from).collect();
        for (file, bytes) in files.iter().zip(self.modules.values()) {
            write(&store.path().join(file), bytes)?;
        }
        let install = files.iter().map(|file| StoredModule { file, priority: PRIORITY });
        let disable = self.disabled.clone();
        let transaction = Transaction { install: install.collect(), disable, ..Default::default() };
        store.commit(&transaction).map(Some)
    }
}

/// The policies that were found in one place.
#[derive(Default)]
struct Found {
    by_kind: BTreeMap<String, PolicyFiles>,
    count: usize,
    bytes: u64,
}

impl Found {
    /// Keeps a file if it belongs to a policy. `path` is where it would be installed.
    fn take(&mut self, path: &Path, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let parts = deb::components(path);
        let place = match *parts.as_slice() {
            ["usr", "share", "selinux", kind, name] if is_module(name) => Place::Module(kind, name),
            ["var", "lib", "selinux", kind, "active", ref inside @ ..]
                if inside.first() == Some(&"modules")
                    || inside.last().is_some_and(|name| name.ends_with(".local")) =>
            {
                Place::Store(kind, inside.iter().collect())
            }
            ["etc", "selinux", kind, "policy", name] => {
                let version = name.strip_prefix("policy.").and_then(|end| end.parse().ok());
                let Some(version) = version else { return Ok(()) };
                Place::Binary(kind, version)
            }
            _ => return Ok(()),
        };
        self.count += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > foreign::POLICY_FILES.bytes {
            return Err(foreign::POLICY_FILES.exceeded());
        }
        if self.count > MOST_FILES {
            let reason = format!("it has more than {MOST_FILES} files of policies");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let bytes = foreign::read_sized(size, content, &foreign::POLICY)?;
        let files = self.by_kind.entry(place.kind().to_owned()).or_default();
        match place {
            Place::Module(_, name) => drop(files.modules.insert(name.to_owned(), bytes)),
            Place::Store(_, path) => drop(files.store.insert(path, bytes)),
            Place::Binary(_, version) => {
                if files.binary.as_ref().is_none_or(|(known, _)| *known < version) {
                    files.binary = Some((version, bytes));
                }
            }
        }
        Ok(())
    }

    /// The only policy; `what` names the place for errors.
    fn only(mut self, what: &str) -> Result<PolicyFiles, PolicyError> {
        let kinds: Vec<_> = self.by_kind.keys().cloned().collect();
        match (self.by_kind.pop_first(), kinds.as_slice()) {
            (Some((kind, files)), [_]) => Ok(PolicyFiles { kind, ..files }),
            (None, _) => Err(PolicyError::NoPolicy { place: what.to_owned() }),
            (Some(_), kinds) => {
                let kinds = kinds.join(", ");
                Err(PolicyError::Several { place: what.to_owned(), kinds })
            }
        }
    }
}

/// The use of a file.
enum Place<'a> {
    Module(&'a str, &'a str),
    /// With its path in the store.
    Store(&'a str, PathBuf),
    /// With the version in its name.
    Binary(&'a str, u32),
}

impl Place<'_> {
    fn kind(&self) -> &str {
        let (Self::Module(kind, _) | Self::Store(kind, _) | Self::Binary(kind, _)) = self;
        kind
    }
}

/// Reads a policy from a Debian package.
///
/// # Errors
///
/// The package cannot be read, or has no policy or several.
pub(super) fn of_deb(path: &Path, interrupt: &Interrupt) -> Result<PolicyFiles, PolicyError> {
    let read = |content: Box<dyn Read + '_>| -> Result<Found, DebError> {
        let mut found = Found::default();
        let (mut archive, meter) = deb::open_content(content, interrupt);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let size = entry.size();
            meter.allow(size.saturating_add(LONGEST_HEADER));
            if entry.header().entry_type().is_file() {
                let path = entry.path()?.into_owned();
                found.take(&path, size, &mut entry)?;
            }
        }
        Ok(found)
    };
    let failed = |source| PolicyError::Package { path: path.to_owned(), source };
    let package = foreign::open(path).map_err(|error| failed(error.into()))?;
    let (control, found) = deb::with_content(package, interrupt, read).map_err(failed)?;
    let mut files = found.only(&format!("{} {}", control.package, control.version))?;
    let has = |name: &String| files.modules.keys().any(|file| module_name(file) == Some(name));
    let named = control.postinst.as_deref().map(disabled).unwrap_or_default();
    files.disabled = named.into_iter().filter(has).collect();
    Ok(files)
}

/// Reads a policy from an RPM package.
///
/// # Errors
///
/// The package cannot be read, or has no policy or several.
pub(super) fn of_rpm(path: &Path, interrupt: &Interrupt) -> Result<PolicyFiles, PolicyError> {
    let mut found = Found::default();
    let named = rpm::each_file(path, interrupt, |file, size, content| -> Result<_, RpmError> {
        found.take(file, size, content)?;
        Ok(ControlFlow::Continue(()))
    });
    let named = named.map_err(|source| PolicyError::Rpm { path: path.to_owned(), source })?;
    found.only(&format!("{} {}", named.package, named.version))
}

/// Reads a policy from a directory like `/etc/selinux/TYPE`, with its store if that is next to it,
/// like `/var/lib/selinux/TYPE`, or like `/usr/share/selinux/TYPE`.
///
/// # Errors
///
/// The directory cannot be read, or has no policy.
pub(super) fn of_directory(path: &Path) -> Result<PolicyFiles, PolicyError> {
    let failed = |source| PolicyError::Read { path: path.to_owned(), source };
    let real = path.canonicalize().map_err(failed)?;
    let kind = real.file_name().unwrap_or_default();
    let mut found = Found::default();
    let mut walk = |from: &Path, to: PathBuf| -> Result<(), PolicyError> {
        walk(from, &to, 0, &mut found)
            .map_err(|source| PolicyError::Read { path: from.to_owned(), source })
    };
    let in_store = |root: &Path| root.join("var/lib/selinux").join(kind);
    if real.join("active/modules").is_dir() {
        walk(&real.join("active"), in_store(Path::new("/")).join("active"))?;
    } else if real.join("policy").is_dir() {
        walk(&real.join("policy"), Path::new("/etc/selinux").join(kind).join("policy"))?;
        if let Some(root) = real.ancestors().nth(3)
            && root.join("etc/selinux").join(kind) == real
            && in_store(root).join("active/modules").is_dir()
        {
            walk(&in_store(root).join("active"), in_store(Path::new("/")).join("active"))?;
        }
    } else {
        walk(&real, Path::new("/usr/share/selinux").join(kind))?;
    }
    found.only(&path.display().to_string())
}

/// Takes every file below `from`, as if it were below `to`.
fn walk(from: &Path, to: &Path, depth: usize, found: &mut Found) -> io::Result<()> {
    /// A store has four levels.
    const DEEPEST: usize = 8;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < DEEPEST {
            walk(&path, &to, depth + 1, found)?;
        } else if !kind.is_dir() && path.is_file() {
            let mut file = foreign::open(&path)?;
            let size = file.metadata()?.len();
            found.take(&to, size, &mut file)?;
        }
    }
    Ok(())
}

/// Reads a policy from a package or a directory; `None` if the path is neither.
///
/// # Errors
///
/// It cannot be read, or has no policy or several.
pub(super) fn read(path: &Path, interrupt: &Interrupt) -> Result<Option<PolicyFiles>, PolicyError> {
    let failed = |source| PolicyError::Read { path: path.to_owned(), source };
    if path.is_dir() {
        return of_directory(path).map(Some);
    }
    if crate::kernel::is_deb(path).map_err(failed)? {
        return of_deb(path, interrupt).map(Some);
    }
    if rpm::is_rpm(path).map_err(failed)? {
        return of_rpm(path, interrupt).map(Some);
    }
    Ok(None)
}

fn is_module(file: &str) -> bool {
    module_name(file).is_some()
}

/// The name of the module in a file.
fn module_name(file: &str) -> Option<&str> {
    let name = file.strip_suffix(".bz2").unwrap_or(file);
    name.strip_suffix(".pp").or_else(|| name.strip_suffix(".cil"))
}

/// The modules that a `postinst` disables on every machine: its first `notdefault`. It adds others
/// by the kind of the machine's chassis, if systemd tells it one.
fn disabled(postinst: &str) -> Vec<String> {
    let value = postinst.lines().find_map(|line| line.strip_prefix("notdefault=\""));
    let names = value.and_then(|value| value.strip_suffix('"')).unwrap_or_default();
    names.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_modules_that_no_machine_needs_are_disabled() {
        let postinst = "set -e\nnotdefault=\"amtu git\"\ncase \"$platform\" in\n  vm)\n    \
                        notdefault=\"$notdefault acpi\"\n";
        assert_eq!(disabled(postinst), ["amtu", "git"]);
        assert!(disabled("exit 0\n").is_empty());
    }

    #[test]
    fn a_module_is_named_by_its_file() {
        assert_eq!(module_name("base.pp.bz2"), Some("base"));
        assert_eq!(module_name("site.pp"), Some("site"));
        assert_eq!(module_name(".modules"), None);
    }

    /// The policies found in files of these paths.
    fn found(paths: &[&str]) -> Result<PolicyFiles, PolicyError> {
        let mut found = Found::default();
        for path in paths {
            found.take(Path::new(path), path.len() as u64, &mut path.as_bytes()).unwrap();
        }
        found.only("the package")
    }

    #[test]
    fn the_layout_of_fedora_has_a_store_and_a_linked_policy() {
        let files = found(&[
            "/etc/selinux/targeted/contexts/files/file_contexts",
            "/etc/selinux/targeted/policy/policy.33",
            "/etc/selinux/targeted/policy/policy.34",
            "/usr/share/selinux/targeted/base.lst",
            "/var/lib/selinux/targeted/active/commit_num",
            "/var/lib/selinux/targeted/active/booleans.local",
            "/var/lib/selinux/targeted/active/modules/100/base/cil",
        ])
        .unwrap();
        assert_eq!((files.kind.as_str(), files.store.len()), ("targeted", 2));
        assert_eq!(files.binary.unwrap().0, 34);
        assert!(files.modules.is_empty());
    }

    #[test]
    fn a_place_has_one_policy() {
        let error = found(&["/usr/share/doc/README"]).unwrap_err().to_string();
        assert!(error.contains("the package"), "{error}");
        let two = ["/etc/selinux/mls/policy/policy.33", "/etc/selinux/targeted/policy/policy.33"];
        let error = found(&two).unwrap_err().to_string();
        assert!(error.contains("mls, targeted"), "{error}");
    }

    #[test]
    fn a_policy_has_a_limit() {
        let mut found = Found::default();
        let path = Path::new("/var/lib/selinux/x/active/modules/100/a/cil");
        let error = found.take(path, u64::MAX, &mut io::repeat(0)).unwrap_err();
        assert!(error.to_string().contains("the limit of"), "{error}");
        found.count = MOST_FILES;
        found.bytes = 0;
        let error = found.take(path, 0, &mut io::empty()).unwrap_err();
        assert!(error.to_string().contains("more than 50000 files"), "{error}");
    }
}
