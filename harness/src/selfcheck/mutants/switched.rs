//! The switched kernel: one kernel with every switched mutant, which its command line chooses from.

use std::collections::{BTreeMap, BTreeSet};

use perfsec_mutate::{
    REACHED, SELECTOR_MAKEFILE, SELECTOR_PATH, SELECTOR_SOURCE, SURVEY, Switched, switched,
};
use perfsec_wire::Observation;
use perfsec_wire::observation::Effect;

use super::derive::Derived;
use crate::engine::{EngineError, Lab};
use crate::kbuild::{BuildError, BuildFailure};
use crate::kernel::Kernel;
use crate::record::Run;
use crate::source::{Commit, Source};

/// The makefile that lists the selector.
const MAKEFILE: &str = "kernel/Makefile";

/// The parameter that chooses a mutant.
const PARAMETER: &str = "perfsec_mutant";

/// Room for the messages of a survey: the agent must read them before they are overwritten.
const LOG: &str = "log_buf_len=16M";

/// The switched kernel.
#[derive(Debug)]
pub(super) struct SwitchedKernel {
    kernel: Kernel,
    /// The numbers of mutants that do not compile, and the first error of each.
    pub(super) broken: BTreeMap<u32, String>,
}

impl SwitchedKernel {
    /// Builds it, without those that are known to be `broken`. The compiler finds more of them.
    ///
    /// # Errors
    ///
    /// Returns an error if the kernel does not build for another reason.
    pub(super) fn build(
        lab: &mut dyn Lab,
        source: &Source,
        base: &Commit,
        derived: &Derived,
        mut broken: BTreeMap<u32, String>,
    ) -> Result<Self, EngineError> {
        let makefile = source.file(base, MAKEFILE)?.unwrap_or_default();
        let makefile = format!("{makefile}\n{SELECTOR_MAKEFILE}");
        loop {
            let files = switched_files(derived, &broken);
            let mut texts: Vec<(&str, &str)> =
                files.iter().map(|(path, file)| (*path, file.text.as_str())).collect();
            texts.extend([(SELECTOR_PATH, SELECTOR_SOURCE), (MAKEFILE, makefile.as_str())]);
            let commit = source.commit_files(base, &texts, "perfsec: add switched mutants")?;
            let failure = match lab.build(source, &commit) {
                Ok(built) => return Ok(Self { kernel: built.kernel, broken }),
                Err(BuildError::Failed(failure)) => failure,
                Err(error) => return Err(error.into()),
            };
            let found = blamed(&failure, &files);
            if found.is_empty() {
                return Err(BuildError::Failed(failure).into());
            }
            lab.note(&format!("leaving out mutants that do not compile: {}", found.len()));
            broken.extend(found);
        }
    }

    /// The kernel with this mutant in effect from its boot on.
    pub(super) fn with(&self, number: u32) -> Kernel {
        Kernel { parameters: vec![format!("{PARAMETER}={number}")], ..self.kernel.clone() }
    }

    /// The kernel without a mutant. It tells in each cell which mutants' code runs.
    pub(super) fn surveyed(&self) -> Kernel {
        let mut kernel = self.with(SURVEY);
        kernel.parameters.push(LOG.to_owned());
        kernel
    }
}

/// The cells that reach each mutant, by number, as a surveyed kernel told.
pub(super) fn reached(run: &Run) -> BTreeMap<u32, BTreeSet<String>> {
    let mut reached: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for cell in run.cells() {
        for number in cell.observation.iter().flat_map(numbers) {
            reached.entry(number).or_default().insert(cell.name.clone());
        }
    }
    reached
}

fn numbers(seen: &Observation) -> impl Iterator<Item = u32> {
    let effects = seen.calls.iter().flat_map(|call| &call.effects).chain(&seen.outside);
    effects.filter_map(|effect| match effect {
        Effect::Message(message) => message.text.strip_prefix(REACHED)?.parse().ok(),
        _ => None,
    })
}

/// The switched text of each file, without the mutants that are broken.
fn switched_files<'a>(
    derived: &'a Derived,
    broken: &BTreeMap<u32, String>,
) -> BTreeMap<&'a str, Switched> {
    let text = |(path, text): (&'a String, &'a String)| {
        let of_file = derived.candidates.iter().filter(|it| it.mutant.file == *path);
        let numbered = of_file.filter_map(|it| Some((it.number?, &it.mutant)));
        let mutants: Vec<_> = numbered.filter(|(number, _)| !broken.contains_key(number)).collect();
        let file = (!mutants.is_empty()).then(|| switched(text, &mutants))?;
        Some((path.as_str(), file))
    };
    derived.texts.iter().filter_map(text).collect()
}

/// The mutants whose lines the compiler's errors name, with the errors. If it names none, those of
/// the functions around.
fn blamed(failure: &BuildFailure, files: &BTreeMap<&str, Switched>) -> BTreeMap<u32, String> {
    let collect = |find: &dyn Fn(&Switched, usize) -> Vec<u32>| {
        let mut found = BTreeMap::new();
        for place in &failure.places {
            let file = place.file.as_deref().and_then(|path| files.get(path));
            if let (Some(file), Some(line)) = (file, place.line) {
                for number in find(file, line) {
                    found.entry(number).or_insert_with(|| place.message.clone());
                }
            }
        }
        found
    };
    let exact = collect(&Switched::at_line);
    if exact.is_empty() { collect(&Switched::near_line) } else { exact }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_agent_keeps_the_messages_of_mutants() {
        assert_eq!(super::REACHED, perfsec_wire::REACHED);
    }
}
