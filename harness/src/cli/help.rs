//! `perfsec help`: the help of commands, and the pages of the documentation.

use clap::CommandFactory as _;

use super::args::HelpArgs;
use super::topics::PAGES;
use super::{Cli, Exit, Failure};
use crate::suggest::closest;

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
    let command = found.map(|command| command.clone().render_long_help().ansi().to_string());
    let parts = command.into_iter().chain(page.map(|page| page.text.to_owned()));
    super::print(&parts.collect::<Vec<_>>().join("\n"))?;
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
                let (name, close) = (crate::printable::printable_line(name), closest(name, &known));
                let list = if close.is_empty() { "; `perfsec help` lists them" } else { "" };
                return Failure::input(format!("no command or topic `{name}`{close}{list}"));
            }
        }
    }
    Failure::input(format!("no command or topic; the closest are {}", known.join(", ")))
}
