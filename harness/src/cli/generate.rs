//! Completions, man pages and schemas, generated from the types.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Exit, Failure};
use crate::schema::FileSchema;
use crate::text::Text;

pub(super) fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "perfsec", &mut script);
    super::print(&Text::of_block(String::from_utf8_lossy(&script)))?;
    Ok(Exit::Success)
}

pub(super) fn man(directory: &Path) -> Result<Exit, Failure> {
    clap_mangen::generate_to(Cli::command(), directory).map_err(|error| {
        Failure::input(format!("cannot write man pages into {}: {error}", directory.display()))
    })?;
    Ok(Exit::Success)
}

pub(super) fn schema(file: FileSchema) -> Result<Exit, Failure> {
    super::print(&file.text())?;
    Ok(Exit::Success)
}
