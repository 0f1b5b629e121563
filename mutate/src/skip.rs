//! Code that is not mutated, and code whose mutants must be built alone.

use tree_sitter::Node;

use crate::function::{self, Function, ancestors, children, field};
use crate::scan;

/// The way in which a mutant at a place is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// With others in one kernel.
    Switched,
    /// Alone: the place needs a constant.
    Alone,
}

/// Macros whose arguments are not evaluated, or must be constant for the compiler to accept them.
const CONSTANT: &[&str] = &[
    "ARRAY_SIZE BUILD_BUG_ON BUILD_BUG_ON_MSG BUILD_BUG_ON_ZERO CLASS IS_BUILTIN IS_ENABLED",
    "_Static_assert __builtin_constant_p __stringify __typeof__ container_of field_sizeof offsetof",
    "offsetofend sizeof_field static_assert typeof va_arg va_end va_start",
];

/// Words in the name of a function whose call, as a statement, does bookkeeping.
const BOOKKEEPING: &[&str] = &[
    // Without a lock, a guest with one CPU behaves the same; with one too many, it hangs.
    "lock unlock mutex spin rcu irq preempt barrier mb rmb wmb seqcount up down",
    "completion complete wait wake schedule resched synchronize",
    // A leak has no effect within a cell; a second free crashes somewhere else.
    "kfree vfree kvfree free put get fput fdput release refcount atomic atomic64 kmem unpin",
    // An object that is not initialised, or on no list, crashes its next user.
    "list hlist INIT init memset memcpy memzero",
    // Messages, tracepoints and assertions for developers, about which the suite promises nothing.
    "printk pr dev trace WARN BUG lockdep might debug kmemleak instrumentation unreachable assert",
    "guard",
];

/// Functions that are not bookkeeping although their name has such a word.
const NOT_BOOKKEEPING: &[&str] = &["put_user", "copy_to_user", "audit_log_start"];

/// Tests that only look: ignoring such a result is the same as dropping the test.
const PURE: &[&str] = &[
    "IS_ERR IS_ERR_OR_NULL PTR_ERR PTR_ERR_OR_ZERO ERR_PTR READ_ONCE rcu_dereference container_of",
    "uid_eq gid_eq list_empty test_bit min max min_t max_t likely unlikely IS_ALIGNED access_ok",
    "strcmp strncmp cap_issubset cap_raised same_thread_group",
    "WARN WARN_ON WARN_ONCE WARN_ON_ONCE BUG_ON",
];

/// True if a statement that only calls `name` does bookkeeping.
pub(crate) fn is_bookkeeping(name: &str) -> bool {
    let mut words = name.split('_').filter(|word| !word.is_empty());
    !NOT_BOOKKEEPING.contains(&name) && words.any(|word| scan::lists(BOOKKEEPING, word))
}

/// True if a call of `name` only looks at its arguments.
pub(crate) fn is_pure(name: &str) -> bool {
    scan::lists(PURE, name) || name.split('_').any(|word| matches!(word, "is" | "has"))
}

/// True if the condition warns: it never holds in a kernel without bugs.
pub(crate) fn warns(f: &Function<'_>, condition: Node<'_>) -> bool {
    function::descendants(condition)
        .into_iter()
        .filter_map(|node| f.callee(node))
        .any(|name| name.starts_with("WARN") || name.starts_with("BUG"))
}

/// True if the parser did not understand all of the expression or the simple statement around it.
fn statement_has_error(node: Node<'_>) -> bool {
    let simple = |kind| matches!(kind, "expression_statement" | "return_statement" | "declaration");
    node.has_error()
        || ancestors(node)
            .skip(1)
            .take_while(|outer| !function::is_statement(*outer) || simple(outer.kind()))
            .any(|outer| outer.has_error())
}

/// The way to build a mutant of `node`, or `None` if it is not to be mutated.
pub(crate) fn build(f: &Function<'_>, node: Node<'_>) -> Option<Build> {
    if node.is_missing() || statement_has_error(node) {
        return None;
    }
    let mut build = Build::Switched;
    let mut inner = node;
    for outer in ancestors(node) {
        match outer.kind() {
            "ERROR"
            | "sizeof_expression"
            | "offsetof_expression"
            | "alignof_expression"
            | "enumerator"
            | "gnu_asm_expression"
            | "type_descriptor"
            | "bitfield_clause" => {
                return None;
            }
            "array_declarator" if field(outer, "size") == Some(inner) => return None,
            "case_statement" if field(outer, "value") == Some(inner) => return None,
            // A macro that loops.
            "while_statement"
                if field(outer, "condition") == Some(inner)
                    && !f.text(outer).starts_with("while") =>
            {
                return None;
            }
            "call_expression" => {
                let declares =
                    |name: &str| name.starts_with("DECLARE_") || name.starts_with("DEFINE_");
                if f.callee(outer).is_some_and(|name| scan::lists(CONSTANT, name) || declares(name))
                {
                    return None;
                }
            }
            // Nothing in a check that warns can be reached without a bug elsewhere.
            "if_statement" if function::condition(outer).is_some_and(|c| warns(f, c)) => {
                return None;
            }
            "expression_statement" => {
                let call = children(outer).into_iter().next();
                if call.and_then(|call| f.callee(call)).is_some_and(is_bookkeeping) {
                    return None;
                }
            }
            "declaration" => {
                let is_static =
                    |n: &Node<'_>| n.kind() == "storage_class_specifier" && f.text(*n) == "static";
                if children(outer).iter().any(is_static) {
                    build = Build::Alone;
                }
            }
            _ => {}
        }
        inner = outer;
    }
    Some(build)
}
