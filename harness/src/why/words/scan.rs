//! Scans a text: tools' messages first, then the command, then the facts about it.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::filler::FILLER;
use super::messages::Messages;
use super::{command, errnos, facts, rest, strace};
use crate::errno::Errno;
use crate::why::facts::{DataError, Given};

/// The findings in a text.
#[derive(Clone, Debug, Default)]
pub struct Scanned {
    /// The facts.
    pub given: Given,
    /// The command, if there is one.
    pub command: Option<Vec<String>>,
    /// The facts that were understood, in words.
    pub understood: Vec<String>,
    /// Words that were not.
    pub ignored: Vec<String>,
    /// Paragraphs about the messages.
    pub notes: Vec<String>,
    /// A message is not one of a refusal.
    pub no_refusal: bool,
    /// A message is about the addresses of the kernel.
    pub about_kptr: bool,
    /// The system call that failed, if the others succeeded.
    pub focus: Option<&'static str>,
    /// The text is about perf, or may well be.
    pub concerns_perf: bool,
}

/// The text that is left, and what was found in it.
pub(super) struct Scan {
    text: String,
    /// The findings.
    pub(super) found: Scanned,
}

/// Sequences by which terminals colour a text.
static COLOUR: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("\u{1b}\\[[0-9;]*[A-Za-z]").ok());

/// A part of a sentence that says that something else works.
static WORKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)(?:^|[;.]|, but|, while| but)[^;.\n]*\b(?:works|worked|is fine|succeeds)\b[^;.\n]*",
    )
    .ok()
});

/// The longest text that is looked at, in bytes: a screen of messages, not a log.
const LONGEST: usize = 64 << 10;

/// Scans a text.
///
/// # Errors
///
/// Mistakes in the data about messages, which the project's tests rule out.
pub fn scan(text: &str) -> Result<Scanned, &'static DataError> {
    let messages = Messages::built_in()?;
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    let mut text = text[..end.unwrap_or(0)].to_owned();
    if let Some(colour) = &*COLOUR {
        text = colour.replace_all(&text, "").into_owned();
    }
    let mut scan = Scan { text: messages.without_boilerplate(&text), found: Scanned::default() };
    scan.drop_what_works();
    strace::read(&mut scan);
    scan.messages(messages);
    command::read(&mut scan);
    facts::read(&mut scan);
    errnos::read(&mut scan);
    rest::read(&mut scan);
    Ok(scan.finish())
}

impl Scan {
    /// The text that is left.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn drop_what_works(&mut self) {
        let Some(regex) = &*WORKS else { return };
        let refused = |part: &str| {
            let part = part.to_lowercase();
            ["fail", "denied", "refus", "eperm", "eacces"].iter().any(|word| part.contains(word))
        };
        let matches: Vec<_> = regex.find_iter(&self.text).map(|it| it.range()).collect();
        for range in matches.into_iter().rev() {
            let part = self.text[range.clone()].to_owned();
            if !refused(&part) {
                let what = part.trim_matches([' ', ';', ',', '.']).to_owned();
                self.found.understood.push(format!("something that works ({what})"));
                self.text.replace_range(range, " ");
            }
        }
    }

    fn messages(&mut self, messages: &Messages) {
        for (message, regex) in &messages.all {
            if !regex.is_match(&self.text) {
                continue;
            }
            self.text = regex.replace_all(&self.text, " ; ").into_owned();
            let found = &mut self.found;
            found.concerns_perf = true;
            found.understand(message.form.clone());
            found.note(message.note.clone());
            found.no_refusal |= !message.refusal;
            found.about_kptr |= message.kptr;
            found.focus = found.focus.or(message.focus());
            found.given.errno = found.given.errno.or(message.errno());
            if let (Some(line), None) = (&message.command, &found.command) {
                found.command = Some(line.split(' ').map(str::to_owned).collect());
            }
            if message.limited {
                let note = "perf prints this message for EACCES and for EPERM. Its list of levels \
                            ends at 2, and does not mention the levels 3 and 4 of Debian's and \
                            Ubuntu's kernels.";
                found.note(Some(note.to_owned()));
            }
            if message.lockdown {
                facts::locked_down(found);
            }
        }
    }

    /// Takes each match out of the text that is understood.
    pub(super) fn each(
        &mut self,
        regex: &Regex,
        mut understand: impl FnMut(&mut Scanned, &Captures<'_>) -> bool,
    ) {
        let found = &mut self.found;
        let text = regex.replace_all(&self.text, |it: &Captures<'_>| match understand(found, it) {
            true => " ".to_owned(),
            false => it[0].to_owned(),
        });
        self.text = text.into_owned();
    }

    /// Takes a command out of the text.
    pub(super) fn take_command(&mut self, line: Vec<String>, (start, end): (usize, usize)) {
        self.found.concerns_perf = true;
        self.found.understand(format!("`{}`", line.join(" ")));
        self.found.command = Some(line);
        self.text.replace_range(start..end, " , ");
    }

    /// The same, unless there is one.
    pub(super) fn take_command_if_none(&mut self, line: Vec<String>, place: (usize, usize)) {
        if self.found.command.is_none() {
            self.take_command(line, place);
        }
    }

    fn finish(mut self) -> Scanned {
        let punctuation = |letter: char| !letter.is_alphanumeric() && !"-_/".contains(letter);
        let mut ignored: Vec<String> = Vec::new();
        for word in self.text.split_whitespace() {
            let word = word.trim_matches(punctuation).trim_matches('-');
            let filler = FILLER.contains(&word.to_lowercase().as_str());
            if !word.is_empty() && !filler && !ignored.iter().any(|known| known == word) {
                ignored.push(word.to_owned());
            }
        }
        // A log has thousands of words.
        const SHOWN: usize = 24;
        if ignored.len() > SHOWN {
            ignored.truncate(SHOWN);
            ignored.push("…".to_owned());
        }
        self.found.ignored = ignored;
        self.found
    }
}

impl Scanned {
    /// Notes what was understood, once.
    pub(super) fn understand(&mut self, words: impl Into<String>) {
        let words = words.into();
        if !self.understood.contains(&words) {
            self.understood.push(words);
        }
    }

    /// Adds a note, once.
    fn note(&mut self, note: Option<String>) {
        self.notes.extend(note.filter(|note| !self.notes.contains(note)));
    }

    /// The errno. The first that is found counts.
    pub(super) fn errno(&mut self, errno: Errno) -> bool {
        if self.given.errno.is_none() {
            self.given.errno = Some(errno);
            self.understand(errno.to_string());
            self.concerns_perf |= self.command.is_some();
        }
        true
    }

    /// The command, unless there is one.
    pub(super) fn command(&mut self, words: Vec<String>, form: &str) -> bool {
        self.concerns_perf = true;
        self.understand(form);
        if self.command.is_none() {
            self.command = Some(words);
        }
        true
    }
}
