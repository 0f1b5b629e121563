//! The message of RFC 5322 around a report, in a file for `git send-email`.

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::message_id::MessageId as Ids;
use mail_builder::mime::MimePart;

use super::address::{Mailbox, MessageId};
use super::regzbot::{LIST, Regzbot};
use super::{text, verdict};
use crate::record::Run;

/// The longest subject, in characters: no header line may have more than 998 octets.
const SUBJECT: usize = 300;

/// The message that is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Its id.
    pub parent: MessageId,
    /// The ids of those that it answered itself, the first one first.
    pub earlier: Vec<MessageId>,
    /// Its subject, if that is known.
    pub subject: Option<String>,
}

/// A message about a run, before it is written.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Who writes it, and vouches for a run that passed.
    pub from: Mailbox,
    /// Who gets it.
    pub to: Vec<Mailbox>,
    /// Who else gets it.
    pub cc: Vec<Mailbox>,
    /// The subject; by default the one that a list expects.
    pub subject: Option<String>,
    /// Its own id.
    pub id: MessageId,
    /// The message that is answered.
    pub thread: Option<Thread>,
    /// What the regression tracking bot is told.
    pub regzbot: Regzbot,
    /// The date, in seconds since 1970, of a run that does not tell when it ended.
    pub now: i64,
}

impl Letter {
    /// The message about this run, with lines that end as those of `git format-patch` do.
    #[must_use]
    pub fn write(&self, run: &Run) -> String {
        let (to, cc) = self.recipients();
        let mut message = MessageBuilder::new().from(address(&self.from));
        for (name, list) in [("To", &to), ("Cc", &cc)] {
            if !list.is_empty() {
                message =
                    message.header(name, Address::new_list(list.iter().map(address).collect()));
            }
        }
        message = message
            .subject(self.subject(run))
            .date(date(run).unwrap_or(self.now))
            .message_id(self.id.as_str());
        if let Some(thread) = &self.thread {
            let parent = thread.parent.as_str();
            let references = thread.earlier.iter().map(MessageId::as_str).chain([parent]);
            message = message.in_reply_to(parent).references(Ids::new_list(references));
        }
        let body = self.body(run);
        // 7bit and 8bit leave the text as it is: what is quoted-printable nobody can review in a file.
        let (charset, encoding) =
            if body.is_ascii() { ("us-ascii", "7bit") } else { ("utf-8", "8bit") };
        let kind = ContentType::new("text/plain").attribute("charset", charset);
        let message = message.body(MimePart::new(kind, body).transfer_encoding(encoding));
        let mut bytes = Vec::new();
        message.serialize(&mut bytes);
        String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
    }

    /// Everybody once, and nobody their own mail; the list for regressions gets what its bot is told.
    fn recipients(&self) -> (Vec<Mailbox>, Vec<Mailbox>) {
        let mut seen = vec![self.from.clone()];
        let mut fresh = |mailbox: &Mailbox| {
            let new = !seen.iter().any(|known| known.same(mailbox));
            seen.push(mailbox.clone());
            new.then(|| mailbox.clone())
        };
        let list = (!self.regzbot.is_empty()).then(|| Mailbox::new("", LIST).ok()).flatten();
        let to = self.to.iter().filter_map(&mut fresh).collect();
        let cc = self.cc.iter().chain(&list).filter_map(&mut fresh).collect();
        (to, cc)
    }

    fn subject(&self, run: &Run) -> String {
        let own = || match self.regzbot.title() {
            Some(title) if self.regzbot.reports() => title.to_owned(),
            _ => verdict::headline(run),
        };
        let answered = self.thread.as_ref().and_then(|thread| thread.subject.as_deref());
        let text = match (&self.subject, answered) {
            (Some(subject), _) => return one_line(subject),
            (None, Some(answered)) => format!("Re: {}", without_re(&one_line(answered))),
            (None, None) => own(),
        };
        let text = one_line(&text);
        if self.regzbot.reports() {
            let marked = text.to_ascii_uppercase().contains("[REGRESSION]");
            if marked { text } else { format!("[REGRESSION] {text}") }
        } else if answered.is_some() {
            text
        } else {
            format!("[STATUS] {text}")
        }
    }

    fn body(&self, run: &Run) -> String {
        // Nobody can vouch for a kernel and report its regression in the same mail.
        let tester = (!self.regzbot.reports()).then_some(&self.from);
        let mut body = text::text(run, tester);
        if !self.regzbot.is_empty() {
            body.push('\n');
            body.push_str(&self.regzbot.paragraph());
        }
        body
    }
}

fn address(mailbox: &Mailbox) -> Address<'_> {
    Address::new_address(mailbox.name(), mailbox.address())
}

/// When the run ended, in seconds since 1970.
fn date(run: &Run) -> Option<i64> {
    let started: jiff::Timestamp = run.started.started.parse().ok()?;
    let millis = i64::try_from(run.end.as_ref()?.millis).ok()?;
    let ended = started.as_second().checked_add(millis / 1000)?;
    // What other programs take for a date.
    (0..=253_402_300_799).contains(&ended).then_some(ended)
}

/// A text as a header can have it.
fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words.join(" ").chars().take(SUBJECT).collect()
}

/// A subject without what earlier answers put before it.
fn without_re(subject: &str) -> &str {
    let mut rest = subject;
    while let Some(start) = rest.get(..3)
        && start.eq_ignore_ascii_case("re:")
    {
        rest = rest[3..].trim_start();
    }
    rest
}
