//! KTAP, the kernel's own format for test results (`Documentation/dev-tools/ktap.rst`), as
//! `tools/testing/kunit/kunit_parser.py` reads it.
//!
//! Results are nested: lanes, cases, cells. Cells without a result are only in the plan, so that a
//! parser counts them as crashed.

use super::plain::{
    Names, death, death_of, details, lane_name, lines, name_in_case, one_line, unseen,
    unseen_elsewhere,
};
use super::wording::{guests, without_result};
use crate::judge::Verdict;
use crate::record::{CellResult, LaneRun, Run, VerdictCounts};
use crate::text::{Text, line};

/// Texts at which the kernel's parser stops, anywhere in a line (`KTAP_END`). Consoles contain
/// them.
const ENDS: [&str; 3] =
    ["List of all partitions:", "Kernel panic - not syncing: VFS:", "reboot: System halted"];

/// Writes the report.
pub(super) fn ktap(run: &Run) -> Text {
    let mut out = Ktap::default();
    let started = &run.started;
    let elsewhere = unseen_elsewhere(run);
    // The kernel's parser, as of 6.1, looks for a plan only in the line after a test's first one.
    out.line("KTAP version 1");
    out.plan(run.lanes.len() + elsewhere);
    out.comment(&format!("perfsec {} on {}", started.perfsec, started.host));
    out.comment(&format!("command: {}", started.command.join(" ")));
    let mut names = Names::default();
    for (at, lane) in run.lanes.iter().enumerate() {
        out.lane(at + 1, &names.unique(&described(&lane_name(&lane.started))), lane);
    }
    if elsewhere > 0 {
        out.comment(&format!("{}: their lanes did not begin", without_result(elsewhere)));
    }
    out.totals(&run.counts());
    out.text
}

/// Text of the report, and its depth of nesting.
#[derive(Default)]
struct Ktap {
    text: Text,
    depth: usize,
}

impl Ktap {
    fn lane(&mut self, number: usize, name: &str, lane: &LaneRun) {
        let (started, unseen) = (&lane.started, unseen(lane));
        let (kernel, machinery) = (&started.kernel, &started.machinery);
        let mut cases: Vec<(&str, Vec<&CellResult>)> = Vec::new();
        for cell in &lane.cells {
            match cases.iter_mut().find(|(case, _)| *case == cell.case) {
                Some((_, cells)) => cells.push(cell),
                None => cases.push((&cell.case, vec![cell])),
            }
        }
        let nested = !cases.is_empty() || unseen > 0;
        if nested {
            self.begin(name);
            self.plan(cases.len() + unseen);
        }
        self.comment(&format!("kernel: {} ({})", kernel.release, kernel.origin));
        if let Some(sha256) = kernel.sha256() {
            self.comment(&format!("sha256: {sha256}"));
        }
        self.comment(&format!(
            "policy: {} (sha256 {})",
            started.policy_text(),
            started.policy_sha256
        ));
        self.comment(&format!("machine: {}, {}", machinery.machine, machinery.accel));
        if let Some(guests) = guests(lane) {
            self.comment(&format!("guests: {guests}"));
        }
        // A subtest with the name of its parent would end the parent.
        let mut names = Names::default();
        names.unique(name);
        for (at, (case, cells)) in cases.iter().enumerate() {
            self.case(at + 1, &names.unique(&described(case)), cells, lane);
        }
        let lone = lane.deaths.iter().filter(|death| {
            !lane.cells.iter().any(|cell| {
                death_of(lane, cell).is_some_and(|of_cell| std::ptr::eq(of_cell, *death))
            })
        });
        for ended in lone {
            self.comments(&death(ended));
        }
        if unseen > 0 {
            self.comment(&format!("{}: the run ended before them", without_result(unseen)));
        }
        if nested {
            self.depth -= 1;
        }
        match lane.refused() {
            Some(reason) => self.result("not ok", number, name, "ERROR", reason),
            None => self.parent(number, name, &lane.cells.iter().collect::<Vec<_>>(), unseen),
        }
    }

    fn case(&mut self, number: usize, name: &str, cells: &[&CellResult], lane: &LaneRun) {
        self.begin(name);
        self.plan(cells.len());
        let mut names = Names::default();
        names.unique(name);
        for (at, cell) in cells.iter().enumerate() {
            self.cell(at + 1, &names.unique(&described(&name_in_case(cell))), cell, lane);
        }
        self.depth -= 1;
        self.parent(number, name, cells, 0);
    }

