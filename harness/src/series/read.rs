//! Reads a patch series from a mailbox or a directory of patches.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::patch::{Mail, Patch};
use crate::counted::counted;
use crate::foreign;
use crate::mbox::{self, MessageId};

/// The largest number of mails: far beyond any thread of a list. Each is compared with the others.
const MOST: usize = 10_000;

/// File extensions of patches in a directory.
const ENDINGS: [&str; 5] = ["patch", "mbx", "mbox", "eml", "cover"];

/// The name of a series, as given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeriesSpec {
    /// A mailbox as b4 or git writes it, a whole thread, or one mail.
    Mailbox(PathBuf),
    /// A directory of patches.
    Directory(PathBuf),
    /// The commits of the tree in `from..to`.
    Range {
        /// The revision before the first commit.
        from: String,
        /// The last commit.
        to: String,
    },
    /// The series to which a mail of an archive belongs; [`Series::fetch`] reads it.
    Message(MessageId),
}

/// A complete series: every patch once, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The mailbox, directory or range, as the user named it.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
    /// The cover letter, if there is one.
    pub cover: Option<Cover>,
    /// The patches, at least one.
    pub patches: Vec<Patch>,
    /// The `base-commit:` of the series, if it has one.
    pub base: Option<String>,
    /// Mails that were left out, with the reason.
    pub notes: Vec<String>,
}

/// A cover letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    /// The subject without the bracketed prefix.
    pub subject: String,
    /// The Message-ID of the mail, if it has one.
    pub id: Option<MessageId>,
    /// The mail.
    pub mail: Vec<u8>,
}

/// An error in a series.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// A file or directory cannot be read.
    #[error("read {path}", path = .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The name is neither a file nor a range of revisions nor a message.
    #[error(
        "read a series from {text}: no such file, and not a range of revisions like v6.18..topic, \
         a Message-ID or a link to one"
    )]
    Neither {
        /// The name.
        text: String,
    },
    /// A file has no mail.
    #[error(
        "read a series from {from}: not a mailbox or mail (expected a file written by `b4 am` or \
         `git format-patch`)"
    )]
    NoMail {
        /// The file.
        from: String,
    },
    /// A directory has no patch.
    #[error("read a series from {from}: no file in it ends with {endings}", endings = endings())]
    NoFile {
        /// The directory.
        from: String,
    },
    /// A range of revisions has no commit.
    #[error("read a series from {range}: the range has no commit{hint}")]
    NoCommit {
        /// The range.
        range: String,
        /// The range that may be meant instead.
        hint: String,
    },
    /// A range of revisions has merges.
    #[error("read a series from {range}: it has merges; name a range without merges")]
    Merges {
        /// The range.
        range: String,
    },
    /// There are too many mails.
    #[error("read a series from {from}: it has more than {MOST} mails, the limit of a series")]
    TooMany {
        /// The mailbox or directory.
        from: String,
    },
    /// None of the mails is a patch.
    #[error("read a series from {from}: {mails} and no patch in it")]
    NoPatch {
        /// The mailbox or directory.
        from: String,
        /// Number of mails, in words.
        mails: String,
    },
    /// Some patches are missing.
    #[error("read a series from {from}: {which} of {of}{hint}")]
    Missing {
        /// The mailbox or directory.
        from: String,
        /// `v3 lacks patches 2, 5-7`
        which: String,
        /// Number of patches of the series.
        of: usize,
        /// Other versions, if any.
        hint: String,
    },
    /// Two different mails have the same number.
    #[error(
        "read a series from {from}: two different mails are patch {number} of {of}: {first} and \
         {second}"
    )]
    Twice {
        /// The mailbox or directory.
        from: String,
        /// The number.
        number: usize,
        /// Number of patches of the series.
        of: usize,
        /// Subject and Message-ID of one mail.
        first: String,
        /// Subject and Message-ID of the other mail.
        second: String,
    },
    /// The mails belong to several series.
    #[error(
        "read a series from {from}: it has several series: {first:?} is one of {of}, {second:?} is \
         number {number} of {other}"
    )]
    Several {
        /// The mailbox or directory.
        from: String,
        /// Subject of a mail of one series.
        first: String,
        /// Number of patches of that series.
        of: usize,
        /// Subject of a mail of another series.
        second: String,
        /// Number of that mail.
        number: usize,
        /// Number of patches of the other series.
        other: usize,
    },
    /// A patch changes nothing.
    #[error("read a series from {from}: the patch {subject:?} has no diff")]
    NoDiff {
        /// The mailbox or directory.
        from: String,
        /// Subject of the mail.
        subject: String,
    },
}

