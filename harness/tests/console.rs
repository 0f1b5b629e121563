//! Consoles of real kernels, each with the reports to find in it.
//!
//! A file has a header of `# kind:` and `# title:` lines, one pair per report, a blank line, and
//! the console output. PERFSEC_BLESS=1 rewrites the headers with the reports that were found.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use perfsec::console::{ReportKind, reports};

fn found(console: &str) -> String {
    reports(console).iter().fold(String::new(), |mut header, report| {
        writeln!(header, "# kind: {}\n# title: {}", report.kind, report.title)
            .expect("a string grows");
        header
    })
}

#[test]
fn every_console_has_the_reports_in_its_header() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/console");
    let bless = std::env::var_os("PERFSEC_BLESS").is_some();
    let mut files = 0;
    let mut wrong = String::new();
    for entry in fs::read_dir(folder).expect("the folder of consoles") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        files += 1;
        let text = fs::read_to_string(&path).expect("a console is text");
        // The header may be empty: a healthy console has no reports.
        let (header, console) = match text.strip_prefix('\n') {
            Some(console) => ("", console),
            None => text.split_once("\n\n").expect("a blank line after the header"),
        };
        let found = found(console);
        if found.trim_end() == header {
            continue;
        }
        if bless {
            fs::write(&path, format!("{found}\n{console}")).expect("the file is ours");
        } else {
            let name = path.file_name().unwrap_or_default().display();
            write!(wrong, "{name}: expected\n{header}\nfound\n{found}").expect("a string grows");
        }
    }
    assert!(files > 0, "no consoles");
    assert!(wrong.is_empty(), "{wrong}PERFSEC_BLESS=1 accepts what was found");
}

#[test]
fn an_excerpt_contains_only_the_report() {
    let console = "[    1.0] noise\r\n\
        [    1.000000] kernel BUG at kernel/events/core.c:123!\r\n\
        [    1.000001] Oops: invalid opcode: 0000 [#1] SMP\r\n\
        [    1.000002] ---[ end trace 0000000000000000 ]---\r\n\
        [    1.000003] more noise\r\n";
    let reports = reports(console);
    assert_eq!(reports.len(), 1, "{reports:#?}");
    assert_eq!(reports[0].kind, ReportKind::Bug);
    assert_eq!(reports[0].title, "kernel BUG at kernel/events/core.c:123");
    assert_eq!(
        reports[0].excerpt,
        "[    1.000000] kernel BUG at kernel/events/core.c:123!\n\
         [    1.000001] Oops: invalid opcode: 0000 [#1] SMP\n\
         [    1.000002] ---[ end trace 0000000000000000 ]---\n"
    );
    assert!(console[reports[0].offset..].starts_with("[    1.000000] kernel BUG"));
}

#[test]
fn a_report_without_an_end_has_a_bounded_excerpt() {
    let mut console = String::from("BUG: soft lockup - CPU#0 stuck for 3s! [init:1]\n");
    for _ in 0..10_000 {
        console += "x\n";
    }
    console += &"y".repeat(1 << 20);
    let reports = reports(&console);
    assert_eq!(reports.len(), 1);
    assert!(reports[0].excerpt.lines().count() <= 120);
    assert!(reports[0].excerpt.len() < 1 << 18);
}

#[test]
fn a_second_linux_banner_is_a_reboot() {
    let boot = "[    0.000000] Linux version 6.1.0 (gcc) #1 SMP\r\n[    1.000000] ready\r\n";
    assert_eq!(reports(boot), []);
    let twice = reports(&format!("SeaBIOS\r\n{boot}\x1bc\x1b[?7lSeaBIOS\r\n{boot}"));
    assert_eq!(twice.len(), 1, "{twice:#?}");
    assert_eq!(twice[0].kind, ReportKind::Reboot);
    assert!(twice[0].excerpt.starts_with("SeaBIOS\n[    0.000000] Linux version"));
}
