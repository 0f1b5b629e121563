//! A series that is a range of revisions of a tree, and the base of a series.

use super::error::CheckError;
use super::read::{Series, SeriesError};
use crate::cache::Cache;
use crate::source::{Commit, Source, SourceError};

/// The patches of a range of revisions; `name` is the range as the user wrote it.
///
/// # Errors
///
/// Returns an error if an end does not exist, or if the range has no commit or a merge.
pub fn of_range(
    name: &str,
    (from, to): (&str, &str),
    source: &Source,
    cache: &Cache,
) -> Result<Series, CheckError> {
    let (first, last) = (source.resolve(Some(from), false)?, source.resolve(Some(to), false)?);
    let range = format!("{first}..{last}");
    let git = |words: &[&str]| source.git().ask(words).map_err(SourceError::from);
    if git(&["rev-list", "--count", &range])? == "0" {
        let hint = match git(&["rev-list", "--count", &format!("{last}..{first}")])?.as_str() {
            "0" => String::new(),
            _ => format!(": {to} is before {from}; did you mean {to}..{from}?"),
        };
        return Err(SeriesError::NoCommit { range: name.to_owned(), hint }.into());
    }
    if git(&["rev-list", "--count", "--merges", &range])? != "0" {
        return Err(SeriesError::Merges { range: name.to_owned() }.into());
    }
    let directory = cache.temporary().map_err(SourceError::from)?;
    let path = directory.path().display().to_string();
    git(&["format-patch", "--quiet", "--output-directory", &path, &range])?;
    Ok(Series::of_range(name, directory.path())?)
}

/// The commit before the first patch and its name: the one that the user named, else the one that
/// the series names, else the tree in its current state, which has no name.
///
/// # Errors
///
/// Returns an error if the tree does not have it.
pub fn base(
    named: Option<&str>,
    series: &Series,
    source: &Source,
    dirty: bool,
    say: &dyn Fn(&str),
) -> Result<(String, Commit), CheckError> {
    if let Some(named) = named {
        return Ok((named.to_owned(), source.resolve(Some(named), dirty)?));
    }
    match &series.base {
        Some(named) => {
            let commit = source.resolve(Some(named), dirty).map_err(CheckError::Base)?;
            Ok((named.clone(), commit))
        }
        None => Ok((String::new(), source.choose(None, dirty, say)?)),
    }
}
