//! `perfsec help`: the help of commands, and the pages of the documentation.

use clap::CommandFactory as _;

use super::args::HelpArgs;
use super::topics::PAGES;
use super::{Cli, Exit, Failure, unprinted};
use crate::suggest::closest;
use crate::text::{self, Text};

/// Prints the help of a command, then the page of that name if there is one. Commands come first
/// because `perfsec help COMMAND` is what people know from other programs.
pub(super) fn help(args: &HelpArgs) -> Result<Exit, Failure> {
    let mut root = Cli::command();
    // Gives subcommands their full names in the usage line.
    root.build();
    let mut found = Some(&root);
    for word in &args.names {
        found = found.and_then(|command| command.find_subcommand(word));
    }
    let page = match args.names.as_slice() {
        [name] => PAGES.iter().find(|page| page.name == *name),
        _ => None,
    };
    if found.is_none() && page.is_none() {
        return Err(unknown(&root, &args.names));
    }
    let mut text = Text::new();
    if let Some(command) = found {
        text::print_help(&mut command.clone()).map_err(unprinted)?;
    }
    if let Some(page) = page {
        if found.is_some() {
            text.end();
        }
        text.block(page.text);
    }
    super::print(&text)?;
    Ok(Exit::Success)
}

/// No command or topic of this name.
fn unknown(root: &clap::Command, names: &[String]) -> Failure {
    let (mut command, mut known) = (root, Vec::new());
    for (at, name) in names.iter().enumerate() {
        known = command.get_subcommands().map(clap::Command::get_name).collect();
        if at == 0 {
            known.extend(PAGES.iter().map(|page| page.name));
        }
        match command.find_subcommand(name) {
            Some(found) => command = found,
            None => {
                let close = closest(name, &known);
                let list = if close.is_empty() { "; `perfsec help` lists them" } else { "" };
                return Failure::input(format!("no command or topic `{name}`{close}{list}"));
            }
        }
    }
    Failure::input(format!("no command or topic; the closest are {}", known.join(", ")))
}
