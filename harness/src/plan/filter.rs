//! Which cells a run is about.

use std::collections::HashMap;
use std::sync::Arc;

use perfsec_wire::Mode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CellNames, NotAGlob, PlannedCell, Shard};
use crate::case::{Case, Coordinates, Library};
use crate::grant::Grant;

/// Which cells a run is about; an empty list selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Filter {
    /// Globs on cell names; a name without a glob's characters selects what begins with it.
    pub names: Vec<String>,
    /// Grants.
    pub grants: Vec<Grant>,
    /// Modes.
    pub modes: Vec<Mode>,
    /// Only this part of them.
    #[serde(default)]
    pub shard: Option<Shard>,
}

impl Filter {
    /// Whether a cell is among those that are asked for.
    ///
    /// # Errors
    ///
    /// When a name is no glob.
    pub fn matcher(&self) -> Result<impl Fn(&str, &Coordinates) -> bool, NotAGlob> {
        let names = CellNames::parse(&self.names)?;
        Ok(move |name: &str, at: &Coordinates| {
            (self.grants.is_empty() || self.grants.contains(&at.grant))
                && (self.modes.is_empty() || self.modes.contains(&at.mode))
                && (self.names.is_empty() || names.contains(name))
        })
    }

    /// The cells that it selects, with the controls of those that expect a denial, controls first.
    ///
    /// # Errors
    ///
    /// When a name is no glob.
    pub fn select(&self, library: &Library) -> Result<Vec<PlannedCell>, NotAGlob> {
        let asked_for = self.matcher()?;
        let mut cells: Vec<PlannedCell> = Vec::new();
        let of_shard = |case: &&Case| self.shard.is_none_or(|shard| shard.has(&case.name));
        for case in library.cases.iter().filter(of_shard) {
            let case = Arc::new(case.clone());
            let wanted = |at: &Coordinates| asked_for(&case.cell_name(at), at);
            let chosen: Vec<_> = case.axes.coordinates().filter(wanted).collect();
            let controls: Vec<_> = chosen.iter().filter_map(|at| case.control(at)).collect();
            let mut all: Vec<_> = chosen.into_iter().chain(controls).collect();
            let mut places: HashMap<Coordinates, usize> = HashMap::new();
            all.sort_by_key(|at| case.expects_denial(at));
            for at in all {
                if places.contains_key(&at) {
                    continue;
                }
                let control = case.control(&at).and_then(|control| places.get(&control).copied());
                places.insert(at.clone(), cells.len());
                cells.push(PlannedCell { case: Arc::clone(&case), at, control });
            }
        }
        controls_elsewhere(&mut cells, library);
        Ok(cells)
    }

    /// Those of its names that select none of the cells that it selected.
    ///
    /// # Errors
    ///
    /// When a name is no glob.
    pub fn unmet(&self, cells: &[PlannedCell]) -> Result<Vec<&str>, NotAGlob> {
        let mut unmet = Vec::new();
        for name in &self.names {
            let alone = Self { names: vec![name.clone()], ..self.clone() };
            let selects = alone.matcher()?;
            if !cells.iter().any(|cell| selects(&cell.name(), &cell.at)) {
                unmet.push(name.as_str());
            }
        }
        Ok(unmet)
    }
}

/// Gives cells their controls in other cases, which are added if they were not selected.
fn controls_elsewhere(cells: &mut Vec<PlannedCell>, library: &Library) {
    let mut places: HashMap<String, usize> =
        cells.iter().enumerate().map(|(at, cell)| (cell.name(), at)).collect();
    for index in 0..cells.len() {
        let (case, at) = (Arc::clone(&cells[index].case), cells[index].at.clone());
        let Some((other, at)) = library.control_elsewhere(&case, &at) else { continue };
        let place = *places.entry(other.cell_name(&at)).or_insert_with(|| {
            cells.push(PlannedCell { case: Arc::new(other.clone()), at, control: None });
            cells.len() - 1
        });
        cells[index].control = Some(place);
    }
}
