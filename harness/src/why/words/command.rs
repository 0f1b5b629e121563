//! Finds the command in a sentence: `perf record -F 99 -ag -- sleep 10 as user`.

use super::scan::Scan;
use crate::why::command::{Does, Tools};

/// Programs that people measure. Another word behind the options belongs to the sentence.
const MEASURED: &[&str] = &[
    "ls", "true", "false", "sleep", "make", "gcc", "cat", "dd", "cmd", "date", "echo", "bash",
    "sh", "python", "python3", "java", "node", "find", "grep", "stress",
];

/// Words that end a command line in a sentence.
const ENDS: &[&str] = &[
    "as", "is", "on", "in", "with", "without", "under", "by", "fails", "failed", "says", "gets",
    "gives", "returns", "and", "but", "still", "when", "from", "for", "run", "paranoid", "denied",
    "refused", "inside", "prints", "at", "works",
];

/// Characters around a quoted command.
const QUOTES: [char; 8] = ['`', '"', '\'', '(', ')', '“', '”', '$'];

/// A word of the text.
struct Word<'t> {
    /// Without quotes and punctuation.
    text: &'t str,
    /// Its place in bytes, with them.
    start: usize,
    end: usize,
    /// Punctuation follows: the command line ends here.
    ends: bool,
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut all = Vec::new();
    let mut at = 0;
    for piece in text.split_whitespace() {
        let start = at + text[at..].find(piece).unwrap_or(0);
        at = start + piece.len();
        let bare = piece.trim_matches(QUOTES);
        let plain = match bare.strip_suffix([',', ';', '.', '?', '!', ':']) {
            // The braces and colons of an event belong to it.
            Some(rest) if !rest.is_empty() => rest,
            _ => bare,
        };
        let plain = plain.trim_matches(QUOTES);
        let ends = plain.len() < bare.len() || piece.ends_with(['`', '"', '\'', ')']);
        all.push(Word { text: plain, start, end: at, ends });
    }
    all
}

/// Finds the first command, and takes it out of the text.
pub(super) fn read(scan: &mut Scan) {
    let Ok(tools) = Tools::built_in() else { return };
    let text = scan.text().to_owned();
    let all = words(&text);
    let mut other = None;
    for at in 0..all.len() {
        let tail: Vec<String> = all[at..]
            .iter()
            .take(4)
            .map(|word| word.text.rsplit('/').next().unwrap_or_default().to_owned())
            .collect();
        // A bare word such as `bpf` or `bcc` is no command, but may say what the text is about.
        let Some((tool, length)) = tools.tool(&tail) else { continue };
        if tool.name == "bpf"
            || tool.name == "perf_event_open"
            || tool.name == "bcc" && tail[0] == "bcc"
        {
            continue;
        }
        let sudo = at > 0 && all[at - 1].text == "sudo";
        let first = if sudo { at - 1 } else { at };
        let mut line: Vec<String> =
            all[first..at + length].iter().map(|it| it.text.to_owned()).collect();
        let mut next = at + length;
        let ended = all[next - 1].ends;
        if !ended {
            next = arguments(&all, next, tool.does, &mut line, |name| {
                tools
                    .option(tool, name)
                    .is_some_and(|it| it.value == Some(crate::why::command::ValuePlace::Next))
            });
        }
        let place = (all[first].start, all[next - 1].end);
        if tool.does == Does::Ptrace {
            // strace may only have shown the call.
            other.get_or_insert((line, place));
            continue;
        }
        scan.take_command(line, place);
        return;
    }
    if let Some((line, place)) = other {
        scan.take_command_if_none(line, place);
    }
}

/// Takes the options, and the program behind them.
fn arguments(
    all: &[Word<'_>],
    from: usize,
    does: Does,
    line: &mut Vec<String>,
    takes_value: impl Fn(&str) -> bool,
) -> usize {
    let mut next = from;
    let mut measures = false;
    while let Some(word) = all.get(next) {
        let is_option = word.text.starts_with('-') && word.text != "-";
        let lower = word.text.to_lowercase();
        if measures {
            // The first word behind `--` is the program; then come its arguments.
            let first = line.last().is_some_and(|word| word == "--");
            let argument = word.text.starts_with(['-', '/', '.'])
                || word.text.starts_with(|it: char| it.is_ascii_digit());
            if !first && !argument || ENDS.contains(&lower.as_str()) {
                break;
            }
        } else if is_option {
            measures = word.text == "--";
            line.push(word.text.to_owned());
            next += 1;
            let last = word.text.len() - 1;
            let name = match word.text.starts_with("--") {
                true => word.text.to_owned(),
                false => format!("-{}", &word.text[last..]),
            };
            if !word.ends
                && !measures
                && word.text.is_ascii()
                && takes_value(&name)
                && !word.text.contains('=')
                && let Some(value) = all.get(next)
            {
                line.push(value.text.to_owned());
                next += 1;
                if value.ends {
                    break;
                }
            }
            if word.ends {
                break;
            }
            continue;
        } else if does == Does::Program && word.text.contains(':') {
            // The program text of bpftrace.
        } else if MEASURED.contains(&lower.as_str())
            || word.text.starts_with("./")
            || matches!(lower.as_str(), "record" | "live")
        {
            measures = !matches!(lower.as_str(), "record" | "live");
        } else {
            break;
        }
        line.push(word.text.to_owned());
        next += 1;
        if word.ends {
            break;
        }
    }
    next
}
