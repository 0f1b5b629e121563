//! Sysctls of the kernel.

use std::str::FromStr;

use super::Root;
use crate::why::facts::Known;

/// The value of a sysctl, such as `kernel.perf_event_paranoid`.
pub(super) fn read<T: FromStr>(root: &Root, name: &str) -> Result<Known<T>, String> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    root.value(&path).map(|value| Known::read(value, path))
}

#[cfg(test)]
mod tests {
    use super::super::root::fixture::tree;
    use super::*;

    #[test]
    fn a_sysctl_is_read_with_its_path() {
        let (_place, root) = tree(&[("/proc/sys/kernel/perf_event_paranoid", "-1\n")]);
        let level = read::<i32>(&root, "kernel.perf_event_paranoid").unwrap();
        assert_eq!(level, Known::read(-1, "/proc/sys/kernel/perf_event_paranoid"));
        let missing = read::<i32>(&root, "kernel.kptr_restrict").unwrap_err();
        assert!(missing.starts_with("/proc/sys/kernel/kptr_restrict: "), "{missing}");
    }
}
