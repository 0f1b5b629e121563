//! The subject's executables: copies of one program, one for each set of privileges and name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::unistd::chown;
use perfsec_wire::CapSet;
use perfsec_wire::step::Execve;

use crate::error::{Error, ErrorContext, Result};
use crate::here::journal;

/// A tmpfs of the agent. It supports `security.capability`, and is not mounted `nosuid`.
/// [`Execve::path`] has this path too.
const ROOT: &str = "/tmp";
/// A system's directory of programs, whose files have its label.
const PROGRAMS: &str = "/usr/bin";
/// The same tmpfs, mounted `nosuid`.
const NOSUID: &str = "/nosuid";
/// `TASK_COMM_LEN` without the final NUL.
const MAX_COMM: usize = 15;
/// Longer than fifteen bytes, so no `comm` has this name.
const ORIGINAL: &str = "the program itself";

/// The attribute with a file's SELinux context.
const LABEL: &std::ffi::CStr = c"security.selinux";

/// Labels that a system's policy has for a directory of temporary files and for a program. A tmpfs
/// gives to its files its own label, and a login's domain may not execute those in enforcing mode.
struct Labels {
    folder: Vec<u8>,
    program: Vec<u8>,
}

/// The executables made so far.
pub(crate) struct Executables {
    program: Vec<u8>,
    /// `None` in a guest with nothing but the agent: there the policy's label of a tmpfs is used.
    labels: Option<Labels>,
    /// The name in each folder that was linked last.
    newest: HashMap<PathBuf, String>,
    nosuid: bool,
}

impl Executables {
    /// Mounts the tmpfs. `program` is the content of every executable; `in_system` is true in a
    /// system whose files have labels.
    pub(crate) fn new(program: Vec<u8>, in_system: bool) -> Result<Self> {
        journal::make_directories(Path::new(ROOT))?;
        let labels = if in_system { Labels::of_system()? } else { None };
        mount(Some("tmpfs"), ROOT, Some("tmpfs"), MsFlags::MS_NODEV, Some("mode=0755"))
            .doing(format_args!("mount a tmpfs on {ROOT}"))?;
        if let Some(labels) = &labels {
            let label = |path| crate::sys::set_attribute(path, LABEL, &labels.folder);
            label(Path::new(ROOT)).doing(format_args!("label {ROOT}"))?;
        }
        Ok(Self { program, labels, newest: HashMap::new(), nosuid: false })
    }

    /// The path of the executable with these privileges and this name. Privileges belong to the
    /// inode, so executables with the same privileges are links to one file. A record about the
    /// inode has the name that was linked last (`d_find_alias()`): the one returned last.
    pub(crate) fn get(&mut self, file: &Execve, comm: &str) -> Result<String> {
        if file.nosuid && !self.nosuid {
            self.mount_nosuid()?;
        }
        let folder = Path::new(ROOT).join(file.folder());
        let path = file.path(comm);
        if self.newest.get(&folder).is_some_and(|newest| newest == comm) {
            return Ok(path);
        }
        let is_name = !comm.is_empty() && comm.len() <= MAX_COMM && !comm.contains('/');
        if !is_name || comm == "." || comm == ".." {
            let doing = format_args!("name the subject `{comm}`");
            return Err(Error::new(doing, "that is not a file name"));
        }
        let doing = format_args!("make {}", folder.display()).to_string();
        let original = folder.join(ORIGINAL);
        if !original.exists() {
            self.write(&folder, &original, file).doing(&doing)?;
        }
        link(&original, &folder.join(comm)).doing(&doing)?;
        self.newest.insert(folder, comm.to_owned());
        Ok(path)
    }

    fn write(&self, folder: &Path, to: &Path, file: &Execve) -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let mode = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::create_dir(folder)?;
        std::fs::set_permissions(folder, mode(0o755))?;
        std::fs::write(to, &self.program)?;
        if let Some(labels) = &self.labels {
            crate::sys::set_attribute(folder, LABEL, &labels.folder)?;
            crate::sys::set_attribute(to, LABEL, &labels.program)?;
        }
        chown(to, Some(0.into()), Some(0.into()))?;
        std::fs::set_permissions(to, mode(if file.setuid { 0o4755 } else { 0o755 }))?;
        if let Some(attribute) = file_capabilities(file) {
            crate::sys::set_attribute(to, c"security.capability", &attribute)?;
        }
        Ok(())
    }

    fn mount_nosuid(&mut self) -> Result<()> {
        let doing = format_args!("mount {ROOT} again as nosuid").to_string();
        journal::make_directories(Path::new(NOSUID))?;
        let (none, bind) = (None::<&str>, MsFlags::MS_BIND);
        mount(Some(ROOT), NOSUID, none, bind, none).doing(&doing)?;
        let flags = bind | MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID;
        mount(none, NOSUID, none, flags, none).doing(&doing)?;
        self.nosuid = true;
        Ok(())
    }
}

impl Labels {
    /// Those of `/tmp` before the agent's tmpfs covers it, and of the system's programs; `None`
    /// without SELinux.
    fn of_system() -> Result<Option<Self>> {
        let read = |path: &str| match crate::sys::attribute(Path::new(path), LABEL) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(None),
            label => label.doing(format_args!("read the label of {path}")),
        };
        let (folder, program) = (read(ROOT)?, read(PROGRAMS)?);
        Ok(folder.zip(program).map(|(folder, program)| Self { folder, program }))
    }
}

/// Makes a name of a file, anew if it exists.
fn link(original: &Path, name: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(name) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::fs::hard_link(original, name),
    }
}

/// The value of the `security.capability` attribute: `struct vfs_cap_data` of revision 2, or
/// `struct vfs_ns_cap_data` of revision 3 (`include/uapi/linux/capability.h`); `None` for a file
/// without capabilities.
pub(crate) fn file_capabilities(file: &Execve) -> Option<Vec<u8>> {
    const REVISION_2: u32 = 0x0200_0000;
    const REVISION_3: u32 = 0x0300_0000;
    const EFFECTIVE: u32 = 1;
    if (file.permitted, file.inheritable) == (CapSet::EMPTY, CapSet::EMPTY) {
        return None;
    }
    let revision = if file.rootid.is_some() { REVISION_3 } else { REVISION_2 };
    let (permitted, inheritable) = (file.permitted.0, file.inheritable.0);
    let mut words = vec![
        revision | if file.effective { EFFECTIVE } else { 0 },
        permitted as u32,
        inheritable as u32,
        (permitted >> 32) as u32,
        (inheritable >> 32) as u32,
    ];
    words.extend(file.rootid);
    Some(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfmon_is_bit_six_of_the_second_word() {
        let bytes = file_capabilities(&Execve::granted(CapSet::one(38))).unwrap();
        assert_eq!(bytes[..4], [1, 0, 0, 2]);
        assert_eq!(bytes[4..12], [0; 8]);
        assert_eq!(bytes[12..], [1 << 6, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_namespace_root_needs_revision_three_and_no_capability_needs_no_attribute() {
        let file =
            Execve { rootid: Some(1000), effective: false, ..Execve::granted(CapSet::one(0)) };
        let bytes = file_capabilities(&file).unwrap();
        assert_eq!((bytes.len(), &bytes[..8]), (24, [0, 0, 0, 3, 1, 0, 0, 0].as_slice()));
        assert_eq!(bytes[20..], 1000u32.to_le_bytes());
        assert_eq!(file_capabilities(&Execve::granted(CapSet::EMPTY)), None);
    }
}
