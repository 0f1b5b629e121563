//! `cargo xtask expectations`: writes what every cell must see on every kernel to one file.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use xshell::{Shell, cmd};

use crate::error::Error;
use crate::setup;

/// Options of `cargo xtask expectations`.
#[derive(Args)]
pub(crate) struct Options {
    /// The file to write. Compare it with that of another tree by `diff`.
    #[arg(default_value = "target/expectations.txt")]
    file: PathBuf,
}

/// Writes the file.
pub(crate) fn expectations(shell: &Shell, options: &Options) -> Result<(), Error> {
    let perfsec = setup::build(shell)?;
    let text = cmd!(shell, "{perfsec} show --all-kernels").quiet().read()?;
    let file = shell.current_dir().join(&options.file);
    fs::write(&file, text + "\n").map_err(|source| Error::File {
        doing: "write",
        path: file.clone(),
        source,
    })?;
    eprintln!("wrote {}", file.display());
    Ok(())
}
