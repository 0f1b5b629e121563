//! Parses one mail of a patch series: subject, headers and diff.

use std::sync::LazyLock;

use mail_parser::{Address, Message, MessageParser, PartType};
use regex::Regex;

use super::quoted::without_crs;
use crate::mbox::{self, MessageId};

/// Length limit of subjects and names, in characters.
const LONGEST: usize = 500;

/// A patch, as it was mailed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Its number in the series, from 1.
    pub number: usize,
    /// The subject without the bracketed prefix: the first line of the commit message.
    pub subject: String,
    /// The Message-ID of the mail, if it has one.
    pub id: Option<MessageId>,
    /// Name or address of the author, who need not be the sender.
    pub author: String,
    /// The mail; CRs that belong to the transfer encoding are removed.
    pub mail: Vec<u8>,
}

impl Patch {
    /// The mail as `git am --patch-format=mboxrd` takes it.
    #[must_use]
    pub fn mboxrd(&self) -> Vec<u8> {
        mbox::mboxrd(&self.mail)
    }
}

/// A mail of a thread. It may or may not belong to the series.
#[derive(Clone, Debug)]
pub(super) struct Mail {
    pub(super) tag: Tag,
    pub(super) subject: String,
    pub(super) id: Option<MessageId>,
    pub(super) author: String,
    /// True if the subject begins with `Re:` or the like.
    pub(super) is_reply: bool,
    /// The diff, if there is one. Two mails with the same subject and diff are the same patch.
    pub(super) diff: Option<String>,
    /// The commit on which the patches were made (`git format-patch --base`).
    pub(super) base: Option<String>,
    pub(super) mail: Vec<u8>,
}

/// The bracketed prefix of a subject: `[PATCH v3 02/10]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tag {
    /// True if it contains `PATCH`.
    pub(super) is_patch: bool,
    /// The version, if given.
    pub(super) version: Option<u32>,
    /// The number of the patch, and the number of patches.
    pub(super) count: Option<(usize, usize)>,
}

impl Tag {
    /// The version; 1 if not given.
    pub(super) fn version(self) -> u32 {
        self.version.unwrap_or(1)
    }
}

impl Mail {
    /// Parses a mail. Returns `None` if it has no subject.
    pub(super) fn read(mail: Vec<u8>) -> Option<Self> {
        let parser = MessageParser::new().with_minimal_headers().with_message_ids();
        let message = parser.parse(mail.as_slice())?;
        let subject = message.subject().map(one_line).filter(|subject| !subject.is_empty())?;
        let (is_reply, rest) = without_re(&subject);
        let (tag, rest) = tag(rest);
        let texts = texts(&message);
        let sender = message.from().and_then(Address::first).map(|sender| {
            let name = sender.name().filter(|name| !name.trim().is_empty());
            one_line(name.or(sender.address()).unwrap_or_default())
        });
        Some(Self {
            tag,
            subject: one_line(rest),
            id: message.message_id().and_then(|id| id.parse().ok()),
            author: author(&texts).or(sender).unwrap_or_default(),
            is_reply,
            diff: texts.iter().find_map(|text| diff(text)),
            base: texts.iter().find_map(|text| base(text)),
            mail,
        })
    }

    pub(super) fn into_patch(self, number: usize) -> Patch {
        let Self { subject, id, author, mail, .. } = self;
        Patch { number, subject, id, author, mail: without_crs(mail) }
    }
}

/// The text parts of a message, in order: `git am` reads all of them.
fn texts(message: &Message<'_>) -> Vec<String> {
    let text = |part: &mail_parser::MessagePart<'_>| match &part.body {
        PartType::Text(text) => Some(text.replace("\r\n", "\n")),
        _ => None,
    };
    message.parts.iter().filter_map(text).collect()
}

/// The author from a `From:` line that the text begins with.
fn author(texts: &[String]) -> Option<String> {
    let first = texts.first()?.lines().find(|line| !line.trim().is_empty())?;
    let author = first.strip_prefix("From: ")?;
    let name = author.split_once('<').map_or(author, |(name, _)| name).trim().trim_matches('"');
    Some(one_line(if name.is_empty() { author } else { name }))
}

/// The part of a text from its diff on.
fn diff(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let plain = |at: usize| {
        let at_line =
            |at: usize, start: &str| lines.get(at).is_some_and(|line| line.starts_with(start));
        at_line(at, "--- ") && at_line(at + 1, "+++ ") && at_line(at + 2, "@@ -")
    };
    let start = (0..lines.len()).find(|at| lines[*at].starts_with("diff --git ") || plain(*at))?;
    // Git's signature, a base and a list's footer come below it and are not part of the patch.
    let rest = lines[start..].iter().take_while(|line| line.trim_end() != "--");
    Some(rest.map(|line| line.trim_end()).collect::<Vec<_>>().join("\n"))
}

