//! The results of a lane: one for each cell, in whichever order its guests finish.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::LanePlan;
use super::attempts::{self, Next, Ran};
use crate::case::Circumstances;
use crate::judge::Verdict;
use crate::record::CellResult;

/// Hexadecimal digits of a case's SHA-256 in the record of each cell: enough to tell versions apart.
const CASE_DIGITS: usize = 16;

/// The results of a lane.
#[derive(Debug)]
pub(super) struct Results {
    verdicts: Vec<Option<Verdict>>,
    /// Attempts at cells that are repeated.
    attempts: HashMap<usize, Vec<Ran>>,
    /// Cells that passed, by the control whose result they wait for.
    held: BTreeMap<usize, Vec<(usize, Ran)>>,
}

impl Results {
    /// No results of `cells` cells.
    pub(super) fn new(cells: usize) -> Self {
        let verdicts = vec![None; cells];
        Self { verdicts, attempts: HashMap::new(), held: BTreeMap::new() }
    }

    /// The cells without a result.
    pub(super) fn open(&self) -> Vec<usize> {
        (0..self.verdicts.len()).filter(|at| self.verdicts[*at].is_none()).collect()
    }

    /// True if a cell has its result.
    pub(super) fn has(&self, index: usize) -> bool {
        self.verdicts[index].is_some()
    }

    /// Takes an attempt at a cell. Returns true if it must be repeated after a boot; otherwise the
    /// results that are now known are added to `out`.
    pub(super) fn take(
        &mut self,
        plan: &LanePlan,
        circumstances: &Circumstances<'_>,
        retries: usize,
        (index, ran): (usize, Ran),
        out: &mut Vec<CellResult>,
    ) -> bool {
        let earlier = self.attempts.remove(&index).unwrap_or_default();
        match attempts::next(earlier, ran, retries) {
            Next::RepeatCold(attempts) => {
                self.attempts.insert(index, attempts);
                true
            }
            Next::Conclude(ran) => {
                self.conclude(plan, circumstances, (index, *ran), out);
                false
            }
        }
    }

    /// Ends every cell that has no result, with the same verdict and reason.
    pub(super) fn give_up(
        &mut self,
        plan: &LanePlan,
        circumstances: &Circumstances<'_>,
        boot: usize,
        (verdict, reason): (Verdict, &str),
        out: &mut Vec<CellResult>,
    ) {
        // These end with their controls.
        let held: HashSet<_> = self.held.values().flatten().map(|(held, _)| *held).collect();
        for index in self.open().into_iter().filter(|index| !held.contains(index)) {
            let seen = self.attempts.remove(&index);
            let ran = seen.and_then(|attempts| attempts::unconfirmed(&attempts, reason));
            let ran = ran.unwrap_or_else(|| Ran::unseen(boot, verdict, reason));
            self.conclude(plan, circumstances, (index, ran), out);
        }
    }

    /// Ends a cell, and those that waited for it as their control.
    fn conclude(
        &mut self,
        plan: &LanePlan,
        circumstances: &Circumstances<'_>,
        ended: (usize, Ran),
        out: &mut Vec<CellResult>,
    ) {
        let mut ended = vec![ended];
        while let Some((index, mut ran)) = ended.pop() {
            let cell = &plan.cells[index];
            if let (Verdict::Pass, Some(control)) = (ran.judgement.verdict, cell.control) {
                match self.verdicts[control] {
                    None => {
                        self.held.entry(control).or_default().push((index, ran));
                        continue;
                    }
                    Some(Verdict::Pass) => {}
                    Some(verdict) => {
                        // A control that cannot run here is nobody's fault.
                        ran.judgement.verdict = match verdict {
                            Verdict::Skip => Verdict::Skip,
                            _ => Verdict::Error,
                        };
                        ran.judgement.reason = Some(format!(
                            "its control {} has {verdict}, so a denial proves nothing",
                            plan.cells[control].name()
                        ));
                    }
                }
            }
            self.verdicts[index] = Some(ran.judgement.verdict);
            out.push(result(plan, circumstances, index, ran));
            ended.extend(self.held.remove(&index).unwrap_or_default());
        }
    }

    /// Notes the result that a cell had in an earlier run.
    pub(super) fn note_earlier(&mut self, index: usize, verdict: Verdict) {
        self.verdicts[index] = Some(verdict);
    }
}

fn result(
    plan: &LanePlan,
    circumstances: &Circumstances<'_>,
    index: usize,
    ran: Ran,
) -> CellResult {
    let cell = &plan.cells[index];
    let expectation = cell.case.expectation(&cell.at, &plan.setting(circumstances));
    let mut judgement = ran.judgement;
    if judgement.expected.is_empty() && judgement.verdict != Verdict::Skip {
        judgement.expected = expectation.transcript.least();
    }
    CellResult {
        lane: plan.lane,
        boot: ran.boot,
        number: index,
        name: cell.name(),
        case: cell.case.name.clone(),
        title: cell.case.title.clone(),
        path: cell.case.path.clone(),
        line: cell.case.line_of(&cell.at),
        source: cell.case.source.clone(),
        case_sha256: cell.case.sha256.chars().take(CASE_DIGITS).collect(),
        because: cell.case.condition_reasons(&expectation, circumstances),
        at: cell.at.clone(),
        judgement,
        observation: ran.observation,
    }
}
