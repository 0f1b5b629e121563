//! Tables with a header line: `ausearch --format csv`, and what log stores export.

use std::collections::BTreeMap;

use super::form::Form;

/// The columns of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    columns: Vec<String>,
    delimiter: u8,
    form: Form,
}

/// The characters that can separate columns.
const DELIMITERS: [u8; 3] = *b",;\t";

/// Columns of `ausearch --format csv` that no other table has.
const AUSEARCH: [&str; 3] = ["SERIAL_NUM", "EVENT_KIND", "SUBJ_PRIME"];

/// Ends of the names of columns with the text of a record, in lower case.
const RAW: [&str; 8] = ["_raw", "raw", "message", "msg", "event.original", "log", "record", "text"];

/// The longest header in bytes. Tables of the Elastic Common Schema have hundreds of columns.
const LONGEST: usize = 16 << 10;

/// The end of the name of the column with the class.
const CLASS: &str = "tclass";

impl Table {
    /// Reads the header. Returns `None` if the line is not one.
    pub(super) fn of_header(line: &str) -> Option<Self> {
        // Most lines of logs have fields, which no header has.
        if line.contains('=') || line.len() > LONGEST {
            return None;
        }
        DELIMITERS.iter().filter(|delimiter| line.contains(char::from(**delimiter))).find_map(
            |delimiter| {
                let columns = cells(line, *delimiter)?;
                if columns.len() < 2 || !columns.iter().all(|name| is_name(name)) {
                    return None;
                }
                let form = if AUSEARCH.iter().all(|name| columns.iter().any(|it| it == name)) {
                    Form::AusearchCsv
                } else if columns.iter().any(|name| {
                    let name = name.to_ascii_lowercase();
                    name.rsplit('.').next() == Some(CLASS) || RAW.contains(&name.as_str())
                }) {
                    Form::Csv
                } else {
                    return None;
                };
                Some(Self { columns, delimiter: *delimiter, form })
            },
        )
    }

    /// The table's form.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// A row by its columns' names. Returns `None` if the line has another number of cells.
    pub(super) fn row(&self, line: &str) -> Option<BTreeMap<String, String>> {
        let cells = cells(line, self.delimiter)?;
        let fits = cells.len() == self.columns.len();
        fits.then(|| self.columns.iter().cloned().zip(cells).collect())
    }
}

/// The cells of a line, without their quotes.
fn cells(line: &str, delimiter: u8) -> Option<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(line.as_bytes());
    let row = reader.records().next()?.ok()?;
    Some(row.iter().map(|cell| cell.trim().to_owned()).collect())
}

/// True for what names a column.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '@'))
        && text.len() < 64
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.@- ".contains(c))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("_time,host,_raw", Some(Form::Csv))]
    #[case("\"@timestamp\";\"auditd.data.tclass\"", Some(Form::Csv))]
    #[case("NODE,EVENT,DATE,SERIAL_NUM,EVENT_KIND,SUBJ_PRIME", Some(Form::AusearchCsv))]
    #[case("hello, world", None)]
    #[case("type=AVC msg=audit(1.2:3): avc:  denied, message", None)]
    fn a_header_is_told_by_its_columns(#[case] line: &str, #[case] form: Option<Form>) {
        assert_eq!(Table::of_header(line).map(|table| table.form()), form);
    }

    #[test]
    fn a_row_has_its_cells_by_name() {
        let table = Table::of_header("time,message").unwrap();
        let row = table.row("\"1\",\"comm=\"\"perf\"\"\"").unwrap();
        assert_eq!(row["message"], "comm=\"perf\"");
        assert_eq!(table.row("one"), None);
    }
}
