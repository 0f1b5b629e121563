//! Compares the same cells with and without a module.

use std::collections::{BTreeMap, BTreeSet};

use perfsec_wire::BootMode;
use perfsec_wire::observation::Effect;

use super::gather::denials;
use super::rules::{RuleScope, Rules};
use crate::counted::counted;
use crate::judge::Verdict;
use crate::record::{CellResult, LaneRun};
use crate::report::difference;
use crate::text::{Text, line};
use crate::transcript::FittedTranscript;

/// Identifies a cell of a run: the kernel's SHA-256, the boot mode and the cell's name.
pub type CellKey = (String, String, String);

/// A permission that was denied in a cell.
type DeniedPermission = (RuleScope, String);

/// The difference that a module makes.
#[derive(Clone, Debug, Default)]
pub struct ModuleEffect {
    /// Number of cells that were compared.
    pub cells: usize,
    /// Number of denials that the module allows and that are gone.
    pub gone: usize,
    /// Denials that the module allows and that remain: the rule and the cell's name.
    pub still: BTreeSet<(String, String)>,
    /// Number of denials that the module leaves on purpose and that remain.
    pub withheld: usize,
    /// Denials that appeared once others were gone: the rule, and the number of cells.
    pub behind: BTreeMap<String, usize>,
    /// Cells in a domain of the module that changed although they logged none of its denials: audit
    /// was off, or a dontaudit rule hid them.
    pub unlogged: BTreeSet<String>,
    /// Cells outside the module's scope that changed: name and difference.
    pub opened: Vec<(String, Text)>,
    /// Cells that did not run with the module: name and reason.
    pub unseen: Vec<(String, String)>,
}

/// The number of cells to name in each list of the report.
const NAMED: usize = 10;

/// The cells of these lanes. Only the first run of a cell counts.
pub fn observed_cells<'a>(
    lanes: impl IntoIterator<Item = &'a LaneRun>,
) -> BTreeMap<CellKey, &'a CellResult> {
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

/// The cells that both runs have.
pub fn pairs<'a>(
    before: &BTreeMap<CellKey, &'a CellResult>,
    after: &BTreeMap<CellKey, &'a CellResult>,
) -> Vec<(&'a CellResult, &'a CellResult)> {
    before.iter().filter_map(|(key, cell)| Some((*cell, *after.get(key)?))).collect()
}

/// True if a cell was observed completely.
fn is_complete(cell: &CellResult) -> bool {
    cell.observation.as_ref().is_some_and(|seen| seen.lost == 0)
        && !cell.judgement.observed.is_empty()
        && cell.judgement.verdict != Verdict::Flaky
}

fn denied(cell: &CellResult) -> BTreeSet<DeniedPermission> {
    let denials = denials(cell).filter(|denial| !denial.granted);
    let each =
        denials.filter_map(|denial| Some((RuleScope::from_denial(&denial)?, denial.permissions)));
    each.flat_map(|(scope, names)| names.into_iter().map(move |name| (scope.clone(), name)))
        .collect()
}

/// The types of all processes in a cell.
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

fn rule((scope, name): &DeniedPermission) -> String {
    format!("{} {}:{} {{ {name} }}", scope.source, scope.object(), scope.class)
}

impl ModuleEffect {
    /// Compares cells without and with the module that has these rules.
    pub fn measure(pairs: &[(&CellResult, &CellResult)], rules: &Rules) -> Self {
        let mut this = Self::default();
        for (before, after) in pairs {
            if !is_complete(before) {
                continue;
            }
            if is_complete(after) {
                this.cells += 1;
                this.add_cell(before, after, rules);
            } else {
                let why =
                    after.judgement.reason.clone().unwrap_or_else(|| "records were lost".into());
                this.unseen.push((after.name.clone(), why));
            }
        }
        this
    }

