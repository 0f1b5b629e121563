//! The container that a process runs in, by the marks that runtimes leave.

use super::Root;
use crate::why::facts::{Container, Containers, Known};

/// Files of runtimes, and the runtime.
const MARKS: &[(&str, &str)] = &[
    ("/run/secrets/kubernetes.io", "kubernetes"),
    ("/var/run/secrets/kubernetes.io", "kubernetes"),
    ("/run/.containerenv", "podman"),
    ("/.dockerenv", "docker"),
];

/// Words in the control group of a process, and the runtime.
const GROUPS: &[(&str, &str)] = &[
    ("kubepods", "kubernetes"),
    ("/docker", "docker"),
    ("docker-", "docker"),
    ("libpod", "podman"),
    ("/lxc", "lxc"),
    ("machine.slice/systemd-nspawn", "systemd-nspawn"),
];

/// The container; `None` if nothing shows one.
pub(super) fn read(root: &Root, process: &str) -> Option<Known<Container>> {
    let container = |runtime: Option<&str>, from: String| {
        let runtime = runtime.map(str::to_owned);
        Known::read(Container { runtime, version: None, rootless: false }, from)
    };
    if let Some((path, runtime)) = MARKS.iter().find(|(path, _)| root.has(path)) {
        return Some(container(Some(runtime), (*path).to_owned()));
    }
    // Written by systemd in a container, from the variable `container` of process 1.
    let path = "/run/systemd/container";
    if let Ok(name) = root.text(path) {
        let known = Containers::built_in().ok().and_then(|data| data.named(&name));
        return Some(container(known.map(|it| it.name.as_str()), path.to_owned()));
    }
    let path = format!("/proc/{process}/cgroup");
    let groups = root.text(&path).ok()?;
    let (_, runtime) = GROUPS.iter().find(|(words, _)| groups.contains(words))?;
    Some(container(Some(runtime), path))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::root::fixture::tree;
    use super::*;

    #[rstest]
    #[case(&[("/.dockerenv", "")], Some("docker"))]
    #[case(&[("/run/.containerenv", ""), ("/.dockerenv", "")], Some("podman"))]
    #[case(&[("/run/systemd/container", "systemd-nspawn\n")], Some("systemd-nspawn"))]
    #[case(&[("/run/systemd/container", "lxc\n")], Some("lxc"))]
    #[case(&[("/proc/self/cgroup", "0::/kubepods.slice/x\n")], Some("kubernetes"))]
    #[case(&[("/proc/self/cgroup", "0::/user.slice\n")], None)]
    fn a_runtime_is_known_by_its_marks(
        #[case] files: &[(&str, &str)],
        #[case] runtime: Option<&str>,
    ) {
        let (_place, root) = tree(files);
        let found = read(&root, "self").and_then(|it| it.value.runtime);
        assert_eq!(found.as_deref(), runtime);
    }
}