    /// A parser that does not know a directive looks at `ok` and `not ok` alone, and the kernel's
    /// parser only knows SKIP. So a known difference is `ok`, as in `ksft_test_result_xfail()` and
    /// `ksft_test_result_xpass()` of kselftest: it does not make a run fail. FLAKY is `not ok`.
    fn cell(&mut self, number: usize, name: &str, cell: &CellResult, lane: &LaneRun) {
        let judgement = &cell.judgement;
        let reason = judgement.reason.as_deref().unwrap_or_default();
        if !matches!(judgement.verdict, Verdict::Pass | Verdict::Skip) {
            let mut details = details(cell);
            if let Some(first) = details.first_mut() {
                first.insert_str(0, &format!("{}: ", judgement.verdict));
            }
            details.extend(death_of(lane, cell).into_iter().flat_map(death));
            self.comments(&details);
        }
        match judgement.verdict {
            Verdict::Pass => self.result("ok", number, name, "", ""),
            // The comments above have the reason, which may begin like a directive.
            Verdict::Fail => self.result("not ok", number, name, "", ""),
            Verdict::Xfail => self.result("ok", number, name, "XFAIL", reason),
            Verdict::Xpass => self.result("ok", number, name, "XPASS", reason),
            Verdict::Skip => self.result("ok", number, name, "SKIP", reason),
            Verdict::Flaky => self.result("not ok", number, name, "FLAKY", reason),
            Verdict::Error => self.result("not ok", number, name, "ERROR", reason),
            Verdict::Miss => {
                self.result("not ok", number, name, "ERROR", &format!("did not run: {reason}"));
            }
        }
    }

    /// The result of a case or lane with these cells.
    fn parent(&mut self, number: usize, name: &str, cells: &[&CellResult], unseen: usize) {
        let mut verdicts = cells.iter().map(|cell| cell.judgement.verdict);
        if unseen > 0 || verdicts.clone().any(Verdict::is_bad) {
            self.result("not ok", number, name, "", "");
        } else if verdicts.all(|verdict| verdict == Verdict::Skip) {
            self.result("ok", number, name, "SKIP", "no cell ran");
        } else {
            self.result("ok", number, name, "", "");
        }
    }

    fn begin(&mut self, name: &str) {
        self.depth += 1;
        self.line("KTAP version 1");
        // Not in the specification, but KUnit writes it: it lets the parser find the end of a test
        // whose results are incomplete.
        self.line(&format!("# Subtest: {name}"));
    }

    fn plan(&mut self, count: usize) {
        self.line(&format!("1..{count}"));
    }

    fn result(&mut self, result: &str, number: usize, name: &str, directive: &str, reason: &str) {
        let mut text = format!("{result} {number} {name}");
        if !directive.is_empty() {
            // A parser takes the text after the last ` # ` for the directive.
            let reason = one_line(reason).replace('#', "\\#");
            text.push_str(format!(" # {directive} {}", reason.trim()).trim_end());
        }
        self.line(&text);
    }

    fn totals(&mut self, counts: &VerdictCounts) {
        let of = |verdict| counts.get(verdict);
        // In the format of `ksft_print_cnts()`.
        self.comment(&format!(
            "Totals: pass:{} fail:{} xfail:{} xpass:{} skip:{} error:{}",
            of(Verdict::Pass),
            of(Verdict::Fail),
            of(Verdict::Xfail),
            of(Verdict::Xpass),
            of(Verdict::Skip),
            // The format has no other number for what is neither a pass nor a failure.
            of(Verdict::Flaky) + of(Verdict::Error) + of(Verdict::Miss),
        ));
    }

    fn comments(&mut self, lines: &[String]) {
        lines.iter().for_each(|line| self.comment(line));
    }

    /// Writes diagnostics so that no parser takes them for results.
    fn comment(&mut self, text: &str) {
        for line in lines(text) {
            let gap = if line.starts_with("Subtest:") { "  " } else { " " };
            self.line(format!("#{gap}{line}").trim_end());
        }
    }

    fn line(&mut self, text: &str) {
        let harmless = |text: String, end: &&str| text.replace(end, &end.replacen(' ', "  ", 1));
        let text = ENDS.iter().fold(text.to_owned(), harmless);
        line!(self.text, "{}{text}", "  ".repeat(self.depth));
    }
}

/// A name as a result can have it: no `#`, no blanks around it, no dash that a parser takes for a
/// separator.
fn described(name: &str) -> String {
    let name = one_line(name).replace('#', "_");
    let name = name.trim().trim_start_matches(['-', ':', ' ']);
    if name.is_empty() { "_".to_owned() } else { name.to_owned() }
}
