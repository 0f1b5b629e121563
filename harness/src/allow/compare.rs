//! What a module changed: the same cells, before and under it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use perfsec_wire::BootMode;
use perfsec_wire::observation::Effect;

use super::gather::denials;
use super::rules::{Rules, Scope};
use crate::printable::printable_line;
use crate::record::{CellResult, LaneRun};
use crate::report::difference;

/// A cell of a run, by kernel, way to boot and name.
pub type Key = (String, String, String);

/// One permission that was denied in a cell.
type Denied = (Scope, String);

/// What a module changed.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Number of cells that were compared.
    pub cells: usize,
    /// Denials that the module allows, and that are gone.
    pub gone: usize,
    /// Denials that the module allows, and that are still there: by cell.
    pub still: BTreeSet<(String, String)>,
    /// Denials that the module leaves on purpose, and that are still there.
    pub withheld: usize,
    /// Denials that came to light behind those that are gone: by rule, in how many cells.
    pub behind: BTreeMap<String, usize>,
    /// Cells in a domain of the module that went otherwise though none of its denials was logged there: audit
    /// was off, or a dontaudit rule hid them.
    pub unlogged: BTreeSet<String>,
    /// Cells that the module is not about, and that went otherwise: name and difference.
    pub opened: Vec<(String, String)>,
    /// Cells that did not run under the module, and why.
    pub unseen: Vec<(String, String)>,
}

/// How many cells are named of each kind.
const NAMED: usize = 10;

/// The cells of lanes that were observed, or else why not; of one that ran several times the first.
pub fn observed<'a>(lanes: impl IntoIterator<Item = &'a LaneRun>) -> BTreeMap<Key, &'a CellResult> {
    let mut cells = BTreeMap::new();
    for lane in lanes {
        for cell in &lane.cells {
            let boot: BootMode = lane.started.boot;
            let kernel = lane.started.kernel.identity().to_owned();
            cells.entry((kernel, boot.to_string(), cell.name.clone())).or_insert(cell);
        }
    }
    cells
}

/// The cells that both have.
pub fn pairs<'a>(
    before: &BTreeMap<Key, &'a CellResult>,
    after: &BTreeMap<Key, &'a CellResult>,
) -> Vec<(&'a CellResult, &'a CellResult)> {
    before.iter().filter_map(|(key, cell)| Some((*cell, *after.get(key)?))).collect()
}

/// Whether what a cell did is known whole.
fn whole(cell: &CellResult) -> bool {
    cell.observation.as_ref().is_some_and(|seen| seen.lost == 0)
        && !cell.judgement.observed.is_empty()
}

fn denied(cell: &CellResult) -> BTreeSet<Denied> {
    let denials = denials(cell).filter(|denial| !denial.granted);
    let each = denials.filter_map(|denial| Some((Scope::of(&denial)?, denial.permissions)));
    each.flat_map(|(scope, names)| names.into_iter().map(move |name| (scope.clone(), name)))
        .collect()
}

/// The types of everybody who acts in a cell.
fn domains(cell: &CellResult) -> BTreeSet<String> {
    let Some(seen) = &cell.observation else { return BTreeSet::new() };
    let effects = seen.calls.iter().flat_map(|call| &call.effects).chain(&seen.outside);
    let became = effects.filter_map(|effect| match effect {
        Effect::Became(subject) => Some(&subject.context),
        _ => None,
    });
    let processes = seen.processes.iter().map(|(_, _, context)| context);
    let contexts = processes.chain(became).chain([&seen.subject.context]);
    let kinds = contexts.filter_map(|context| context.split(':').nth(2)).map(str::to_owned);
    kinds.chain([cell.at.domain.clone()]).collect()
}

fn rule((scope, name): &Denied) -> String {
    format!("{} {}:{} {{ {name} }}", scope.source, scope.object(), scope.class)
}

