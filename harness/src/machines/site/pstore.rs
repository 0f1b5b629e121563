//! The last words of a kernel that pstore keeps over a reset: a second witness beside the console.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::PathBuf;

use super::command::CommandError;
use super::machine::SiteMachine;
use super::ssh::LOOK;
use crate::text::eprint_line;

/// pstore itself. It takes nothing once it is full.
const LIVE: &str = "sys/fs/pstore/";
/// systemd moves files there when it boots (systemd-pstore.service). That is on the machine's disk,
/// and nothing there is deleted.
const MOVED: &str = "var/lib/systemd/pstore/";
/// Lists files with their checksums.
const LIST: &str = "cd / && find sys/fs/pstore var/lib/systemd/pstore -type f -exec cksum {} + \
                    2>/dev/null; true";

/// Longest archive of files, in bytes.
const LONGEST_ARCHIVE: u64 = 16 << 20;
/// Most files that are kept or read at a time: their names are one argument of a shell.
const MOST: usize = 1000;
/// Longest end of a log that is shown, in bytes.
const LONGEST_LOG: usize = 64 << 10;
/// A part of the first line that every kernel logs.
const BANNER: &str = "Linux version ";

/// The state of pstore before a kernel is started.
#[derive(Debug)]
pub(super) struct Pstore(BTreeSet<Entry>);

/// A file. Another one may have its name later: ramoops always begins with the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// Its path without the leading slash.
    name: String,
    /// Checksum and length, as `cksum` prints them.
    sum: String,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    name: String,
    bytes: Vec<u8>,
}

/// The log of a kernel, from one file or several.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Log {
    names: Vec<String>,
    text: String,
}

impl Pstore {
    /// Empties pstore. Files that were in it are somebody's: they are kept on this host first, or
    /// else stay.
    pub(super) fn empty(machine: &SiteMachine) -> Result<Self, CommandError> {
        let before = list(machine)?;
        let old: Vec<_> = before.iter().filter(|it| it.is_live()).take(MOST).collect();
        if old.is_empty() {
            return Ok(Self(before));
        }
        let (name, count) = (&machine.leased.site.name, old.len());
        match keep(machine, &old) {
            Ok(path) => {
                remove(machine, old.iter().map(|it| it.name.as_str()))?;
                let path = path.display();
                eprint_line!("perfsec: {name}: pstore was not empty: {count} files are in {path}");
                list(machine).map(Self)
            }
            Err(why) => {
                eprint_line!("perfsec: {name}: pstore is not empty, and stays so: {why}");
                Ok(Self(before))
            }
        }
    }

    /// The logs that a kernel with this mark in its command line has left since then, each behind
    /// the name of its file. They are removed from pstore. Returns `None` if there are none or the
    /// machine does not say.
    pub(super) fn read(&self, machine: &SiteMachine, mark: &str) -> Option<String> {
        let now = list(machine).ok()?;
        let new: Vec<_> = now.difference(&self.0).filter(|it| it.is_log()).take(MOST).collect();
        if new.is_empty() {
            return None;
        }
        let mut logs = logs(unpack(&fetch(machine, &new).ok()?).ok()?);
        logs.retain(|log| log.may_be_of(mark));
        let shown: String = logs.iter().map(Log::shown).collect();
        // The record has them now. Whoever finds them later would take them for the machine's own.
        let read = logs.iter().flat_map(|log| &log.names).map(String::as_str);
        let read: Vec<_> = read.filter(|name| name.starts_with(LIVE)).collect();
        if !read.is_empty() {
            // The next start keeps what is left.
            let _ = remove(machine, read.into_iter());
        }
        Some(shown).filter(|shown| !shown.is_empty())
    }
}

