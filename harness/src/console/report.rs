//! Finds the kernel's reports on a console.

use super::lines::{Line, lines};
use super::patterns::{BANNER, Kind, PATTERNS, Pattern, function, is_last_line};

/// One report of the kernel about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it is about.
    pub kind: Kind,
    /// One line that is the same whenever the same trouble comes: no address, pid or time.
    pub title: String,
    /// The report's lines as they were on the console, without control characters, and cut
    /// where a report of the kernel's own must have ended.
    pub excerpt: String,
    /// Where the report begins, in bytes from the start of the console.
    pub offset: usize,
}

/// The longest excerpt: a report with registers, code and two stacks fits.
const EXCERPT_LINES: usize = 120;

/// The longest excerpt of a report that does not say where it ends.
const OPEN_EXCERPT_LINES: usize = 40;

/// The longest line that is shown or looked at, in bytes: the kernel's own are at most 1024.
const LINE_LIMIT: usize = 2048;

/// Every report on the console, in order: the first is the cause, what follows is often only its
/// consequence. A process can write to the console, too, so a report is evidence and no proof.
pub fn reports(console: &str) -> Vec<Report> {
    let lines: Vec<Line<'_>> = lines(console).collect();
    let mut reports = Vec::new();
    let mut banners = 0;
    let mut next = 0;
    while let Some(line) = lines.get(next) {
        let text = limited(line.text());
        if text.starts_with(BANNER) {
            banners += 1;
            if banners > 1 {
                reports.push(Report {
                    kind: Kind::Reboot,
                    title: "the kernel started again".into(),
                    excerpt: excerpt(&lines[next.saturating_sub(5)..=next]),
                    offset: line.offset,
                });
            }
        } else if let Some(pattern) = begins(text) {
            let length = length(&lines[next..], pattern.kind);
            let block = &lines[next..next + length];
            // The frame around WARN and BUG is part of what people paste.
            let cut = next > 0 && lines[next - 1].text().contains("[ cut here ]");
            let from = if cut { next - 1 } else { next };
            reports.push(Report {
                kind: pattern.kind,
                title: title(pattern, text, block),
                excerpt: excerpt(&lines[from..next + length]),
                offset: lines[from].offset,
            });
            next += length;
            continue;
        }
        next += 1;
    }
    reports
}

fn begins(text: &str) -> Option<&'static Pattern> {
    PATTERNS.iter().find(|pattern| pattern.start.is_match(text))
}

/// How many lines the report that `lines` begin with has.
fn length(lines: &[Line<'_>], kind: Kind) -> usize {
    let window = &lines[..lines.len().min(EXCERPT_LINES)];
    for (n, line) in window.iter().enumerate().skip(1) {
        let text = limited(line.text());
        if is_last_line(text) {
            return n + 1;
        }
        let another = begins(text).is_some_and(|other| !belongs(kind, other.kind));
        if another || text.contains("[ cut here ]") || text.starts_with(BANNER) {
            return n;
        }
    }
    // Reports of watchdogs and checkers end with a stack, and nothing says so.
    let stack_end = window.iter().rposition(|line| line.text().starts_with("</TASK>"));
    stack_end.map_or(window.len().min(OPEN_EXCERPT_LINES), |last| last + 1)
}

/// A BUG() is an invalid instruction, and a bad access is first described and then an oops: one
/// trouble in two headings.
fn belongs(first: Kind, second: Kind) -> bool {
    second == Kind::Oops && matches!(first, Kind::Oops | Kind::Bug)
}

fn title(pattern: &Pattern, text: &str, block: &[Line<'_>]) -> String {
    let mut title = String::new();
    if let Some(captures) = pattern.start.captures(text) {
        captures.expand(&pattern.title.replace("$function", "\u{0}"), &mut title);
    }
    let function = block.iter().find_map(|line| function(line.text()));
    match function {
        Some(function) => title.replace('\u{0}', function),
        None => title.replace(" in \u{0}", ""),
    }
}

fn excerpt(lines: &[Line<'_>]) -> String {
    let mut text = String::new();
    for line in lines {
        text += limited(&line.shown);
        text.push('\n');
    }
    text
}

fn limited(text: &str) -> &str {
    &text[..text.floor_char_boundary(LINE_LIMIT)]
}
