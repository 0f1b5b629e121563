//! Selects the cells of a run.

use std::collections::HashMap;
use std::sync::Arc;

use perfsec_wire::Mode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::WILDCARDS;
use super::{CellNames, NotAGlob, PlannedCell, Shard, answers, group_by_boot, is_answers};
use crate::case::{Case, Coordinates, Library};
use crate::grant::Grant;

/// Selects the cells of a run; an empty list selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Filter {
    /// Globs on cell names; a name without wildcards is a prefix.
    pub names: Vec<String>,
    /// Grants.
    pub grants: Vec<Grant>,
    /// Modes.
    pub modes: Vec<Mode>,
    /// Limits the run to one part of the cases.
    #[serde(default)]
    pub shard: Option<Shard>,
}

impl Filter {
    /// A predicate that is true for the selected cells, given their names and coordinates.
    ///
    /// # Errors
    ///
    /// If a name is not a glob.
    pub fn matcher(&self) -> Result<impl Fn(&str, &Coordinates) -> bool, NotAGlob> {
        let names = CellNames::parse(&self.names)?;
        Ok(move |name: &str, at: &Coordinates| {
            (self.grants.is_empty() || self.grants.contains(&at.grant))
                && (self.modes.is_empty() || self.modes.contains(&at.mode))
                && (self.names.is_empty() || names.contains(name))
        })
    }

    /// The selected cells and the controls of those that expect a denial, controls first.
    ///
    /// # Errors
    ///
    /// If a name is not a glob.
    pub fn select(&self, library: &Library) -> Result<Vec<PlannedCell>, NotAGlob> {
        let selects = self.matcher()?;
        let mut cells: Vec<PlannedCell> = Vec::new();
        let in_shard = |case: &&Case| self.shard.is_none_or(|shard| shard.contains(&case.name));
        for case in library.cases.iter().filter(in_shard) {
            let case = Arc::new(case.clone());
            let selected = |at: &Coordinates| selects(&case.cell_name(at), at);
            let chosen: Vec<_> = case.axes.coordinates().filter(selected).collect();
            let controls: Vec<_> = chosen.iter().filter_map(|at| case.control(at)).collect();
            let mut all: Vec<_> = chosen.into_iter().chain(controls).collect();
            let mut indices: HashMap<Coordinates, usize> = HashMap::new();
            all.sort_by_key(|at| case.expects_denial(at));
            for at in all {
                if indices.contains_key(&at) {
                    continue;
                }
                let control = case.control(&at).and_then(|control| indices.get(&control).copied());
                indices.insert(at.clone(), cells.len());
                cells.push(PlannedCell { case: Arc::clone(&case), at, control, asks: Vec::new() });
            }
        }
        add_controls_in_other_cases(&mut cells, library);
        if self.names.iter().any(|name| is_answers(name.trim_end_matches(WILDCARDS))) {
            let questions = Self::default().select(library)?;
            cells.extend(
                all_answers(&questions).into_iter().filter(|cell| selects(&cell.name(), &cell.at)),
            );
        }
        Ok(cells)
    }

    /// The names that select none of `cells`.
    ///
    /// # Errors
    ///
    /// If a name is not a glob.
    pub fn unmatched_names(&self, cells: &[PlannedCell]) -> Result<Vec<&str>, NotAGlob> {
        let mut unmatched = Vec::new();
        for name in &self.names {
            let alone = Self { names: vec![name.clone()], ..self.clone() };
            let selects = alone.matcher()?;
            if !cells.iter().any(|cell| selects(&cell.name(), &cell.at)) {
                unmatched.push(name.as_str());
            }
        }
        Ok(unmatched)
    }
}

/// The cells that ask the policies for the answers that these cells need.
fn all_answers(cells: &[PlannedCell]) -> Vec<PlannedCell> {
    // The project's tests rule out mistakes in the table.
    let classes = crate::policy::classes().unwrap_or_default();
    let boots = group_by_boot(cells).into_iter();
    boots.flat_map(|(boot, cells)| answers(boot, &cells, &classes)).collect()
}

/// Sets controls that are in other cases, and adds them if they were not selected.
fn add_controls_in_other_cases(cells: &mut Vec<PlannedCell>, library: &Library) {
    let mut indices: HashMap<String, usize> =
        cells.iter().enumerate().map(|(at, cell)| (cell.name(), at)).collect();
    for index in 0..cells.len() {
        let (case, at) = (Arc::clone(&cells[index].case), cells[index].at.clone());
        let Some((other, at)) = library.control_in_other_case(&case, &at) else { continue };
        let index_of_control = *indices.entry(other.cell_name(&at)).or_insert_with(|| {
            cells.push(PlannedCell {
                case: Arc::new(other.clone()),
                at,
                control: None,
                asks: Vec::new(),
            });
            cells.len() - 1
        });
        cells[index].control = Some(index_of_control);
    }
}
