//! A text with insertions, and the patch that makes them.

use std::path::{Path, PathBuf};

use similar::TextDiff;

use super::cil;
use super::error::ExtendError;
use super::wanted::Wanted;

/// Lines around a change in a patch.
const CONTEXT: usize = 3;

/// A file with the text that it is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The file.
    pub path: PathBuf,
    /// Its name in a patch.
    pub(super) name: String,
    /// Its text.
    pub(super) before: String,
    /// The text that it is to have.
    pub after: String,
}

impl Rewrite {
    /// Extends a module in CIL. The path is for the patch and the errors.
    ///
    /// # Errors
    ///
    /// If the text is not CIL, or lacks the class of capabilities.
    pub fn of_module(path: &Path, before: String, wanted: &Wanted) -> Result<Self, ExtendError> {
        if !cil::is_cil(&before) {
            return Err(ExtendError::NotCil { path: path.to_owned() });
        }
        let no_class = |class| ExtendError::NoClass { path: path.to_owned(), class };
        let after = cil::extend(&before, wanted).map_err(no_class)?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { path: path.to_owned(), name, before, after })
    }

    /// True if the file has that text already.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before == self.after
    }

    /// The change as `diff -u` prints it, for `patch -p1`.
    #[must_use]
    pub fn patch(&self) -> String {
        let diff = TextDiff::from_lines(&self.before, &self.after);
        let (a, b) = (format!("a/{}", self.name), format!("b/{}", self.name));
        diff.unified_diff().context_radius(CONTEXT).header(&a, &b).to_string()
    }
}

/// Insertions into a text.
#[derive(Debug, Default)]
pub(super) struct Insertions(Vec<(usize, String)>);

impl Insertions {
    /// Inserts before the character at this offset; behind what was inserted there earlier.
    pub(super) fn add(&mut self, at: usize, text: impl Into<String>) {
        self.0.push((at, text.into()));
    }

    /// Makes them.
    pub(super) fn apply(mut self, text: &str) -> String {
        self.0.sort_by_key(|(at, _)| *at);
        let mut result = String::with_capacity(text.len() + 1024);
        let mut done = 0;
        for (at, inserted) in &self.0 {
            result.push_str(&text[done..*at]);
            result.push_str(inserted);
            done = *at;
        }
        result.push_str(&text[done..]);
        result
    }
}
