//! Names the kernel functions that make a check.

use crate::asks::MadeCheck;

/// The suffix of functions that only check a capability, such as `perfmon_capable()`.
const PREDICATE: &str = "_capable";

/// The functions on a path to a check, the innermost first. A predicate such as `perfmon_capable()`
/// is the check itself.
fn functions<'a>(path: &'a [String], syscall: &'a str) -> Vec<&'a str> {
    let named = path.iter().map(String::as_str).filter(|name| !name.ends_with(PREDICATE));
    let outermost = Some(syscall).filter(|name| path.first().is_none_or(|it| it != name));
    let mut all: Vec<_> = outermost.into_iter().chain(named).collect();
    all.reverse();
    all
}

/// A function as prose names it: `perf_allow_kernel()`, `ptrace_may_access(READ)`.
fn called(name: &str) -> String {
    if name.ends_with(')') { name.to_owned() } else { format!("{name}()") }
}

/// The innermost function that makes a check, with those that call it.
pub(super) fn location(check: &MadeCheck, syscall: &str) -> String {
    place(&check.path, syscall)
}

/// The innermost function on a path, with those that call it.
pub(crate) fn place(path: &[String], syscall: &str) -> String {
    let all: Vec<_> = functions(path, syscall).into_iter().map(called).collect();
    all.join(", called by ")
}

/// The predicate that makes a check, if it is one: `perfmon_capable()`.
pub(super) fn predicate(check: &MadeCheck) -> Option<String> {
    check.path.last().filter(|name| name.ends_with(PREDICATE)).map(|name| called(name))
}
