//! The file of a program, with the capabilities that a cell gives to it while it runs.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::libc;
use perfsec_wire::CapSet;
use perfsec_wire::step::{Execve, Run};

use crate::error::{Error, ErrorContext, Result};
use crate::subject::file_capabilities;
use crate::sys;

const ATTRIBUTE: &std::ffi::CStr = c"security.capability";

/// The executable file of a program.
#[derive(Debug)]
pub(super) struct ProgramFile {
    /// The path by which it is executed.
    pub(super) path: PathBuf,
    /// The attribute to restore, if it was changed.
    before: Option<Option<Vec<u8>>>,
}

/// The path of a program; `None` if the guest has none of this name.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let is_executable = |path: &Path| {
        path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| is_executable(path));
    }
    let paths = Run::PATH.iter().map(|folder| Path::new(folder).join(program));
    paths.into_iter().find(|path| is_executable(path))
}

impl ProgramFile {
    /// Gives a program these capabilities, permitted and effective, until it is dropped. A file
    /// system that holds no attributes keeps the program; a copy in `folder` gets them.
    pub(super) fn with_capabilities(path: &Path, grant: CapSet, folder: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let doing = format!("give {name} the capabilities {grant}");
        let wanted = file_capabilities(&Execve::granted(grant));
        let real = path.canonicalize().doing(&doing)?;
        let before = match sys::attribute(&real, ATTRIBUTE) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => None,
            before => before.doing(&doing)?,
        };
        if wanted == before {
            return Ok(Self { path: path.to_owned(), before: None });
        }
        if wanted.is_some() && is_script(&real).doing(&doing)? {
            let detail = "it is a script, and the kernel ignores the capabilities of scripts";
            return Err(Error::new(doing, detail));
        }
        match set(&real, wanted.as_deref()) {
            Ok(()) => Ok(Self { path: path.to_owned(), before: Some(before) }),
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                std::fs::create_dir_all(folder).doing(&doing)?;
                let copy = folder.join(&name);
                std::fs::copy(&real, &copy).doing(&doing)?;
                set(&copy, wanted.as_deref()).doing(&doing)?;
                Ok(Self { path: copy, before: None })
            }
            Err(error) => Err(error).doing(doing),
        }
    }
}

impl Drop for ProgramFile {
    fn drop(&mut self) {
        if let (Some(before), Ok(real)) = (self.before.take(), self.path.canonicalize()) {
            // The next cell sets the attribute that it needs, whatever this left.
            let _ = set(&real, before.as_deref());
        }
    }
}

fn set(path: &Path, value: Option<&[u8]>) -> io::Result<()> {
    match value {
        Some(value) => sys::set_attribute(path, ATTRIBUTE, value),
        None => sys::remove_attribute(path, ATTRIBUTE),
    }
}

fn is_script(path: &Path) -> io::Result<bool> {
    use std::io::Read;
    let mut start = [0; 2];
    let got = std::fs::File::open(path)?.read(&mut start)?;
    Ok(start[..got] == *b"#!")
}
