//! Moves the root of a guest system from the initramfs to a tmpfs of its own.
//!
//! Policies do not let files of most types be on the initramfs (`rootfs` has the label of its root,
//! and `filesystem { associate }` is checked at each creation), and its label cannot be changed. A
//! tmpfs gets that of a disk when it is mounted, once a policy is loaded.

use std::fs::{self, DirBuilder, File, FileTimes, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown, symlink,
};
use std::path::Path;

use nix::mount::{MsFlags, mount};

use crate::error::{ErrorContext, Result};

/// Mount point of the new root.
const NEW: &str = "/sysroot";
/// Its size, permissions and label. `fs_t` is the label of disks in all policies that derive from
/// the reference policy.
const OPTIONS: &str = "mode=0755,size=80%,fscontext=system_u:object_r:fs_t:s0";
/// The same on a kernel without SELinux.
const OPTIONS_WITHOUT_LABEL: &str = "mode=0755,size=80%";

/// Moves the root; this process is then in the new one.
pub(crate) fn move_to_tmpfs(labelled: bool) -> Result<()> {
    let (old, new) = (Path::new("/"), Path::new(NEW));
    fs::create_dir(new).doing(format_args!("make {NEW}"))?;
    let options = if labelled { OPTIONS } else { OPTIONS_WITHOUT_LABEL };
    mount(Some("tmpfs"), NEW, Some("tmpfs"), MsFlags::empty(), Some(options))
        .doing(format_args!("mount a tmpfs with {options}"))?;
    let device = fs::metadata(old).doing("look at the root")?.dev();
    move_entries(old, new, device).doing("move the system's files to a tmpfs")?;
    let none = None::<&str>;
    std::env::set_current_dir(new).doing(format_args!("enter {NEW}"))?;
    mount(Some("."), "/", none, MsFlags::MS_MOVE, none).doing("make the tmpfs the root")?;
    std::os::unix::fs::chroot(".").doing("enter the new root")?;
    std::env::set_current_dir("/").doing("enter the new root")
}

/// Moves the entries of a directory. File systems that are mounted there are left out, with their
/// mount points.
fn move_entries(from: &Path, to: &Path, device: u64) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        let data = fs::symlink_metadata(&old)?;
        if data.is_dir() && (data.dev() != device || old == Path::new(NEW)) {
            DirBuilder::new().mode(0o755).create(&new)?;
        } else if data.is_dir() {
            DirBuilder::new().mode(0o700).create(&new)?;
            move_entries(&old, &new, device)?;
            // Last: the move of its entries changes the times of a directory.
            keep(&File::open(&new)?, &data)?;
        } else if data.is_symlink() {
            symlink(fs::read_link(&old)?, &new)?;
            lchown(&new, Some(data.uid()), Some(data.gid()))?;
        } else if data.is_file() {
            move_file(&old, &new, &data)?;
        }
    }
    Ok(())
}

/// Moves a file. The old one is deleted, so that memory has each once.
fn move_file(old: &Path, new: &Path, data: &Metadata) -> io::Result<()> {
    let mut source = File::open(old)?;
    let mut options = OpenOptions::new();
    let mut copy = options.write(true).create_new(true).mode(0o600).open(new)?;
    io::copy(&mut source, &mut copy)?;
    keep(&copy, data)?;
    fs::remove_file(old)
}

/// Gives a file the owner, the permissions and the times of another.
fn keep(file: &File, data: &Metadata) -> io::Result<()> {
    fchown(file, Some(data.uid()), Some(data.gid()))?;
    file.set_permissions(fs::Permissions::from_mode(data.mode() & 0o7777))?;
    file.set_times(FileTimes::new().set_accessed(data.accessed()?).set_modified(data.modified()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_moved_with_their_permissions_and_times() {
        let place = std::env::temp_dir().join(format!("perfsec-root-{}", std::process::id()));
        let (old, new) = (place.join("old"), place.join("new"));
        fs::create_dir_all(old.join("etc/empty")).unwrap();
        fs::create_dir(&new).unwrap();
        fs::write(old.join("etc/file"), "content").unwrap();
        fs::set_permissions(old.join("etc/file"), fs::Permissions::from_mode(0o4751)).unwrap();
        fs::set_permissions(old.join("etc/empty"), fs::Permissions::from_mode(0o1777)).unwrap();
        symlink("file", old.join("etc/link")).unwrap();
        let before = fs::metadata(old.join("etc/file")).unwrap();
        move_entries(&old, &new, fs::metadata(&old).unwrap().dev()).unwrap();
        let after = fs::metadata(new.join("etc/file")).unwrap();
        let empty = fs::metadata(new.join("etc/empty")).unwrap();
        let link = fs::read_link(new.join("etc/link")).unwrap();
        let content = fs::read_to_string(new.join("etc/link")).unwrap();
        let is_left = old.join("etc/file").exists();
        fs::remove_dir_all(place).unwrap();
        assert_eq!((after.mode(), after.mtime()), (before.mode(), before.mtime()));
        assert_eq!(
            (empty.mode() & 0o7777, link.to_str(), &*content),
            (0o1777, Some("file"), "content")
        );
        assert!(!is_left);
    }
}
