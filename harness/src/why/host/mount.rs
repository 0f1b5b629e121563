//! The mount that a file is on.

use super::Root;
use crate::why::facts::Known;

/// True if the file system of a path is mounted `nosuid` in the mount namespace of a process.
pub(super) fn nosuid(root: &Root, process: &str, path: &str) -> Result<Known<bool>, String> {
    let list = format!("/proc/{process}/mountinfo");
    let text = root.text(&list)?;
    // "36 35 98:0 /root /mount/point rw,nosuid - type source options": a later line covers an
    // earlier one.
    let mounts = text.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let point = unescaped(fields.nth(4)?);
        let options = fields.next()?;
        let below = path.strip_prefix(point.trim_end_matches('/'))?;
        let covers = below.is_empty() || below.starts_with('/');
        covers.then(|| (point.len(), options.split(',').any(|option| option == "nosuid")))
    });
    let (_, nosuid) = mounts
        .max_by_key(|(length, _)| *length)
        .ok_or_else(|| format!("{list}: no mount has {path}"))?;
    Ok(Known::read(nosuid, list))
}

/// A path, in which the kernel writes blanks and backslashes as `\040` (`mangle_path()`).
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::root::fixture::tree;
    use super::*;

    const MOUNTS: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                          23 22 0:5 / /home rw,nosuid,nodev - ext4 /dev/sda2 rw\n\
                          24 22 0:6 / /my\\040disk rw,nosuid - vfat /dev/sdb1 rw\n";

    #[rstest]
    #[case("/usr/bin/perf", false)]
    #[case("/home/me/perf", true)]
    #[case("/homework/perf", false)]
    #[case("/my disk/perf", true)]
    fn the_longest_mount_point_counts(#[case] path: &str, #[case] expected: bool) {
        let (_place, root) = tree(&[("/proc/self/mountinfo", MOUNTS)]);
        assert_eq!(nosuid(&root, "self", path).unwrap().value, expected);
    }
}
