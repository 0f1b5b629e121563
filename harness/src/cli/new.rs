//! `perfsec new`

use std::fs;

use super::args::NewArgs;
use super::destination::Destination;
use super::{Exit, Failure};
use crate::text::{Text, eprint_line};

/// The file of a new case: a cell that passes, for the author to change.
const SKELETON: &str = include_str!("new.toml");

pub(super) fn new(args: &NewArgs) -> Result<Exit, Failure> {
    let name = args.name.trim_end_matches(".toml");
    let is_word = |word: &str| {
        let all = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        !word.is_empty() && all
    };
    if name.split('/').count() < 2 || !name.split('/').all(is_word) {
        return Err(Failure::input(format!(
            "make the case {name}: expected AREA/NAME in lower-case words, like event/read-twice"
        )));
    }
    let path = args.cases.join(format!("{name}.toml"));
    if path.exists() {
        return Err(Failure::input(format!("make the case {name}: {} exists", path.display())));
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(|error| {
            Failure::host(format!("cannot make {}: {error}", directory.display()))
        })?;
    }
    Destination::open(&path)?.write(&Text::of_block(SKELETON))?;
    eprint_line!(
        "{}: change it, then `perfsec check {1}` and `perfsec run --cases {1} {name}`",
        path.display(),
        args.cases.display()
    );
    Ok(Exit::Success)
}
