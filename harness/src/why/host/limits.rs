//! RLIMIT_MEMLOCK and the number of CPUs.

use super::Root;
use crate::why::facts::Known;

/// RLIMIT_MEMLOCK of a process in bytes; `u64::MAX` for no limit.
pub(super) fn memlock(root: &Root, process: &str) -> Result<Known<u64>, String> {
    let path = format!("/proc/{process}/limits");
    let text = root.text(&path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    let value = match soft {
        Some("unlimited") => Some(u64::MAX),
        other => other.and_then(|text| text.parse().ok()),
    };
    value
        .map(|value| Known::read(value, path.clone()))
        .ok_or_else(|| format!("{path}: no `Max locked memory`"))
}

/// The number of CPUs that are online.
pub(super) fn cpus(root: &Root) -> Result<Known<u32>, String> {
    let path = "/sys/devices/system/cpu/online";
    let text = root.text(path)?;
    let count = |range: &str| -> Option<u32> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1)
    };
    let total = text.split(',').map(count).sum::<Option<u32>>();
    total
        .map(|total| Known::read(total, path))
        .ok_or_else(|| format!("{path}: `{text}` is not a list of CPUs"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::root::fixture::tree;
    use super::*;

    #[rstest]
    #[case("8388608              8388608              bytes", 8 << 20)]
    #[case("unlimited            unlimited            bytes", u64::MAX)]
    fn the_soft_limit_counts(#[case] values: &str, #[case] bytes: u64) {
        let text = format!("Limit  Soft  Hard  Units\nMax locked memory         {values}\n");
        let (_place, root) = tree(&[("/proc/self/limits", &text)]);
        assert_eq!(memlock(&root, "self").unwrap().value, bytes);
    }

    #[rstest]
    #[case("0-3", Some(4))]
    #[case("0", Some(1))]
    #[case("0-1,4-5", Some(4))]
    #[case("3-0", None)]
    #[case("", None)]
    fn a_list_of_cpus_is_counted(#[case] text: &str, #[case] count: Option<u32>) {
        let (_place, root) = tree(&[("/sys/devices/system/cpu/online", text)]);
        assert_eq!(cpus(&root).ok().map(|it| it.value), count);
    }
}
