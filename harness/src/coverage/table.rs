//! Formats the coverage of a run: one table for each kernel and policy.

use anstyle::{AnsiColor, Style};
use perfsec_wire::coverage::{Check, Coverage, Site};

use super::survey::merge;
use super::{Answer, AnswersSeen, CallSite, LsmQuestion, Point, Points, Survey};
use crate::case::Circumstances;
use crate::record::{LaneRun, LaneStarted, Run};
use crate::text::{Text, line, span};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WEAK: Style = AnsiColor::Yellow.on_default();

/// Widths of the columns. With the mark before them, a line has 100 columns.
const ASK: usize = 16;
const PLACE: usize = 52;
const NUMBER: usize = 10;

/// The coverage tables of a run.
#[derive(Debug)]
pub struct CoverageTable {
    kernels: Vec<KernelCoverage>,
}

/// The coverage of one kernel under one policy, from all its lanes: one per boot mode.
#[derive(Debug)]
struct KernelCoverage {
    /// The first lane, with the number of cells of all.
    started: LaneStarted,
    boots: Vec<Coverage>,
    refused: Option<String>,
}

impl CoverageTable {
    /// Collects the coverage of a run.
    #[must_use]
    pub fn new(run: &Run) -> Self {
        let mut kernels: Vec<KernelCoverage> = Vec::new();
        for part in &run.lanes {
            let started = &part.started;
            let same = |kernel: &KernelCoverage| {
                let known = &kernel.started;
                (known.kernel.identity(), &known.policy)
                    == (started.kernel.identity(), &started.policy)
            };
            let at = kernels.iter().position(same).unwrap_or_else(|| {
                let started = LaneStarted { cells: 0, ..started.clone() };
                kernels.push(KernelCoverage { started, boots: Vec::new(), refused: None });
                kernels.len() - 1
            });
            kernels[at].add(part);
        }
        Self { kernels }
    }

    /// True if no lane reported coverage.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kernels.iter().all(|kernel| kernel.boots.is_empty())
    }

    /// True if all kernels saw every place that they can reach both ways.
    #[must_use]
    pub fn is_complete(&self, points: &Points) -> bool {
        self.kernels.iter().all(|kernel| {
            let coverage = kernel.coverage();
            !kernel.boots.is_empty()
                && Survey::new(points, &kernel.circumstances(), &coverage).is_complete()
        })
    }

    /// The tables.
    #[must_use]
    pub fn text(&self, points: &Points) -> Text {
        let mut out = Text::new();
        for kernel in &self.kernels {
            kernel.write(points, &mut out);
        }
        out
    }
}

impl KernelCoverage {
    fn add(&mut self, part: &LaneRun) {
        self.started.cells += part.started.cells;
        for boot in &part.coverage {
            let mut coverage = (*boot.coverage).clone();
            if !part.started.boot.has_policy() {
                // Without a policy, another security module refused.
                coverage.sites.iter_mut().for_each(|site| site.counts.refused = 0);
            }
            self.boots.push(coverage);
        }
        self.refused = self.refused.take().or_else(|| part.refused().map(str::to_owned));
    }

    fn coverage(&self) -> Coverage {
        merge(&self.boots.iter().collect::<Vec<_>>())
    }

