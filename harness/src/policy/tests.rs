//! Tests with packages that the distributions' own tools build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rstest::{fixture, rstest};
use tempfile::TempDir;

use super::*;
use crate::cache::Cache;
use crate::kernel::KernelVersion;

/// A policy small enough to be linked in a moment: a distribution's has 350 modules.
fn base() -> String {
    source_text("minimal").unwrap().unwrap()
}

/// A place for packages, and a cache.
struct PolicyFixture {
    place: TempDir,
    cache: Cache,
}

#[fixture]
fn policies() -> PolicyFixture {
    let place = TempDir::new().unwrap();
    let cache = Cache::at(&place.path().join("cache")).unwrap();
    PolicyFixture { place, cache }
}

impl PolicyFixture {
    /// The policy of a machine with this root, extended by our domains; or the error with its cause.
    fn extend(&self, root: &str) -> Result<Policy, String> {
        let agent = "unconfined_u:unconfined_r:unconfined_t:s0".to_owned();
        let machine = Machine { root: self.path(root), agent };
        let request = PolicyRequest::unchanged(PolicySource::Extended(machine));
        Policy::obtain(&request, &Obtaining::quietly(&self.cache))
            .map_err(|error| format!("{error}: {}", std::error::Error::source(&error).unwrap()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Fills `root` like Fedora's selinux-policy-targeted: a store, and a linked policy.
    fn fedora(&self, root: &str, linked: &[u8]) -> PathBuf {
        let module = "var/lib/selinux/targeted/active/modules/100/base";
        self.file(&format!("{root}/{module}/cil"), base());
        self.file(&format!("{root}/{module}/lang_ext"), "cil");
        self.file(&format!("{root}/var/lib/selinux/targeted/active/commit_num"), "1");
        self.file(&format!("{root}/usr/share/selinux/targeted/base.lst"), "base\n");
        self.file(&format!("{root}/etc/selinux/targeted/contexts/customizable_types"), "");
        self.file(&format!("{root}/etc/selinux/targeted/policy/policy.34"), linked);
        self.path(&format!("{root}/etc/selinux/targeted"))
    }

    /// Fills `root` like Debian's selinux-policy-default.
    fn debian(&self, root: &str) {
        let file = |name: &str, text: &str| {
            self.file(&format!("{root}/usr/share/selinux/default/{name}"), text);
        };
        file("base.cil", &base());
        file("extra.cil", "(allow none_t none_t (perf_event (open)))\n");
        file("unused.cil", "(allow none_t none_t (perf_event (cpu)))\n");
        file(".modules", "base\nextra\nunused\n");
        self.file(
            &format!("{root}/DEBIAN/control"),
            "Package: selinux-policy-default\nVersion: 2:2.2026-1\nArchitecture: all\n\
             Maintainer: a <a@b.c>\nDescription: test\n",
        );
        let postinst = self.file(
            &format!("{root}/DEBIAN/postinst"),
            "#!/bin/sh\nnotdefault=\"unused absent\"\nexit 0\n",
        );
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(postinst, executable).unwrap();
    }

    fn rpm(&self, root: &str) -> PathBuf {
        let (root, top) = (self.path(root), self.path("rpmbuild"));
        let spec = self.file(
            "policy.spec",
            format!(
                "Name: selinux-policy-targeted\nVersion: 42.1\nRelease: 1\nSummary: test\n\
                 License: GPL-2.0-or-later\nBuildArch: noarch\n%description\ntest\n\
                 %install\ncp -a {root}/. %{{buildroot}}/\n%files\n/\n",
                root = root.display()
            ),
        );
        run(Command::new("rpmbuild")
            .arg("-bb")
            .arg("--quiet")
            .arg("--define")
            .arg(format!("_topdir {}", top.display()))
            .arg(spec));
        top.join("RPMS/noarch/selinux-policy-targeted-42.1-1.noarch.rpm")
    }

    fn deb(&self, root: &str) -> PathBuf {
        let package = self.path("policy.deb");
        let mut build = Command::new("dpkg-deb");
        run(build.args(["--root-owner-group", "--build"]).arg(self.path(root)).arg(&package));
        package
    }

    fn request(&self, source: &Path) -> PolicyRequest {
        PolicyRequest::unchanged(PolicySource::Named(source.display().to_string()))
    }

    fn obtain(&self, request: &PolicyRequest) -> Result<Policy, PolicyError> {
        Policy::obtain(request, &Obtaining::quietly(&self.cache))
    }

    fn plain(&self, source: &Path) -> Policy {
        self.obtain(&self.request(source)).unwrap()
    }

    /// The error of a policy that is refused.
    fn error(&self, request: &PolicyRequest) -> String {
        crate::causes::with_causes(&self.obtain(request).unwrap_err())
    }
}

fn run(command: &mut Command) {
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// The header of a policy of this version, and nothing else.
fn header_of(version: u8) -> Vec<u8> {
    let mut bytes = b"\x8c\xff\x7c\xf9\x08\0\0\0SE Linux".to_vec();
    bytes.extend([version, 0, 0, 0, 5, 0, 0, 0]);
    bytes
}

#[rstest]
#[ignore = "needs rpmbuild and semodule"]
fn a_package_of_fedora_gives_its_own_policy_or_an_older_version(policies: PolicyFixture) {
    policies.fedora("root", &header_of(35));
    let package = policies.rpm("root");
    let shipped = Arc::new(policies.plain(&package));
    assert_eq!((shipped.version, &shipped.binary), (35, &header_of(35)));

    let obtaining = Obtaining::quietly(&policies.cache);
    let for_kernel = |kernel: KernelVersion| shipped.for_kernel(kernel, &obtaining).unwrap();
    assert_eq!(for_kernel(KernelVersion::new(7, 3, 4)).sha256, shipped.sha256);
    let linked = for_kernel(KernelVersion::new(5, 10, 262));
    assert!(linked.version <= 33 && linked.binary.len() > 10_000, "{}", linked.version);
    assert!(linked.changes.is_empty());
}

#[rstest]
#[ignore = "needs dpkg-deb and semodule"]
fn a_package_of_debian_is_linked_without_the_modules_that_it_disables(policies: PolicyFixture) {
    policies.debian("root");
    let package = policies.plain(&policies.deb("root"));
    fs::remove_file(policies.path("root/usr/share/selinux/default/unused.cil")).unwrap();
    let without = policies.plain(&policies.deb("root"));
    fs::remove_file(policies.path("root/usr/share/selinux/default/extra.cil")).unwrap();
    let base = policies.plain(&policies.deb("root"));
    assert_eq!(package.sha256, without.sha256);
    assert_ne!(package.sha256, base.sha256);
    assert!(package.mls && package.version <= 33);
}

#[rstest]
#[ignore = "needs semodule"]
fn a_directory_gives_its_policy_and_its_store_the_changes(policies: PolicyFixture) {
    let etc = policies.fedora("root", &header_of(33));
    let store = policies.path("root/var/lib/selinux/targeted");
    assert_eq!(policies.plain(&etc).binary, header_of(33));
    let linked = policies.plain(&store);
    assert!(linked.binary.len() > 10_000);

    let text = "(allow none_t none_t (perf_event (open)))\n";
    let module = policies.file("site.cil", text);
    let changed = |change: &dyn Fn(&mut PolicyRequest)| {
        let mut request = policies.request(&etc);
        change(&mut request);
        policies.obtain(&request).unwrap()
    };
    let with_module = changed(&|request| {
        request.modules.push(ModuleFile { path: module.clone(), priority: 500 });
    });
    assert_eq!(with_module.changes.to_string(), "module site (priority 500)");
    let with_boolean = changed(&|request| {
        request.booleans.push("perf_allowed=on".parse().unwrap());
    });
    assert_eq!(with_boolean.changes.to_string(), "perf_allowed=on");
    let audited = changed(&|request| request.dontaudit = false);
    assert_eq!(audited.changes.to_string(), "without dontaudit");
    let mut all: Vec<_> = [&linked, &with_module, &with_boolean, &audited]
        .map(|policy| policy.sha256.as_str())
        .into();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4, "a change has no effect");

    let obtaining = Obtaining::quietly(&policies.cache);
    let again = policies.plain(&store).with_module("site", text, 500, &obtaining).unwrap();
    assert_eq!(again.sha256, with_module.sha256);
}

#[rstest]
#[ignore = "needs checkmodule, semodule_package and semodule"]
fn a_policy_package_changes_a_policy_as_the_same_rules_in_cil_do(policies: PolicyFixture) {
    policies.debian("root");
    let directory = policies.path("root/usr/share/selinux/default");
    let with_module = |path: PathBuf| {
        let mut request = policies.request(&directory);
        request.modules.push(ModuleFile { path, priority: 400 });
        policies.obtain(&request).unwrap()
    };
    let source = policies.file(
        "site.te",
        "module site 1.0;\nrequire { type none_t; class perf_event kernel; }\n\
         allow none_t self:perf_event kernel;\n",
    );
    let (compiled, package) = (policies.path("site.mod"), policies.path("site.pp"));
    run(Command::new("checkmodule").args(["-M", "-m", "-o"]).arg(&compiled).arg(source));
    run(Command::new("semodule_package").arg("-o").arg(&package).arg("-m").arg(&compiled));
    let added = with_module(package);
    let rule = "(allow none_t self (perf_event (kernel)))\n";
    assert_eq!(added.sha256, with_module(policies.file("cil/site.cil", rule)).sha256);
    assert_ne!(added.sha256, policies.plain(&directory).sha256);
    assert_eq!(added.changes.to_string(), "module site (priority 400)");
}

#[rstest]
#[ignore = "needs semodule"]
fn a_module_with_a_higher_priority_replaces_one_of_its_name(policies: PolicyFixture) {
    policies.debian("root");
    let directory = policies.path("root/usr/share/selinux/default");
    let extra = |priority| {
        let path = policies.file("extra.cil", "(allow none_t none_t (perf_event (kernel)))\n");
        let mut request = policies.request(&directory);
        request.modules.push(ModuleFile { path, priority });
        policies.obtain(&request).unwrap()
    };
    let plain = policies.plain(&directory);
    assert_eq!(extra(50).sha256, plain.sha256);
    assert_ne!(extra(400).sha256, plain.sha256);
}

#[rstest]
#[ignore = "needs secilc and semodule"]
fn a_policy_in_cil_takes_every_change(policies: PolicyFixture) {
    let mut request = PolicyRequest::default();
    let plain = policies.obtain(&request).unwrap();
    request.booleans.push("perf_allowed=on".parse().unwrap());
    request.dontaudit = false;
    let changed = policies.obtain(&request).unwrap();
    assert_ne!(changed.sha256, plain.sha256);
    assert_eq!((changed.mls, changed.handle_unknown), (plain.mls, plain.handle_unknown));
    assert_eq!(changed.changes.to_string(), "perf_allowed=on, without dontaudit");
}

#[rstest]
#[ignore = "needs semodule"]
fn a_change_that_cannot_be_made_is_named(policies: PolicyFixture) {
    policies.debian("root");
    let directory = policies.path("root/usr/share/selinux/default");
    let error = |change: &dyn Fn(&mut PolicyRequest)| {
        let mut request = policies.request(&directory);
        change(&mut request);
        policies.error(&request)
    };
    let module = |name: &str, text: &str| {
        let path = policies.file(name, text);
        let words = error(&|request| {
            request.modules.push(ModuleFile { path: path.clone(), priority: 400 });
        });
        (path.display().to_string(), words)
    };
    let (path, words) = module("site.cil", "(allow none_t absent_t (perf_event (open)))\n");
    assert!(words.contains("semodule says") && words.contains(&format!("{path}:1")), "{words}");
    let (_, words) = module("type.cil", "(type none_t)\n");
    assert!(words.contains("semodule says") && words.contains("none_t"), "{words}");
    let (path, words) = module("site.te", "module site 1.0;\n");
    assert!(words.contains(&path) && words.contains("expected NAME.cil or NAME.pp"), "{words}");
    let words = error(&|request| request.booleans.push("perf_alowed=on".parse().unwrap()));
    assert!(words.contains("perf_alowed") && words.contains("did you mean"), "{words}");
}

#[rstest]
#[ignore = "needs rpmbuild"]
fn a_package_that_cannot_be_used_is_named(policies: PolicyFixture) {
    policies.fedora("root", &header_of(33));
    let package = policies.rpm("root");
    let whole = fs::read(&package).unwrap();
    let error = |name: &str, bytes: &[u8]| {
        let path = policies.file(name, bytes);
        policies.error(&policies.request(&path))
    };
    for length in [whole.len() - 1, whole.len() / 2, 200] {
        let words = error("cut.rpm", &whole[..length]);
        assert!(words.contains("cut.rpm") && words.contains("unpack the RPM package"), "{words}");
    }

    policies.file("doc/usr/share/doc/selinux/README", "no policy");
    let words = policies.error(&policies.request(&policies.rpm("doc")));
    let named = "find a policy in selinux-policy-targeted 42.1-1";
    assert!(words.starts_with(named), "{words}");

    policies.fedora("two", &header_of(33));
    policies.file("two/etc/selinux/mls/policy/policy.33", header_of(33));
    let words = policies.error(&policies.request(&policies.rpm("two")));
    assert!(words.contains("it has mls, targeted"), "{words}");

    let bomb = policies.path("bomb/etc/selinux/targeted/policy/policy.33");
    fs::create_dir_all(bomb.parent().unwrap()).unwrap();
    fs::File::create(&bomb).unwrap().set_len(300 << 20).unwrap();
    let package = policies.rpm("bomb");
    assert!(fs::metadata(&package).unwrap().len() < 10 << 20, "the package is no bomb");
    let words = policies.error(&policies.request(&package));
    assert!(words.contains("larger than 256 MiB, the limit of a policy"), "{words}");
}

#[rstest]
fn a_binary_policy_that_is_too_new_has_both_versions_in_its_error(policies: PolicyFixture) {
    let path = policies.file("policy.34", header_of(34));
    let policy = Arc::new(policies.plain(&path));
    let obtaining = Obtaining::quietly(&policies.cache);
    let old = policy.for_kernel(KernelVersion::new(5, 10, 262), &obtaining).unwrap_err();
    let words = old.to_string();
    assert!(words.contains("5.10.262: the policy has version 34"), "{words}");
    assert!(words.contains("versions up to 33"), "{words}");
    policy.for_kernel(KernelVersion::new(6, 18, 0), &obtaining).unwrap();
}

#[test]
fn policies_of_one_run_have_different_names() {
    let requests: Vec<_> = ["minimal", "debian:sid", "minimal"]
        .map(|name| PolicyRequest::unchanged(name.parse().unwrap()))
        .into();
    let error = require_distinct(&requests).unwrap_err();
    assert_eq!(error.to_string(), "run under two policies: both are called minimal");
    require_distinct(&requests[..2]).unwrap();
}

/// A binary policy with this version, as far as its header.
fn binary(version: u8, rules: &str) -> Vec<u8> {
    let version = [version, 0, 0, 0];
    [b"\x8c\xff\x7c\xf9\x08\0\0\0SE Linux", &version[..], b"\x05\0\0\0", rules.as_bytes()].concat()
}

#[rstest]
#[case::another_is_loaded(binary(33, "abd"), binary(33, "abc"), "it differs from")]
#[case::a_longer_one_is_loaded(binary(33, "abcc"), binary(33, "abc"), "it differs from")]
#[case::another_was_linked(binary(33, "abc"), binary(33, "abd"), "policy.33 is another one")]
#[case::of_another_version(binary(31, "abc"), binary(33, "abc"), "policy.31 does not exist")]
fn our_domains_are_not_added_to_a_policy_that_the_store_did_not_link(
    policies: PolicyFixture,
    #[case] loaded: Vec<u8>,
    #[case] linked: Vec<u8>,
    #[case] words: &str,
) {
    policies.fedora("m", b"");
    policies.file("m/etc/selinux/config", "SELINUXTYPE=targeted\n");
    policies.file("m/etc/selinux/targeted/policy/policy.33", binary(33, "abc"));
    policies.file("m/var/lib/selinux/targeted/active/policy.kern", linked);
    policies.file("m/sys/fs/selinux/policy", loaded);
    let error = policies.extend("m").unwrap_err();
    assert!(error.contains(words), "{error}");
}

#[rstest]
fn our_domains_are_not_added_without_a_module_store(policies: PolicyFixture) {
    policies.file("m/etc/selinux/config", "SELINUXTYPE=targeted\n");
    policies.file("m/etc/selinux/targeted/policy/policy.33", binary(33, "abc"));
    policies.file("m/sys/fs/selinux/policy", binary(33, "abc"));
    let error = policies.extend("m").unwrap_err();
    assert!(error.contains("var/lib/selinux/targeted has no modules"), "{error}");
}