impl Entry {
    /// Reads a line of `cksum`. Names become parts of commands, so only plain ones are taken.
    fn parse(line: &str) -> Option<Self> {
        let is_plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '.' | '_' | ':');
        let mut words = line.splitn(3, ' ');
        let (crc, length, name) = (words.next()?, words.next()?, words.next()?);
        let is_known = [LIVE, MOVED].iter().any(|place| name.starts_with(place));
        (is_known && name.chars().all(is_plain))
            .then(|| Self { name: name.to_owned(), sum: format!("{crc} {length}") })
    }

    fn is_live(&self) -> bool {
        self.name.starts_with(LIVE)
    }

    /// True for the kernel's messages: `dmesg-efi_pstore-168…`, `dmesg-ramoops-0`,
    /// `console-ramoops-0`. systemd joins parts to a `dmesg.txt`, which has nothing else.
    fn is_log(&self) -> bool {
        let file = self.name.rsplit('/').next().unwrap_or_default();
        file.starts_with("dmesg-") || file.starts_with("console-")
    }
}

impl Log {
    /// False if it has the first messages of another kernel: of the machine's own, say.
    fn may_be_of(&self, mark: &str) -> bool {
        !self.text.contains(BANNER) || self.text.contains(mark)
    }

    /// The end of it behind its name. Its banner would be taken for that of a second boot.
    fn shown(&self) -> String {
        let from = self.text.ceil_char_boundary(self.text.len().saturating_sub(LONGEST_LOG));
        let lines = self.text[from..].lines().filter(|line| !line.contains(BANNER));
        let lines: String = lines.map(|line| format!("{line}\r\n")).collect();
        format!("/{}:\r\n{lines}", self.names.first().map_or("", String::as_str))
    }
}

fn list(machine: &SiteMachine) -> Result<BTreeSet<Entry>, CommandError> {
    machine.ssh(LIST, None, LOOK).map(|said| said.lines().filter_map(Entry::parse).collect())
}

fn fetch(machine: &SiteMachine, entries: &[&Entry]) -> Result<Vec<u8>, CommandError> {
    let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let read = format!("cd / && tar -cf - {} | head -c {LONGEST_ARCHIVE}", names.join(" "));
    machine.ssh_bytes(&read, LOOK)
}

fn remove<'a>(
    machine: &SiteMachine,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), CommandError> {
    let names: Vec<_> = names.collect();
    machine.ssh(&format!("cd / && rm -f {}; true", names.join(" ")), None, LOOK).map(drop)
}

/// Keeps files on this host. The error is a clause.
fn keep(machine: &SiteMachine, entries: &[&Entry]) -> Result<PathBuf, String> {
    let archive = fetch(machine, entries).map_err(|error| error.to_string())?;
    let files = unpack(&archive).map_err(|error| format!("its files cannot be read: {error}"))?;
    let has = |entry: &&&Entry| files.iter().any(|file| file.name == entry.name);
    match entries.iter().find(|entry| !has(entry)) {
        Some(missing) => Err(format!("/{} cannot be read", missing.name)),
        None => machine.leased.keep_pstore(&archive).map_err(|error| error.to_string()),
    }
}

fn unpack(archive: &[u8]) -> io::Result<Vec<Content>> {
    let mut files = Vec::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.push(Content { name, bytes });
    }
    Ok(files)
}

/// Puts the parts of each log in order. Firmware keeps a log in pieces of a kilobyte and numbers them
/// from its end (`pstore_dump()`).
fn logs(mut files: Vec<Content>) -> Vec<Log> {
    files.sort_by_cached_key(|file| {
        let part = Part::of(&file.bytes);
        let number = part.as_ref().map(|part| std::cmp::Reverse(part.number));
        (part.is_none(), folder(&file.name).to_owned(), part.map(|part| part.dump), number)
    });
    let mut logs: Vec<(Option<(String, String)>, Log)> = Vec::new();
    for Content { name, bytes } in files {
        let part = Part::of(&bytes);
        let key = part.as_ref().map(|part| (folder(&name).to_owned(), part.dump.clone()));
        let text = String::from_utf8_lossy(&bytes[part.map_or(0, |part| part.length)..]);
        match logs.last_mut() {
            Some((last, log)) if key.is_some() && *last == key => {
                log.text.push_str(&text);
                log.names.push(name);
            }
            _ => logs.push((key, Log { names: vec![name], text: text.into_owned() })),
        }
    }
    logs.into_iter().map(|(_, log)| log).collect()
}

fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The head of a piece: `Panic#2 Part3`.
struct Part {
    /// The reason and the number of the dump.
    dump: String,
    number: u32,
    /// Length of the line, in bytes.
    length: usize,
}

impl Part {
    fn of(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (dump, number) = std::str::from_utf8(&bytes[..end]).ok()?.split_once(" Part")?;
        let (_, count) = dump.rsplit_once('#')?;
        count.parse::<u32>().ok()?;
        let number = number.parse().ok()?;
        Some(Self { dump: dump.to_owned(), number, length: end + 1 })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn file(name: &str, text: &str) -> Content {
        Content { name: name.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    #[rstest]
    #[case("12 34 sys/fs/pstore/dmesg-efi_pstore-1", true)]
    #[case("12 34 var/lib/systemd/pstore/1/001/dmesg-efi_pstore-1", true)]
    #[case("12 34 sys/fs/pstore/$(reboot)", false)]
    #[case("12 34 sys/fs/pstore/a b", false)]
    #[case("12 34 etc/passwd", false)]
    #[case("12 34 /etc/passwd", false)]
    #[case("cksum: no", false)]
    fn only_plain_names_become_parts_of_a_command(#[case] line: &str, #[case] is_taken: bool) {
        assert_eq!(Entry::parse(line).is_some(), is_taken);
    }

    #[test]
    fn the_parts_of_a_log_are_put_in_order() {
        let files = vec![
            file("sys/fs/pstore/console-ramoops-0", "<6>[ 9.0] console\n"),
            file("sys/fs/pstore/dmesg-efi-101", "Panic#2 Part1\n<0>[ 5.2] end\n"),
            file("sys/fs/pstore/dmesg-efi-103", "Panic#2 Part10\n<0>[ 5.0] begin\n"),
            file("sys/fs/pstore/dmesg-efi-102", "Panic#2 Part2\n<0>[ 5.1] middle\n"),
            file("sys/fs/pstore/dmesg-efi-001", "Oops#1 Part1\n<1>[ 4.0] BUG\n"),
        ];
        let logs = logs(files);
        let texts: Vec<_> = logs.iter().map(|log| log.text.as_str()).collect();
        let panic = "<0>[ 5.0] begin\n<0>[ 5.1] middle\n<0>[ 5.2] end\n";
        assert_eq!(texts, ["<1>[ 4.0] BUG\n", panic, "<6>[ 9.0] console\n"]);
        assert_eq!(logs[1].names[0], "sys/fs/pstore/dmesg-efi-103");
    }

    #[rstest]
    #[case("<0>[ 5.0] end\n", true)]
    #[case("<5>[ 0.0] Linux version 6.1\n<6>[ 0.0] Command line: mark\n<0>[ 5.0] end\n", true)]
    #[case("<5>[ 0.0] Linux version 6.1\n<6>[ 0.0] Command line: quiet\n<0>[ 5.0] end\n", false)]
    fn the_log_of_another_kernel_is_not_shown(#[case] text: &str, #[case] is_ours: bool) {
        let log = Log { names: vec!["sys/fs/pstore/dmesg-1".to_owned()], text: text.to_owned() };
        assert_eq!(log.may_be_of("mark"), is_ours);
        let shown = log.shown();
        assert!(shown.starts_with("/sys/fs/pstore/dmesg-1:\r\n"), "{shown}");
        assert!(shown.ends_with("<0>[ 5.0] end\r\n") && !shown.contains(BANNER), "{shown}");
    }

    #[test]
    fn the_end_of_a_long_log_is_shown() {
        let text = "é".repeat(LONGEST_LOG) + "\nlast\n";
        let shown = Log { names: Vec::new(), text }.shown();
        assert!(shown.len() < LONGEST_LOG + 100 && shown.ends_with("é\r\nlast\r\n"));
    }
}
