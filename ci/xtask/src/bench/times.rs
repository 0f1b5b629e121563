//! Reads what hyperfine measured.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::Error;

/// The median time of each command in seconds, in order.
pub(super) fn medians<const N: usize>(file: &Path) -> Result<[f64; N], Error> {
    let wrong = |what: String| Error::Output { program: "hyperfine", what };
    let times: Value =
        serde_json::from_str(&read(file)?).map_err(|error| wrong(error.to_string()))?;
    let mut medians = [0.0; N];
    for (at, median) in medians.iter_mut().enumerate() {
        let seconds = times["results"][at]["median"].as_f64();
        *median = seconds.ok_or_else(|| wrong(format!("no median of command {at}")))?;
    }
    Ok(medians)
}

/// Reads a file that a measured command wrote.
pub(super) fn read(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::File { doing: "read", path: path.to_owned(), source };
    fs::read_to_string(path).map_err(failed)
}
