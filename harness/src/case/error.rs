//! What is wrong with a case file, and where.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// One mistake in a case file.
#[derive(Clone, Debug)]
pub struct CaseError {
    /// The file, as the user would name it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// What the mistake is, as bytes of the text.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// The mistakes of one file, while it is read.
pub(crate) struct Mistakes<'a> {
    path: &'a Path,
    text: &'a str,
    /// Those that were found so far.
    pub(crate) all: Vec<CaseError>,
}

impl<'a> Mistakes<'a> {
    /// None yet.
    pub(crate) fn of(path: &'a Path, text: &'a str) -> Self {
        Self { path, text, all: Vec::new() }
    }

    /// One more; `help` says what to do about it.
    pub(crate) fn add(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<&str>,
    ) {
        self.all.push(CaseError {
            path: self.path.to_owned(),
            text: self.text.to_owned(),
            span,
            message: message.into(),
            help: help.map(str::to_owned),
        });
    }

    /// One that the reader of TOML found.
    pub(crate) fn toml(&mut self, error: &toml::de::Error) {
        self.add(error.span().unwrap_or(0..0), error.message(), None);
    }
}

/// Everything that is wrong with a set of case files.
#[derive(Debug)]
pub struct CaseErrors(pub Vec<CaseError>);

impl CaseError {
    /// Line and column, both from 1.
    #[must_use]
    pub fn position(&self) -> (usize, usize) {
        let before = &self.text[..floor(&self.text, self.span.start)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display().to_string();
        let start = floor(&self.text, self.span.start);
        // One line is enough to find the place; a span over a whole table would print all of it.
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let end = floor(&self.text, self.span.end.clamp(start, line_end.max(start)));
        let snippet = Snippet::source(&self.text)
            .path(&path)
            .annotation(AnnotationKind::Primary.span(start..end));
        let mut group = Level::ERROR.primary_title(&self.message).element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        f.write_str(&Renderer::plain().render(&[group]))
    }
}

impl fmt::Display for CaseErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for CaseErrors {}
