//! Splits a mailbox file into messages exactly where `git am` splits it.

/// Splits a mailbox into messages, without their separators. A text that does not begin with a
/// separator is one message.
///
/// Quoted lines (`>From `, mboxrd) are unquoted. A line that merely begins with `From ` is not a
/// separator: commit messages have such lines, and not every program quotes them.
pub(crate) fn messages(text: &[u8]) -> Vec<Vec<u8>> {
    if !text.starts_with(b"From ") {
        return vec![text.to_vec()];
    }
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match messages.last_mut() {
            // The first line is a separator, even if git would not take it for one.
            None => messages.push(Vec::new()),
            Some(_) if is_separator(line) => messages.push(Vec::new()),
            Some(message) => {
                let quoted = line.starts_with(b">") && is_from(unquoted(line));
                message.extend_from_slice(&line[usize::from(quoted)..]);
            }
        }
    }
    messages
}

/// Writes one message as a mailbox (mboxrd), which `git am --patch-format=mboxrd` reads back
/// unchanged.
pub(crate) fn mboxrd(message: &[u8]) -> Vec<u8> {
    let mut text = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n".to_vec();
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if is_from(unquoted(line)) {
            text.push(b'>');
        }
        text.extend_from_slice(line);
    }
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.push(b'\n');
    text
}

fn is_from(line: &[u8]) -> bool {
    line.starts_with(b"From ")
}

/// A line without its quoting marks.
fn unquoted(line: &[u8]) -> &[u8] {
    let marks = line.iter().take_while(|byte| **byte == b'>').count();
    &line[marks..]
}

/// `is_from_line()` of git's builtin/mailsplit.c: the sender is followed by a time and a year after
/// 90.
fn is_separator(line: &[u8]) -> bool {
    if line.len() < 20 || !is_from(line) {
        return false;
    }
    let Some(colon) = line.iter().rposition(|byte| *byte == b':').filter(|at| *at > 8) else {
        return false;
    };
    let digit = |at: usize| line.get(at).is_some_and(u8::is_ascii_digit);
    let time = [colon - 4, colon - 2, colon - 1, colon + 1, colon + 2].into_iter().all(digit);
    let rest = line.get(colon + 3..).unwrap_or_default().trim_ascii_start();
    let year = rest
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_u64, |year, byte| year.saturating_mul(10).saturating_add(u64::from(byte - b'0')));
    time && year > 90
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::lore("From mboxrd@z Thu Jan  1 00:00:00 1970\n", true)]
    #[case::format_patch("From 1f2e3d4c5d6e7f Mon Sep 17 00:00:00 2001\n", true)]
    #[case::b4("From git@z Thu Jan  1 00:00:00 1970\n", true)]
    #[case::zone("From ann@example.org Thu Feb 27 10:11:12 2020 +0100\n", true)]
    #[case::words("From the documentation of perf: 2 levels\n", false)]
    #[case::short("From a 1:2\n", false)]
    #[case::no_year("From ann@example.org Thu Feb 27 10:11:12\n", false)]
    #[case::colons("From ::::::::::::::::::::::::::::\n", false)]
    #[case::quoted(">From mboxrd@z Thu Jan  1 00:00:00 1970\n", false)]
    fn a_line_is_a_separator_if_git_takes_it_for_one(#[case] line: &str, #[case] expected: bool) {
        assert_eq!(is_separator(line.as_bytes()), expected);
    }

    #[test]
    fn messages_come_without_separators_and_quoting() {
        let text = "From a@z Thu Jan  1 00:00:00 1970\nSubject: a\n\n\
                    From the docs\n>From b\n>>From c\n>q\n\n\
                    From b@z Thu Jan  1 00:00:00 1970\r\nSubject: b\n";
        let found = messages(text.as_bytes());
        let texts: Vec<_> = found.iter().map(|text| String::from_utf8_lossy(text)).collect();
        let first = "Subject: a\n\nFrom the docs\nFrom b\n>From c\n>q\n\n";
        assert_eq!(texts, [first, "Subject: b\n"]);
    }

    #[test]
    fn a_text_without_a_separator_is_one_unchanged_message() {
        let text = b"Subject: a\n\n>From b\nFrom b@z Thu Jan  1 00:00:00 1970\n";
        assert_eq!(messages(text), [text.to_vec()]);
    }

    proptest! {
        #[test]
        fn a_message_survives_a_mailbox(lines in prop::collection::vec(
            "[ -~]{0,30}|>{0,2}From [ -~]{0,10}|From a@z Thu Jan  1 00:00:00 1970", 0..8)) {
            let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            let found = messages(&mboxrd(text.as_bytes()));
            prop_assert_eq!(found, [(text + "\n").into_bytes()]);
        }
    }
}
