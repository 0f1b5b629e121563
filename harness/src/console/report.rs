//! Finds the kernel's reports in console output.

use super::lines::{ConsoleLine, lines};
use super::patterns::{BANNER, PATTERNS, Pattern, ReportKind, function, is_last_line};

/// A report of the kernel: a panic, oops, warning or similar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its kind.
    pub kind: ReportKind,
    /// One line without address, pid or time, the same whenever the same bug is hit.
    pub title: String,
    /// The report's lines, without control characters, and cut at a length that no report of the
    /// kernel exceeds.
    pub excerpt: String,
    /// Offset of the report in the console output, in bytes.
    pub offset: usize,
}

/// The longest excerpt, in lines: a report with registers, code and two stacks fits.
const EXCERPT_LINES: usize = 120;

/// The longest excerpt of a report without an end marker, in lines.
const OPEN_EXCERPT_LINES: usize = 40;

/// The longest line to examine and show, in bytes; the kernel's own have at most 1024.
const LINE_LIMIT: usize = 2048;

/// All reports on the console, in order. The first is the cause; later ones are often its
/// consequences. Processes can write to the console too, so a report is evidence, not proof.
pub fn reports(console: &str) -> Vec<Report> {
    let lines: Vec<ConsoleLine<'_>> = lines(console).collect();
    let mut reports = Vec::new();
    let mut banners = 0;
    let mut next = 0;
    while let Some(line) = lines.get(next) {
        let text = limited(line.text());
        if text.starts_with(BANNER) {
            banners += 1;
            if banners > 1 {
                reports.push(Report {
                    kind: ReportKind::Reboot,
                    title: "the kernel started again".into(),
                    excerpt: excerpt(&lines[next.saturating_sub(5)..=next]),
                    offset: line.offset,
                });
            }
        } else if let Some(pattern) = find_pattern(text) {
            let length = report_length(&lines[next..], pattern.kind);
            let block = &lines[next..next + length];
            // People paste reports with the `cut here` line of WARN() and BUG().
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

fn find_pattern(text: &str) -> Option<&'static Pattern> {
    PATTERNS.iter().find(|pattern| pattern.start.is_match(text))
}

/// The number of lines of the report at the start of `lines`.
fn report_length(lines: &[ConsoleLine<'_>], kind: ReportKind) -> usize {
    let window = &lines[..lines.len().min(EXCERPT_LINES)];
    for (n, line) in window.iter().enumerate().skip(1) {
        let text = limited(line.text());
        if is_last_line(text) {
            return n + 1;
        }
        let another = find_pattern(text).is_some_and(|other| !continues(kind, other.kind));
        if another || text.contains("[ cut here ]") || text.starts_with(BANNER) {
            return n;
        }
    }
    // Reports of watchdogs and checkers end with a stack and have no end marker.
    let stack_end = window.iter().rposition(|line| line.text().starts_with("</TASK>"));
    stack_end.map_or(window.len().min(OPEN_EXCERPT_LINES), |last| last + 1)
}

/// True if `second` is another heading of the same report: BUG() is followed by an oops for its
/// invalid opcode, and the description of a bad access by the oops itself.
fn continues(first: ReportKind, second: ReportKind) -> bool {
    second == ReportKind::Oops && matches!(first, ReportKind::Oops | ReportKind::Bug)
}

fn title(pattern: &Pattern, text: &str, block: &[ConsoleLine<'_>]) -> String {
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

fn excerpt(lines: &[ConsoleLine<'_>]) -> String {
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
