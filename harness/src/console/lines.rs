//! Cuts a console into lines that hold one message each.

use std::borrow::Cow;

/// One message, or one line of a program's output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Where it begins in the console, in bytes.
    pub(super) offset: usize,
    /// The line as it came, without control characters.
    pub(super) shown: Cow<'a, str>,
    /// How much of `shown` is time stamp and caller.
    stamp: usize,
}

impl Line<'_> {
    /// What the line says, without time stamp and caller.
    pub(super) fn text(&self) -> &str {
        &self.shown[self.stamp..]
    }
}

/// The lines of `console`, the empty ones left out.
///
/// A message that begins in the middle of a line, because a program had not finished its own,
/// is a line of its own.
pub(super) fn lines(console: &str) -> impl Iterator<Item = Line<'_>> {
    let mut offset = 0;
    console.split_inclusive(['\n', '\r']).flat_map(move |raw| {
        let begin = offset;
        offset += raw.len();
        let cut = message_inside(raw).unwrap_or(0);
        [(begin, &raw[..cut]), (begin + cut, &raw[cut..])].into_iter().filter_map(
            |(offset, raw)| {
                let shown = printable(raw);
                let stamp = stamp(&shown);
                (!shown.trim().is_empty()).then_some(Line { offset, shown, stamp })
            },
        )
    })
}

/// Where a time stamp begins that is not at the start of the line.
fn message_inside(raw: &str) -> Option<usize> {
    let mut places = raw.match_indices('[').map(|(place, _)| place);
    let begin = raw.len() - raw.trim_start_matches(|c: char| c.is_control()).len();
    places.find(|&place| place > begin && time(&raw[place..]).is_some() && !in_stamp(raw, place))
}

/// `<4>[ 1.0]` begins with a level, and the stamp after it is no message of its own.
fn in_stamp(raw: &str, place: usize) -> bool {
    level(raw).is_some_and(|length| length == place)
}

/// The text without control characters and escape sequences; it may come from a program, and may
/// be shown on a terminal.
fn printable(raw: &str) -> Cow<'_, str> {
    let raw = raw.trim_matches(|c: char| c.is_control());
    if !raw.contains(|c: char| c.is_control() && c != '\t') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw.chars();
    while let Some(c) = rest.next() {
        match c {
            // ECMA-48: ESC [ parameters, and a final byte from @ to ~.
            '\x1b' if rest.as_str().starts_with('[') => {
                rest.next();
                rest.by_ref().find(|c| ('@'..='~').contains(c));
            }
            '\t' => text.push(c),
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    Cow::Owned(text)
}

/// The length of everything that printk puts before a message.
fn stamp(line: &str) -> usize {
    let level = level(line).unwrap_or(0);
    let time = time(&line[level..]).unwrap_or(0);
    let caller = if time > 0 { caller(&line[level + time..]).unwrap_or(0) } else { 0 };
    level + time + caller
}

/// `<4>`, as written where the console is fed from /dev/kmsg or pstore.
fn level(line: &str) -> Option<usize> {
    let (number, _) = line.strip_prefix('<')?.split_once('>')?;
    is_number(number).then_some(number.len() + 2)
}

/// `[    1.234567] `: print_time() of kernel/printk/printk.c.
fn time(line: &str) -> Option<usize> {
    let (inside, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (seconds, micros) = inside.trim_start_matches(' ').split_once('.')?;
    let good = is_number(seconds) && is_number(micros) && micros.len() == 6;
    good.then(|| line.len() - rest.strip_prefix(' ').unwrap_or(rest).len())
}

/// `[    T1] ` or `[    C0] `: print_caller(), with CONFIG_PRINTK_CALLER. Without the space that
/// print_time() would write, because the caller stands before it.
fn caller(line: &str) -> Option<usize> {
    let (inside, rest) = line.strip_prefix('[')?.split_once(']')?;
    let id = inside.trim_start_matches(' ').strip_prefix(['T', 'C'])?;
    is_number(id).then(|| line.len() - rest.strip_prefix(' ').unwrap_or(rest).len())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn texts(console: &str) -> Vec<String> {
        lines(console).map(|line| line.text().to_owned()).collect()
    }

    #[rstest]
    #[case::time("[    0.000000] Linux version 6.1\r\n", &["Linux version 6.1"])]
    #[case::long_time("[123456.654321] a", &["a"])]
    #[case::caller("[    1.000000][    T1] a\n[    1.000000][  C12] b", &["a", "b"])]
    #[case::level("<6>[    1.000000] a", &["a"])]
    #[case::no_time("Linux version 6.1", &["Linux version 6.1"])]
    #[case::not_a_time("[drm] a [1.5] b", &["[drm] a [1.5] b"])]
    #[case::carriage_returns("a\r\r\nb\rc", &["a", "b", "c"])]
    #[case::escapes("\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS\x07", &["cSeaBIOS"])]
    #[case::interleaved("half a li[    1.000000] BUG: x\nne", &["half a li", "BUG: x", "ne"])]
    #[case::empty("\n\r\n \n", &[])]
    fn a_line_is_one_message(#[case] console: &str, #[case] expected: &[&str]) {
        assert_eq!(texts(console), expected);
    }

    #[test]
    fn a_line_knows_where_it_began() {
        let console = "é\r\n[    1.000000] a\nb[    1.000000] c";
        let found: Vec<_> = lines(console).map(|line| &console[line.offset..]).collect();
        assert_eq!(found[1], "[    1.000000] a\nb[    1.000000] c");
        assert_eq!(found[3], "[    1.000000] c");
    }

    proptest! {
        #[test]
        fn no_console_is_too_strange(console in "[\\[\\]<>0-9. \r\nTé\x1b]{0,60}") {
            for line in lines(&console) {
                let _ = line.text();
                prop_assert!(console.is_char_boundary(line.offset));
                prop_assert!(!line.shown.contains(|c: char| c.is_control() && c != '\t'));
            }
        }
    }
}
