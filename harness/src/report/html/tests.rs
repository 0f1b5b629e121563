//! Tests of the document as a whole.

use std::collections::BTreeSet;

use regex::Regex;
use rstest::rstest;

use super::page::{SCRIPT, STYLE};
use crate::case::KnownDifference;
use crate::judge::{Judgement, Verdict};
use crate::record::{Event, Run};
use crate::transcript::Transcript;

/// A record of a real run, with every verdict but `MISS`.
const RECORD: &str = include_str!("../../../tests/report/run.jsonl");

fn html(run: &Run) -> String {
    super::html(run).plain()
}

fn run() -> Run {
    Run::of(RECORD.lines().map(|line| serde_json::from_str::<Event>(line).unwrap())).unwrap()
}

/// All matches of a pattern's group.
fn found(pattern: &str, text: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// The page between style and script.
fn body(page: &str) -> &str {
    let (_, body) = page.split_once("</style>").unwrap();
    body.split_once("<script>").unwrap().0
}

#[test]
fn every_cell_has_one_row_with_its_verdict_on_each_kernel() {
    let run = run();
    let page = html(&run);
    let names: BTreeSet<_> = run.cells().map(|cell| cell.name.clone()).collect();
    let rows = found("<tr id=\"([^\"]+)\">", body(&page));
    assert_eq!(rows.len(), names.len());
    assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), names);
    for verdict in Verdict::ALL {
        let class = verdict.to_string().to_lowercase();
        let pattern = format!("<td>[^/]*<a class=\"{class}\" href=\"#_o(\\d+)\">{verdict}</a>");
        assert_eq!(found(&pattern, &page).len(), run.counts().get(verdict), "{verdict}");
    }
}