    fn circumstances(&self) -> Circumstances<'_> {
        (&self.started.kernel).into()
    }

    fn write(&self, points: &Points, out: &mut Text) {
        let kernel = &self.started.kernel;
        let (policy, cells) = (&self.started.policy, self.started.cells);
        line!(out, "Linux {} ({})", kernel.version, kernel.origin);
        if self.boots.is_empty() {
            let why = self.refused.as_deref().unwrap_or("no boot reported coverage");
            out.paint(BAD, "nothing was measured");
            line!(out, ": {why}");
            out.end();
            return;
        }
        let coverage = self.coverage();
        let survey = Survey::new(points, &self.circumstances(), &coverage);
        let heading = format!("policy {policy}, {cells} cells");
        line!(
            out,
            "  {heading:<width$}{:>NUMBER$}{:>NUMBER$}{:>NUMBER$}",
            "allowed",
            "not held",
            "SELinux",
            width = ASK + PLACE,
        );
        write_rows(&survey, out);
        if !survey.absent.is_empty() {
            out.end().line("not reachable here, or not in this kernel");
            for absent in &survey.absent {
                line!(out, "  {:<28} {}", absent.point.name, absent.reason);
            }
        }
        if !survey.unknown.is_empty() {
            out.end().paint(WEAK, "unknown");
            out.line(": perfsec lists no decision point for these places");
            survey.unknown.iter().for_each(|site| write_line(' ', Style::new(), site, None, out));
        }
        if !survey.others.is_empty() {
            out.end().line("asked elsewhere, and not about perf alone");
            survey.others.iter().for_each(|site| write_line(' ', Style::new(), site, None, out));
        }
        write_notes(&survey, &coverage, out);
        let total = survey.rows.len();
        let every = survey.rows.iter().filter(|row| row.has_every_answer()).count();
        let both = survey.count(AnswersSeen::BothWays);
        let style = if survey.is_complete() { GOOD } else { BAD };
        out.end();
        span!(out, "Linux {}: ", kernel.version);
        out.paint(style, format_args!("{both} of {total} questions seen both ways"));
        line!(
            out,
            " ({every} with every answer), {} one way, {} never;",
            survey.count(AnswersSeen::OneWay),
            survey.count(AnswersSeen::None),
        );
        let (absent, unknown) = (survey.absent.len(), survey.unknown.len());
        line!(out, "  {absent} points out of reach; {unknown} unknown places");
        out.end();
    }
}

/// Writes the reachable places below their decision points.
fn write_rows(survey: &Survey<'_>, out: &mut Text) {
    let mut last: Option<&Point> = None;
    for row in &survey.rows {
        if last.is_none_or(|last| last.name != row.point.name) {
            out.end();
            line!(out, "{}: {}", row.point.name, row.point.what);
            last = Some(row.point);
        }
        let (mark, style) = match row.seen {
            AnswersSeen::BothWays if row.has_every_answer() => (' ', GOOD),
            AnswersSeen::BothWays => (' ', Style::new()),
            AnswersSeen::OneWay => ('*', WEAK),
            AnswersSeen::None => ('!', BAD),
        };
        match &row.site {
            Some(site) => {
                write_line(mark, style, site, row.impossible.map(|(answer, _)| answer), out)
            }
            None => {
                out.paint(style, format_args!("{mark} {:<ASK$}", row.ask)).line("not seen");
            }
        }
    }
}

/// Writes one place with one question and its answers.
fn write_line(mark: char, style: Style, site: &Site, impossible: Option<Answer>, out: &mut Text) {
    let ask = LsmQuestion(site.check);
    let counts = site.counts;
    let number = |count: u32, possible: bool| match (count, possible) {
        (0, true) => "no".to_owned(),
        (0, false) => "-".to_owned(),
        (count, _) => count.to_string(),
    };
    let allowed = match (counts.allowed, counts.logged) {
        (allowed, 0) => number(allowed, impossible != Some(Answer::Allowed)),
        (allowed, logged) => format!("{allowed}+{logged}"),
    };
    let refusable = impossible != Some(Answer::Refused);
    let not_held = number(counts.not_held, refusable && ask.involves_commoncap());
    let refused = number(counts.refused, refusable);
    let place = format_place(site);
    out.paint(style, format_args!("{mark} {ask:<ASK$}"));
    line!(out, "{place:<PLACE$}{allowed:>NUMBER$}{not_held:>NUMBER$}{refused:>NUMBER$}");
}

