//! Writes run records.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::order::Place;
use super::{Event, RecordError};

/// Writes events as they arrive, and puts them in order when the run has ended.
///
/// A run that is killed leaves the events in the order of their arrival, which readers accept too.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
    /// The lines so far. Their content stays in the file, so memory grows by a few bytes per cell.
    lines: Vec<Line>,
    /// Size of the file in bytes.
    size: u64,
}

/// A line of the file.
#[derive(Clone, Copy, Debug)]
struct Line {
    place: Place,
    /// Offset in the file, in bytes.
    begin: u64,
    /// Length in bytes, with the newline.
    length: usize,
}

impl Writer {
    /// Begins a record.
    ///
    /// # Errors
    ///
    /// If the file cannot be created.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        let error = |source| RecordError::Write { path: path.to_owned(), source };
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(error)?;
        }
        let file = BufWriter::new(File::create(path).map_err(error)?);
        Ok(Self { path: path.to_owned(), file, lines: Vec::new(), size: 0 })
    }

    /// Appends an event and flushes it, so that it survives if perfsec is killed right after.
    /// After the last event, the file is replaced by one with all events in order; that a guest
    /// was faster than another leaves no trace in it.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&mut self, event: &Event) -> Result<(), RecordError> {
        let ended = matches!(event, Event::End(_));
        let result = self.append(event).and_then(|()| if ended { self.sort() } else { Ok(()) });
        result.map_err(|source| RecordError::Write { path: self.path.clone(), source })
    }

    fn append(&mut self, event: &Event) -> io::Result<()> {
        let mut text = serde_json::to_vec(event)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.file.flush()?;
        self.lines.push(Line { place: event.place(), begin: self.size, length: text.len() });
        self.size += text.len() as u64;
        Ok(())
    }

    /// Replaces the file by one with the events in order.
    fn sort(&mut self) -> io::Result<()> {
        if self.lines.is_sorted_by_key(|line| line.place) {
            return Ok(());
        }
        let Some((path, file)) = self.reopen()? else { return Ok(()) };
        let parent = path.parent().unwrap_or(Path::new("/"));
        let sorted = match NamedTempFile::new_in(parent) {
            // The user may write the file, and not its directory. The record is whole as it is.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            created => created?,
        };
        sorted.as_file().set_permissions(file.metadata()?.permissions())?;
        self.lines.sort_by_key(|line| line.place);
        let mut out = BufWriter::new(sorted);
        let mut text = Vec::new();
        for line in &self.lines {
            text.resize(line.length, 0);
            file.read_exact_at(&mut text, line.begin)?;
            out.write_all(&text)?;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.persist(&path)?;
        Ok(())
    }

    /// The file and its path without symbolic links; `None` if it is a device or a pipe, or another
    /// file is in its place by now.
    fn reopen(&self) -> io::Result<Option<(PathBuf, File)>> {
        let written = self.file.get_ref().metadata()?;
        if !written.is_file() {
            return Ok(None);
        }
        let opened = self.path.canonicalize().and_then(|path| Ok((File::open(&path)?, path)));
        let Ok((file, path)) = opened else { return Ok(None) };
        let found = file.metadata()?;
        let same = (found.dev(), found.ino()) == (written.dev(), written.ino());
        Ok(same.then_some((path, file)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;
    use crate::record::Run;

    /// The events of a real run on two kernels, in order.
    fn events() -> Vec<Event> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/run.jsonl");
        crate::record::read(&path).unwrap().run.events().collect()
    }

    /// The events as several guests might have sent them: the lanes side by side, and in each the
    /// last cells first.
    fn shuffled() -> Vec<Event> {
        let mut events = events();
        let end = events.pop().unwrap();
        let (mut begun, mut rest): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| matches!(event, Event::Run(_) | Event::Lane(_)));
        // The lane with the higher number begins first.
        begun[1..].reverse();
        rest.reverse();
        [begun, rest, vec![end]].concat()
    }

    fn written(events: &[Event], path: &Path) -> String {
        let mut writer = Writer::create(path).unwrap();
        events.iter().try_for_each(|event| writer.write(event)).unwrap();
        fs::read_to_string(path).unwrap()
    }

    fn lines(run: &Run) -> Vec<String> {
        run.events().map(|event| serde_json::to_string(&event).unwrap()).collect()
    }

    #[test]
    fn a_finished_record_does_not_depend_on_the_order_of_arrival() {
        let place = TempDir::new().unwrap();
        let [one, other] = ["one", "other"].map(|name| place.path().join(name));
        let in_order = written(&events(), &one);
        assert_eq!(written(&shuffled(), &other), in_order);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
        let run = Run::of(events()).unwrap();
        assert_eq!(in_order.lines().collect::<Vec<_>>(), lines(&run));
    }

    #[test]
    fn a_record_that_was_cut_off_is_read_in_order() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("record");
        let mut cut = shuffled();
        cut.pop();
        let streamed = written(&cut, &path);
        let loaded = crate::record::read(&path).unwrap();
        assert!(loaded.cut.is_some());
        let mut events = events();
        events.pop();
        assert_eq!(lines(&loaded.run), lines(&Run::of(events).unwrap()));
        assert_ne!(streamed.lines().collect::<Vec<_>>(), lines(&loaded.run));
    }

    #[test]
    fn a_link_and_permissions_survive() {
        let place = TempDir::new().unwrap();
        let [path, link] = ["record", "link"].map(|name| place.path().join(name));
        fs::write(&path, "an earlier record").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let text = written(&shuffled(), &link);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_file_that_another_program_put_in_its_place_is_left_alone() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("record");
        let mut writer = Writer::create(&path).unwrap();
        let events = shuffled();
        let (end, before) = events.split_last().unwrap();
        before.iter().try_for_each(|event| writer.write(event)).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        writer.write(end).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn a_device_is_only_written() {
        written(&shuffled(), Path::new("/dev/null"));
    }
}