#[test]
fn every_internal_link_has_a_target_and_ids_are_unique() {
    let page = html(&run());
    let ids = found(" id=\"([^\"]+)\"", body(&page));
    let once: BTreeSet<_> = ids.iter().cloned().collect();
    assert_eq!(once.len(), ids.len());
    let links: BTreeSet<_> = found(" href=\"#([^\"]*)\"", &page).into_iter().collect();
    assert!(links.len() > 40, "{links:?}");
    assert_eq!(links.difference(&once).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn nothing_is_loaded_and_only_perfsecs_script_runs() {
    let page = html(&run());
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("<style").count(), 1);
    assert!(page.contains("default-src 'none'; style-src 'sha256-"), "{}", &page[..800]);
    assert!(!page.contains("unsafe-inline"));
    let elements = r"<(?:img|iframe|object|embed|audio|video|base)\b";
    let loading = format!(r#"(?i)({elements}| src=|@import|url\(| on\w+="| style=")"#);
    assert_eq!(found(&loading, &page), Vec::<String>::new());
    assert_eq!(found("<link [^>]*href=\"([^\"]*)\"", &page), ["data:,"]);
    assert_eq!(found("(?i)(https?://[^ <]*)", &page), Vec::<String>::new());
}

#[test]
fn style_and_script_stay_inside_their_elements_and_are_not_changed_after_hashing() {
    for text in [STYLE, SCRIPT] {
        assert!(!text.contains("</") && !text.contains("<!--"));
        assert_eq!(crate::text::Text::of_block(text).plain(), text);
    }
}

#[test]
fn every_difference_is_shown_without_a_script() {
    let page = html(&run());
    let body = body(&page);
    assert!(body.contains("<h1 class=\"fail\">14 of 58 cells failed, 1 was not judged</h1>"));
    let differs = "<del>-perf_event_open(software/dummy, pid=-1, cpu=0) = <b>EPERM</b></del>  \
                   <i># line 15</i>\n\
                   <ins>+perf_event_open(software/dummy, pid=-1, cpu=0) = <b>EACCES</b></ins>\n";
    assert!(body.contains(differs));
    for words in [
        "no record of capability { sys_admin }: the kernel never asked for the capability",
        "kernel panic: sysrq triggered crash while this cell ran",
        "Known difference <b>known/differs:known</b>",
        "not for this kernel: the kernel's hundredth series",
        "Documentation/admin-guide/sysrq.rst",
        "Console, its last 60 of ",
        "linux-image-6.1.0-56-amd64 6.1.192-2 of bookworm-security",
        "QEMU emulator version 7.2.22",
    ] {
        assert!(body.contains(words), "{words}");
    }
    assert!(body.contains("<form id=\"_filter\" role=\"search\" aria-label=\"Cells\" hidden>"));
}

#[test]
fn bad_areas_and_cases_are_open_and_others_are_not() {
    let page = html(&run());
    let open = found("<details class=\"(?:area|case)\" id=\"([^\"]+)\"[^>]* open>", &page);
    assert_eq!(open, ["host/", "host/loses", "host/panics", "open/", "open/wrong"]);
    assert_eq!(found("<details class=\"(area)\"", &page).len(), 3);
}

#[test]
fn lanes_of_one_kernel_and_policy_are_one_column_and_others_are_not() {
    let mut run = run();
    let columns = |run: &Run| {
        let page = html(run);
        found("<h3>Linux ([^<]*)</h3>", &page)
    };
    assert_eq!(columns(&run), ["6.1.192, policy minimal", "7.3.4, policy minimal"]);
    let kernel = run.lanes[0].started.kernel.clone();
    run.lanes[1].started.kernel = kernel;
    assert_eq!(columns(&run), ["6.1.192, policy minimal"]);
    run.lanes[1].started.policy = "legacy".to_owned();
    assert_eq!(columns(&run), ["6.1.192, policy minimal", "6.1.192, policy legacy"]);
    run.lanes[1].started.policy = "minimal".to_owned();
    run.lanes[1].started.kernel.image.as_mut().unwrap().sha256 = "0".repeat(64);
    assert_eq!(columns(&run), ["6.1.192 (1), policy minimal", "6.1.192 (2), policy minimal"]);
    run.lanes[1].started.kernel.release = "6.1.192-mine".to_owned();
    assert_eq!(columns(&run), ["6.1.0-56-amd64, policy minimal", "6.1.192-mine, policy minimal"]);
}

#[test]
fn a_run_that_did_not_end_or_was_stopped_says_so() {
    let mut run = run();
    assert!(!html(&run).contains("have a result"));
    run.started.cells = 60;
    run.end.as_mut().unwrap().interrupted = true;
    let page = html(&run);
    assert!(page.contains("The run was interrupted. </b>58 of 60 cells have a result."));
    run.end = None;
    run.lanes.pop();
    let page = html(&run);
    assert!(page.contains("The record ends before its run did. </b>29 of 60 cells have a result."));
    run.lanes.clear();
    let page = html(&run);
    assert!(
        page.contains("60 of 60 cells were not judged, none failed")
            && page.contains("No cell has a result")
    );
}

#[test]
fn a_lane_that_was_refused_says_why_and_shows_its_console() {
    let mut run = run();
    let lane = &mut run.lanes[1];
    lane.cells.iter_mut().for_each(|cell| cell.judgement.verdict = Verdict::Miss);
    let refused = crate::record::LaneRefusal {
        reason: "no <SELinux> in this kernel".to_owned(),
        console: "first\r\nlast\r\n".to_owned(),
    };
    lane.end.as_mut().unwrap().refused = Some(refused);
    let page = html(&run);
    assert!(page.contains("<p class=\"reason\">no &lt;SELinux&gt; in this kernel</p>"));
    assert!(page.contains("Console</summary><pre>first\nlast\n</pre>"));
}

#[rstest]
#[case::nothing_failed(Verdict::Pass, "58 of 58 cells passed", "pass")]
#[case::known(Verdict::Xfail, "0 of 58 cells passed, 58 differ as known", "pass")]
#[case::skipped(Verdict::Skip, "No cell ran", "skip")]
#[case::failed(Verdict::Fail, "58 of 58 cells failed", "fail")]
#[case::flaky(Verdict::Flaky, "58 of 58 cells were flaky, none failed", "error")]
#[case::missed(Verdict::Miss, "58 of 58 cells were not judged, none failed", "error")]
fn the_verdict_is_one_line(#[case] verdict: Verdict, #[case] words: &str, #[case] class: &str) {
    let mut run = run();
    let cells = run.lanes.iter_mut().flat_map(|lane| &mut lane.cells);
    cells.for_each(|cell| cell.judgement.verdict = verdict);
    let page = html(&run);
    assert!(page.contains(&format!("<h1 class=\"{class}\">{words}</h1>")));
}

#[test]
fn a_flaky_cell_has_its_attempts_and_a_restored_guest_is_named() {
    let mut run = run();
    run.lanes[0].ready[0].restored = true;
    let mut judgements = run.lanes[0].cells.iter_mut().map(|cell| &mut cell.judgement);
    let seen = |it: &&mut Judgement| it.verdict == Verdict::Fail && !it.observed.is_empty();
    let judgement = judgements.find(seen).unwrap();
    let mut passed = judgement.clone();
    passed.verdict = Verdict::Pass;
    passed.observed = passed.expected.transcript().clone();
    *judgement = Judgement::of_attempts(judgement.clone(), vec![passed]);
    let page = html(&run);
    assert!(page.contains("2 attempts differ: FAIL, PASS"));
    let (_, attempts) = page.split_once("<p class=\"legend\">attempt 1: FAIL</p>").unwrap();
    let (first, second) = attempts.split_once("<p class=\"legend\">attempt 2: PASS</p>").unwrap();
    assert!(first.contains("<pre class=\"diff\"") && second.contains("As expected at "));
    assert!(page.contains(", 1 restored from a snapshot</td>"));
}

/// Sets every text that a guest, a case file or a kernel can choose.
fn with_everywhere(text: &str) -> Run {
    let mut run = run();
    let hostile = || text.to_owned();
    run.started.command.push(hostile());
    run.started.host = hostile();
    run.started.perfsec = hostile();
    run.started.started = hostile();
    run.started.asked.filter.names.push(hostile());
    for lane in &mut run.lanes {
        let kernel = &mut lane.started.kernel;
        kernel.release = hostile();
        kernel.banner = hostile();
        lane.started.policy = hostile();
        lane.started.machinery.machine = hostile();
        lane.started.machinery.parameters = hostile();
        for death in &mut lane.deaths {
            death.cause = hostile();
            death.console = hostile();
            death.cell = Some(format!("{text}/cell"));
        }
        for (at, cell) in lane.cells.iter_mut().enumerate() {
            cell.name = if at == 0 { format!("{text}/cell") } else { format!("{text}/{at}") };
            cell.case = format!("{text}/{}", cell.case);
            cell.title = hostile();
            cell.path = text.into();
            cell.source = vec![hostile(), format!("https://example.org/{text}")];
            cell.at.domain = hostile();
            let judgement = &mut cell.judgement;
            judgement.reason = Some(hostile());
            judgement.notes = vec![hostile(); 9];
            judgement.observed.push(text);
            let expected = judgement.expected.lines();
            judgement.expected = expected.map(|(line, at)| (line + text, at)).collect();
            let (name, reason, link) = (hostile(), hostile(), Some(format!("javascript:{text}")));
            judgement.known = Some(KnownDifference { name, reason, link });
        }
    }
    run
}

#[rstest]
#[case::markup("</pre></details><img src=x onerror=alert(1)><svg/onload=alert(1)>")]
#[case::script("</script><script>alert(1)</script><!--<script>]]>")]
#[case::attribute("\" onmouseover=\"alert(1)\" x='y' `")]
#[case::entity("&lt;script&gt;&#x3c;b&#x3e;&quot;")]
fn mark_up_in_a_record_is_text(#[case] text: &str) {
    let page = html(&with_everywhere(text));
    let plain = html(&with_everywhere("text"));
    // The numbers of links and of marks in a diff depend on the words.
    let tags = |page: &str| {
        let mut tags = found(r"</?([a-z][a-z0-9]*)[\s>]", page);
        tags.retain(|tag| tag != "a" && tag != "b");
        tags
    };
    assert_eq!(tags(&page), tags(&plain));
    assert!(!page.contains(text), "{text}");
    assert!(!page.contains("javascript:\"") && !page.contains("href=\"javascript"));
    assert_eq!(found(r#"<\w+(?: [\w-]+(?:="[^"]*")?)* (on\w+=)"#, &page), Vec::<String>::new());
}

#[test]
fn invisible_and_overlong_text_does_no_harm() {
    let text = format!("\u{0}\u{1b}[2J\r\u{202e}\u{2067}\u{feff}\u{85} {}", "x".repeat(1 << 20));
    let mut run = run();
    let cell = &mut run.lanes[0].cells[1];
    cell.judgement.observed.push(&text);
    cell.judgement.notes.push(text.clone());
    cell.judgement.reason = Some(text);
    let page = html(&run);
    assert!(page.len() < 200_000, "{}", page.len());
    assert!(page.contains("\\u{0}\\u{1b}[2J\\r\\u{202e}\\u{2067}\\u{feff}\\u{85} xxx"));
    assert!(page.contains("characters more"));
    assert!(!page.contains(|c: char| c.is_control() && c != '\n'));
    let everywhere = html(&with_everywhere("a\u{202e} b\u{7}\u{2066}"));
    let links: BTreeSet<_> = found(" href=\"#_?([^\"]*/cell)\"", &everywhere).into_iter().collect();
    assert!(
        links.iter().all(|link| link.starts_with("a%5C%75%7B%32%30%32%65%7D_b%5C")),
        "{links:?}"
    );
}

#[test]
fn a_web_address_of_a_known_difference_is_a_link() {
    let mut run = run();
    let known = run.lanes.iter_mut().flat_map(|lane| &mut lane.cells);
    for known in known.filter_map(|cell| cell.judgement.known.as_mut()) {
        known.link = Some("https://lore.kernel.org/r/1?a&b".to_owned());
    }
    let page = html(&run);
    let link =
        "(<a href=\"https://lore.kernel.org/r/1?a&amp;b\" rel=\"noopener noreferrer nofollow\">";
    assert!(page.contains(link));
}

#[test]
fn many_notes_are_shown_once_and_few_each_time() {
    let mut run = run();
    let shown = |run: &Run| {
        let page = html(run);
        (page.matches("<li>note 1</li>").count(), page.matches("shown above</a>").count())
    };
    for (notes, expected) in [(9, (1, 6)), (8, (7, 0))] {
        let notes: Vec<_> = (1..=notes).map(|at| format!("note {at}")).collect();
        let cells = run.lanes.iter_mut().flat_map(|lane| &mut lane.cells);
        for cell in cells.filter(|cell| cell.case == "open/cpu") {
            cell.judgement.notes = notes.clone();
        }
        assert_eq!(shown(&run), expected);
    }
}

#[test]
fn a_repeated_cell_shows_all_of_its_results() {
    let mut run = run();
    let cell = run.lanes[1].cells.iter().find(|cell| cell.judgement.verdict == Verdict::Pass);
    let mut cell = cell.unwrap().clone();
    run.lanes[1].cells.push(cell.clone());
    cell.judgement.verdict = Verdict::Fail;
    cell.judgement.observed = Transcript::default();
    run.lanes[1].cells.push(cell.clone());
    let page = html(&run);
    let row = found(&format!("<tr id=\"{}\">(.*?)</tr>", regex::escape(&cell.name)), &page);
    assert_eq!(row.len(), 1);
    assert!(row[0].contains("PASS</a> ×2") && row[0].contains("FAIL</a>"), "{}", row[0]);
}
