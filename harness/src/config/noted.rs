//! Remembers for run records what files have set.

use std::sync::OnceLock;

use super::ConfiguredOption;

static NOTED: OnceLock<Noted> = OnceLock::new();

struct Noted {
    words: Vec<String>,
    configured: Vec<ConfiguredOption>,
}

/// Remembers the completed command line of this process, and what files have set in it. Only the
/// first call counts.
pub fn note(words: Vec<String>, configured: Vec<ConfiguredOption>) {
    let _ = NOTED.set(Noted { words, configured });
}

/// The command line of this process, completed with what files have set.
#[must_use]
pub fn command_line() -> Vec<String> {
    NOTED.get().map_or_else(|| std::env::args().collect(), |noted| noted.words.clone())
}

/// The options that files have set in this process.
#[must_use]
pub fn noted() -> &'static [ConfiguredOption] {
    NOTED.get().map_or(&[], |noted| &noted.configured)
}
