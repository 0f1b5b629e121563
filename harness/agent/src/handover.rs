//! Process 1 of a guest system until systemd takes over: loads the policy and labels the files.
//!
//! An initramfs holds no labels, and the kernel reads none from a tmpfs. So they are set on a tmpfs
//! once a policy is loaded, before anything else runs. systemd then starts in its own domain by the
//! policy's rules.

use std::ffi::CString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::mount::umount;
use perfsec_wire::{labels, paths};

use crate::error::{Error, ErrorContext, Result};
use crate::init::mount_one;
use crate::{root, selinux, serve, sys};

/// The system's own process 1.
const INIT: &str = "/sbin/init";
/// Debian's policies by type.
const SELINUX: &str = "/etc/selinux";
/// A file with the label of programs.
const PROGRAM: &str = "/usr/bin/true";
const ATTRIBUTE: &std::ffi::CStr = c"security.selinux";

/// True in a guest system.
pub(crate) fn is_guest_system() -> bool {
    Path::new(paths::LABELS).exists()
}

/// Prepares the system and becomes its process 1.
pub(crate) fn run() -> ! {
    if let Err(error) = prepare().and_then(|()| execute()) {
        eprintln!("perfsec: {error}");
    }
    serve::power_off()
}

fn prepare() -> Result<()> {
    mount_one("sysfs", "/sys")?;
    // Without SELinux there is nothing to label; the agent says what is missing.
    if !Path::new(selinux::MOUNT).is_dir() {
        umount("/sys").doing("unmount sysfs")?;
        return root::move_to_tmpfs(false);
    }
    mount_one("selinuxfs", selinux::MOUNT)?;
    let policy = policy()?;
    let doing = format_args!("load {}", policy.display()).to_string();
    let bytes = fs::read(&policy).doing(&doing)?;
    selinux::write_load(&bytes).doing(&doing)?;
    // systemd mounts them anew.
    umount(selinux::MOUNT).doing("unmount selinuxfs")?;
    umount("/sys").doing("unmount sysfs")?;
    root::move_to_tmpfs(true)?;
    label()
}

/// Labels the files.
fn label() -> Result<()> {
    let list = fs::read(paths::LABELS).doing(format_args!("read {}", paths::LABELS))?;
    let labels = labels::read(&list).map(|(context, path)| (path, context));
    let program = labels::read(&list).find(|(_, path)| *path == PROGRAM);
    let agent = program.map(|(context, _)| (paths::AGENT, context));
    for (path, context) in labels.chain(agent) {
        match sys::set_own_attribute(Path::new(path), ATTRIBUTE, context.as_bytes()) {
            // mmdebstrap deletes some files of its own after it has listed the labels.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            labelled => labelled.doing(format_args!("label {path} as {context}"))?,
        }
    }
    Ok(())
}

/// The file of the policy, which the image has one of.
fn policy() -> Result<PathBuf> {
    let doing = format_args!("find a policy below {SELINUX}").to_string();
    let types = fs::read_dir(SELINUX).doing(&doing)?;
    let folders = types.flatten().map(|entry| entry.path().join("policy"));
    let mut files = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let found = files.next().map(|entry| entry.path());
    found.ok_or_else(|| Error::new(doing, "there is none"))
}

fn execute() -> Result<()> {
    let doing = format_args!("execute {INIT}").to_string();
    let program = CString::new(INIT).map_err(|error| Error::new(&doing, error))?;
    // The console is the terminal of systemd's messages.
    let environment = [c"TERM=dumb"];
    nix::unistd::execve(&program, &[&program], &environment).doing(doing).map(drop)
}