impl Comparison {
    /// Compares cells before and under the module that these rules make.
    pub fn of(pairs: &[(&CellResult, &CellResult)], rules: &Rules) -> Self {
        let mut this = Self::default();
        for (before, after) in pairs {
            if !whole(before) {
                continue;
            }
            if whole(after) {
                this.cells += 1;
                this.compare(before, after, rules);
            } else {
                let why =
                    after.judgement.reason.clone().unwrap_or_else(|| "records were lost".into());
                this.unseen.push((after.name.clone(), printable_line(&why)));
            }
        }
        this
    }

    fn compare(&mut self, before: &CellResult, after: &CellResult, rules: &Rules) {
        let (old, new) = (denied(before), denied(after));
        let concerned = old.iter().any(|(scope, name)| rules.allow(scope, name));
        let domains = domains(before);
        let in_domain = rules.iter().any(|(scope, _)| domains.contains(&scope.source));
        let mut lost = false;
        for denial in &old {
            let (scope, name) = denial;
            let there = new.contains(denial);
            match (rules.allow(scope, name), rules.withhold(scope, name), there) {
                (true, _, false) => self.gone += 1,
                (true, _, true) => {
                    self.still.insert((rule(denial), after.name.clone()));
                }
                (false, true, there) => self.withheld += usize::from(there),
                // A permission that the module is not about no longer refuses.
                (false, false, there) => lost |= !there,
            }
        }
        let differs = before.judgement.observed != after.judgement.observed;
        if concerned {
            for denial in new.difference(&old) {
                if rules.withhold(&denial.0, &denial.1) {
                    self.withheld += 1;
                } else {
                    *self.behind.entry(rule(denial)).or_default() += 1;
                }
            }
        }
        if differs && !concerned && !lost && in_domain {
            self.unlogged.insert(after.name.clone());
        } else if lost || differs && !concerned {
            let expected: Vec<_> = before
                .judgement
                .observed
                .iter()
                .map(|text| crate::case::Expected { text: text.clone(), line: 0 })
                .collect();
            let text = difference(&expected, &after.judgement.observed, &after.path);
            self.opened.push((after.name.clone(), plain(&text)));
        }
    }

    /// Whether the module did what it is for and nothing else.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.still.is_empty() && self.opened.is_empty()
    }

    /// The report.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{} cells compared: {} denials are gone, {} still there, {} left denied on purpose; \
             {} cells that the module is not about went otherwise",
            self.cells,
            self.gone,
            self.still.len(),
            self.withheld,
            self.opened.len()
        );
        for (rule, cell) in self.still.iter().take(NAMED) {
            let _ = writeln!(out, "still denied: {rule} in {cell}");
        }
        if !self.still.is_empty() {
            out.push_str(
                "a rule is there and does not help: a constraint (mlsconstrain), a bound on the type, or a \
                 boolean refuses\n",
            );
        }
        for (rule, cells) in self.behind.iter().take(NAMED) {
            let _ = writeln!(out, "came to light behind them: {rule} in {cells} cells");
        }
        if !self.behind.is_empty() {
            out.push_str(
                "(what was refused first hid it: `perfsec allow` on the new run adds it)\n",
            );
        }
        if let Some(cell) = self.unlogged.first() {
            let _ = writeln!(
                out,
                "{} cells of the module's domains went otherwise though no denial was logged there (audit \
                 was off, or a dontaudit rule), such as {cell}",
                self.unlogged.len()
            );
        }
        for (cell, difference) in self.opened.iter().take(NAMED) {
            let _ = writeln!(out, "went otherwise: {cell}\n{}", difference.trim_end());
        }
        for (cell, why) in self.unseen.iter().take(NAMED) {
            let _ = writeln!(out, "did not run: {cell}: {why}");
        }
        let rest = self.still.len().saturating_sub(NAMED)
            + self.opened.len().saturating_sub(NAMED)
            + self.unseen.len().saturating_sub(NAMED);
        if rest > 0 {
            let _ = writeln!(out, "and {rest} more");
        }
        out
    }
}