    fn add_cell(&mut self, before: &CellResult, after: &CellResult, rules: &Rules) {
        let (old, new) = (denied(before), denied(after));
        let concerned = old.iter().any(|(scope, name)| rules.allows(scope, name));
        let domains = domains(before);
        let in_domain = rules.iter().any(|(scope, _)| domains.contains(&scope.source));
        let mut lost = false;
        for denial in &old {
            let (scope, name) = denial;
            let there = new.contains(denial);
            match (rules.allows(scope, name), rules.withholds(scope, name), there) {
                (true, _, false) => self.gone += 1,
                (true, _, true) => {
                    self.still.insert((rule(denial), after.name.clone()));
                }
                (false, true, there) => self.withheld += usize::from(there),
                // A permission outside the module's scope is no longer refused.
                (false, false, there) => lost |= !there,
            }
        }
        let differs = before.judgement.observed != after.judgement.observed;
        if concerned {
            for denial in new.difference(&old) {
                if rules.withholds(&denial.0, &denial.1) {
                    self.withheld += 1;
                } else {
                    *self.behind.entry(rule(denial)).or_default() += 1;
                }
            }
        }
        if differs && !concerned && !lost && in_domain {
            self.unlogged.insert(after.name.clone());
        } else if lost || differs && !concerned {
            let expected = FittedTranscript::of_observed(before.judgement.observed.clone());
            let text = difference(&expected, &after.judgement.observed, &after.path);
            self.opened.push((after.name.clone(), plain(&text)));
        }
    }

    /// True if the module allowed what it is for and nothing else.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.still.is_empty() && self.opened.is_empty()
    }

    /// The report.
    #[must_use]
    pub fn text(&self) -> Text {
        let mut out = Text::new();
        line!(
            out,
            "compared {}: {} gone, {} still there, {} denied on purpose; {} outside the module's \
             scope changed",
            counted(self.cells, "cell"),
            counted(self.gone, "denial"),
            self.still.len(),
            self.withheld,
            counted(self.opened.len(), "cell"),
        );
        for (rule, cell) in self.still.iter().take(NAMED) {
            line!(out, "still denied: {rule} in {cell}");
        }
        if !self.still.is_empty() {
            out.line(
                "the module has a rule for this, but it is not enough: a constraint \
                 (mlsconstrain), a bound on the type or a boolean refuses",
            );
        }
        for (rule, cells) in self.behind.iter().take(NAMED) {
            line!(out, "denied next: {rule} in {}", counted(*cells, "cell"));
        }
        if !self.behind.is_empty() {
            out.line("(an earlier refusal hid these: `perfsec allow` on the new run adds them)");
        }
        if let Some(cell) = self.unlogged.first() {
            line!(
                out,
                "{} in the module's domains changed without having logged a denial (audit was off, \
                 or a dontaudit rule hid it), such as {cell}",
                counted(self.unlogged.len(), "cell")
            );
        }
        for (cell, difference) in self.opened.iter().take(NAMED) {
            line!(out, "changed: {cell}");
            out.append(difference);
        }
        for (cell, why) in self.unseen.iter().take(NAMED) {
            line!(out, "did not run: {cell}: {why}");
        }
        let rest = self.still.len().saturating_sub(NAMED)
            + self.opened.len().saturating_sub(NAMED)
            + self.unseen.len().saturating_sub(NAMED);
        if rest > 0 {
            line!(out, "and {rest} more");
        }
        out
    }
}

