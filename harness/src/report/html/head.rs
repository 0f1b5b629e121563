//! The part above the matrix: the verdict, the kernels, deaths, refusals and reasons.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::wording::boot_description;
use super::outcome::{badge, verbatim};
use super::table::{Column, Matrix};
use super::text::{anchor, clipped, fragment};
use crate::counted::{counted, inflected};
use crate::judge::Verdict;
use crate::record::{CellResult, LaneRun, Run, VerdictCounts};

/// Number of lines of a dead guest's console that are shown; the run record has the rest.
const CONSOLE_LINES: usize = 60;

/// The verdict in one line, and its class in the style sheet.
pub(super) fn verdict(run: &Run) -> (&'static str, String) {
    let counts = run.counts();
    let get = |verdict| counts.get(verdict);
    let (failed, unseen) = (get(Verdict::Fail), run.unseen());
    let (flaky, unjudged) =
        (get(Verdict::Flaky), get(Verdict::Error) + get(Verdict::Miss) + unseen);
    let refused = run.lanes.iter().filter(|lane| lane.refused().is_some()).count();
    let judged: usize =
        counts.iter().filter(|(verdict, _)| verdict.judged()).map(|(_, count)| count).sum();
    let of_all = |count: usize| format!("{count} of {}", counted(run.started.cells, "cell"));
    let mut words = Vec::new();
    if failed > 0 {
        words.push(format!("{} failed", of_all(failed)));
    }
    if refused > 0 {
        words.push(format!("{} could not be tested", counted(refused, "lane")));
    }
    if flaky > 0 {
        let count = if failed > 0 { flaky.to_string() } else { of_all(flaky) };
        words.push(format!("{count} {} flaky", inflected(flaky, "was", "were")));
    }
    if unjudged > 0 {
        let counted = failed > 0 || flaky > 0;
        let count = if counted { unjudged.to_string() } else { of_all(unjudged) };
        words.push(format!("{count} {} not judged", inflected(unjudged, "was", "were")));
    }
    if failed > 0 {
        return ("fail", words.join(", "));
    }
    if !words.is_empty() {
        return ("error", format!("{}, none failed", words.join(", ")));
    }
    let others = [(Verdict::Xfail, "differ as known"), (Verdict::Xpass, "no longer differ")];
    let mut words = vec![format!("{} passed", of_all(get(Verdict::Pass)))];
    words.extend(
        others.into_iter().filter(|it| get(it.0) > 0).map(|(it, how)| format!("{} {how}", get(it))),
    );
    if get(Verdict::Skip) > 0 {
        let skipped = get(Verdict::Skip);
        words.push(format!("{skipped} {} skipped", inflected(skipped, "was", "were")));
    }
    match judged {
        0 => ("skip", "No cell ran".to_owned()),
        _ => ("pass", words.join(", ")),
    }
}

pub(super) fn head(run: &Run, table: &Matrix) -> Markup {
    let (class, verdict) = verdict(run);
    html! {
        header {
            p.brand { "perfsec " (run.started.perfsec) " · " (when(run)) }
            h1 class=(class) { (verdict) }
            p.counts { (badges(&run.counts())) }
        }
        (notices(run))
        (kernels(table, &run.started.host))
        (deaths(run))
        (refusals(run))
        (reasons(run))
        (facts(run))
    }
}

/// The start of the run, to the minute; the facts of the run have it in full.
fn when(run: &Run) -> Markup {
    let started = &run.started.started;
    match started.parse::<jiff::Timestamp>() {
        Ok(time) => html! {
            time datetime=(time.strftime("%Y-%m-%dT%H:%M:%SZ")) {
                (time.strftime("%Y-%m-%d %H:%M UTC"))
            }
        },
        Err(_) => html! { (started) },
    }
}

pub(super) fn badges(counts: &VerdictCounts) -> Markup {
    html! {
        @for (verdict, count) in counts.iter() {
            span.count { (count) " " (badge(verdict)) } " "
        }
        @if counts.total() == 0 { span.none { "no cell" } }
    }
}

