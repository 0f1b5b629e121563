//! Access to the events of tracefs.

use std::os::unix::fs::PermissionsExt as _;

use super::Root;
use crate::why::facts::Known;

/// Where tracefs is mounted.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// True if a user other than root may list the events.
pub(super) fn read(root: &Root) -> Result<Known<bool>, String> {
    let mut wrong = String::new();
    for place in PLACES {
        let events = format!("{place}/events");
        match std::fs::metadata(root.path(place)) {
            Ok(data) => {
                let open = |mode: u32| mode & 0o005 == 0o005;
                let inner = std::fs::metadata(root.path(&events));
                // Below a directory that is closed, nothing can be looked at.
                let inner = inner.is_ok_and(|data| open(data.permissions().mode()));
                let readable = open(data.permissions().mode()) && inner;
                return Ok(Known::read(readable, format!("the mode of {place}")));
            }
            Err(error) => wrong = format!("{place}: {error}"),
        }
    }
    Err(wrong)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};

    use rstest::rstest;

    use super::super::root::fixture::tree;
    use super::*;

    #[rstest]
    #[case(0o755, 0o755, true)]
    #[case(0o755, 0o750, false)]
    #[case(0o700, 0o755, false)]
    fn both_directories_must_be_open(
        #[case] outer: u32,
        #[case] inner: u32,
        #[case] expected: bool,
    ) {
        let (place, root) = tree(&[("/sys/kernel/tracing/events/enable", "0")]);
        let tracing = place.path().join("sys/kernel/tracing");
        set_permissions(tracing.join("events"), Permissions::from_mode(inner)).unwrap();
        set_permissions(&tracing, Permissions::from_mode(outer)).unwrap();
        assert_eq!(read(&root).unwrap().value, expected);
        set_permissions(&tracing, Permissions::from_mode(0o755)).unwrap();
    }
}