/// Formats a place as `symbol+offset`, with the helper that asks if the question does not imply it.
fn format_place(site: &Site) -> String {
    let offset = format!("+{:#x}", site.place.offset);
    let via = if site.via.starts_with("perf_allow_") {
        format!(" ({})", site.via)
    } else {
        String::new()
    };
    let symbol = match site.place.symbol.as_str() {
        "" => "(no symbol)",
        symbol => symbol,
    };
    let room = PLACE.saturating_sub(offset.chars().count() + via.chars().count());
    let symbol: String = symbol.chars().take(room).collect();
    format!("{symbol}{offset}{via}")
}

/// Writes notes on the table.
fn write_notes(survey: &Survey<'_>, coverage: &Coverage, out: &mut Text) {
    let mut notes: Vec<String> = Vec::new();
    if survey.rows.iter().any(|row| row.counts().logged > 0) {
        notes.push(
            "+N: SELinux logged a denial and, in permissive mode, allowed the access".to_owned(),
        );
    }
    let any_module = |check: Check| matches!(check, Check::Ptrace | Check::LockedDown);
    if survey.rows.iter().any(|row| any_module(row.ask.0) && row.counts().refused > 0) {
        notes.push("ptrace, lockdown: refused by SELinux or by another module".to_owned());
    }
    let mut reasons: Vec<(LsmQuestion, &str)> =
        survey.rows.iter().filter_map(|row| Some((row.ask, row.impossible?.1))).collect();
    reasons.dedup();
    notes.extend(reasons.iter().map(|(ask, reason)| format!("{ask}: {reason}")));
    if let Some(why) = &coverage.unlisted {
        notes.push(format!("places that no cell reached are not listed: {}", why));
    }
    if !coverage.traced.iter().any(|name| name == "security_capable") {
        notes.push("capability checks cannot be traced on this kernel".to_owned());
    }
    if coverage.dropped > 0 {
        notes.push(format!("{} answers were lost", coverage.dropped));
    }
    if !notes.is_empty() {
        out.end();
        notes.iter().for_each(|note| line!(out, "{note}"));
    }
}

/// Formats the list of decision points.
#[must_use]
pub fn format_points(points: &Points) -> Text {
    let mut out = Text::new();
    for point in &points.all {
        let asks: Vec<_> = point.asks.iter().map(ToString::to_string).collect();
        line!(out, "{}: {}", point.name, point.what);
        line!(out, "  file {}", point.file);
        line!(out, "  asks {}", asks.join(", "));
        if let Some(since) = &point.since {
            line!(out, "  since {since}");
        }
        if let Some(until) = &point.until {
            line!(out, "  until {until}");
        }
        if let Some(option) = &point.config {
            line!(out, "  needs {option}");
        }
        if let Some(unreachable) = &point.unreachable {
            line!(out, "  not reachable: {}: {}", unreachable.because, unreachable.reason);
        }
        out.end();
    }
    out
}

/// Formats the call sites of a source tree, each below its decision point.
#[must_use]
pub fn format_sources(sites: &[CallSite], points: &Points) -> Text {
    let mut out = Text::new();
    let (known, unknown): (Vec<_>, Vec<_>) =
        sites.iter().partition(|site| points.find_by_function(&site.function).is_some());
    for point in &points.all {
        let own: Vec<_> =
            known.iter().filter(|site| point.functions.contains(&site.function)).collect();
        if !own.is_empty() {
            line!(out, "{}: {}", point.name, point.what);
            own.iter().for_each(|site| write_source(site, &mut out));
        }
    }
    if !unknown.is_empty() {
        out.paint(WEAK, "unknown to perfsec").end();
        unknown.iter().for_each(|site| write_source(site, &mut out));
    }
    out.end();
    line!(out, "{} calls in the source, {} unknown to perfsec", sites.len(), unknown.len());
    out.end();
    out
}

fn write_source(site: &CallSite, out: &mut Text) {
    let at = format!("{}:{}", site.file.display(), site.line);
    line!(out, "  {:<38} {:<27} {}", at, site.function, site.call);
}

