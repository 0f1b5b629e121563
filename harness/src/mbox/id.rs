//! Message ids.

use std::str::FromStr;

/// The id of a message, without the brackets around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageId(String);

/// The text is not a message id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a message id (expected one like `<20200227.1@example.org>`)")]
pub struct NotAMessageId(String);

impl MessageId {
    /// The id, without brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MessageId {
    type Err = NotAMessageId;

    /// Reads an id with or without its brackets, or a link to it in an archive such as
    /// lore.kernel.org.
    fn from_str(text: &str) -> Result<Self, NotAMessageId> {
        let trimmed = text.trim();
        let link = ["https://", "http://"].iter().find_map(|scheme| trimmed.strip_prefix(scheme));
        let inside = trimmed.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
        // A link may continue after the id with a view of the thread (`T/#t`, `raw`), and may have
        // characters of the id percent-encoded.
        let linked = link.and_then(|link| {
            let (path, _) = link.split_once(['#', '?']).unwrap_or((link, ""));
            let mut parts = path.split('/').skip(1).map(percent_decoded);
            parts.find(|part| part.contains('@'))
        });
        let id = match &linked {
            Some(id) => id.as_str(),
            None => inside.unwrap_or(trimmed),
        };
        // Real programs make ids beyond RFC 5322: any visible characters except brackets.
        let visible = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"<>".contains(&b))
        };
        let good = id.len() <= 400
            && (link.is_none() || linked.is_some())
            && id.split_once('@').is_some_and(|(left, right)| visible(left) && visible(right));
        if good { Ok(Self(id.to_owned())) } else { Err(NotAMessageId(text.to_owned())) }
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a.1@example.org")]
    #[case("<a.1@example.org>")]
    #[case("https://lore.kernel.org/all/a.1@example.org/")]
    #[case("https://lore.kernel.org/r/a.1@example.org")]
    #[case("https://lore.kernel.org/all/a.1@example.org/T/#t")]
    #[case("https://lore.kernel.org/selinux/a.1%40example.org/raw")]
    fn a_message_id_is_read_in_every_form_that_people_copy(#[case] text: &str) {
        assert_eq!(text.parse::<MessageId>().unwrap().as_str(), "a.1@example.org");
    }

    #[rstest]
    #[case("")]
    #[case("https://lore.kernel.org/r/a.1")]
    #[case("https://lore.kernel.org/r/a%201@example.org/")]
    #[case("<a.1@example.org")]
    #[case("a 1@example.org")]
    #[case("a@b> <c@d")]
    #[case("a@b\r\nBcc: c@d")]
    fn a_text_that_is_not_a_message_id_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<MessageId>(), Err(NotAMessageId(text.to_owned())));
    }
}