impl SeriesSpec {
    /// Parses a name: an existing file or directory, else a range of revisions, else a Message-ID or
    /// a link to one.
    ///
    /// # Errors
    ///
    /// Returns an error if it is none of them.
    pub fn parse(text: &str) -> Result<Self, SeriesError> {
        let path = Path::new(text);
        match path.metadata() {
            Ok(data) if data.is_dir() => return Ok(Self::Directory(path.to_owned())),
            Ok(_) => return Ok(Self::Mailbox(path.to_owned())),
            Err(_) => {}
        }
        // No revision begins with these (git-check-ref-format), and `-` would begin an option.
        let revision = |text: &str| {
            !text.starts_with(['-', '.']) && !text.contains(|c: char| c.is_control() || c == ' ')
        };
        match text.split_once("..") {
            Some((from, to)) if !from.is_empty() && revision(from) && revision(to) => {
                let to = if to.is_empty() { "HEAD" } else { to };
                Ok(Self::Range { from: from.to_owned(), to: to.to_owned() })
            }
            _ => match text.parse() {
                Ok(id) if !text.starts_with('-') => Ok(Self::Message(id)),
                _ => Err(SeriesError::Neither { text: text.to_owned() }),
            },
        }
    }

    /// The files that are read, including those that are read only if they exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the directory cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>, SeriesError> {
        match self {
            Self::Mailbox(path) => Ok(vec![path.clone(), cover_beside(path)]),
            Self::Directory(path) => files(path),
            Self::Range { .. } | Self::Message(_) => Ok(Vec::new()),
        }
    }
}

impl Series {
    /// Reads a mailbox, and the cover letter that b4 writes beside it.
    ///
    /// # Errors
    ///
    /// Returns an error unless it has exactly one complete series.
    pub fn of_mailbox(path: &Path) -> Result<Self, SeriesError> {
        let mut mails = mails(path)?;
        let beside = cover_beside(path);
        if beside != path && beside.is_file() {
            mails.extend(self::mails(&beside)?);
        }
        Self::of(&path.display().to_string(), mails)
    }

    /// Reads a directory of patches, in the order of the file names.
    ///
    /// # Errors
    ///
    /// Returns an error unless it has exactly one complete series.
    pub fn of_directory(path: &Path) -> Result<Self, SeriesError> {
        Self::of(&path.display().to_string(), in_directory(path)?)
    }

    /// Reads the directory into which `git format-patch` wrote a range. `range` is its name, as
    /// the user wrote it.
    ///
    /// # Errors
    ///
    /// Returns an error if it has no patch.
    pub fn of_range(range: &str, directory: &Path) -> Result<Self, SeriesError> {
        Self::of(range, in_directory(directory)?)
    }