fn notices(run: &Run) -> Markup {
    let total = run.started.cells;
    let seen = total.saturating_sub(run.unseen());
    let mut blind: BTreeMap<&str, usize> = BTreeMap::new();
    for observation in run.cells().filter_map(|cell| cell.observation.as_ref()) {
        if let Some(why) = &observation.caps_unseen {
            *blind.entry(why).or_insert(0) += 1;
        }
    }
    html! {
        @match &run.end {
            None => p.note role="note" {
                b { "The record ends before its run did. " }
                (seen) " of " (counted(total, "cell")) " have a result."
            },
            Some(end) if end.interrupted => p.note role="note" {
                b { "The run was interrupted. " }
                (seen) " of " (counted(total, "cell")) " have a result."
            },
            Some(_) => {}
        }
        @for (why, count) in blind {
            p.note role="note" {
                "Capability checks of " (counted(count, "cell")) " were not compared: "
                (clipped(why))
            }
        }
    }
}

fn kernels(table: &Matrix, host: &str) -> Markup {
    html! {
        section aria-labelledby="_kernels" {
            h2 #_kernels { "Kernels" }
            @if table.columns.is_empty() { p { "No kernel was booted." } }
            div.kernels { @for column in &table.columns { (kernel(column, host)) } }
        }
    }
}

fn kernel(column: &Column, host: &str) -> Markup {
    let started = &column.lanes[0].started;
    let kernel = &started.kernel;
    let counts = VerdictCounts::of(column.lanes.iter().flat_map(|lane| &lane.cells));
    html! {
        article.kernel {
            h3 { "Linux " (column.kernel) ", policy " (column.policy) }
            p.counts { (badges(&counts)) }
            p { code { (kernel.release) } ", " (kernel.origin) }
            p {
                (clipped(&started.machinery.machine)) ", "
                b { (started.machinery.accel) } ", host " (host)
            }
            details.lanes {
                summary { "Build, hashes, " (counted(column.lanes.len(), "lane")) }
                dl {
                    dt { "built" }
                    dd { (clipped(&kernel.banner)) }
                    @if let Some(sha256) = kernel.sha256() {
                        dt { "image" }
                        dd { "SHA-256 " code.hash { (sha256) } }
                    }
                    dt { "policy" }
                    dd {
                        (started.policy_text()) ", SHA-256 "
                        code.hash { (started.policy_sha256) }
                    }
                }
                div.scroll tabindex="0" role="group" aria-label="Lanes" { (lanes(&column.lanes)) }
            }
        }
    }
}

fn lanes(lanes: &[&LaneRun]) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "lane" } th scope="col" { "results" }
                    th scope="col" { "guests" } th scope="col" { "time" }
                    th scope="col" { "kernel command line" }
                }
            }
            tbody {
                @for lane in lanes {
                    tr {
                        th scope="row" { (boot_description(&lane.started)) }
                        td { (badges(&lane.counts())) }
                        @match &lane.end {
                            Some(end) => {
                                td {
                                    (end.boots)
                                    @if lane.restored() > 0 {
                                        ", " (lane.restored()) " restored from a snapshot"
                                    }
                                }
                                td { (seconds(end.millis)) }
                            }
                            None => td colspan="2" { "did not end" },
                        }
                        td { code { (clipped(&lane.started.machinery.parameters)) } }
                    }
                }
            }
        }
    }
}

fn seconds(millis: u64) -> String {
    format!("{:.1} s", millis as f64 / 1000.0)
}

fn named(lane: &LaneRun) -> String {
    format!("Linux {}, {}", lane.started.kernel.version, boot_description(&lane.started))
}

