//! Parses the command line, completed with the defaults of `perfsec.toml`.

use std::ffi::OsString;

use clap::FromArgMatches as _;

use super::machine_options::command_for;
use super::{Cli, Exit, Failure, usage};
use crate::case::CaseErrors;
use crate::config::{self, ConfigFile, ConfiguredOption};
use crate::text::eprint_line;

/// The option that ignores the files.
const IGNORE: &str = "--no-config";

/// Parses the command line.
///
/// # Errors
///
/// The exit code, if the command line or a file has a mistake, which is printed.
pub(super) fn parse(words: Vec<OsString>) -> Result<Cli, Exit> {
    let (completed, configured) = complete(words.clone()).map_err(super::report)?;
    let matches = command_for(&completed).try_get_matches_from(&completed);
    match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => {
            let words = completed.iter().map(|word| word.to_string_lossy().into_owned());
            config::note(words.collect(), configured);
            Ok(cli)
        }
        Err(error) => {
            let exit = usage::print(&error, completed.into_iter());
            blame(&error.to_string(), &configured);
            Err(exit)
        }
    }
}

fn complete(words: Vec<OsString>) -> Result<(Vec<OsString>, Vec<ConfiguredOption>), Failure> {
    let mut root = command_for(&words);
    root.build();
    let mut options = words.iter().take_while(|word| *word != "--");
    if options.any(|word| word == IGNORE) || !config::applies(&words, &root) {
        return Ok((words, Vec::new()));
    }
    // Without a working directory, a command that needs one says so.
    let directory = std::env::current_dir().unwrap_or_default();
    let found = config::find(&directory).map_err(|error| Failure::input(error.to_string()))?;
    let mut files = Vec::new();
    for (path, text) in &found {
        let file = ConfigFile::read(path, text, &root);
        files.push(file.map_err(|mistakes| Failure::input(CaseErrors(mistakes).to_string()))?);
    }
    Ok(config::complete(words, &files, &root))
}

/// Says which words of a mistake nobody typed.
fn blame(mistake: &str, configured: &[ConfiguredOption]) {
    for option in configured {
        let named =
            option.words.iter().filter_map(|word| word.trim_start_matches('-').split('=').next());
        if named.into_iter().any(|name| mistake.contains(&format!("--{name}"))) {
            let words = option.words.join(" ");
            eprint_line!("note: {words} is from {}, line {}", option.file.display(), option.line);
        }
    }
}
