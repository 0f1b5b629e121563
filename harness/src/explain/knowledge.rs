//! What is known of the permissions that perf asks for: `cases/permissions.toml`.

use serde::Deserialize;

use crate::audit::is_capability;
use crate::coverage::{Ask, Point, Points, PointsError};

/// Everything that is known.
#[derive(Clone, Debug)]
pub struct Knowledge {
    list: PermissionList,
    points: Points,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PermissionList {
    #[serde(rename = "permission")]
    permissions: Vec<Permission>,
    #[serde(rename = "syscall")]
    syscalls: Vec<SyscallPath>,
}

/// A permission that perf asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// The class.
    pub class: String,
    /// The permission.
    pub name: String,
    /// The capability's number, if it is one.
    pub capability: Option<u32>,
    /// The question, as `points.toml` has it.
    pub ask: Option<Ask>,
    /// The function in which SELinux is asked.
    pub hook: String,
    /// What is asked for, after "may this domain".
    pub what: String,
    /// The errno of a call that is refused, where it is always the same.
    pub refused: Option<String>,
    /// How to do without it.
    pub instead: Option<String>,
    /// Whose label the target is, where it is not the process's own.
    pub target: Option<String>,
    /// The path of what it is about, where only that makes it perf's.
    pub only_path: Option<String>,
    /// The system calls in which it is about perf.
    #[serde(default)]
    pub only_in: Vec<String>,
    /// Who says so.
    pub source: String,
}

/// The points that lie on a system call's way.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SyscallPath {
    name: String,
    points: Vec<String>,
}

/// What is known cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// The list of permissions.
    #[error("read the list of permissions")]
    Permissions(#[from] toml::de::Error),
    /// The list of points.
    #[error(transparent)]
    Points(#[from] PointsError),
}

impl Knowledge {
    /// What travels inside the program.
    ///
    /// # Errors
    ///
    /// Mistakes in it; a test of the project shows that there are none.
    pub fn built_in() -> Result<Self, KnowledgeError> {
        let list = toml::from_str(perfsec_cases::permissions())?;
        Ok(Self { list, points: Points::built_in()? })
    }

    /// What is known of a permission.
    #[must_use]
    pub fn permission(&self, class: &str, name: &str) -> Option<&Permission> {
        let mut all = self.list.permissions.iter();
        all.find(|permission| permission.is(class, name))
    }

    /// Whether perf's decisions are met in a system call.
    #[must_use]
    pub fn is_of_perf(&self, syscall: &str) -> bool {
        self.way(syscall).is_some()
    }

    fn way(&self, syscall: &str) -> Option<&SyscallPath> {
        self.list.syscalls.iter().find(|way| way.name == syscall)
    }

    /// The system calls that come by a point.
    pub fn syscalls<'a>(&'a self, point: &'a Point) -> impl Iterator<Item = &'a str> {
        let ways = self.list.syscalls.iter().filter(|way| way.points.contains(&point.name));
        ways.map(|way| way.name.as_str())
    }

    /// The places that ask for a permission, on the way of one of these system calls if any is known.
    #[must_use]
    pub fn places(&self, permission: &Permission, syscalls: &[&str]) -> Vec<&Point> {
        let Some(ask) = permission.ask else { return Vec::new() };
        let ways: Vec<_> = syscalls.iter().filter_map(|name| self.way(name)).collect();
        let reachable = self.points.all.iter().filter(|point| {
            point.unreachable.is_none()
                && (ways.is_empty() || ways.iter().any(|way| way.points.contains(&point.name)))
        });
        let reachable: Vec<_> = reachable.collect();
        let of = |asks: fn(&Point) -> &Vec<Ask>| -> Vec<&Point> {
            reachable.iter().copied().filter(|point| asks(point).contains(&ask)).collect()
        };
        let deciding = of(|point| &point.asks);
        if deciding.is_empty() { of(|point| &point.aside) } else { deciding }
    }
}

impl Permission {
    fn is(&self, class: &str, name: &str) -> bool {
        // Of a capability the name says which it is; its class has been confused in print.
        let class_fits = self.class == class || self.capability.is_some() && is_capability(class);
        class_fits && self.name == name
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::*;
    use crate::grant::cap_number;

    fn knowledge() -> Knowledge {
        Knowledge::built_in().unwrap()
    }

    #[test]
    fn the_list_is_read_and_fits_the_points() {
        let knowledge = knowledge();
        let names: BTreeSet<_> =
            knowledge.list.permissions.iter().map(|one| (&one.class, &one.name)).collect();
        assert_eq!(names.len(), knowledge.list.permissions.len());
        for permission in &knowledge.list.permissions {
            if let Some(number) = permission.capability {
                assert_eq!(cap_number(&permission.name), Ok(number));
            }
        }
        let known: Vec<_> = knowledge.points.all.iter().map(|point| &point.name).collect();
        for way in &knowledge.list.syscalls {
            assert!(way.points.iter().all(|point| known.contains(&point)), "{}", way.name);
        }
        for name in ["open", "cpu", "kernel", "tracepoint", "read", "write"] {
            let permission = knowledge.permission("perf_event", name).unwrap();
            assert!(!knowledge.places(permission, &[]).is_empty(), "{name}");
        }
    }

    #[rstest]
    #[case("perf_event", "kernel", &["perf_event_open"], &["perf_copy_attr", "perf_event_open"])]
    #[case("perf_event", "kernel", &["ioctl"], &["perf_copy_attr"])]
    #[case("perf_event", "read", &[], &["perf_read", "perf_mmap"])]
    #[case("perf_event", "read", &["mmap"], &["perf_mmap"])]
    #[case("capability", "ipc_lock", &[], &["perf_mmap"])]
    #[case("capability2", "sys_admin", &["ioctl"], &["perf_event_query_prog_array", "perf_copy_attr"])]
    #[case("capability2", "syslog", &[], &[])]
    fn a_permission_has_its_places(
        #[case] class: &str,
        #[case] name: &str,
        #[case] syscalls: &[&str],
        #[case] places: &[&str],
    ) {
        let knowledge = knowledge();
        let permission = knowledge.permission(class, name).unwrap();
        let found: BTreeSet<_> = knowledge
            .places(permission, syscalls)
            .iter()
            .map(|point| point.name.as_str())
            .collect();
        assert_eq!(found, places.iter().copied().collect());
    }

    #[test]
    fn a_permission_of_another_class_is_not_known() {
        assert!(knowledge().permission("dir", "open").is_none());
        assert!(knowledge().permission("perf_event", "open").is_some());
    }
}
