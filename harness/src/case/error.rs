//! Mistakes in case files, each with its place.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::text::escaped;

/// One mistake in a case file.
#[derive(Clone, Debug)]
pub struct CaseError {
    /// The file's path, as the user would write it.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
    /// The faulty part of the text, in bytes.
    pub span: Range<usize>,
    /// The error message.
    pub message: String,
    /// Advice on how to fix it.
    pub help: Option<String>,
}

/// Number of mistakes of one file that are reported. Each is rendered with its line, so every
/// mistake of a hostile file would take hours.
const MOST: usize = 50;

/// Collects the first mistakes of one file while it is read.
pub(crate) struct Mistakes<'a> {
    path: &'a Path,
    text: Arc<str>,
    /// The mistakes found so far, at most [`MOST`].
    pub(crate) all: Vec<CaseError>,
}

impl<'a> Mistakes<'a> {
    /// Starts without a mistake.
    pub(crate) fn new(path: &'a Path, text: &str) -> Self {
        Self { path, text: text.into(), all: Vec::new() }
    }

    /// True if further mistakes are dropped, so that nobody needs to look for them.
    pub(crate) fn is_full(&self) -> bool {
        self.all.len() >= MOST
    }

    /// Adds a mistake; `help` is advice on how to fix it.
    pub(crate) fn add(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<&str>,
    ) {
        if self.is_full() {
            return;
        }
        self.all.push(CaseError {
            path: self.path.to_owned(),
            text: Arc::clone(&self.text),
            span,
            message: message.into(),
            help: help.map(str::to_owned),
        });
    }

    /// Adds a mistake that the TOML parser found.
    pub(crate) fn toml(&mut self, error: &toml::de::Error) {
        self.add(error.span().unwrap_or(0..0), error.message(), None);
    }
}

/// All mistakes in a set of case files.
#[derive(Debug)]
pub struct CaseErrors(pub Vec<CaseError>);

impl CaseError {
    /// Line and column of the mistake, both from 1.
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
        // A newline in the name of a file would forge a line of the rendered mistake.
        let path = escaped(&self.path.to_string_lossy());
        let start = floor(&self.text, self.span.start);
        // One line is enough to find the place; a span over a whole table would print all of it.
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let end = floor(&self.text, self.span.end.clamp(start, line_end.max(start)));
        let snippet = Snippet::source(&*self.text)
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
