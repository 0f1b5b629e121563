//! Reads the message to reply to from a file.

use std::io;
use std::path::{Path, PathBuf};

use mail_parser::{Address, HeaderValue, Message, MessageParser};

use super::message::Thread;
use crate::foreign;
use crate::mbox::{self, Mailbox, MessageId};

/// Number of earlier messages of the thread that are kept, in addition to the first.
const REFERENCES: usize = 20;

/// A message to reply to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// The message, with its place in the thread.
    pub thread: Thread,
    /// Recipients of the reply.
    pub to: Vec<Mailbox>,
    /// Further recipients: those of the message.
    pub cc: Vec<Mailbox>,
}

/// There is no message to reply to.
#[derive(Debug, thiserror::Error)]
pub enum OriginalError {
    /// The file cannot be read.
    #[error("read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file has no message with an id.
    #[error(
        "reply to a message of {path}: it has no message with a Message-ID",
        path = .path.display()
    )]
    NoMessage {
        /// The file.
        path: PathBuf,
    },
    /// The file has several messages, and the user has not chosen one.
    #[error(
        "reply to a message of {path}: it has {number}; choose one with --in-reply-to MSGID",
        path = .path.display()
    )]
    Several {
        /// The file.
        path: PathBuf,
        /// Number of messages.
        number: usize,
    },
    /// The chosen message is not in the file.
    #[error("reply to <{wanted}>: it is not in {path}", path = .path.display())]
    NotThere {
        /// The file.
        path: PathBuf,
        /// The id of the message.
        wanted: String,
    },
}

impl Original {
    /// Reads the message from a mailbox or a file with one message; `wanted` chooses one of
    /// several.
    ///
    /// # Errors
    ///
    /// If there is none, or no choice among several.
    pub fn read(path: &Path, wanted: Option<&MessageId>) -> Result<Self, OriginalError> {
        let content = foreign::read_named(path, &foreign::MAILBOX)
            .map_err(|source| OriginalError::Read { path: path.to_owned(), source })?;
        let messages = mbox::messages(&content);
        let originals: Vec<Self> =
            messages.iter().filter_map(|message| Self::parse(message)).collect();
        let number = originals.len();
        let mut originals = originals.into_iter();
        if let Some(wanted) = wanted {
            return originals.find(|original| original.thread.parent == *wanted).ok_or_else(|| {
                OriginalError::NotThere {
                    path: path.to_owned(),
                    wanted: wanted.as_str().to_owned(),
                }
            });
        }
        match (number, originals.next()) {
            (1, Some(original)) => Ok(original),
            (_, None) => Err(OriginalError::NoMessage { path: path.to_owned() }),
            _ => Err(OriginalError::Several { path: path.to_owned(), number }),
        }
    }

    /// Reads a message from memory; `None` if it has no id.
    #[must_use]
    pub fn parse(message: &[u8]) -> Option<Self> {
        let parser = MessageParser::new().with_minimal_headers().with_message_ids();
        Self::of(&parser.parse_headers(message)?)
    }

    fn of(message: &Message<'_>) -> Option<Self> {
        let parent: MessageId = message.message_id()?.parse().ok()?;
        let mut earlier = ids(message.references());
        // RFC 5322, 3.6.4: without References, a single In-Reply-To takes their place.
        if earlier.is_empty()
            && let [one] = ids(message.in_reply_to()).as_slice()
        {
            earlier.push(one.clone());
        }
        if earlier.len() > REFERENCES + 1 {
            earlier.drain(1..earlier.len() - REFERENCES);
        }
        let to = mailboxes(message.reply_to());
        let to = if to.is_empty() { mailboxes(message.from()) } else { to };
        let mut cc = mailboxes(message.to());
        cc.extend(mailboxes(message.cc()));
        let subject = message.subject().map(str::to_owned);
        Some(Self { thread: Thread { parent, earlier, subject }, to, cc })
    }
}

fn ids(value: &HeaderValue<'_>) -> Vec<MessageId> {
    let list = value.as_text_list().unwrap_or_default();
    list.iter().filter_map(|id| id.parse().ok()).collect()
}

