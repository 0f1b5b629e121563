//! The HTML report, written by the program and opened in a browser.

use std::fs;
use std::process::Command;

use crate::support::Place;

/// A record of a real run, with every verdict but `MISS`.
const RECORD: &str = include_str!("../report/run.jsonl");

/// The page for a record.
fn page(place: &Place, record: &str) -> String {
    place.file("run.jsonl", record);
    place.perfsec(&["report", "run.jsonl", "--format", "html", "--out", "run.html"]).succeeds();
    fs::read_to_string(place.path().join("run.html")).expect("a page")
}

/// The DOM that a browser makes of a page, and the browser's console.
fn browse(place: &Place, page: &str, fragment: &str) -> (String, Vec<String>) {
    let path = place.file("page.html", page);
    let profile = place.path().join("profile");
    let output = Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--dump-dom", &format!("file://{path}{fragment}")])
        .output()
        .expect("chromium starts");
    let console = String::from_utf8_lossy(&output.stderr);
    let console = console.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned);
    (String::from_utf8_lossy(&output.stdout).into_owned(), console.collect())
}

#[test]
fn the_page_on_standard_output_is_the_one_in_a_file() {
    let place = Place::new();
    let page = page(&place, RECORD);
    let ended = place.perfsec(&["report", "run.jsonl", "--format", "html"]);
    assert!(
        ended.stdout == page && page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>")
    );
}

#[test]
#[ignore = "needs chromium"]
fn a_browser_runs_the_script_of_a_page_without_complaints() {
    let place = Place::new();
    let page = page(&place, RECORD);
    let hidden = |dom: &str| dom.matches(" hidden=\"\"><th scope=\"row\">").count();
    let (dom, console) = browse(&place, &page, "");
    assert_eq!(console, Vec::<String>::new());
    assert!(dom.contains("<html lang=\"en\" data-script=\"ran\">"), "{}", &dom[..200]);
    assert!(dom.contains("<form id=\"_filter\" role=\"search\" aria-label=\"Cells\">"));
    assert_eq!(hidden(&dom), 0);
    let (dom, console) = browse(&place, &page, "#?verdict=fail&q=EACCES");
    assert_eq!(console, Vec::<String>::new());
    assert!(dom.contains("5 of 29 rows</output>"));
    assert_eq!(hidden(&dom), 24);
    let (dom, _) = browse(&place, &page, "#open/cpu/none_t/paranoid=2/perfmon/enforcing");
    assert!(dom.contains("id=\"open/cpu\" open=\"\""), "{dom}");
}

/// The page then is as it is without scripting.
#[test]
#[ignore = "needs chromium"]
fn a_browser_runs_no_other_script() {
    let place = Place::new();
    let page = page(&place, RECORD).replace("\"use strict\"", "\"use  strict\"");
    let (dom, console) = browse(&place, &page, "");
    assert!(console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
    assert!(!dom.contains("data-script"));
    assert!(dom.contains("<form id=\"_filter\" role=\"search\" aria-label=\"Cells\" hidden=\"\">"));
    assert!(
        dom.contains("<ins>+perf_event_open(software/dummy, pid=-1, cpu=0) = <b>EACCES</b></ins>")
    );
}

#[test]
#[ignore = "needs chromium"]
fn a_browser_sees_mark_up_in_a_record_as_text() {
    let place = Place::new();
    let title = "a kernel that does not exist yet";
    let hostile = "</title></script><img src=x onerror=alert(1)><script>alert(2)</script>";
    assert!(RECORD.contains(title));
    let page = page(&place, &RECORD.replace(title, hostile));
    let (dom, console) = browse(&place, &page, "");
    assert_eq!(console, Vec::<String>::new());
    assert!(dom.contains("data-script=\"ran\"") && !dom.contains("<img"));
    assert!(dom.contains("&lt;img src=x onerror=alert(1)&gt;"));
}
