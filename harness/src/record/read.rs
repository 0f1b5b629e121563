//! Reads run records.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use super::{Event, FORMAT, RecordError, Run};
use crate::foreign::{self, Limited, Line};

/// A run record, read from a file.
#[derive(Debug)]
pub struct LoadedRecord {
    /// The run, as far as the record has it.
    pub run: Run,
    /// Set if the record ends before its run did.
    pub cut: Option<Truncation>,
}

/// A record ends before its run did: perfsec was killed, or the file is truncated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the record ends after line {good}, before its run did: {cells} of {of} cells have a result"
)]
pub struct Truncation {
    /// Number of good lines.
    pub good: usize,
    /// Number of cells with a result.
    pub cells: usize,
    /// Number of cells of the whole run.
    pub of: usize,
}

/// Reads a run record. If it ends too early, what is there is returned.
///
/// # Errors
///
/// If the file cannot be read, has another format, is too large, or is damaged before its last
/// line.
pub fn read(path: &Path) -> Result<LoadedRecord, RecordError> {
    let unreadable = |source| RecordError::Read { path: path.to_owned(), source };
    read_from(foreign::open_named(path).map_err(unreadable)?, path)
}

/// Reads a run record from an open file; errors name `path`.
pub(crate) fn read_from(source: impl Read, path: &Path) -> Result<LoadedRecord, RecordError> {
    let unreadable = |source| RecordError::Read { path: path.to_owned(), source };
    let mut file = BufReader::new(Limited::new(source, &foreign::RECORD));
    let (mut line, mut number) = (Vec::new(), 0);
    if !file.fill_buf().map_err(unreadable)?.starts_with(b"{") {
        return Err(RecordError::NotARecord { path: path.to_owned() });
    }
    let mut next = |line: &mut Vec<u8>, number: usize| match foreign::read_line(
        &mut file,
        line,
        foreign::RECORD_LINE.length(),
    ) {
        Ok(Line::Long) => Err(RecordError::LongLine { path: path.to_owned(), line: number }),
        Ok(end) => Ok(end),
        Err(error) => Err(unreadable(error)),
    };
    next(&mut line, 1)?;
    let mut run = Run::new(match first(&line, path)? {
        Event::Run(started) => started,
        _ => return Err(RecordError::NotARecord { path: path.to_owned() }),
    });
    loop {
        number += 1;
        if next(&mut line, number + 1)? == Line::End {
            break;
        }
        let event = match serde_json::from_slice(&line) {
            Ok(event) => event,
            // The line that was being written when perfsec was killed.
            Err(_) if !line.ends_with(b"\n") => break,
            Err(source) => {
                let path = path.to_owned();
                return Err(RecordError::Damaged { path, line: number + 1, source });
            }
        };
        run.take(event).map_err(|source| RecordError::Misplaced {
            path: path.to_owned(),
            line: number + 1,
            source,
        })?;
    }
    let cut = run.end.is_none().then(|| Truncation {
        good: number,
        cells: run.cells().count(),
        of: run.started.cells,
    });
    Ok(LoadedRecord { run, cut })
}

/// True if a file begins like a run record of any format, which no kernel does.
#[must_use]
pub fn is_record(path: &Path) -> bool {
    let mut begin = [0];
    let read = foreign::open(path).and_then(|mut file| file.read(&mut begin));
    // No kernel image and no package begins like this.
    matches!(read, Ok(1)) && begin == *b"{"
}

/// Reads the first line, which an older or newer perfsec may have written in another form.
fn first(line: &[u8], path: &Path) -> Result<Event, RecordError> {
    let not_a_record = || RecordError::NotARecord { path: path.to_owned() };
    let value: Value = serde_json::from_slice(line).map_err(|_| not_a_record())?;
    match (value["event"].as_str(), value["format"].as_u64()) {
        (Some("run"), Some(found)) if found != u64::from(FORMAT) => {
            let perfsec = value["perfsec"].as_str().unwrap_or("?").chars();
            let perfsec = perfsec.filter(|c| !c.is_control()).take(40).collect();
            Err(RecordError::OtherFormat { path: path.to_owned(), found, perfsec })
        }
        (Some("run"), Some(_)) => serde_json::from_value(value)
            .map_err(|source| RecordError::Damaged { path: path.to_owned(), line: 1, source }),
        _ => Err(not_a_record()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::record::{RunStarted, Selection, Writer};

    const END: &str = r#"{"event":"end","counts":[],"interrupted":false,"millis":1}"#;

    /// A record of a run without cells, with these lines after the first.
    fn record(lines: &str) -> Result<LoadedRecord, RecordError> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("record.jsonl");
        let started = RunStarted::now(3, Selection::default());
        Writer::create(&path).unwrap().write(&Event::Run(started)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap() + lines;
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn a_record_that_ends_as_its_run_did_is_whole() {
        let reading = record(&format!("{END}\n")).unwrap();
        assert_eq!(reading.cut, None);
        assert!(reading.run.end.is_some());
    }

    #[rstest]
    #[case("", 1)]
    #[case(r#"{"event":"en"#, 1)]
    fn a_record_that_ends_too_early_is_read_as_far_as_it_goes(
        #[case] lines: &str,
        #[case] good: usize,
    ) {
        let reading = record(lines).unwrap();
        assert_eq!(reading.cut, Some(Truncation { good, cells: 0, of: 3 }));
    }

    #[rstest]
    #[case("\0\0\n", "line 2 is not an event")]
    #[case(
        "{\"event\":\"lane_end\",\"lane\":7,\"boots\":0,\"millis\":0}\n",
        "line 2 is out of place"
    )]
    fn damage_before_the_last_line_is_an_error_that_says_which_lines_are_good(
        #[case] lines: &str,
        #[case] words: &str,
    ) {
        let error = record(&format!("{lines}{END}\n")).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("head -n 1"), "{error}");
    }

    #[rstest]
    #[case("", "not a run record")]
    #[case("{}\n", "not a run record")]
    #[case("{\"event\":\"run\",\"format\":3,\"perfsec\":\"0.0.9\"}\n", "format 3 (perfsec 0.0.9)")]
    fn a_file_without_a_record_of_this_format_is_refused(#[case] text: &str, #[case] words: &str) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("record.jsonl");
        std::fs::write(&path, text).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
