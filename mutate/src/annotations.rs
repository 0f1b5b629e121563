//! Hides kernel macros that C without a preprocessor does not have from the parser.

use crate::scan;

/// Macros without arguments that expand to an attribute or to nothing.
const BARE: &[&str] = &[
    "__user __rcu __iomem __force __percpu __kernel __bitwise __nocast __private",
    "__maybe_unused __always_unused __used __must_check __deprecated __cold __hot __visible",
    "__read_mostly __ro_after_init __initdata __init __exit __refdata",
    "__always_inline noinline asmlinkage",
];

/// Macros with arguments that expand to an attribute.
const WITH_ARGUMENTS: &[&str] = &[
    "__attribute__ __aligned __section __alloc_size __printf __scanf __free __counted_by",
    "__acquires __releases __must_hold __cond_acquires __no_context_analysis __context_unsafe",
];

/// True if the macro expands to an attribute, before or after a function's name.
pub(crate) fn is_attribute(name: &str) -> bool {
    scan::lists(WITH_ARGUMENTS, name) || scan::lists(BARE, name)
}

/// `code` with those macros blanked. A macro that loops becomes `while`, and the type that is an
/// argument of `container_of()` loses its `struct`. Every offset stays the same.
pub(crate) fn hide(code: &str, bare: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for (at, word) in scan::words(bare) {
        let after = at + word.len();
        let rest = bare[after..].trim_start();
        if scan::lists(BARE, word) {
            scan::blank(&mut bytes, at..after);
        } else if scan::lists(WITH_ARGUMENTS, word) && rest.starts_with('(') {
            let open = bare.len() - rest.len();
            scan::blank(&mut bytes, at..closing(bare, open));
        } else if is_loop(word) && rest.starts_with('(') {
            bytes[at..at + 5].copy_from_slice(b"while");
            scan::blank(&mut bytes, at + 5..after);
        } else if matches!(word, "struct" | "union" | "enum") && is_argument(bare, at, rest) {
            scan::blank(&mut bytes, at..after);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The end of the parenthesis that opens at `open`.
fn closing(bare: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in bare.bytes().enumerate().skip(open) {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 1 => return at + 1,
            b')' => depth -= 1,
            _ => {}
        }
    }
    bare.len()
}

fn is_loop(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    word.len() > 5
        && (lower.contains("for_each")
            || lower.contains("while_each")
            || matches!(word, "scoped_guard" | "scoped_cond_guard" | "if_not_guard"))
}

/// True for `struct NAME` between a comma and a comma or the closing parenthesis.
fn is_argument(bare: &str, at: usize, rest: &str) -> bool {
    let name = rest.bytes().take_while(|&byte| scan::is_word(byte)).count();
    bare[..at].trim_end().ends_with(',') && rest[name..].trim_start().starts_with([',', ')'])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::user("(u64 __user *)arg", "(u64        *)arg")]
    #[case::each("list_for_each_entry(a, b, c) {", "while              (a, b, c) {")]
    #[case::end_of_loop("do { } while_each_thread(p, t);", "do { } while            (p, t);")]
    #[case::no_loop("x = for_each;", "x = for_each;")]
    #[case::container_of("container_of(a, struct b, c)", "container_of(a,        b, c)")]
    #[case::parameter("void (*f)(int, struct b *)", "void (*f)(int, struct b *)")]
    #[case::cleanup("int *p __free(kfree) = 0;", "int *p               = 0;")]
    fn macros_are_hidden_without_moving_the_rest(#[case] code: &str, #[case] expected: &str) {
        assert_eq!(hide(code, code), expected);
    }
}
