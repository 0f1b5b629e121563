//! SELinux and AppArmor: the mode, and the context of a process.

use perfsec_wire::Mode;

use super::Root;
use crate::why::facts::Known;

/// The place of selinuxfs.
pub(super) const MOUNT: &str = "/sys/fs/selinux";

/// The mode; disabled if selinuxfs is not there.
pub(super) fn mode(root: &Root) -> Result<Known<Mode>, String> {
    let path = format!("{MOUNT}/enforce");
    if root.has("/sys/fs") && !root.has(&path) {
        return Ok(Known::read(Mode::Disabled, format!("{path}, which is not there")));
    }
    let mode = match root.value::<u8>(&path)? {
        0 => Mode::Permissive,
        _ => Mode::Enforcing,
    };
    Ok(Known::read(mode, path))
}

/// The SELinux context of a process.
pub(super) fn context(root: &Root, process: &str) -> Result<Known<String>, String> {
    let path = format!("/proc/{process}/attr/current");
    root.text(&path).map(|context| Known::read(context, path))
}

/// The AppArmor profile of a process, if one confines it.
pub(super) fn apparmor(root: &Root, process: &str) -> Option<Known<String>> {
    let enabled = root.text("/sys/module/apparmor/parameters/enabled").ok()?;
    let path = format!("/proc/{process}/attr/apparmor/current");
    let profile = root.text(&path).ok()?;
    (enabled == "Y" && profile != "unconfined").then(|| Known::read(profile, path))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::root::fixture::tree;
    use super::*;

    #[rstest]
    #[case(&[("/sys/fs/selinux/enforce", "1")], Some(Mode::Enforcing))]
    #[case(&[("/sys/fs/selinux/enforce", "0")], Some(Mode::Permissive))]
    #[case(&[("/sys/fs/cgroup/x", "")], Some(Mode::Disabled))]
    #[case(&[], None)]
    fn the_mode_is_read(#[case] files: &[(&str, &str)], #[case] expected: Option<Mode>) {
        let (_place, root) = tree(files);
        assert_eq!(mode(&root).ok().map(|it| it.value), expected);
    }

    #[test]
    fn a_profile_confines_only_if_apparmor_is_on() {
        let profile = ("/proc/self/attr/apparmor/current", "docker-default (enforce)\n");
        let on = ("/sys/module/apparmor/parameters/enabled", "Y\n");
        let (_place, root) = tree(&[profile, on]);
        assert_eq!(apparmor(&root, "self").unwrap().value, "docker-default (enforce)");
        let (_place, root) = tree(&[profile]);
        assert_eq!(apparmor(&root, "self"), None);
    }
}
