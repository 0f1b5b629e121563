//! Errors with their causes.

use std::error::Error;

/// An error and its causes in one line, each clause once. A transparent error has the text of its
/// source, and some errors quote theirs.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = clause(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = clause(error);
        if words.starts_with(&text) {
            text = words;
        } else if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// The text of an error that what it quotes may have left without an end.
fn clause(error: &dyn Error) -> String {
    error.to_string().trim_end().trim_end_matches(':').to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("{words}")]
    struct Link {
        words: &'static str,
        source: Option<Box<Link>>,
    }

    #[rstest]
    #[case(&["read a", "no such file"], "read a: no such file")]
    #[case::transparent(&["read a", "read a", "no such file"], "read a: no such file")]
    #[case::quoted_in_the_middle(&["run it (no such file) now", "no such file"], "run it (no such file) now")]
    #[case::longer_cause(&["read a", "read a: no such file"], "read a: no such file")]
    #[case::silent_cause(&["run make", ""], "run make")]
    #[case::quotes_nothing(&["run make: ", "it failed"], "run make: it failed")]
    #[case::quotes_nothing_at_the_end(&["build", "make said: "], "build: make said")]
    fn every_clause_is_there_once(#[case] chain: &[&'static str], #[case] text: &str) {
        let link = |source, words: &&'static str| Some(Box::new(Link { words, source }));
        let error = chain.iter().rev().fold(None, link).unwrap();
        assert_eq!(with_causes(&error), text);
    }
}
