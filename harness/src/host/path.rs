//! Finds programs and headers on their search paths.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::unistd::{AccessFlags, access};

/// Where administrators' programs are, which the `PATH` of other users often leaves out.
const MORE_PLACES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Finds a program as a shell would. The error is the first file of that name that may not be
/// executed, if there is one.
pub(crate) fn find_program(name: &str) -> Result<PathBuf, Option<PathBuf>> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> =
        env::split_paths(&path).chain(MORE_PLACES.iter().map(PathBuf::from)).collect();
    find_in(name, &places)
}

fn find_in(name: &str, places: &[PathBuf]) -> Result<PathBuf, Option<PathBuf>> {
    let mut unusable = None;
    for file in places.iter().map(|place| place.join(name)) {
        let Ok(data) = fs::metadata(&file) else { continue };
        if !data.is_file() {
            continue;
        }
        // Root may do everything but execute what nobody may execute.
        if data.permissions().mode() & 0o111 != 0 && access(&file, AccessFlags::X_OK).is_ok() {
            return Ok(file);
        }
        unusable = unusable.or(Some(file));
    }
    Err(unusable)
}

/// Where C compilers look by themselves, on the distributions that perfsec knows.
const HEADER_PLACES: [&str; 4] = [
    "/usr/local/include",
    "/usr/include/x86_64-linux-gnu",
    "/usr/include",
    // openSUSE's, which pkg-config tells the kernel's build.
    "/usr/include/libelf",
];

/// Finds a header as a C compiler would, in the places that its environment names and in its own.
pub(super) fn find_header(name: &str) -> Option<PathBuf> {
    let named = ["CPATH", "C_INCLUDE_PATH"].into_iter().filter_map(env::var_os);
    let mut places: Vec<PathBuf> =
        named.flat_map(|list| env::split_paths(&list).collect::<Vec<_>>()).collect();
    places.extend(HEADER_PLACES.map(PathBuf::from));
    places.iter().map(|place| place.join(name)).find(|file| file.is_file())
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
    fn the_first_program_that_can_be_executed_is_found() {
        let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let places = [first.path().to_path_buf(), second.path().to_path_buf()];
        assert_eq!(find_in("tool", &places), Err(None));
        let unusable = write(&first, "tool", 0o644);
        assert_eq!(find_in("tool", &places), Err(Some(unusable)));
        let usable = write(&second, "tool", 0o755);
        assert_eq!(find_in("tool", &places), Ok(usable));
    }
}
