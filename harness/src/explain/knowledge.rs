//! Descriptions of the permissions that perf needs: `cases/permissions.toml`; and the places that
//! check them.

use serde::Deserialize;

use crate::audit::is_capability;
use crate::coverage::{LsmQuestion, Point, Points, PointsError};

/// The descriptions of permissions and decision points.
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

/// A permission that perf needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// Its SELinux class.
    pub class: String,
    /// Its name in the class.
    pub name: String,
    /// The capability's number, for a permission of a capability class.
    pub capability: Option<u32>,
    /// The same check in the terms of `points.toml`.
    pub ask: Option<LsmQuestion>,
    /// The kernel function that asks SELinux.
    pub hook: String,
    /// The action that it permits, as a verb phrase.
    pub what: String,
    /// The errno of a refused call, if it is always the same.
    pub refused: Option<String>,
    /// A way to need less, as an imperative.
    pub instead: Option<String>,
    /// The owner of the target context, if it is not the process itself.
    pub target: Option<String>,
    /// The only path in a record with which the permission is about perf.
    pub only_path: Option<String>,
    /// The only system calls in which the permission is about perf; empty for all.
    #[serde(default)]
    pub only_in: Vec<String>,
    /// The only reasons of lockdown with which the permission is about perf; empty for all.
    #[serde(default)]
    pub only_reason: Vec<String>,
    /// The document or source file for all this.
    pub source: String,
}

/// The decision points that a system call passes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SyscallPath {
    name: String,
    points: Vec<String>,
}

/// An error in the built-in descriptions.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// `permissions.toml` does not parse.
    #[error("read the list of permissions")]
    Permissions(#[from] toml::de::Error),
    /// `points.toml` does not parse.
    #[error(transparent)]
    Points(#[from] PointsError),
}

impl Knowledge {
    /// The descriptions that are compiled into the program.
    ///
    /// # Errors
    ///
    /// Mistakes in the data, which the project's tests rule out.
    pub fn built_in() -> Result<Self, KnowledgeError> {
        let list = toml::from_str(perfsec_cases::permissions())?;
        Ok(Self { list, points: Points::built_in()? })
    }

    /// The description of a permission.
    #[must_use]
    pub fn permission(&self, class: &str, name: &str) -> Option<&Permission> {
        let mut all = self.list.permissions.iter();
        all.find(|permission| permission.is(class, name))
    }

    /// True if the kernel decides about perf in this system call.
    #[must_use]
    pub fn concerns_perf(&self, syscall: &str) -> bool {
        self.path(syscall).is_some()
    }

    fn path(&self, syscall: &str) -> Option<&SyscallPath> {
        self.list.syscalls.iter().find(|path| path.name == syscall)
    }

    /// The system calls that pass a point.
    pub fn syscalls<'a>(&'a self, point: &'a Point) -> impl Iterator<Item = &'a str> {
        let paths = self.list.syscalls.iter().filter(|path| path.points.contains(&point.name));
        paths.map(|path| path.name.as_str())
    }

    /// The points that check a permission. If the points of one of these system calls are known,
    /// only those.
    #[must_use]
    pub fn checkpoints(&self, permission: &Permission, syscalls: &[&str]) -> Vec<&Point> {
        let Some(ask) = permission.ask else { return Vec::new() };
        let paths: Vec<_> = syscalls.iter().filter_map(|name| self.path(name)).collect();
        let reachable = self.points.all.iter().filter(|point| {
            point.unreachable.is_none()
                && (paths.is_empty() || paths.iter().any(|path| path.points.contains(&point.name)))
        });
        let reachable: Vec<_> = reachable.collect();
        let of = |asks: fn(&Point) -> &Vec<LsmQuestion>| -> Vec<&Point> {
            reachable.iter().copied().filter(|point| asks(point).contains(&ask)).collect()
        };
        let deciding = of(|point| &point.asks);
        if deciding.is_empty() { of(|point| &point.aside) } else { deciding }
    }
}

impl Permission {
    fn is(&self, class: &str, name: &str) -> bool {
        // A capability's name is unique; documents have confused the two classes.
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
    fn the_permissions_fit_the_points() {
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
        for path in &knowledge.list.syscalls {
            assert!(path.points.iter().all(|point| known.contains(&point)), "{}", path.name);
        }
        for name in ["open", "cpu", "kernel", "tracepoint", "read", "write"] {
            let permission = knowledge.permission("perf_event", name).unwrap();
            assert!(!knowledge.checkpoints(permission, &[]).is_empty(), "{name}");
        }
    }

    #[rstest]
    #[case("perf_event", "kernel", &["perf_event_open"], &["perf_copy_attr", "perf_event_open"])]
    #[case("perf_event", "kernel", &["ioctl"], &["perf_copy_attr"])]
    #[case("perf_event", "read", &[], &["perf_read", "perf_mmap"])]
    #[case("perf_event", "read", &["mmap"], &["perf_mmap"])]
    #[case("capability", "ipc_lock", &[], &["perf_mmap"])]
    #[case(
        "capability2",
        "sys_admin",
        &["ioctl"],
        &["perf_event_query_prog_array", "perf_copy_attr"]
    )]
    #[case("capability2", "syslog", &[], &[])]
    fn a_permission_has_its_checkpoints(
        #[case] class: &str,
        #[case] name: &str,
        #[case] syscalls: &[&str],
        #[case] checkpoints: &[&str],
    ) {
        let knowledge = knowledge();
        let permission = knowledge.permission(class, name).unwrap();
        let found: BTreeSet<_> = knowledge
            .checkpoints(permission, syscalls)
            .iter()
            .map(|point| point.name.as_str())
            .collect();
        assert_eq!(found, checkpoints.iter().copied().collect());
    }

    #[test]
    fn a_permission_of_another_class_is_unknown() {
        assert!(knowledge().permission("dir", "open").is_none());
        assert!(knowledge().permission("perf_event", "open").is_some());
    }
}
