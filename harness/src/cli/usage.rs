//! Prints help that was asked for, and mistakes in the command line.

use std::ffi::OsString;

use super::machine_options::command_for;
use super::{Exit, bisect_step, unprinted};
use crate::text::{self, eprint_line, escaped};

/// Prints the result of a command line that does not run, and chooses the exit code.
pub(super) fn print(error: &clap::Error, words: impl Iterator<Item = OsString>) -> Exit {
    let words: Vec<_> = words.collect();
    if error.exit_code() == 0 {
        let printed = text::print_usage(error).map_err(unprinted);
        return printed.map_or_else(super::report, |()| Exit::Success);
    }
    print_mistake(error, &words);
    // `git bisect run` would take 2 for a bad commit.
    if bisect_step::is_meant(words.into_iter()) { Exit::Stop } else { Exit::Input }
}

/// clap quotes the words as they are, so it is asked again about words without hidden characters.
fn print_mistake(error: &clap::Error, words: &[OsString]) {
    let shown = words.iter().map(|word| escaped(&word.to_string_lossy()).into());
    let shown: Vec<OsString> = shown.collect();
    let again = match std::iter::zip(words, &shown).all(|(word, shown)| word == shown) {
        true => None,
        false => {
            let again = command_for(&shown).try_get_matches_from(&shown);
            Some(again.err().filter(|error| error.exit_code() != 0))
        }
    };
    // Nothing can be done if standard error cannot be written.
    let _ = match &again {
        None => text::print_usage(error),
        Some(Some(again)) => text::print_usage(again),
        Some(None) => {
            eprint_line!("error: an argument has a hidden character");
            Ok(())
        }
    };
}
