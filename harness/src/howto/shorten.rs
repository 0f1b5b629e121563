//! Shortens the output of a command for the page.

use super::promise::Promise;

/// Lines at the beginning and at the end that are kept.
const KEPT: usize = 8;
/// Lines that match a promise and are kept in between.
const MATCHING: usize = 12;
/// Characters of a line that are kept.
const WIDTH: usize = 600;

/// The lines of an output to show: the first, the last, and those that a promise is about.
pub(super) fn shorten(output: &str, promises: &[Promise]) -> Vec<String> {
    let lines: Vec<_> = output.trim_end().lines().map(str::trim_end).collect();
    let patterns = || promises.iter().flat_map(|promise| &promise.prints);
    let end = lines.len().saturating_sub(KEPT);
    let (mut shown, mut left_out, mut matching) = (Vec::new(), 0, 0);
    for (at, line) in lines.iter().enumerate() {
        let wanted = matching < MATCHING && patterns().any(|pattern| pattern.matches(line));
        if at < KEPT || at >= end || wanted {
            if left_out > 0 {
                shown.push(omission(left_out));
                left_out = 0;
            }
            matching += usize::from(wanted && at >= KEPT && at < end);
            shown.push(clipped(line));
        } else {
            left_out += 1;
        }
    }
    shown
}

fn omission(lines: usize) -> String {
    match lines {
        1 => "[1 line left out]".to_owned(),
        lines => format!("[{lines} lines left out]"),
    }
}

fn clipped(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{} [...]", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promises(pattern: &str) -> Vec<Promise> {
        vec![toml::from_str(&format!("claim = 'c'\nprints = ['{pattern}']")).unwrap()]
    }

    #[test]
    fn a_short_output_is_kept() {
        let shown = shorten("a\n\nb  \n\n", &[]);
        assert_eq!(shown, ["a", "", "b"]);
    }

    #[test]
    fn a_long_output_keeps_its_ends_and_the_lines_that_a_promise_is_about() {
        let output: String = (0..100).map(|it| format!("line {it}\n")).collect();
        let shown = shorten(&output, &promises("^line 50$"));
        assert_eq!(shown.len(), 2 * KEPT + 3);
        assert_eq!(
            shown[KEPT..KEPT + 3],
            ["[42 lines left out]", "line 50", "[41 lines left out]"]
        );
        assert_eq!(shown.last().unwrap(), "line 99");
    }

    #[test]
    fn a_long_line_is_cut() {
        let shown = shorten(&"é".repeat(WIDTH + 1), &[]);
        assert_eq!(shown, [format!("{} [...]", "é".repeat(WIDTH))]);
    }
}
