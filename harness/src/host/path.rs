//! Finds programs and headers on the host's search paths.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::unistd::{AccessFlags, access};

/// Directories of system administration programs, often missing from a user's `PATH`.
const SBIN: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Finds a program as a shell would. The error is the first file with that name that this user may
/// not execute, if any.
pub(crate) fn find_program(name: &str) -> Result<PathBuf, Option<PathBuf>> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> =
        env::split_paths(&path).chain(SBIN.iter().map(PathBuf::from)).collect();
    find_in(name, &dirs)
}

fn find_in(name: &str, dirs: &[PathBuf]) -> Result<PathBuf, Option<PathBuf>> {
    let mut unusable = None;
    for file in dirs.iter().map(|dir| dir.join(name)) {
        let Ok(data) = fs::metadata(&file) else { continue };
        if !data.is_file() {
            continue;
        }
        // For root, access(2) succeeds if anybody may execute the file; require a mode bit.
        if data.permissions().mode() & 0o111 != 0 && access(&file, AccessFlags::X_OK).is_ok() {
            return Ok(file);
        }
        unusable = unusable.or(Some(file));
    }
    Err(unusable)
}

/// Default include directories of C compilers on the distributions that perfsec knows.
const INCLUDE_DIRS: [&str; 4] = [
    "/usr/local/include",
    "/usr/include/x86_64-linux-gnu",
    "/usr/include",
    // openSUSE's libelf; the kernel's build finds it through pkg-config.
    "/usr/include/libelf",
];

/// Finds a header as a C compiler would, from its environment variables and default directories.
pub(super) fn find_header(name: &str) -> Option<PathBuf> {
    let named = ["CPATH", "C_INCLUDE_PATH"].into_iter().filter_map(env::var_os);
    let mut dirs: Vec<PathBuf> =
        named.flat_map(|list| env::split_paths(&list).collect::<Vec<_>>()).collect();
    dirs.extend(INCLUDE_DIRS.map(PathBuf::from));
    dirs.iter().map(|dir| dir.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn write(dir: &TempDir, name: &str, mode: u32) -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn the_first_executable_program_is_found() {
        let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let dirs = [first.path().to_path_buf(), second.path().to_path_buf()];
        assert_eq!(find_in("tool", &dirs), Err(None));
        let unusable = write(&first, "tool", 0o644);
        assert_eq!(find_in("tool", &dirs), Err(Some(unusable)));
        let usable = write(&second, "tool", 0o755);
        assert_eq!(find_in("tool", &dirs), Ok(usable));
    }
}
