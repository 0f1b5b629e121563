//! Finds the files.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use crate::foreign;

/// The name of a file of defaults.
pub const CONFIG_NAME: &str = "perfsec.toml";

/// The files that apply in a directory, the strongest first: that of the project, in the directory
/// or the nearest one above, and that of the user, `~/.config/perfsec/perfsec.toml`.
///
/// # Errors
///
/// If one exists and cannot be read.
pub fn find(directory: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let project = directory.ancestors().map(|above| above.join(CONFIG_NAME));
    let mut found = Vec::new();
    for path in project {
        if let Some(file) = read(path)? {
            found.push(file);
            break;
        }
    }
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".config"));
    let user = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    if let Some(user) = user.filter(|path| path.is_absolute())
        && let Some(file) = read(user.join("perfsec").join(CONFIG_NAME))?
    {
        found.push(file);
    }
    Ok(found)
}

fn read(path: PathBuf) -> io::Result<Option<(PathBuf, String)>> {
    match foreign::read_text(&path, &foreign::DEFAULTS) {
        Ok(text) => Ok(Some((path, text))),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => {
            Err(io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display())))
        }
    }
}
