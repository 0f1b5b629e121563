//! Removes CRs that a mail's transfer encoding hides from git.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Encoding, MessageParser, PartType};
use regex::bytes::Regex;

/// Octets per line of base64: they make the 76 characters that RFC 2045 allows.
const LINE: usize = 57;

/// The mail with LF as line end in each encoded text in which every line ends with CRLF.
///
/// Mail programs encode a text with the line ends of the wire. `git am` strips CRs from unencoded
/// lines, but takes them for the patch's after decoding (`git am --quoted-cr=strip` since git 2.32
/// changes that). The lines of a patch that git itself writes end with LF even if the lines of the
/// file end with CRLF, so a patch in which every line ends with CRLF got them from the mail.
pub(super) fn without_crs(mail: Vec<u8>) -> Vec<u8> {
    let parser = MessageParser::new().with_minimal_headers();
    let Some(message) = parser.parse(mail.as_slice()) else { return mail };
    let mut new: Vec<(usize, usize, Vec<u8>)> = Vec::new();
    for part in message.parts.iter().filter(|part| matches!(part.body, PartType::Text(_))) {
        let (start, end) = (part.offset_body as usize, part.offset_end as usize);
        let Some(body) = mail.get(start..end) else { continue };
        let stripped = match part.encoding {
            Encoding::Base64 => of_base64(body),
            Encoding::QuotedPrintable => of_quoted_printable(body),
            Encoding::None => None,
        };
        new.extend(stripped.map(|body| (start, end, body)));
    }
    drop(message);
    let mut mail = mail;
    for (start, end, body) in new.into_iter().rev() {
        mail.splice(start..end, body);
    }
    mail
}

fn of_base64(body: &[u8]) -> Option<Vec<u8>> {
    let text = stripped(&base64_decode(body)?)?;
    let lines = text.chunks(LINE).flat_map(|chunk| [BASE64.encode(chunk), "\n".to_owned()]);
    Some(lines.collect::<String>().into_bytes())
}

fn of_quoted_printable(body: &[u8]) -> Option<Vec<u8>> {
    static CRLF: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("(?i)=0D(\n|=0A)").expect("a regular expression"));
    // An unencoded CR belongs to the mailbox, and so does an empty line at the end.
    let mut body = with_lf(body);
    while body.ends_with(b"\n\n") {
        body.pop();
    }
    let text = stripped(&quoted_printable_decode(&body)?)?;
    let body = CRLF.replace_all(&body, b"$1".as_slice()).into_owned();
    (quoted_printable_decode(&body)? == text).then_some(body)
}

/// A text with LF as line end, if every line ends with CRLF.
fn stripped(text: &[u8]) -> Option<Vec<u8>> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let mut lines = lines.filter(|line| line.ends_with(b"\n")).peekable();
    lines.peek()?;
    lines.all(|line| line.ends_with(b"\r\n")).then(|| with_lf(text))
}

/// A text with each CRLF replaced by LF.
fn with_lf(text: &[u8]) -> Vec<u8> {
    static CRLF: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("\r\n").expect("a regular expression"));
    CRLF.replace_all(text, b"\n".as_slice()).into_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const PATCH: &str =
        "core: a=b\n\n---\ndiff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-a\n+b\n";

    fn base64(text: &str) -> String {
        let lines = text.as_bytes().chunks(45).map(|chunk| BASE64.encode(chunk) + "\n");
        lines.collect()
    }

    fn quoted(text: &str) -> String {
        text.replace('=', "=3D").replace('\r', "=0D")
    }

    fn mail(encoding: &str, body: &str) -> String {
        let kind = "Content-Type: text/plain; charset=utf-8";
        format!("Subject: a\n{kind}\nContent-Transfer-Encoding: {encoding}\n\n{body}")
    }

    /// The decoded texts of a mail.
    fn read(mail: &str) -> String {
        let mail = without_crs(mail.as_bytes().to_vec());
        let message = MessageParser::new().parse(&mail).unwrap();
        let texts = message.parts.iter().filter_map(|part| match &part.body {
            PartType::Text(text) => Some(text.trim_end_matches('\n').to_owned() + "\n"),
            _ => None,
        });
        texts.collect()
    }

    #[rstest]
    #[case::base64("base64", base64)]
    #[case::quoted_printable("quoted-printable", quoted)]
    #[case::in_lower_case("quoted-printable", |text: &str| quoted(text).replace("=0D", "=0d"))]
    #[case::every_line_end(
        "quoted-printable",
        |text: &str| quoted(text).replace("=0D\n", "=0D=0A=\n")
    )]
    #[case::before_another_mail("quoted-printable", |text: &str| quoted(text) + "\n")]
    #[case::in_a_mailbox_with_crs("base64", |text: &str| base64(text).replace('\n', "\r\n"))]
    fn line_ends_of_the_wire_are_removed(
        #[case] encoding: &str,
        #[case] encoded: fn(&str) -> String,
    ) {
        let body = encoded(&PATCH.replace('\n', "\r\n"));
        assert_eq!(read(&mail(encoding, &body)), PATCH);
        let parts = format!(
            "Subject: a\nContent-Type: multipart/mixed; boundary=x\n\n--x\n{}\n--x\n{}\n--x--\n",
            mail("7bit", "text\n"),
            mail(encoding, &body)
        );
        assert_eq!(read(&parts), format!("text\n{PATCH}"));
    }

    #[rstest]
    #[case::plain("7bit", PATCH.replace('\n', "\r\n"))]
    #[case::without_crs("base64", base64(PATCH))]
    #[case::without_crs("quoted-printable", quoted(PATCH))]
    #[case::of_a_file("base64", base64(&PATCH.replace("a\n+b\n", "a\r\n+b\r\n")))]
    #[case::of_a_file("quoted-printable", quoted(&PATCH.replace("a\n+b\n", "a\r\n+b\r\n")))]
    #[case::no_base64("base64", "???\r\n".to_owned())]
    #[case::nothing("base64", String::new())]
    fn a_cr_of_the_patch_stays(#[case] encoding: &str, #[case] body: String) {
        let mail = mail(encoding, &body).into_bytes();
        assert_eq!(without_crs(mail.clone()), mail);
    }
}
