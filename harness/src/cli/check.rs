//! `perfsec check`

use std::path::Path;

use serde::Serialize;

use super::args::{CheckArgs, CheckFormat};
use super::{Exit, Failure};
use crate::case::{CaseError, CaseErrors, Library, LibraryError};
use crate::counted::counted;
use crate::text::{self, Text, eprint_line};

/// A mistake in JSON.
#[derive(Serialize)]
struct Mistake<'a> {
    path: &'a Path,
    line: usize,
    column: usize,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

impl<'a> From<&'a CaseError> for Mistake<'a> {
    fn from(error: &'a CaseError) -> Self {
        let (line, column) = error.position();
        let (message, help) = (&error.message, error.help.as_deref());
        Self { path: &error.path, line, column, message, help }
    }
}

pub(super) fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    let (mistakes, summary) = match Library::directory(&args.directory) {
        Ok(library) => {
            let (cases, cells) = (library.cases.len(), library.cell_names().len());
            let summary = format!("{}: {}", counted(cases, "case"), counted(cells, "cell"));
            (Vec::new(), summary)
        }
        Err(LibraryError::Cases(CaseErrors(mistakes))) => {
            let summary = counted(mistakes.len(), "mistake");
            (mistakes, summary)
        }
        Err(other) => return Err(other.into()),
    };
    super::print(&match args.format {
        CheckFormat::Text => plain(&mistakes),
        CheckFormat::Json => text::json(&mistakes.iter().map(Mistake::from).collect::<Vec<_>>()),
    })?;
    eprint_line!("{summary}");
    Ok(if mistakes.is_empty() { Exit::Success } else { Exit::Input })
}

fn plain(mistakes: &[CaseError]) -> Text {
    let mut out = Text::new();
    for mistake in mistakes {
        out.append(&Text::of_block(mistake.to_string()));
        out.end();
    }
    out
}
