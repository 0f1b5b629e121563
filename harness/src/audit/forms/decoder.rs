//! Decides for each line which form it has, and hands it on.

use serde_json::Value;

use super::super::assemble::Assembler;
use super::clean::clean;
use super::container::{CriLine, PartialLine};
use super::form::Form;
use super::journal::Entry;
use super::json::{self, JsonText};
use super::table::Table;
use super::{aureport, ausearch, line, setroubleshoot};

/// The state of reading between two lines of a log.
#[derive(Default)]
pub(in crate::audit) struct Decoder {
    /// JSON that began on an earlier line.
    json: JsonText,
    /// The columns of a table.
    table: Option<Table>,
    /// An entry of the journal, which has a field on each line.
    entry: Option<Entry>,
    /// A line of a container's log that continues.
    partial: PartialLine,
    /// True behind a line that only ausearch prints.
    in_ausearch: bool,
    /// The form around the text, which names it.
    outer: Option<Form>,
    /// The number of forms around the text.
    depth: usize,
}

/// The largest number of forms around a record: a syslog line in JSON in a container's log.
const DEEPEST: usize = 6;

impl Decoder {
    /// Takes the next line of the log.
    pub(in crate::audit) fn line(&mut self, line: &str, out: &mut Assembler) {
        // Editors and spreadsheets put a byte order mark before the first.
        let line = line.trim_start_matches('\u{feff}');
        if self.json.is_open() || self.entry.is_none() && json::begins(line) {
            for piece in self.json.push(line) {
                match piece {
                    Ok(value) => json::read(&value, self, out),
                    // It looked like JSON.
                    Err(text) => text.lines().for_each(|line| self.plain(line, out)),
                }
            }
            return;
        }
        self.plain(line, out);
    }

    /// Ends the input.
    pub(in crate::audit) fn end(&mut self, out: &mut Assembler) {
        if let Some(text) = self.json.take() {
            text.lines().for_each(|line| self.plain(line, out));
        }
        if let Some(line) = self.partial.take() {
            self.inside(Form::CriLog, &line, out);
        }
        if let Some(entry) = self.entry.take() {
            entry.read(self, out);
        }
        *self = Self::default();
    }

    /// Takes text that another form has inside. It counts as the outermost form.
    pub(super) fn inside(&mut self, form: Form, text: &str, out: &mut Assembler) {
        if self.depth >= DEEPEST {
            return;
        }
        let mut inner = Self {
            outer: Some(self.outer.unwrap_or(form)),
            depth: self.depth + 1,
            ..Self::default()
        };
        text.lines().for_each(|line| inner.line(line, out));
        inner.end(out);
        out.release();
    }

    /// The form to count for text in this form.
    pub(super) fn named(&self, form: Form) -> Form {
        self.outer.unwrap_or(form)
    }

    /// Takes a line that is not JSON as a whole.
    fn plain(&mut self, line: &str, out: &mut Assembler) {
        if let Some(entry) = &mut self.entry {
            if entry.push(line) {
                return;
            }
            if let Some(entry) = self.entry.take() {
                entry.read(self, out);
            }
        }
        if let Some(entry) = Entry::begin(line) {
            self.entry = Some(entry);
            return;
        }
        if let Some(found) = CriLine::parse(line) {
            if let Some(text) = self.partial.push(&found) {
                self.inside(Form::CriLog, &text, out);
            }
            return;
        }
        if let Some(value) = json::within(line) {
            json::read(&Value::Object(value), self, out);
            return;
        }
        if self.in_table(line, out) {
            return;
        }
        self.text(&clean(line), out);
    }

    /// Takes a line of a table. Returns false if it is none.
    fn in_table(&mut self, line: &str, out: &mut Assembler) -> bool {
        if let Some(table) = Table::of_header(line) {
            out.separator();
            self.table = Some(table);
            return true;
        }
        let Some(table) = &self.table else { return false };
        let Some(row) = table.row(line) else { return false };
        match table.form() {
            Form::AusearchCsv => ausearch::row(&row, out),
            _ => json::row(&row, self, out),
        }
        true
    }

    /// Takes a line of plain text.
    fn text(&mut self, line: &str, out: &mut Assembler) {
        if let Some(summary) = setroubleshoot::read(line) {
            out.summary(Form::Setroubleshoot, summary);
        } else if let Some(summary) = aureport::read(line) {
            out.summary(Form::Aureport, summary);
        } else if aureport::is_title(line) {
            out.separator();
        } else if let Some(event) = ausearch::text(line) {
            ausearch::add(event, Form::AusearchText, out);
        } else {
            self.in_ausearch |= line == "----" || line.starts_with("time->");
            out.text(self.named(line::form(line, self.in_ausearch)), line);
        }
    }
}
