//! The subject's executables: copies of the agent with file capabilities, one for each grant and name.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use perfsec_wire::CapSet;

use crate::error::{Doing, Error, Result};

/// A tmpfs of the agent's own: it honours `security.capability`, and no `nosuid` is on it.
const ROOT: &str = "/tmp";
/// `TASK_COMM_LEN` without the final NUL.
const MAX_COMM: usize = 15;

/// What exists already.
pub(crate) struct Executables {
    made: HashSet<(CapSet, String)>,
}

impl Executables {
    /// Mounts the tmpfs.
    pub(crate) fn new() -> Result<Self> {
        std::fs::create_dir_all(ROOT).doing(format_args!("make {ROOT}"))?;
        mount(Some("tmpfs"), ROOT, Some("tmpfs"), MsFlags::MS_NODEV, Some("mode=0755"))
            .doing(format_args!("mount a tmpfs on {ROOT}"))?;
        Ok(Self { made: HashSet::new() })
    }

    /// The path of the executable with this grant and name. The capabilities belong to the inode, so
    /// that names with one grant are links to one file.
    pub(crate) fn get(&mut self, grant: CapSet, comm: &str) -> Result<CString> {
        if comm.is_empty()
            || comm.len() > MAX_COMM
            || comm.contains('/')
            || comm == "."
            || comm == ".."
        {
            return Err(Error::new(
                format_args!("name the subject `{comm}`"),
                "it is no file name",
            ));
        }
        let folder = PathBuf::from(format!("{ROOT}/{:x}", grant.0));
        let path = folder.join(comm);
        let doing = format_args!("make {}", path.display()).to_string();
        let name =
            CString::new(path.as_os_str().as_bytes()).map_err(|error| Error::new(&doing, error))?;
        if self.made.insert((grant, comm.to_owned())) {
            // Not a name that a `comm` can be: it has more than fifteen bytes.
            let original = folder.join("the agent's own executable");
            if !original.exists() {
                copy(&folder, &original, grant).doing(&doing)?;
            }
            std::fs::hard_link(&original, &path).doing(&doing)?;
        }
        Ok(name)
    }
}

fn copy(folder: &Path, to: &Path, grant: CapSet) -> std::io::Result<()> {
    std::fs::create_dir(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    std::fs::copy("/proc/self/exe", to)?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755))?;
    if !grant.is_empty() {
        crate::sys::set_attribute(to, c"security.capability", &grant.file_attribute())?;
    }
    Ok(())
}
