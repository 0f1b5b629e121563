//! Policies before and after: ours in CIL, and a small tree of source.

use std::fs;
use std::path::Path;

use rstest::rstest;
use tempfile::TempDir;

use super::super::cil::{classes, statements};
use super::super::source_text;
use super::cil::extend;
use super::*;

const PERF_EVENT: [&str; 6] = ["cpu", "kernel", "open", "read", "tracepoint", "write"];

fn wanted(all_capabilities: bool, domains: &[&str]) -> Wanted {
    let domains = domains.iter().map(|name| name.parse().unwrap()).collect();
    Wanted { all_capabilities, domains }
}

/// Extends the source twice: the second time, nothing changes.
fn extended(source: &str, wanted: &Wanted) -> String {
    let once = extend(source, wanted).unwrap();
    assert_eq!(extend(&once, wanted).unwrap(), once);
    once
}

fn permissions(source: &str, class: &str) -> Vec<String> {
    classes(&statements(source)).remove(class).unwrap_or_default().into_iter().collect()
}

#[rstest]
#[case("legacy-class-allow", false)]
#[case("legacy-class-deny", true)]
#[case("legacy-perfmon-allow", true)]
#[case("legacy-perfmon-reject", true)]
fn a_policy_that_lacks_them_gets_the_class_and_the_permission(
    #[case] policy: &str,
    #[case] has_class: bool,
) {
    let source = source_text(policy).unwrap().unwrap();
    let has_class = has_class && policy.contains("perfmon");
    assert_eq!(!permissions(&source, "perf_event").is_empty(), has_class);
    let lacked = !permissions(&source, "capability2").contains(&"perfmon".to_owned());
    let extended = extended(&source, &Wanted::default());
    assert_eq!(permissions(&extended, "perf_event"), PERF_EVENT);
    assert!(permissions(&extended, "capability2").contains(&"perfmon".to_owned()));
    assert!(permissions(&extended, "cap2_userns").contains(&"perfmon".to_owned()));
    assert!(lacked || policy.contains("class"), "{policy} has perfmon");
}

#[test]
fn a_policy_that_has_everything_is_not_changed() {
    let source = source_text("minimal").unwrap().unwrap();
    assert_eq!(extended(&source, &wanted(true, &[])), source);
}

/// As the compiler of policy packages writes a base module.
const BASE: &str = "\
(handleunknown allow)
(common cap2 (mac_override mac_admin audit_read ))
(type kernel_t)
(class capability2 ())
(classcommon capability2 cap2)
(class cap2_userns ())
(classcommon cap2_userns cap2)
(class io_uring (cmd ))
(classorder (capability2 cap2_userns io_uring ))
(allow kernel_t self (capability2 (mac_admin)))
";

#[rstest]
#[case::the_how_to(false, &[], "\
-(common cap2 (mac_override mac_admin audit_read ))
+(common cap2 (mac_override mac_admin audit_read perfmon))
-(classorder (capability2 cap2_userns io_uring ))
+(class perf_event (open cpu kernel tracepoint read write))
+(classorder (capability2 cap2_userns io_uring perf_event))
")]
#[case::all(true, &["kernel_t", "user_t"], "\
-(common cap2 (mac_override mac_admin audit_read ))
+(common cap2 (mac_override mac_admin audit_read perfmon bpf checkpoint_restore))
-(classorder (capability2 cap2_userns io_uring ))
+(class perf_event (open cpu kernel tracepoint read write))
+(classorder (capability2 cap2_userns io_uring perf_event))
+(allow kernel_t self (perf_event (open cpu kernel tracepoint read write)))
+(allow kernel_t self (capability2 (perfmon)))
+(optional perf_user_t
+    (allow user_t self (perf_event (open cpu kernel tracepoint read write)))
+    (allow user_t self (capability2 (perfmon)))
+)
")]
fn a_module_in_cil_is_extended_by_a_few_lines(
    #[case] all: bool,
    #[case] domains: &[&str],
    #[case] changed: &str,
) {
    let wanted = wanted(all, domains);
    extended(BASE, &wanted);
    let place = TempDir::new().unwrap();
    let path = place.path().join("base.cil");
    fs::write(&path, BASE).unwrap();
    let files = PolicyFiles::extend(&path, &wanted).unwrap();
    assert_eq!(changes(&files), format!("--- a/base.cil\n+++ b/base.cil\n{changed}"));
    let undeclared: Vec<_> = files.undeclared.iter().map(ToString::to_string).collect();
    assert_eq!(
        undeclared,
        domains.iter().copied().filter(|it| *it == "user_t").collect::<Vec<_>>()
    );
}