    /// SHA-256 of the patches, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for patch in &self.patches {
            hash.update((patch.mail.len() as u64).to_be_bytes());
            hash.update(&patch.mail);
        }
        crate::hex(&hash.finalize())
    }

    /// The mail that a report replies to: the cover letter, else the first patch.
    #[must_use]
    pub fn answered(&self) -> Option<&[u8]> {
        let cover = self.cover.as_ref().map(|cover| cover.mail.as_slice());
        cover.or(self.patches.first().map(|patch| patch.mail.as_slice()))
    }

    fn of(from: &str, mails: Vec<Mail>) -> Result<Self, SeriesError> {
        let from = from.to_owned();
        if mails.is_empty() {
            return Err(SeriesError::NoMail { from });
        }
        let number = mails.len();
        if number > MOST {
            return Err(SeriesError::TooMany { from });
        }
        let mut candidates: Vec<Mail> = Vec::new();
        for mail in mails.into_iter().filter(|mail| !mail.is_reply) {
            let again = |known: &Mail| known.id.is_some() && known.id == mail.id;
            if !candidates.iter().any(again) {
                candidates.push(mail);
            }
        }
        let tagged = |mail: &Mail| mail.tag.is_patch || mail.tag.count.is_some();
        let any_tagged = candidates.iter().any(tagged);
        candidates.retain(|mail| if any_tagged { tagged(mail) } else { mail.diff.is_some() });
        let mut versions: BTreeMap<u32, SeriesVersion> = BTreeMap::new();
        for mail in candidates {
            versions.entry(mail.tag.version()).or_default().add(mail, &from)?;
        }
        // A version with only a cover letter is not a candidate.
        versions.retain(|_, version| !version.numbered.is_empty() || !version.others.is_empty());
        let Some((version, newest)) = versions.pop_last() else {
            let mails = counted(number, "mail");
            return Err(SeriesError::NoPatch { from, mails });
        };
        let older: Vec<u32> = versions.keys().copied().collect();
        let whole = versions.iter().rev().find(|(_, version)| version.missing().is_empty());
        let hint = match (whole, older.is_empty()) {
            (Some((whole, _)), _) => {
                format!(" (v{whole} is complete: give only its mails to check it)")
            }
            (None, false) => "; no older version is complete either".to_owned(),
            (None, true) => String::new(),
        };
        let mut series = newest.series(&from, version, &hint)?;
        if let Some(last) = older.last() {
            series.notes.push(format!("v{version} is checked, and mails of v{last} are left out"));
        }
        Ok(series)
    }
}

/// The mails of one version of a series.
#[derive(Default)]
struct SeriesVersion {
    cover: Option<Mail>,
    /// Number of patches of the series; 0 before the first numbered mail.
    of: usize,
    numbered: BTreeMap<usize, Mail>,
    /// Patches without a number, in order.
    others: Vec<Mail>,
}

impl SeriesVersion {
    fn add(&mut self, mail: Mail, from: &str) -> Result<(), SeriesError> {
        let Some((number, of)) = mail.tag.count else {
            let again = |known: &Mail| known.subject == mail.subject && known.diff == mail.diff;
            if !self.others.iter().any(again) {
                self.others.push(mail);
            }
            return Ok(());
        };
        let known = self.numbered.values().next().or(self.cover.as_ref());
        let first = known.map_or(&mail.subject, |known| &known.subject);
        if self.of != 0 && self.of != of || number > of {
            return Err(SeriesError::Several {
                from: from.to_owned(),
                first: first.clone(),
                of: if self.of == 0 { of } else { self.of },
                second: mail.subject.clone(),
                number,
                other: of,
            });
        }
        self.of = of;
        if number == 0 {
            self.cover.get_or_insert(mail);
            return Ok(());
        }
        match self.numbered.get(&number) {
            Some(known) if known.diff != mail.diff || known.subject != mail.subject => {
                Err(SeriesError::Twice {
                    from: from.to_owned(),
                    number,
                    of,
                    first: named(known),
                    second: named(&mail),
                })
            }
            Some(_) => Ok(()),
            None => {
                self.numbered.insert(number, mail);
                Ok(())
            }
        }
    }

    /// The numbers of missing patches.
    fn missing(&self) -> Vec<usize> {
        (1..=self.of).filter(|number| !self.numbered.contains_key(number)).collect()
    }

