//! `perfsec steps`

use super::args::StepsArgs;
use super::{Exit, Failure};
use crate::steps::Reference;
use crate::suggest::closest;

pub(super) fn steps(args: &StepsArgs) -> Result<Exit, Failure> {
    let reference = Reference::new();
    let known = reference.names();
    if let Some(wrong) = args.names.iter().find(|name| !known.contains(name)) {
        let close = closest(wrong, &known);
        return Err(Failure::input(format!("no step `{wrong}`{close}")));
    }
    let wanted = if args.names.is_empty() { &known } else { &args.names };
    let sections: Vec<_> = wanted.iter().filter_map(|name| reference.section(name)).collect();
    super::print(&sections.join("\n"))?;
    Ok(Exit::Success)
}
