//! The file that a command executes, and its capabilities.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use perfsec_wire::CapSet;

use super::Root;
use crate::why::facts::Known;

/// The set-user-id bit of a file's mode.
const S_ISUID: u32 = 0o4000;

/// The privileges of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilePrivileges {
    /// The path, with symbolic links resolved.
    pub(super) path: String,
    /// The permitted capabilities.
    pub(super) caps: Known<CapSet>,
    /// The effective bit.
    pub(super) effective: bool,
    /// Owned by root with the set-user-id bit.
    pub(super) setuid: bool,
    /// A script, whose capabilities do not count.
    pub(super) script: bool,
}

/// Finds a program in the directories of PATH, and reads its privileges.
pub(super) fn read(root: &Root, program: &str, path: &str) -> Result<FilePrivileges, String> {
    let place =
        find(root, program, path).ok_or_else(|| format!("{program}: no such program in {path}"))?;
    let shown = root.shown(&place);
    let data = place.metadata().map_err(|error| format!("{shown}: {error}"))?;
    let setuid = data.mode() & S_ISUID != 0 && data.uid() == 0;
    let first = std::fs::File::open(&place).and_then(|mut file| {
        let mut start = [0; 2];
        std::io::Read::read_exact(&mut file, &mut start).map(|()| start)
    });
    let script = first.is_ok_and(|start| start == *b"#!");
    let attribute = attribute(&place).map_err(|error| format!("{shown}: {error}"))?;
    let (caps, effective) = match attribute {
        None => (CapSet::EMPTY, false),
        Some(bytes) => decode(&bytes)
            .ok_or_else(|| format!("{shown}: its capabilities are in an unknown form"))?,
    };
    let caps = Known::read(caps, format!("{shown}, security.capability"));
    Ok(FilePrivileges { path: shown, caps, effective, setuid, script })
}

fn find(root: &Root, program: &str, path: &str) -> Option<PathBuf> {
    let executable = |place: PathBuf| {
        let place = place.canonicalize().ok()?;
        let data = place.metadata().ok()?;
        (data.is_file() && data.permissions().mode() & 0o111 != 0).then_some(place)
    };
    if program.contains('/') {
        return executable(root.path(program));
    }
    path.split(':').find_map(|directory| executable(root.path(&format!("{directory}/{program}"))))
}

fn attribute(place: &std::path::Path) -> std::io::Result<Option<Vec<u8>>> {
    // Revision 3 has 24 bytes.
    let mut bytes = vec![0; 64];
    match rustix::fs::getxattr(place, "security.capability", &mut bytes) {
        Ok(length) => {
            bytes.truncate(length);
            Ok(Some(bytes))
        }
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads a `struct vfs_cap_data` of revision 2 or 3 (include/uapi/linux/capability.h): the permitted
/// set and the effective bit.
fn decode(bytes: &[u8]) -> Option<(CapSet, bool)> {
    const REVISION: u32 = 0xff00_0000;
    let word = |at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    let magic = word(0)?;
    if !matches!(magic & REVISION, 0x0200_0000 | 0x0300_0000) {
        return None;
    }
    let permitted = u64::from(word(4)?) | u64::from(word(12)?) << 32;
    Some((CapSet(permitted & CapSet::ALL.0), magic & 1 == 1))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::root::fixture::tree;
    use super::*;

    #[rstest]
    #[case(&[1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0], Some(("perfmon", true)))]
    #[case(&[0, 0, 0, 3, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        Some(("sys_admin", false)))]
    #[case(&[1, 0, 0, 1, 0, 0, 0, 0], None)]
    #[case(&[1, 0, 0, 2, 0], None)]
    fn an_attribute_is_decoded(#[case] bytes: &[u8], #[case] expected: Option<(&str, bool)>) {
        let found = decode(bytes).map(|(caps, effective)| (caps.to_string(), effective));
        assert_eq!(found, expected.map(|(caps, effective)| (caps.to_owned(), effective)));
    }

    #[test]
    fn a_program_is_found_in_the_path_and_a_script_is_noticed() {
        let (place, root) = tree(&[("/usr/bin/perf", "#!/bin/sh\n"), ("/bin/data", "x")]);
        let perf = place.path().join("usr/bin/perf");
        std::fs::set_permissions(&perf, std::fs::Permissions::from_mode(0o755)).unwrap();
        let found = read(&root, "perf", "/bin:/usr/bin").unwrap();
        assert_eq!((found.path.as_str(), found.script), ("/usr/bin/perf", true));
        assert!(found.caps.value.is_empty() && !found.setuid);
        assert!(read(&root, "data", "/bin").unwrap_err().contains("no such program"));
    }
}