#[rstest]
#[case::another_module(
    "(allow a_t self (file (read)))\n",
    "does not declare the class capability2"
)]
#[case::a_module_in_te("module a 1.0;\n", "it is not CIL source")]
#[case::empty("", "it is not CIL source")]
fn a_file_that_cannot_be_extended_is_an_error(#[case] source: &str, #[case] words: &str) {
    let place = TempDir::new().unwrap();
    let path = place.path().join("base.cil");
    fs::write(&path, source).unwrap();
    let error = PolicyFiles::extend(&path, &Wanted::default()).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

const ACCESS_VECTORS: &str = "\
common cap2
{
	mac_override	# unused { by } SELinux
	audit_read
}

class capability2
inherits cap2

class cap2_userns
inherits cap2

class io_uring { cmd }
";

const SECURITY_CLASSES: &str = "\
# class perf_event
class capability2
class cap2_userns # userspace

class io_uring

# FLASK
";

const DOMAIN_TE: &str = "policy_module(domain)\n\nattribute domain;\n";

/// A tree of policy source.
fn tree(access_vectors: &str) -> TempDir {
    let place = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("policy/flask/access_vectors", access_vectors);
    write("policy/flask/security_classes", SECURITY_CLASSES);
    write("policy/modules/kernel/domain.te", DOMAIN_TE);
    write("policy/modules/roles/staff.te", "type staff_t, domain;\n");
    place
}

/// The lines of patches that name files and change lines.
fn changes(files: &PolicyFiles) -> String {
    let patches: String = files.rewrites.iter().map(Rewrite::patch).collect();
    let changed = patches.lines().filter(|line| line.starts_with(['+', '-']));
    changed.map(|line| format!("{line}\n")).collect()
}

fn write(files: &PolicyFiles) {
    for rewrite in &files.rewrites {
        fs::write(&rewrite.path, &rewrite.after).unwrap();
    }
}

/// The patch of the how-to, and a rule for a domain.
const TREE_PATCH: &str = "\
--- a/policy/flask/access_vectors
+++ b/policy/flask/access_vectors
+	perfmon
+
+class perf_event
+{
+	open
+	cpu
+	kernel
+	tracepoint
+	read
+	write
+}
--- a/policy/flask/security_classes
+++ b/policy/flask/security_classes
+class perf_event
+
--- a/policy/modules/kernel/domain.te
+++ b/policy/modules/kernel/domain.te
+
+optional_policy(`
+	gen_require(`
+		type staff_t;
+	')
+
+	allow staff_t self:perf_event { open cpu kernel tracepoint read write };
+	allow staff_t self:capability2 perfmon;
+')
";

#[test]
fn a_tree_of_source_gets_the_patch_of_the_how_to_once() {
    let place = tree(ACCESS_VECTORS);
    let wanted = wanted(false, &["staff_t"]);
    let files = PolicyFiles::extend(place.path(), &wanted).unwrap();
    assert_eq!(changes(&files), TREE_PATCH);
    assert!(files.undeclared.is_empty());
    write(&files);
    let again = PolicyFiles::extend(place.path(), &wanted).unwrap();
    assert!(again.rewrites.is_empty(), "{}", changes(&again));
}

#[test]
fn permissions_that_are_there_are_not_added_again() {
    let with_perfmon = ACCESS_VECTORS.replace("\taudit_read\n", "\taudit_read\n\tperfmon\n");
    let with_class = format!("{with_perfmon}\nclass perf_event {{ open cpu kernel }}\n");
    let place = tree(&with_class);
    let files = PolicyFiles::extend(place.path(), &wanted(true, &[])).unwrap();
    let changed = changes(&files);
    for line in ["+\tbpf\n+\tcheckpoint_restore\n", "{ open cpu kernel tracepoint read write }\n"] {
        assert!(changed.contains(line), "{changed}");
    }
    assert!(!changed.contains("+\tperfmon"), "{changed}");
}

#[rstest]
#[case("policy/flask/access_vectors")]
#[case("policy/flask/security_classes")]
fn a_directory_that_is_no_tree_is_an_error(#[case] missing: &str) {
    let place = tree(ACCESS_VECTORS);
    fs::remove_file(place.path().join(missing)).unwrap();
    let error = PolicyFiles::extend(place.path(), &Wanted::default()).unwrap_err().to_string();
    assert!(error.contains(&format!("which has {missing}")), "{error}");
}

#[test]
fn a_tree_without_the_class_of_capabilities_is_an_error() {
    let place = tree("class file { read }\n");
    let error = PolicyFiles::extend(place.path(), &Wanted::default()).unwrap_err().to_string();
    assert!(error.contains("does not declare the class capability2"), "{error}");
    let error = PolicyFiles::extend(Path::new("missing"), &Wanted::default()).unwrap_err();
    assert!(matches!(error, ExtendError::Read { .. }), "{error}");
}
