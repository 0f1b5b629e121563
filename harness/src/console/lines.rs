//! Splits console output into lines of one message each.

use std::borrow::Cow;

/// One kernel message, or one line of a program's output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ConsoleLine<'a> {
    /// Offset in the console output, in bytes.
    pub(super) offset: usize,
    /// The line, without control characters.
    pub(super) shown: Cow<'a, str>,
    /// Length of the level, time stamp and caller at the start of `shown`, in bytes.
    stamp: usize,
}

impl ConsoleLine<'_> {
    /// The message, without level, time stamp and caller.
    pub(super) fn text(&self) -> &str {
        &self.shown[self.stamp..]
    }
}

/// The lines of `console`, without empty ones.
///
/// If a message begins in the middle of a program's unfinished line, the line is split there.
pub(super) fn lines(console: &str) -> impl Iterator<Item = ConsoleLine<'_>> {
    let mut offset = 0;
    console.split_inclusive(['\n', '\r']).flat_map(move |raw| {
        let begin = offset;
        offset += raw.len();
        let cut = find_inner_message(raw).unwrap_or(0);
        [(begin, &raw[..cut]), (begin + cut, &raw[cut..])].into_iter().filter_map(
            |(offset, raw)| {
                let shown = printable(raw);
                let stamp = stamp_length(&shown);
                (!shown.trim().is_empty()).then_some(ConsoleLine { offset, shown, stamp })
            },
        )
    })
}

/// The offset of a time stamp that is not at the start of the line.
fn find_inner_message(raw: &str) -> Option<usize> {
    let mut offsets = raw.match_indices('[').map(|(offset, _)| offset);
    let begin = raw.len() - raw.trim_start_matches(|c: char| c.is_control()).len();
    offsets.find(|&at| at > begin && time_length(&raw[at..]).is_some() && !follows_level(raw, at))
}

/// True for the time stamp in `<4>[ 1.0]`, which follows a level and does not begin a message.
fn follows_level(raw: &str, at: usize) -> bool {
    level_length(raw).is_some_and(|length| length == at)
}

/// Removes control characters and escape sequences: a program may have printed the text, and
/// perfsec may show it on a terminal.
pub(crate) fn printable(raw: &str) -> Cow<'_, str> {
    // An escape sequence at its start has letters, too.
    let raw = raw.trim_end_matches(|c: char| c.is_control());
    let raw = raw.trim_start_matches(|c: char| c.is_control() && c != '\x1b');
    if !raw.contains(|c: char| c.is_control() && c != '\t') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw.chars();
    while let Some(c) = rest.next() {
        match c {
            // ECMA-48: ESC [, parameters, and a final byte from @ to ~.
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

/// The length of the prefix that printk adds to a message.
fn stamp_length(line: &str) -> usize {
    let level = level_length(line).unwrap_or(0);
    let time = time_length(&line[level..]).unwrap_or(0);
    let rest = &line[level + time..];
    let caller = if time > 0 { caller_length(rest).unwrap_or(0) } else { 0 };
    level + time + caller
}

/// The length of `<4>`, which is present if the log comes from /dev/kmsg or pstore.
fn level_length(line: &str) -> Option<usize> {
    let (number, _) = line.strip_prefix('<')?.split_once('>')?;
    is_number(number).then_some(number.len() + 2)
}

/// The length of `[    1.234567] `, from print_time() (kernel/printk/printk.c).
fn time_length(line: &str) -> Option<usize> {
    let (inside, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (seconds, micros) = inside.trim_start_matches(' ').split_once('.')?;
    let good = is_number(seconds) && is_number(micros) && micros.len() == 6;
    good.then(|| line.len() - rest.strip_prefix(' ').unwrap_or(rest).len())
}

/// The length of `[    T1] ` or `[    C0] `, from print_caller() (CONFIG_PRINTK_CALLER). The time
/// before it then has no space behind it: the one space follows the caller.
fn caller_length(line: &str) -> Option<usize> {
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
    #[case::colour("\x1b[1m<BMC> a\x1b[0m\r\n", &["<BMC> a"])]
    #[case::escapes("\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS\x07", &["cSeaBIOS"])]
    #[case::interleaved("half a li[    1.000000] BUG: x\nne", &["half a li", "BUG: x", "ne"])]
    #[case::empty("\n\r\n \n", &[])]
    fn a_line_is_one_message(#[case] console: &str, #[case] expected: &[&str]) {
        assert_eq!(texts(console), expected);
    }

    #[test]
    fn a_line_has_its_offset() {
        let console = "é\r\n[    1.000000] a\nb[    1.000000] c";
        let found: Vec<_> = lines(console).map(|line| &console[line.offset..]).collect();
        assert_eq!(found[1], "[    1.000000] a\nb[    1.000000] c");
        assert_eq!(found[3], "[    1.000000] c");
    }

    proptest! {
        #[test]
        fn any_console_can_be_split(console in "[\\[\\]<>0-9. \r\nTé\x1b]{0,60}") {
            for line in lines(&console) {
                let _ = line.text();
                prop_assert!(console.is_char_boundary(line.offset));
                prop_assert!(!line.shown.contains(|c: char| c.is_control() && c != '\t'));
            }
        }
    }
}