/// Removes styles and references to a case file, which expected none of this.
fn plain(difference: &Text) -> Text {
    let text = difference.plain();
    let lines = text.lines().skip(2).map(|line| line.split("    # ").next().unwrap_or_default());
    let mut out = Text::new();
    for line in ["--- before", "+++ with the module"].into_iter().chain(lines) {
        line!(out, "  {line}");
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::LazyLock;

    use rstest::rstest;

    use super::*;
    use crate::record::{self, Run};

    /// A real run, in which none_t is denied everything and all_t is denied nothing.
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

    /// The cell `did` under another name.
    fn like(name: &str, did: &str) -> CellResult {
        CellResult { name: name.to_owned(), ..cell(did) }
    }

    fn compare(before: &str, after: &CellResult) -> ModuleEffect {
        let before = cell(before);
        let rules = Rules::from_denials(&denials(&cell(DENIED)).collect::<Vec<_>>());
        assert_eq!(rules.iter().count(), 1);
        ModuleEffect::measure(&[(&before, after)], &rules)
    }

    #[test]
    fn a_denial_that_the_module_allows_is_gone() {
        let effect = compare(DENIED, &like(DENIED, OPENED));
        assert!(effect.holds(), "{effect:?}");
        assert_eq!((effect.cells, effect.gone), (1, 1));
        let text = effect.text().plain();
        assert_eq!(
            text,
            "compared 1 cell: 1 denial gone, 0 still there, 0 denied on purpose; 0 cells outside \
             the module's scope changed\n"
        );
    }

    #[rstest]
    #[case(1, "denied next: RULE in 1 cell\n", "1 cell in the module's domains changed")]
    #[case(2, "denied next: RULE in 2 cells\n", "2 cells in the module's domains changed")]
    fn counts_are_pluralised(#[case] number: usize, #[case] behind: &str, #[case] unlogged: &str) {
        let effect = ModuleEffect {
            behind: BTreeMap::from([("RULE".to_owned(), number)]),
            unlogged: (0..number).map(|number| format!("cell {number}")).collect(),
            ..ModuleEffect::default()
        };
        let text = effect.text().plain();
        assert!(text.contains(behind) && text.contains(unlogged), "{text}");
    }

    #[test]
    fn a_denial_that_remains_is_reported() {
        let effect = compare(DENIED, &cell(DENIED));
        assert!(!effect.holds());
        assert_eq!(effect.still.len(), 1);
        assert!(effect.text().plain().contains("still denied: none_t self:perf_event { open }"));
    }

    #[test]
    fn a_cell_of_another_domain_must_not_change() {
        let effect = compare(OTHER, &cell(OTHER));
        assert!(effect.holds());
        let effect = compare(OTHER, &like(OTHER, OPENED));
        assert!(!effect.holds());
        assert!(
            effect.text().plain().contains("\nchanged: open/cpu/all_t"),
            "{}",
            effect.text().plain()
        );
    }

    #[test]
    fn a_cell_of_the_modules_domain_may_change_where_nothing_was_logged() {
        let rules = Rules::from_denials(&denials(&cell(DENIED)).collect::<Vec<_>>());
        let mut before = cell(DENIED);
        before.observation.as_mut().unwrap().calls.iter_mut().for_each(|call| call.effects.clear());
        before.judgement.observed.calls.truncate(1);
        before.judgement.observed.calls[0].effects.clear();
        let effect = ModuleEffect::measure(&[(&before, &like(DENIED, OPENED))], &rules);
        assert!(effect.holds(), "{effect:?}");
        assert_eq!((effect.gone, effect.unlogged.len()), (0, 1));
    }

    #[test]
    fn a_denial_that_another_one_hid_is_not_a_failure() {
        let permissive = "open/cpu/none_t/paranoid=2/perfmon/permissive";
        let mut after = like(DENIED, permissive);
        let seen = after.observation.as_mut().unwrap();
        for effect in seen.calls.iter_mut().flat_map(|call| &mut call.effects) {
            if let Effect::Record(record) = effect {
                record.text = record.text.replace("{ open }", "{ kernel }");
            }
        }
        let effect = compare(DENIED, &after);
        assert!(effect.holds(), "{effect:?}");
        assert!(effect.behind.contains_key("none_t self:perf_event { kernel }"), "{effect:?}");
    }

    #[test]
    fn a_cell_that_did_not_run_again_is_reported() {
        let mut after = cell(DENIED);
        after.observation = None;
        let effect = compare(DENIED, &after);
        assert_eq!((effect.cells, effect.unseen.len()), (0, 1));
    }
}