#[cfg(test)]
mod tests {
    use perfsec_wire::BootMode;
    use perfsec_wire::caps;
    use perfsec_wire::coverage::{Check, Counts, Hook, SymbolOffset};

    use super::*;
    use crate::kernel::{Kernel, KernelVersion, Origin};
    use crate::machines::Machinery;
    use crate::policy::PolicyChanges;
    use crate::record::{BootCoverage, Event, LaneEnded, LaneRefusal, RunStarted, Selection};

    fn lane() -> Event {
        Event::Lane(Box::new(LaneStarted {
            lane: 0,
            boot: BootMode::Selinux,
            kernel: Kernel {
                image: None,
                arch: crate::kernel::Arch::default(),
                release: "7.3.4".to_owned(),
                version: KernelVersion::new(7, 3, 4),
                banner: String::new(),
                distribution: None,
                origin: Origin::File { path: "vmlinuz".into() },
                config: None,
                parameters: Vec::new(),
            },
            policy: "minimal".to_owned(),
            policy_changes: PolicyChanges::default(),
            policy_sha256: String::new(),
            machinery: Machinery {
                machine: String::new(),
                accel: String::new(),
                parameters: String::new(),
                system: None,
                host: None,
            },
            cells: 2,
        }))
    }

    fn site(via: &str, check: Check, symbol: &str, counts: Counts) -> Site {
        let place = SymbolOffset { symbol: symbol.to_owned(), offset: 0x1f7, size: 0xcf0 };
        Site { via: via.to_owned(), check, place, tail: false, counts }
    }

    fn coverage(sites: Vec<Site>) -> Event {
        let coverage =
            Coverage { sites, traced: vec!["security_capable".to_owned()], ..Coverage::default() };
        Event::Coverage(BootCoverage { lane: 0, boot: 0, coverage: Box::new(coverage) })
    }

    fn text(events: Vec<Event>) -> (CoverageTable, String) {
        let begin = Event::Run(RunStarted::now(2, Selection::default()));
        let table = CoverageTable::new(&Run::of(std::iter::once(begin).chain(events)).unwrap());
        let text = table.text(&Points::built_in().unwrap());
        (table, text.plain())
    }

    #[test]
    fn every_place_has_a_line_with_its_answers() {
        let counts = Counts { allowed: 36, logged: 10, not_held: 60, refused: 0 };
        let kernel = Check::PerfEvent(Hook::Kernel);
        let (table, text) = text(vec![
            lane(),
            coverage(vec![
                site(
                    "perf_allow_kernel",
                    Check::Capability(caps::PERFMON),
                    "__do_sys_perf_event_open",
                    counts,
                ),
                site("perf_allow_kernel", kernel, "__do_sys_perf_event_open", Counts::default()),
                site(
                    "capable",
                    Check::Capability(caps::PERFMON),
                    &"stranger".repeat(15),
                    Counts::default(),
                ),
            ]),
        ]);
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let place = "__do_sys_perf_event_open+0x1f7 (perf_allow_kernel)";
        for expected in [
            format!("cap perfmon {place} 36+10 60 no"),
            format!("! hook kernel {place} no - no"),
            "i915_perf hardware: a graphics driver, built as a module".to_owned(),
            "unknown: perfsec lists no decision point for these places".to_owned(),
        ] {
            assert!(lines.contains(&expected), "{expected} in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(!table.is_empty() && !table.is_complete(&Points::built_in().unwrap()));
    }

    #[test]
    fn a_lane_without_coverage_has_a_reason() {
        let reason = "no perf events".to_owned();
        let refused = Some(LaneRefusal { reason, console: String::new() });
        let end = Event::LaneEnd(LaneEnded { lane: 0, boots: 1, millis: 1, refused });
        let (table, text) = text(vec![lane(), end]);
        assert!(text.contains("nothing was measured: no perf events"), "{text}");
        assert!(table.is_empty());
    }
}
