//! C literals.

/// A C string literal.
pub(super) fn string(text: &str) -> String {
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' => literal.push_str("\\\""),
            b'\\' => literal.push_str("\\\\"),
            b'\n' => literal.push_str("\\n"),
            b'\t' => literal.push_str("\\t"),
            b' '..=b'~' => literal.push(byte.into()),
            // Three digits, so that no digit behind it belongs to it.
            other => literal.push_str(&format!("\\{other:03o}")),
        }
    }
    literal.push('"');
    literal
}

/// The text as a part of a comment, which it cannot end.
pub(super) fn comment(text: &str) -> String {
    let printable =
        |letter: char| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' };
    text.chars().map(printable).collect::<String>().replace("*/", "* /").replace("/*", "/ *")
}

/// A name of a case as a C identifier.
pub(super) fn identifier(name: &str) -> String {
    let word = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let name: String = name.chars().map(word).collect();
    // A keyword, a macro, or a member of the shared structure.
    const TAKEN: [&str; 40] = [
        "auto", "became", "bool", "break", "case", "char", "const", "continue", "default", "do",
        "double", "else", "enum", "extern", "false", "float", "for", "fresh", "goto", "if",
        "inline", "int", "linux", "long", "next", "parent", "register", "restrict", "result",
        "return", "short", "signed", "static", "step", "stdin", "text", "true", "unix", "void",
        "while",
    ];
    let digit = name.starts_with(|letter: char| letter.is_ascii_digit());
    match () {
        () if digit => format!("n{name}"),
        () if TAKEN.contains(&name.as_str()) => format!("{name}_"),
        () => name,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a b", r#""a b""#)]
    #[case("\"\\\n", r#""\"\\\n""#)]
    #[case("\u{1}1é", r#""\0011\303\251""#)]
    fn a_string_is_escaped(#[case] text: &str, #[case] literal: &str) {
        assert_eq!(string(text), literal);
    }

    #[test]
    fn no_text_ends_a_comment() {
        assert_eq!(comment("a */ b\n/* c"), "a * / b?/ * c");
    }

    #[rstest]
    #[case("fd", "fd")]
    #[case("per-cpu", "per_cpu")]
    #[case("2nd", "n2nd")]
    #[case("result", "result_")]
    fn a_name_is_an_identifier(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(identifier(name), expected);
    }
}
