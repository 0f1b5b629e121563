//! `perfsec steps`

use super::args::StepsArgs;
use super::{Exit, Failure};
use crate::steps::Reference;
use crate::suggest::closest;
use crate::text::Text;

pub(super) fn steps(args: &StepsArgs) -> Result<Exit, Failure> {
    let reference = Reference::new();
    let known = reference.names();
    if let Some(wrong) = args.names.iter().find(|name| !known.contains(name)) {
        let close = closest(wrong, &known);
        return Err(Failure::input(format!("no step `{wrong}`{close}")));
    }
    let wanted = if args.names.is_empty() { &known } else { &args.names };
    let sections: Vec<_> = wanted.iter().filter_map(|name| reference.section(name)).collect();
    let mut text = Text::new();
    for (at, section) in sections.iter().enumerate() {
        if at > 0 {
            text.end();
        }
        text.append(section);
    }
    super::print(&text)?;
    Ok(Exit::Success)
}