fn base(text: &str) -> Option<String> {
    let mut lines = text.lines();
    let commit = lines.find_map(|line| line.strip_prefix("base-commit: "))?.trim();
    let whole = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| commit.to_owned())
}

/// A subject without `Re:` and the like, and true if it had that.
fn without_re(subject: &str) -> (bool, &str) {
    static RE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)^(?:(?:re|aw|sv|fw|fwd)(?:\[\d+\])?:\s*)+").expect("a regular expression")
    });
    match RE.find(subject) {
        Some(found) => (true, &subject[found.end()..]),
        None => (false, subject),
    }
}

/// The bracketed prefix of a subject, and the rest.
fn tag(subject: &str) -> (Tag, &str) {
    let (mut tag, mut rest) = (Tag::default(), subject.trim_start());
    while let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        for word in inside.split([' ', ',']) {
            read_word(word, &mut tag);
        }
        rest = after.trim_start();
    }
    (tag, rest)
}

fn read_word(word: &str, tag: &mut Tag) {
    static WORD: LazyLock<Regex> = LazyLock::new(|| {
        let word = concat!(
            r"(?i)^(?<patch>patch)?",
            r"(?:v(?<version>\d{1,6})(?:\.\d+)?)?",
            r"(?:(?<number>\d{1,5})/(?<of>\d{1,5}))?$",
        );
        Regex::new(word).expect("a regular expression")
    });
    let Some(found) = WORD.captures(word) else { return };
    let number = |name: &str| found.name(name)?.as_str().parse::<usize>().ok();
    tag.is_patch |= found.name("patch").is_some();
    let version = found.name("version").and_then(|version| version.as_str().parse().ok());
    tag.version = tag.version.or(version);
    tag.count = tag.count.or_else(|| Some((number("number")?, number("of")?)));
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("[PATCH v3 02/10] perf: a", 3, Some((2, 10)), true, "perf: a")]
    #[case("[PATCH] perf: a", 1, None, true, "perf: a")]
    #[case("[PATCHv2 1/2] a", 2, Some((1, 2)), true, "a")]
    #[case("[RFC PATCH net-next v12 1/3] a: [b] c", 12, Some((1, 3)), true, "a: [b] c")]
    #[case("[PATCH 6.1 003/120] a", 1, Some((3, 120)), true, "a")]
    #[case("[PATCH v2.1 1/2] a", 2, Some((1, 2)), true, "a")]
    #[case("[RESEND][PATCH 1/2] [tools] a", 1, Some((1, 2)), true, "a")]
    #[case("[patch v4,1/2] a", 4, Some((1, 2)), true, "a")]
    #[case("[RFC v2 0/3] a", 2, Some((0, 3)), false, "a")]
    #[case("[tip: perf/core] a", 1, None, false, "a")]
    #[case("a [PATCH v3 02/10]", 1, None, false, "a [PATCH v3 02/10]")]
    #[case("[PATCH v99999999999 1/99999999999] a", 1, None, true, "a")]
    #[case("[PATCH 1/2", 1, None, false, "[PATCH 1/2")]
    #[case("", 1, None, false, "")]
    fn the_prefix_of_a_subject_has_version_and_number(
        #[case] subject: &str,
        #[case] version: u32,
        #[case] count: Option<(usize, usize)>,
        #[case] is_patch: bool,
        #[case] rest: &str,
    ) {
        let (tag, found) = tag(subject);
        assert_eq!(
            (tag.version(), tag.count, tag.is_patch, found),
            (version, count, is_patch, rest)
        );
    }

    #[rstest]
    #[case("Re: [PATCH] a", true, "[PATCH] a")]
    #[case("RE: re:AW: Re[2]: a", true, "a")]
    #[case("Fwd: a", true, "a")]
    #[case("regression: a", false, "regression: a")]
    #[case("[PATCH] Re: a", false, "[PATCH] Re: a")]
    fn a_reply_is_recognised_by_its_subject(
        #[case] subject: &str,
        #[case] reply: bool,
        #[case] rest: &str,
    ) {
        assert_eq!(without_re(subject), (reply, rest));
    }

    const DIFF: &str = "diff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-a\n+b\n";

    const RENAME: &str = "diff --git a/a b/b\nrename from a\nrename to b\n";

    fn attached() -> String {
        let parts = [("plain", "text"), ("x-patch", DIFF)];
        let part = |(kind, text)| format!("--x\nContent-Type: text/{kind}\n\n{text}\n");
        parts.map(part).concat() + "--x--\n"
    }

    fn mail(head: &str, body: &str) -> Mail {
        let head = format!("From: =?utf-8?q?Zo=C3=AB?= <z@example.org>\nMessage-ID: <1@b>\n{head}");
        Mail::read(format!("{head}\n\n{body}").into_bytes()).unwrap()
    }

    #[rstest]
    #[case::plain("Subject: a", DIFF.to_owned(), true)]
    #[case::without_git("Subject: a", DIFF.replace("diff --git a/a.c b/a.c\n", ""), true)]
    #[case::only_renamed("Subject: a", RENAME.to_owned(), true)]
    #[case::carriage_returns("Subject: a", DIFF.replace('\n', "\r\n"), true)]
    #[case::quoted_printable(
        "Subject: a\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable",
        DIFF.replace("--git", "-=\n-git"),
        true
    )]
    #[case::base64(
        "Subject: a\nContent-Type: text/plain\nContent-Transfer-Encoding: base64",
        "ZGlmZiAtLWdpdCBhL2EgYi9iCg==\n".to_owned(),
        true
    )]
    #[case::attached("Subject: a\nContent-Type: multipart/mixed; boundary=x", attached(), true)]
    #[case::quoted("Subject: a", DIFF.replace("d", "> d").replace("---", "> ---"), false)]
    #[case::a_list("Subject: a", "--- first\n+++ second\n".to_owned(), false)]
    #[case::nothing("Subject: a", String::new(), false)]
    fn a_diff_is_found_in_any_encoding(
        #[case] head: &str,
        #[case] body: String,
        #[case] found: bool,
    ) {
        assert_eq!(mail(head, &body).diff.is_some(), found);
    }

    #[test]
    fn a_footer_does_not_change_a_patch() {
        let footer = format!("{DIFF}-- \n2.47.3\n\n_______\nlist footer\n");
        assert_eq!(
            mail("Subject: a", &footer).diff,
            mail("Subject: a", &format!("text\n{DIFF}")).diff
        );
        let other = DIFF.replace("+b", "+c");
        assert_ne!(mail("Subject: a", &other).diff, mail("Subject: a", DIFF).diff);
    }

    #[rstest]
    #[case("text\n", "Zoë")]
    #[case("\nFrom: Ann Example <ann@example.org>\n\ntext\n", "Ann Example")]
    #[case("From: <ann@example.org>\n", "<ann@example.org>")]
    #[case("text\nFrom: Ann <ann@example.org>\n", "Zoë")]
    fn the_author_is_in_the_first_line_or_is_the_sender(#[case] body: &str, #[case] author: &str) {
        assert_eq!(mail("Subject: a", body).author, author);
    }

    #[rstest]
    #[case("base-commit: 0123456789012345678901234567890123456789\n", true)]
    #[case("base-commit: v6.1\n", false)]
    #[case("the base-commit: 0123456789012345678901234567890123456789\n", false)]
    fn a_base_is_a_full_commit_id_on_its_own_line(#[case] body: &str, #[case] found: bool) {
        assert_eq!(mail("Subject: a", body).base.is_some(), found);
    }

    #[rstest]
    #[case::folded(
        "Subject: [PATCH v5 01/10] capabilities:\n introduce\n\tCAP_PERFMON",
        "capabilities: introduce CAP_PERFMON"
    )]
    #[case::encoded("Subject: =?utf-8?q?[PATCH]_perf:_=C3=A9?=", "perf: é")]
    #[case::controls("Subject: [PATCH] a\u{b}b\u{c}c", "a b c")]
    fn a_subject_is_folded_into_one_line(#[case] head: &str, #[case] subject: &str) {
        assert_eq!(mail(head, DIFF).subject, subject);
    }

    #[test]
    fn a_text_that_is_not_a_mail_parses_to_none() {
        for text in ["", "no mail at all", "\u{0}\u{1}\n\n", "a: b\n\n"] {
            assert!(Mail::read(text.as_bytes().to_vec()).is_none(), "{text:?}");
        }
        let long = format!("Subject: [PATCH] {}\n\n{DIFF}", "long ".repeat(100_000));
        assert!(Mail::read(long.into_bytes()).unwrap().subject.chars().count() <= LONGEST);
    }
}