    fn series(self, from: &str, version: u32, hint: &str) -> Result<Series, SeriesError> {
        let missing = self.missing();
        if !missing.is_empty() {
            let plural = if missing.len() == 1 { "patch" } else { "patches" };
            return Err(SeriesError::Missing {
                from: from.to_owned(),
                which: format!("v{version} lacks {plural} {}", ranges(&missing)),
                of: self.of,
                hint: hint.to_owned(),
            });
        }
        let mut notes = Vec::new();
        let mails: Vec<Mail> = if self.numbered.is_empty() {
            self.others
        } else {
            let left = self.others.iter();
            notes.extend(
                left.map(|mail| format!("left out, because it has no number: {}", mail.subject)),
            );
            self.numbered.into_values().collect()
        };
        if let Some(empty) = mails.iter().find(|mail| mail.diff.is_none()) {
            let (from, subject) = (from.to_owned(), empty.subject.clone());
            return Err(SeriesError::NoDiff { from, subject });
        }
        let base = self.cover.iter().chain(&mails).find_map(|mail| mail.base.clone());
        let cover = self.cover.map(|mail| {
            let Mail { subject, id, mail, .. } = mail;
            Cover { subject, id, mail }
        });
        let patches = mails.into_iter().enumerate().map(|(at, mail)| mail.into_patch(at + 1));
        let patches = patches.collect();
        Ok(Series { name: from.to_owned(), version, cover, patches, base, notes })
    }
}

/// The path of the cover letter that b4 writes beside a mailbox.
fn cover_beside(mailbox: &Path) -> PathBuf {
    mailbox.with_extension("cover")
}

/// `.patch, .mbx or .eml`
fn endings() -> String {
    let all = ENDINGS.map(|ending| format!(".{ending}"));
    let (last, most) = all.split_last().expect("there are some");
    format!("{} or {last}", most.join(", "))
}

/// The patches of a directory, in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, SeriesError> {
    let error = |source| SeriesError::Read { path: path.to_owned(), source };
    let entries = path.read_dir().map_err(error)?.collect::<Result<Vec<_>, _>>().map_err(error)?;
    let ends =
        |path: &Path| path.extension().is_some_and(|end| ENDINGS.iter().any(|known| end == *known));
    let mut files: Vec<PathBuf> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| ends(path)).collect();
    files.sort();
    if files.is_empty() {
        return Err(SeriesError::NoFile { from: path.display().to_string() });
    }
    Ok(files)
}

/// The mails of a directory's files, in the order of their names.
fn in_directory(path: &Path) -> Result<Vec<Mail>, SeriesError> {
    let mut all = Vec::new();
    for file in files(path)? {
        let mails = mails(&file)?;
        if mails.is_empty() {
            return Err(SeriesError::NoMail { from: file.display().to_string() });
        }
        all.extend(mails);
        if all.len() > MOST {
            return Err(SeriesError::TooMany { from: path.display().to_string() });
        }
    }
    Ok(all)
}

/// `1, 3-5`
fn ranges(numbers: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let word = |(first, last): (usize, usize)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    ranges.into_iter().map(word).collect::<Vec<_>>().join(", ")
}

/// `"subject" <id>`
fn named(mail: &Mail) -> String {
    let id = mail.id.as_ref().map_or(String::new(), |id| format!(" <{}>", id.as_str()));
    format!("{:?}{id}", mail.subject)
}

