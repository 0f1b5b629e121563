//! A page of plain text: prose is wrapped, verbatim lines are not.

use super::plain;
use crate::prose::{MAIL_WIDTH, lines, options};
use crate::text::Text;

/// Most columns of a line that is not verbatim.
pub(super) const WIDTH: usize = MAIL_WIDTH;

/// Most octets of a verbatim line; RFC 5322 allows 998 in a line.
const LONGEST: usize = 900;

/// Columns from the margin to the value of a field.
const FIELD: usize = 14;

/// The lines of the page.
///
/// All text from a run record is indented: at the margin, a line could be taken for the beginning
/// of a message (`From `), a trailer (`Tested-by:`) or a command (`#regzbot`).
#[derive(Debug, Default)]
pub(super) struct Page {
    lines: Vec<String>,
}

impl Page {
    /// Adds an empty line, unless the last line is empty.
    pub(super) fn gap(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(String::new());
        }
    }

    /// Adds perfsec's own words at the margin, after an empty line.
    pub(super) fn heading(&mut self, text: &str) {
        self.gap();
        self.wrap("", "", text);
    }

    /// The same for a line that ends in words from a record: continuation lines are indented.
    pub(super) fn title(&mut self, text: &str) {
        self.gap();
        self.wrap("", "  ", text);
    }

    /// Adds prose, `indent` columns right of the margin.
    pub(super) fn prose(&mut self, indent: usize, text: &str) {
        let indent = " ".repeat(indent);
        self.wrap(&indent, &indent, text);
    }

    /// Adds prose whose continuation lines are two columns further right.
    pub(super) fn item(&mut self, indent: usize, text: &str) {
        self.wrap(&" ".repeat(indent), &" ".repeat(indent + 2), text);
    }

    /// Adds a numbered item, two columns right of the margin.
    pub(super) fn numbered(&mut self, number: usize, text: &str) {
        let first = format!("  {number}. ");
        self.wrap(&first, &" ".repeat(first.len()), text);
    }

    /// Adds a name and its value.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        let first = format!("  {name:<width$}", width = FIELD - 2);
        self.wrap(&first, &" ".repeat(FIELD), value);
    }

    /// Adds a line that is no wider than the page and consists of printable ASCII.
    pub(super) fn line(&mut self, text: &str) {
        self.push(text, WIDTH);
    }

    /// Adds a line that must not be wrapped.
    pub(super) fn verbatim(&mut self, indent: usize, text: &str) {
        let text = plain::verbatim(text);
        let mut rest = text.as_str();
        loop {
            let (part, more) = rest.split_at(rest.len().min(LONGEST));
            // A line too long for RFC 5322 is continued on the next, as in a shell.
            let end = if more.is_empty() { "" } else { "\\" };
            self.push(&format!("{:indent$}{part}{end}", ""), LONGEST + indent + 1);
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
    }

    /// Adds the name of a cell in one piece, so that it can be copied, and a remark.
    pub(super) fn name(&mut self, indent: usize, name: &str, remark: &str) {
        let fits = indent + name.len() + remark.len() <= WIDTH && name == plain::prose(name);
        match fits {
            true => self.item(indent, &format!("{name}{remark}")),
            false => self.verbatim(indent, &format!("{name}{remark}")),
        }
    }

    /// Number of octets so far.
    pub(super) fn size(&self) -> usize {
        self.lines.iter().map(|line| line.len() + 1).sum()
    }

    /// The text of the page.
    pub(super) fn finish(self) -> Text {
        let mut text: Text = self.lines.iter().map(Text::of_line).collect();
        text.trim_end();
        text
    }

    fn wrap(&mut self, first: &str, rest: &str, text: &str) {
        let options =
            options(WIDTH).initial_indent(first).subsequent_indent(rest).break_words(true);
        let wrapped = lines(&plain::prose(text), options);
        // A field without a value has its name.
        let wrapped = if wrapped.is_empty() { vec![first.to_owned()] } else { wrapped };
        wrapped.iter().for_each(|line| self.push(line, WIDTH));
    }

    fn push(&mut self, line: &str, width: usize) {
        let plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        debug_assert!(line.len() <= width && line.bytes().all(plain), "{width}: {line:?}");
        self.lines.push(line.trim_end().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_wrapped_beside_its_name() {
        let mut page = Page::default();
        page.field("from", &"word ".repeat(20));
        let text = page.finish().plain();
        assert!(text.starts_with("  from        word word"), "{text}");
        assert!(text.contains("\n              word"), "{text}");
    }

    #[test]
    fn a_word_that_is_wider_than_the_page_is_broken() {
        let mut page = Page::default();
        page.prose(4, &"x".repeat(200));
        let text = page.finish().plain();
        assert!(text.lines().all(|line| line.len() <= WIDTH));
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn a_verbatim_line_is_broken_only_if_it_is_too_long_for_a_mail() {
        let mut page = Page::default();
        page.verbatim(2, &"x".repeat(LONGEST));
        page.verbatim(2, &"y".repeat(LONGEST + 1));
        let text = page.finish().plain();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].ends_with("y\\"));
        assert_eq!(lines[2], "  y");
    }

    #[test]
    fn there_is_never_more_than_one_empty_line() {
        let mut page = Page::default();
        page.gap();
        page.heading("a");
        page.gap();
        page.heading("b");
        page.gap();
        assert_eq!(page.finish().plain(), "a\n\nb\n");
    }
}