fn mailboxes(address: Option<&Address<'_>>) -> Vec<Mailbox> {
    let addresses = address.into_iter().flat_map(Address::iter);
    addresses
        .filter_map(|one| {
            let name: String =
                one.name().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
            Mailbox::new(&name, one.address()?).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rstest::rstest;

    use super::*;

    const PATCH: &str = "Message-ID: <2@example.org>\n\
        References: <0@example.org>\n <1@example.org>\n\
        From: =?utf-8?q?Zo=C3=AB?= <zoe@example.org>\n\
        To: selinux@vger.kernel.org,\n \"B, Ann\" <ann@example.org>\n\
        Cc: undisclosed:;, linux-kernel@vger.kernel.org\n\
        Subject: [PATCH v5 01/10] capabilities:\n introduce\n\
        \tCAP_PERFMON\n\nBody\n";

    const FROM: &str = "From mboxrd@z Thu Jan  1 00:00:00 1970\n";

    fn read(content: &str, wanted: Option<&str>) -> Result<Original, OriginalError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        let wanted = wanted.map(|id| id.parse().unwrap());
        Original::read(file.path(), wanted.as_ref())
    }

    fn addresses(mailboxes: &[Mailbox]) -> Vec<&str> {
        mailboxes.iter().map(Mailbox::address).collect()
    }

    #[rstest]
    #[case::one_message(PATCH.to_owned())]
    #[case::mbox(format!("{FROM}{PATCH}"))]
    #[case::with_carriage_returns(PATCH.replace('\n', "\r\n"))]
    fn a_reply_follows_the_headers_of_the_message(#[case] content: String) {
        let original = read(&content, None).unwrap();
        let thread = &original.thread;
        assert_eq!(thread.parent.as_str(), "2@example.org");
        let earlier: Vec<_> = thread.earlier.iter().map(MessageId::as_str).collect();
        assert_eq!(earlier, ["0@example.org", "1@example.org"]);
        let subject = "[PATCH v5 01/10] capabilities: introduce CAP_PERFMON";
        assert_eq!(thread.subject.as_deref(), Some(subject));
        assert_eq!(original.to, ["Zoë <zoe@example.org>".parse().unwrap()]);
        let others = ["selinux@vger.kernel.org", "ann@example.org", "linux-kernel@vger.kernel.org"];
        assert_eq!(addresses(&original.cc), others);
    }

    #[test]
    fn one_of_several_messages_can_be_chosen() {
        let other = PATCH.replace("<2@", "<3@").replace("v5 01/10", "v5 02/10");
        let mbox = format!("{FROM}{PATCH}\n{FROM}{other}");
        let error = read(&mbox, None).unwrap_err().to_string();
        assert!(error.contains("it has 2; choose one"), "{error}");
        let original = read(&mbox, Some("<3@example.org>")).unwrap();
        assert!(original.thread.subject.unwrap().contains("02/10"));
        let error = read(&mbox, Some("4@example.org")).unwrap_err().to_string();
        assert!(error.contains("<4@example.org>: it is not in"), "{error}");
    }

    #[test]
    fn a_reply_goes_to_the_address_in_reply_to() {
        let content = PATCH.replace("To: sel", "Reply-To: list@example.org\nTo: sel");
        assert_eq!(addresses(&read(&content, None).unwrap().to), ["list@example.org"]);
    }

    #[test]
    fn in_reply_to_takes_the_place_of_missing_references() {
        let content = PATCH.replace("References: <0@example.org>\n ", "In-Reply-To: ");
        let original = read(&content, None).unwrap();
        assert_eq!(original.thread.earlier, ["1@example.org".parse().unwrap()]);
    }

    #[rstest]
    #[case("")]
    #[case("no mail at all")]
    #[case("Subject: without an id\n\n")]
    #[case("\u{0}\u{1}\u{fffd}\n\n\n")]
    #[case("From \n")]
    fn a_file_without_a_message_is_refused(#[case] content: &str) {
        let error = read(content, None).unwrap_err().to_string();
        assert!(error.contains("has no message"), "{error}");
    }
}
