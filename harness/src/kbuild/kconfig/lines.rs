//! Splits a Kconfig file into statements: joins continued lines, drops help texts and comments.

use std::borrow::Cow;

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    /// The first line, from 1.
    pub(super) line: usize,
    pub(super) text: Cow<'a, str>,
}

/// The statements of a file, in order.
pub(super) fn statements(text: &str) -> Vec<Statement<'_>> {
    let mut found = Vec::new();
    let mut help: Option<HelpText> = None;
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if let Some(within) = &mut help {
            if within.holds(line) {
                continue;
            }
            help = None;
        }
        let mut whole = Cow::Borrowed(line);
        while let Some(before) = whole.strip_suffix('\\') {
            let next = lines.next().map_or("", |(_, next)| next.trim());
            whole = Cow::Owned(format!("{} {next}", before.trim_end()));
        }
        let whole = match whole {
            Cow::Borrowed(line) => Cow::Borrowed(without_comment(line).trim()),
            Cow::Owned(line) => Cow::Owned(without_comment(&line).trim().to_owned()),
        };
        match &*whole {
            "" => {}
            "help" | "---help---" => help = Some(HelpText::default()),
            _ => found.push(Statement { line: index + 1, text: whole }),
        }
    }
    found
}

/// A help text. It ends at a line that is indented less than its first line.
#[derive(Default)]
struct HelpText {
    indentation: Option<usize>,
}

impl HelpText {
    fn holds(&mut self, line: &str) -> bool {
        if line.trim().is_empty() {
            return true;
        }
        let own = indentation(line);
        own > 0 && own >= *self.indentation.get_or_insert(own)
    }
}

/// Width of the indentation, with tab stops every eight columns.
fn indentation(line: &str) -> usize {
    let mut column = 0;
    for c in line.chars() {
        match c {
            ' ' => column += 1,
            '\t' => column = (column / 8 + 1) * 8,
            _ => break,
        }
    }
    column
}

/// The line up to a `#` that is not part of a string or a macro.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut open = 0_usize;
    let mut before = 0;
    for (at, byte) in line.bytes().enumerate() {
        match (quote, byte) {
            (Some(own), _) if byte == own && before != b'\\' => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') if open == 0 => quote = Some(byte),
            (None, b'(') if open > 0 || before == b'$' => open += 1,
            (None, b')') => open = open.saturating_sub(1),
            (None, b'#') if open == 0 => return &line[..at],
            (None, _) => {}
        }
        before = byte;
    }
    line
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn texts(file: &str) -> Vec<(usize, String)> {
        statements(file).into_iter().map(|own| (own.line, own.text.into_owned())).collect()
    }

    #[test]
    fn a_help_text_ends_where_the_indentation_does() {
        let file = "config A\n\tbool \"a\"\n\thelp\n\t  if this were read\n\n\t    config NO\n\
            \tdepends on B\nconfig C\n  ---help---\nconfig D\n";
        let expected = [
            (1, "config A"),
            (2, "bool \"a\""),
            (7, "depends on B"),
            (8, "config C"),
            (10, "config D"),
        ];
        assert_eq!(texts(file), expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn a_backslash_continues_a_statement() {
        let expected = [(1, "depends on A && B && C".to_owned()), (4, "config D".to_owned())];
        assert_eq!(texts("\tdepends on A && \\\n\t   B && \\\n  C\nconfig D\\"), expected);
    }

    #[rstest]
    #[case("config A # why", "config A")]
    #[case("default \"#1\" # why", "default \"#1\"")]
    #[case("default $(shell,grep # x) # why", "default $(shell,grep # x)")]
    #[case("depends on (A || B) # why", "depends on (A || B)")]
    fn comments_are_removed_but_not_inside_strings(#[case] line: &str, #[case] kept: &str) {
        assert_eq!(texts(line), [(1, kept.to_owned())]);
    }

    #[test]
    fn a_comment_is_not_a_statement() {
        assert_eq!(texts("# config A\n   # config B\n"), []);
    }
}