fn deaths(run: &Run) -> Markup {
    let deaths: Vec<_> = run
        .lanes
        .iter()
        .flat_map(|lane| lane.deaths.iter().map(move |death| (lane, death)))
        .collect();
    html! {
        @if !deaths.is_empty() {
            section aria-labelledby="_deaths" {
                h2 #_deaths { "Boots that died" }
                @for (lane, death) in deaths {
                    article.death {
                        h3 { (clipped(&death.cause)) }
                        p {
                            (named(lane)) ", boot " (death.boot + 1)
                            @if let Some(ending) = death.ending() { ": " (clipped(&ending)) }
                            @if let Some(cell) = &death.cell {
                                " while " a href=(fragment(&anchor(cell))) { (cell) } " ran"
                            }
                        }
                        (console(&death.console))
                    }
                }
            }
        }
    }
}

fn refusals(run: &Run) -> Markup {
    html! {
        @for lane in &run.lanes {
            @if let Some(refused) = lane.end.as_ref().and_then(|end| end.refused.as_ref()) {
                section.refused {
                    h2 { "Nothing could be tested: " (named(lane)) }
                    p.reason { (clipped(&refused.reason)) }
                    (console(&refused.console))
                }
            }
        }
    }
}

fn console(text: &str) -> Markup {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    let cut = lines.len().saturating_sub(CONSOLE_LINES);
    html! {
        @if !lines.is_empty() {
            details.console {
                summary {
                    "Console"
                    @if cut > 0 { ", its last " (CONSOLE_LINES) " of " (lines.len()) " lines" }
                }
                (verbatim(&lines[cut..]))
            }
        }
    }
}

/// The reasons why cells were not judged, each once.
fn reasons(run: &Run) -> Markup {
    let mut reasons: BTreeMap<(Verdict, &str), Vec<&CellResult>> = BTreeMap::new();
    for cell in run.cells().filter(|cell| !cell.judgement.verdict.judged()) {
        let reason = cell.judgement.reason.as_deref().unwrap_or("no reason");
        reasons.entry((cell.judgement.verdict, reason)).or_default().push(cell);
    }
    html! {
        @if !reasons.is_empty() {
            section aria-labelledby="_unjudged" {
                h2 #_unjudged { "Not judged" }
                ul.reasons {
                    @for ((verdict, reason), cells) in reasons {
                        li {
                            (badge(verdict)) " " (clipped(reason)) " "
                            span.n {
                                "("
                                @if let [cell] = cells.as_slice() {
                                    a href=(fragment(&anchor(&cell.name))) { (cell.name) }
                                } @else {
                                    (counted(cells.len(), "cell"))
                                }
                                ")"
                            }
                        }
                    }
                }
            }
        }
    }
}

fn facts(run: &Run) -> Markup {
    let started = &run.started;
    let filter = &started.asked.filter;
    let words: Vec<String> = filter
        .names
        .iter()
        .cloned()
        .chain(filter.grants.iter().map(|grant| format!("grant {grant}")))
        .chain(filter.modes.iter().map(|mode| format!("mode {mode}")))
        .collect();
    html! {
        details.facts {
            summary { "This run" }
            dl {
                dt { "started" } dd { (started.started) }
                @if let Some(end) = &run.end { dt { "took" } dd { (seconds(end.millis)) } }
                dt { "host" } dd { (started.host) }
                dt { "command" } dd { code { (clipped(&started.command.join(" "))) } }
                @for option in &started.configured {
                    dt { "from " (option.file.display()) ", line " (option.line) }
                    dd { code { (clipped(&option.words.join(" "))) } }
                }
                dt { "cases" } dd {
                    @match &started.asked.cases_directory {
                        Some(directory) => code { (directory.display()) },
                        None => "those built into perfsec",
                    }
                    ", SHA-256 " code.hash { (started.asked.cases_sha256) }
                }
                @if !words.is_empty() { dt { "only" } dd { (clipped(&words.join(", "))) } }
                dt { "agent" } dd { "SHA-256 " code.hash { (started.agent) } }
            }
        }
    }
}