/// The mails of a file, which may be gzipped, as archives send it.
fn mails(path: &Path) -> Result<Vec<Mail>, SeriesError> {
    let error = |source| SeriesError::Read { path: path.to_owned(), source };
    let mut text = foreign::read_named(path, &foreign::MAILBOX).map_err(error)?;
    if text.starts_with(&[0x1f, 0x8b]) {
        let unpacked = MultiGzDecoder::new(text.as_slice());
        text = foreign::read_all(unpacked, &foreign::MAILBOX).map_err(error)?;
    }
    Ok(mbox::messages(&text).into_iter().filter_map(Mail::read).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;
    use crate::causes::with_causes;

    const FROM: &str = "From mboxrd@z Thu Jan  1 00:00:00 1970\n";

    /// A patch; the file that it changes depends on its subject only.
    fn mail(subject: &str, id: &str) -> String {
        let file = subject.rsplit([']', ' ']).next().unwrap_or_default();
        format!(
            "{FROM}From: Ann Example <ann@example.org>\nMessage-ID: <{id}@example.org>\n\
             Subject: {subject}\n\ntext\n\ndiff --git a/{file} b/{file}\n--- a/{file}\n\
             +++ b/{file}\n@@ -1 +1 @@\n-a\n+b\n--\n2.47\n\n"
        )
    }

    fn without_diff(subject: &str, id: &str) -> String {
        let text = mail(subject, id);
        format!("{}text\n", text.split_once("text\n").unwrap().0)
    }

    fn read(text: &str) -> Result<Series, SeriesError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Series::of_mailbox(file.path())
    }

    fn subjects(series: &Series) -> Vec<&str> {
        series.patches.iter().map(|patch| patch.subject.as_str()).collect()
    }

    #[rstest]
    #[case::in_order(&["[PATCH v2 1/2] a", "[PATCH v2 2/2] b"], 2)]
    #[case::turned(&["[PATCH 2/2] b", "[PATCH 1/2] a"], 1)]
    #[case::with_a_cover(&["[PATCH 0/2] all", "[PATCH 1/2] a", "[PATCH 2/2] b"], 1)]
    #[case::with_replies(
        &["[PATCH 1/2] a", "Re: [PATCH 1/2] a", "[PATCH 2/2] b", "Re: Re: [PATCH 2/2] b"],
        1)]
    #[case::with_other_mails(
        &["[PATCH 1/2] a", "[PATCH 2/2] b", "thoughts", "[tip: perf/core] a"],
        1)]
    #[case::without_numbers(&["[PATCH] a", "[PATCH] b"], 1)]
    #[case::without_brackets(&["a", "b"], 1)]
    #[case::a_number_counts(&["[PATCH 1/2] a", "[PATCH 2/2] b", "[PATCH] c"], 1)]
    #[case::two_versions(&["[PATCH 1/1] z", "[PATCH v2 1/2] a", "[PATCH v2 2/2] b"], 2)]
    #[case::an_older_one_in_part(&["[PATCH 1/9] z", "[PATCH v2 1/2] a", "[PATCH v2 2/2] b"], 2)]
    #[case::a_cover_of_a_newer_one(
        &["[PATCH v4 0/3] z", "[PATCH v2 1/2] a", "[PATCH v2 2/2] b"],
        2)]
    #[case::sent_again(&["[PATCH 1/2] a", "[PATCH RESEND 1/2] a", "[PATCH 2/2] b"], 1)]
    fn a_series_has_each_patch_of_the_newest_version_once_in_order(
        #[case] mails: &[&str],
        #[case] version: u32,
    ) {
        let mails = mails.iter().enumerate().map(|(at, subject)| mail(subject, &at.to_string()));
        let series = read(&mails.collect::<String>()).unwrap();
        assert_eq!((subjects(&series), series.version), (vec!["a", "b"], version));
        assert_eq!(series.patches.iter().map(|patch| patch.number).collect::<Vec<_>>(), [1, 2]);
    }

    #[rstest]
    #[case::nothing("", "not a mailbox or mail")]
    #[case::text("no mail at all\n", "not a mailbox or mail")]
    #[case::binary("\u{0}\u{1}\u{2}", "not a mailbox or mail")]
    #[case::separators(&FROM.repeat(3), "not a mailbox or mail")]
    #[case::replies(&mail("Re: [PATCH] a", "1"), "1 mail and no patch in it")]
    #[case::only_a_cover(&without_diff("[PATCH 0/2] a", "1"), "1 mail and no patch in it")]
    #[case::talk(&without_diff("thoughts", "1").repeat(2), "2 mails and no patch in it")]
    #[case::no_diff(&without_diff("[PATCH] a", "1"), "the patch \"a\" has no diff")]
    #[case::one_without(
        &(mail("[PATCH 1/2] a", "1") + &without_diff("[PATCH 2/2] b", "2")),
        "\"b\" has no diff")]
    #[case::missing(&mail("[PATCH 2/3] a", "1"), "v1 lacks patches 1, 3 of 3")]
    #[case::last(&mail("[PATCH v7 1/2] a", "1"), "v7 lacks patch 2 of 2")]
    #[case::many(&mail("[PATCH 2/99999] a", "1"), "v1 lacks patches 1, 3-99999 of 99999")]
    #[case::newer_in_part(
        &(mail("[PATCH 1/1] a", "1") + &mail("[PATCH v2 1/2] a", "2")),
        "v2 lacks patch 2 of 2 (v1 is complete: give only its mails")]
    #[case::all_in_part(
        &(mail("[PATCH 1/2] a", "1") + &mail("[PATCH v2 1/2] a", "2")),
        "; no older version is complete either")]
    #[case::twice(
        &(mail("[PATCH 1/1] a", "1") + &mail("[PATCH 1/1] b", "2")),
        "mails are patch 1 of 1: \"a\" <1@example.org> and \"b\" <2@example.org>")]
    #[case::twice_without_ids(
        &(mail("[PATCH 1/1] a", "1") + &mail("[PATCH 1/1] b", "2")).replace("Message-ID", "X-Id"),
        "mails are patch 1 of 1: \"a\" and \"b\"")]
    #[case::several(
        &(mail("[PATCH 1/2] a", "1") + &mail("[PATCH 2/3] b", "2")),
        "\"a\" is one of 2, \"b\" is number 2 of 3")]
    #[case::beyond(&mail("[PATCH 4/3] a", "1"), "number 4 of 3")]
    fn anything_but_one_complete_series_is_refused(#[case] text: &str, #[case] words: &str) {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn a_duplicate_mail_is_dropped() {
        let one = mail("[PATCH 1/1] a", "1");
        // A list's footer does not make it another mail.
        let again = one.replace("2.47\n", "2.47\n\nlist footer\n");
        let series = read(&(one.clone() + &again)).unwrap();
        assert_eq!(series.patches.len(), 1);
        assert!(one.ends_with(&String::from_utf8(series.patches[0].mail.clone()).unwrap()));
    }

    #[test]
    fn mails_that_were_left_out_are_reported() {
        let text = mail("[PATCH 1/1] z", "1")
            + &mail("[PATCH v2 1/1] a", "2")
            + &mail("[PATCH v2] b", "3");
        let notes = read(&text).unwrap().notes;
        assert_eq!(
            notes,
            [
                "left out, because it has no number: b",
                "v2 is checked, and mails of v1 are left out"
            ]
        );
    }

    #[test]
    fn the_cover_letter_may_be_beside_the_mailbox_and_may_have_the_base() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("v1_20200227_ann_perf.mbx");
        let base = "base-commit: 0123456789012345678901234567890123456789\n";
        fs::write(&path, mail("[PATCH 1/1] a", "1")).unwrap();
        let series = Series::of_mailbox(&path).unwrap();
        assert_eq!((series.cover.is_some(), series.base.is_some()), (false, false));
        assert_eq!(series.answered(), Some(series.patches[0].mail.as_slice()));

        fs::write(path.with_extension("cover"), without_diff("[PATCH 0/1] all", "0") + base)
            .unwrap();
        let series = Series::of_mailbox(&path).unwrap();
        assert_eq!(series.cover.as_ref().unwrap().subject, "all");
        assert_eq!(series.base.as_deref(), base.trim().strip_prefix("base-commit: "));
        assert_eq!(series.answered(), Some(series.cover.as_ref().unwrap().mail.as_slice()));
    }

    #[test]
    fn a_directory_is_read_in_the_order_of_its_file_names() {
        let directory = TempDir::new().unwrap();
        let put = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        let error = Series::of_directory(directory.path()).unwrap_err().to_string();
        assert!(
            error.contains("no file in it ends with .patch, .mbx, .mbox, .eml or .cover"),
            "{error}"
        );
        put("0002-b.patch", &mail("[PATCH] b", "2"));
        put("0001-a.patch", &mail("[PATCH] a", "1"));
        put("notes.txt", "no mail");
        put("0002-b.patch~", &mail("[PATCH] old", "3"));
        assert_eq!(subjects(&Series::of_directory(directory.path()).unwrap()), ["a", "b"]);
        put("0000-cover-letter.patch", &without_diff("[PATCH 0/2] all", "0"));
        let error = Series::of_directory(directory.path()).unwrap_err().to_string();
        assert!(error.contains("lacks patches 1-2 of 2"), "{error}");
        put("0003-c.patch", "diff --git a/a b/a\n");
        let error = Series::of_directory(directory.path()).unwrap_err().to_string();
        assert!(error.contains("0003-c.patch: not a mailbox"), "{error}");
    }

    #[test]
    fn a_mailbox_of_more_mails_than_any_thread_is_refused() {
        let mails = |number: usize| format!("{FROM}Subject: thoughts\n\n").repeat(number);
        assert!(matches!(read(&mails(MOST)), Err(SeriesError::NoPatch { .. })));
        assert!(matches!(read(&mails(MOST + 1)), Err(SeriesError::TooMany { .. })));
    }

    #[test]
    fn a_mailbox_may_be_gzipped() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(mail("[PATCH] a", "1").as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        fs::write(file.path(), &packed).unwrap();
        assert_eq!(subjects(&Series::of_mailbox(file.path()).unwrap()), ["a"]);
        fs::write(file.path(), &packed[..packed.len() / 2]).unwrap();
        assert!(matches!(Series::of_mailbox(file.path()), Err(SeriesError::Read { .. })));
        let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let zeros = vec![0; 1 << 20];
        (0..=foreign::MAILBOX.bytes >> 20).for_each(|_| bomb.write_all(&zeros).unwrap());
        fs::write(file.path(), bomb.finish().unwrap()).unwrap();
        let error = with_causes(&Series::of_mailbox(file.path()).unwrap_err());
        assert!(error.contains("it is larger than 64 MiB, the limit of a mailbox"), "{error}");
    }

    #[test]
    fn a_file_takes_precedence_over_a_range() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("a..b").display().to_string();
        let range =
            |from: &str, to: &str| SeriesSpec::Range { from: from.to_owned(), to: to.to_owned() };
        assert_eq!(
            SeriesSpec::parse(&path).unwrap(),
            range(path.strip_suffix("..b").unwrap(), "b")
        );
        fs::write(&path, "").unwrap();
        assert_eq!(SeriesSpec::parse(&path).unwrap(), SeriesSpec::Mailbox(path.into()));
        let named = directory.path().display().to_string();
        assert_eq!(SeriesSpec::parse(&named).unwrap(), SeriesSpec::Directory(named.into()));
        assert_eq!(SeriesSpec::parse("v6.18..").unwrap(), range("v6.18", "HEAD"));
        assert_eq!(SeriesSpec::parse("HEAD@{1}..").unwrap(), range("HEAD@{1}", "HEAD"));
        let id: MessageId = "20200402.1@example.org".parse().unwrap();
        for text in ["<20200402.1@example.org>", "https://example.org/all/20200402.1@example.org/"]
        {
            assert_eq!(SeriesSpec::parse(text).unwrap(), SeriesSpec::Message(id.clone()));
        }
    }

    #[rstest]
    #[case("none.mbox")]
    #[case("..topic")]
    #[case("v6.18...topic")]
    #[case("-x..--exec=reboot")]
    #[case("a..--exec=reboot")]
    #[case("a\u{1b}[2J..b")]
    fn a_name_that_is_neither_is_refused(#[case] text: &str) {
        let error = SeriesSpec::parse(text).unwrap_err().to_string();
        assert!(error.contains("no such file"), "{error}");
    }

    #[test]
    fn the_hash_depends_on_the_patches() {
        let one = read(&mail("[PATCH] a", "1")).unwrap();
        assert_eq!(one.sha256(), read(&mail("[PATCH] a", "1")).unwrap().sha256());
        assert_ne!(one.sha256(), read(&mail("[PATCH] b", "1")).unwrap().sha256());
    }

    #[test]
    fn long_subjects_are_cut_in_errors() {
        let subject = format!("[PATCH 1/1] {}", "x".repeat(5000));
        let error =
            read(&(mail(&subject, "1") + &mail("[PATCH 1/1] b", "2"))).unwrap_err().to_string();
        assert!(error.len() < 3000, "{error}");
    }
}
