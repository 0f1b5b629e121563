//! `perfsec policy`

use std::path::PathBuf;

use super::args::{PolicyArgs, PolicyCommand, PolicyExtendArgs};
use super::destination::Destination;
use super::output;
use super::{Exit, Failure};
use crate::policy::extend::{PolicyFiles, Rewrite, Wanted};
use crate::text::{Text, eprint_line};

pub(super) fn policy(args: &PolicyArgs) -> Result<Exit, Failure> {
    match &args.command {
        PolicyCommand::Extend(args) => extend(args),
    }
}

fn extend(args: &PolicyExtendArgs) -> Result<Exit, Failure> {
    let path = args.path.display();
    if args.out.is_some() && args.path.is_dir() {
        let text = format!("--out is for one module, and {path} is a tree: use --diff for a patch");
        return Err(Failure::input(text));
    }
    let inputs = [args.path.as_path()];
    output::distinct(&inputs, &args.out.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    let wanted = Wanted { all_capabilities: args.all_capabilities, domains: args.allow.clone() };
    let files = PolicyFiles::extend(&args.path, &wanted)?;
    if files.rewrites.is_empty() {
        eprint_line!("{path}: nothing to add, and nothing was changed");
        return Ok(Exit::Success);
    }
    if !args.diff {
        let target = |of| args.out.as_ref().unwrap_or(of);
        // All are opened before any is changed.
        let opened = files.rewrites.iter().map(|it| Destination::open(target(&it.path)));
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        for (destination, rewrite) in std::iter::zip(opened, &files.rewrites) {
            destination.write_exactly(&rewrite.after)?;
        }
    }
    let patches: String = files.rewrites.iter().map(Rewrite::patch).collect();
    super::print(&Text::of_block(&patches))?;
    for domain in &files.undeclared {
        eprint_line!(
            "note: no declaration of {domain} was found here; its rules hold if another module, or \
             a template, declares it"
        );
    }
    Ok(Exit::Success)
}
