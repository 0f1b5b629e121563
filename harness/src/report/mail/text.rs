//! The text for a mailing list: plain ASCII, in the order that reviewers need.

use super::labels::kernels;
use super::page::Page;
use super::{deaths, failures, kernels as tested, others, reproduce, table, verdict};
use crate::mbox::Mailbox;
use crate::record::Run;
use crate::report::wording::without_result;
use crate::text::{Text, line};

/// Writes the report.
///
/// `tester` vouches for a run that [earns it](super::earns_tested_by); their name is the only text
/// that may not be ASCII.
#[must_use]
pub fn text(run: &Run, tester: Option<&Mailbox>) -> Text {
    let mut text = page(run).finish();
    if let Some(line) = tester.filter(|_| super::earns_tested_by(run)).and_then(Mailbox::trailer) {
        text.end();
        line!(text, "Tested-by: {line}");
    }
    text
}

fn page(run: &Run) -> Page {
    let kernels = kernels(run);
    let mut page = Page::default();
    page.heading(&verdict::headline(run));
    page.gap();
    page.prose(2, &run.counts().to_string());
    if let Some(missing) = missing(run) {
        page.prose(2, &missing);
    }
    tested::write(run, &kernels, &mut page);
    table::write(run, kernels.len(), &mut page);
    failures::write(run, &kernels, &mut page);
    deaths::write(&kernels, &mut page);
    others::write(&kernels, &mut page);
    reproduce::write(run, &kernels, &mut page);
    page
}

/// The number of cells without a result, and the reason.
fn missing(run: &Run) -> Option<String> {
    let unseen = without_result(run.unseen());
    match &run.end {
        None => Some(format!("The run did not end: {unseen}.")),
        Some(end) if end.interrupted => Some(format!("The run was interrupted: {unseen}.")),
        Some(_) if run.unseen() > 0 => Some(format!("{unseen}.")),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::judge::{Judgement, Verdict};
    use crate::record::LaneRefusal;
    use crate::transcript::FittedTranscript;

    fn text(run: &Run, tester: Option<&Mailbox>) -> String {
        super::text(run, tester).plain()
    }

    fn ann() -> Mailbox {
        "Ann Exämple <ann@example.org>".parse().unwrap()
    }

    #[test]
    fn the_name_of_the_tester_is_unchanged_and_all_else_is_ascii() {
        let text = text(&fixture::passed(), Some(&ann()));
        let (report, line) = text.rsplit_once("\n\n").unwrap();
        assert_eq!(line, "Tested-by: Ann Exämple <ann@example.org>\n");
        assert!(report.is_ascii());
    }

    #[test]
    fn a_run_that_failed_has_no_tested_by_and_neither_has_a_tester_without_a_name() {
        let nameless: Mailbox = "ann@example.org".parse().unwrap();
        for text in [
            text(&fixture::run(), Some(&ann())),
            text(&fixture::passed(), Some(&nameless)),
            text(&fixture::passed(), None),
        ] {
            assert!(!text.contains("Tested-by"), "{text}");
        }
    }

    #[test]
    fn a_run_of_some_cells_has_no_tested_by() {
        let mut run = fixture::passed();
        assert!(text(&run, Some(&ann())).contains("\nTested-by: "));
        run.started.asked.filter.names = vec!["open/cpu".to_owned()];
        assert!(!text(&run, Some(&ann())).contains("Tested-by"));
    }

    #[test]
    fn text_from_a_record_stays_plain_and_right_of_the_margin() {
        // In debug builds `Page` asserts that no line is too wide.
        let text = text(&fixture::hostile_run(), Some(&ann()));
        let ours = [
            "perfsec: ",
            "Kernel:",
            "Tested with:",
            "Cells passed/run ",
            "Failures",
            "Death:",
            "Not judged,",
            "Known differences",
            "Skipped:",
            "To reproduce,",
        ];
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("  ")) {
            assert!(ours.iter().any(|start| line.starts_with(start)), "{line}");
        }
        let visible = |c: char| c == '\n' || c == ' ' || c.is_ascii_graphic();
        assert!(text.chars().all(visible) && text.lines().all(|line| line.len() <= 998));
    }

    #[test]
    fn a_mail_does_not_become_too_large_for_a_list() {
        let mut run = fixture::run();
        let cells = run.lanes[0].cells.clone();
        for number in 0..400 {
            run.lanes[0].cells.extend(cells.iter().cloned().map(|mut cell| {
                cell.judgement.observed.push(&number.to_string());
                cell
            }));
        }
        let text = text(&run, None);
        assert!(text.len() < 100_000, "{}", text.len());
        assert!(text.contains("more, without their transcripts"), "{text}");
        assert!(text.contains("To reproduce"), "{text}");
    }

    #[test]
    fn a_lane_that_could_not_be_tested_is_reported_once() {
        let mut run = fixture::run();
        let lane = &mut run.lanes[0];
        let refused =
            LaneRefusal { reason: "no SELinux".to_owned(), console: "last words".to_owned() };
        lane.end.as_mut().unwrap().refused = Some(refused);
        lane.deaths.clear();
        for cell in &mut lane.cells {
            cell.judgement =
                Judgement::unseen(Verdict::Error, "no SELinux", FittedTranscript::default());
        }
        let text = text(&run, None);
        assert_eq!(text.matches("no SELinux").count(), 1, "{text}");
        assert!(text.contains("  Linux 6.1.192, policy minimal: no SELinux\n\n    | last words\n"));
        assert!(!text.contains("Not judged"), "{text}");
    }

    #[test]
    fn directories_of_the_host_are_not_in_the_text() {
        let mut run = fixture::run();
        run.started.asked.cases_directory = Some("/home/ann/suite".into());
        for lane in &mut run.lanes {
            let path = "/home/ann/linux/arch/x86/boot/bzImage".into();
            lane.started.kernel.origin = crate::kernel::Origin::File { path };
            lane.started.policy = "/home/ann/my.cil".to_owned();
            for cell in &mut lane.cells {
                cell.path = std::path::Path::new("/home/ann").join(&cell.path);
            }
        }
        let text = text(&run, None);
        assert!(!text.contains("/home"), "{text}");
        assert!(text.contains("# suite/open/wrong.toml:32\n"), "{text}");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "--kernel bzImage-7.3.4 --kernel bzImage-6.1.192",
            "--policy my.cil --cases suite",
            "bzImage-6.1.192 is the image with sha256 26f2e57c9933",
        ] {
            assert!(text.replace("\\ ", "").contains(words), "{text}");
        }
    }

    #[test]
    fn a_run_without_an_end_says_how_many_cells_are_missing() {
        let mut run = fixture::run();
        run.end = None;
        run.started.cells += 5;
        assert!(text(&run, None).contains("\n  The run did not end: 5 cells have no result.\n"));
    }
}