/// Without styles, and without the place in a case file: nothing of this was expected by one.
fn plain(difference: &str) -> String {
    let text = anstream::adapter::strip_str(difference).to_string();
    let text = text.replacen("--- expected\n+++ observed", "--- before\n+++ with the module", 1);
    text.lines().fold(String::new(), |mut out, line| {
        let line = line.split("    # ").next().unwrap_or_default();
        let _ = writeln!(out, "  {}", printable_line(line));
        out
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::LazyLock;

    use super::*;
    use crate::record::{self, Run};

    /// A real run, in which none_t is denied everything and all_t nothing.
    static RUN: LazyLock<Run> = LazyLock::new(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/run.jsonl");
        record::read(&path).unwrap().run
    });

    fn cell(name: &str) -> CellResult {
        RUN.cells().find(|cell| cell.name == name).unwrap().clone()
    }

    const DENIED: &str = "open/cpu/none_t/paranoid=2/perfmon/enforcing";
    const OPENED: &str = "open/cpu/all_t/paranoid=2/perfmon/enforcing";
    const OTHER: &str = "open/cpu/all_t/paranoid=2/none/enforcing";

    /// What a cell did, under the name of another.
    fn like(name: &str, did: &str) -> CellResult {
        CellResult { name: name.to_owned(), ..cell(did) }
    }

    fn compare(before: &str, after: &CellResult) -> Comparison {
        let before = cell(before);
        let rules = Rules::of(&denials(&cell(DENIED)).collect::<Vec<_>>());
        assert_eq!(rules.iter().count(), 1);
        Comparison::of(&[(&before, after)], &rules)
    }

    #[test]
    fn a_denial_that_the_module_allows_is_gone() {
        let comparison = compare(DENIED, &like(DENIED, OPENED));
        assert!(comparison.holds(), "{comparison:?}");
        assert_eq!((comparison.cells, comparison.gone), (1, 1));
    }

    #[test]
    fn a_denial_that_stays_is_told() {
        let comparison = compare(DENIED, &cell(DENIED));
        assert!(!comparison.holds());
        assert_eq!(comparison.still.len(), 1);
        assert!(comparison.text().contains("still denied: none_t self:perf_event { open }"));
    }

    #[test]
    fn a_cell_of_another_domain_must_not_change() {
        let comparison = compare(OTHER, &cell(OTHER));
        assert!(comparison.holds());
        let comparison = compare(OTHER, &like(OTHER, OPENED));
        assert!(!comparison.holds());
        assert!(
            comparison.text().contains("went otherwise: open/cpu/all_t"),
            "{}",
            comparison.text()
        );
    }

    #[test]
    fn a_cell_of_the_modules_domain_may_change_where_nothing_was_logged() {
        let rules = Rules::of(&denials(&cell(DENIED)).collect::<Vec<_>>());
        let mut before = cell(DENIED);
        before.observation.as_mut().unwrap().calls.iter_mut().for_each(|call| call.effects.clear());
        before.judgement.observed.truncate(1);
        let comparison = Comparison::of(&[(&before, &like(DENIED, OPENED))], &rules);
        assert!(comparison.holds(), "{comparison:?}");
        assert_eq!((comparison.gone, comparison.unlogged.len()), (0, 1));
    }

    #[test]
    fn a_denial_that_was_hidden_by_another_is_no_failure() {
        let permissive = "open/cpu/none_t/paranoid=2/perfmon/permissive";
        let mut after = like(DENIED, permissive);
        let seen = after.observation.as_mut().unwrap();
        for effect in seen.calls.iter_mut().flat_map(|call| &mut call.effects) {
            if let Effect::Record(record) = effect {
                record.text = record.text.replace("{ open }", "{ kernel }");
            }
        }
        let comparison = compare(DENIED, &after);
        assert!(comparison.holds(), "{comparison:?}");
        assert!(
            comparison.behind.contains_key("none_t self:perf_event { kernel }"),
            "{comparison:?}"
        );
    }

    #[test]
    fn a_cell_that_did_not_run_again_is_told() {
        let mut after = cell(DENIED);
        after.observation = None;
        let comparison = compare(DENIED, &after);
        assert_eq!((comparison.cells, comparison.unseen.len()), (0, 1));
    }
}
