//! The message that is answered, as it lies in a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mail_parser::{Address, HeaderValue, Message, MessageParser};

use super::message::Thread;
use crate::mbox::{self, Mailbox, MessageId};

/// How many earlier messages of its thread are named, besides the first.
const REFERENCES: usize = 20;

/// A message that somebody answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// Where it stands in its thread.
    pub thread: Thread,
    /// Who is answered.
    pub to: Vec<Mailbox>,
    /// Who else got it.
    pub cc: Vec<Mailbox>,
}

/// Why a message cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum OriginalError {
    /// The file cannot be read.
    #[error("read {path}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no message, or one that nobody can answer.
    #[error("answer a message of {path}: it has no message with a Message-ID", path = .path.display())]
    NoMessage {
        /// Which file.
        path: PathBuf,
    },
    /// It has several messages, and nobody said which.
    #[error(
        "answer a message of {path}: it has {number}; say which with --in-reply-to MSGID",
        path = .path.display()
    )]
    Several {
        /// Which file.
        path: PathBuf,
        /// How many messages.
        number: usize,
    },
    /// It does not have the one that is asked for.
    #[error("answer <{wanted}>: it is not in {path}", path = .path.display())]
    NotThere {
        /// Which file.
        path: PathBuf,
        /// The message.
        wanted: String,
    },
}

impl Original {
    /// Reads the message from an mbox or a file with one message; of several the one that is `wanted`.
    ///
    /// # Errors
    ///
    /// When there is none, or none to choose.
    pub fn read(path: &Path, wanted: Option<&MessageId>) -> Result<Self, OriginalError> {
        let content = fs::read(path)
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

    /// Reads a message that is already there; none when it has no id.
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
    use rstest::rstest;

    use super::*;

    const PATCH: &str = "Message-ID: <2@example.org>\nReferences: <0@example.org>\n <1@example.org>\n\
        From: =?utf-8?q?Zo=C3=AB?= <zoe@example.org>\nTo: selinux@vger.kernel.org,\n \"B, Ann\" <ann@example.org>\n\
        Cc: undisclosed:;, linux-kernel@vger.kernel.org\nSubject: [PATCH v5 01/10] capabilities:\n introduce\n\
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
    fn a_message_is_answered_as_its_headers_say(#[case] content: String) {
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
    fn of_several_messages_the_one_that_is_asked_for_is_answered() {
        let other = PATCH.replace("<2@", "<3@").replace("v5 01/10", "v5 02/10");
        let mbox = format!("{FROM}{PATCH}\n{FROM}{other}");
        let error = read(&mbox, None).unwrap_err().to_string();
        assert!(error.contains("it has 2; say which"), "{error}");
        let original = read(&mbox, Some("<3@example.org>")).unwrap();
        assert!(original.thread.subject.unwrap().contains("02/10"));
        let error = read(&mbox, Some("4@example.org")).unwrap_err().to_string();
        assert!(error.contains("<4@example.org>: it is not in"), "{error}");
    }

    #[test]
    fn who_asks_for_answers_elsewhere_gets_them_there() {
        let content = PATCH.replace("To: sel", "Reply-To: list@example.org\nTo: sel");
        assert_eq!(addresses(&read(&content, None).unwrap().to), ["list@example.org"]);
    }

    #[test]
    fn without_references_the_message_before_takes_their_place() {
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
    fn what_is_no_message_is_told(#[case] content: &str) {
        let error = read(content, None).unwrap_err().to_string();
        assert!(error.contains("has no message"), "{error}");
    }
}
