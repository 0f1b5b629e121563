//! Words that say what a text without a command is about.

use std::sync::LazyLock;

use regex::Regex;

use super::scan::Scan;

/// Patterns, and the command that they stand for.
const ABOUT: &[(&str, &[&str])] = &[
    (
        r"(?i)\b(?:k(?:ret)?probe|tracing|tracepoint|e)?\s*bpf(?:\(2?\))?(?:\s+(?:prog(?:ram)?s?|object))?\b|\bBPF_PROG_LOAD\b|\blibbpf\b|\bebpf\b|\bbcc\b",
        &["bpf"],
    ),
    (r"(?i)\bu(?:ret)?probes?\b", &["perf_event_open", "-e", "uprobe"]),
    (r"(?i)\bk(?:ret)?probes?\b", &["perf_event_open", "-e", "kprobe"]),
    (r"(?i)\b(?:raw )?tracepoints?\b|\btracefs\b", &["perf", "record", "-e", "sched:sched_switch"]),
    (r"(?i)\bbreakpoints?\b|\bwatchpoints?\b", &["perf_event_open", "-e", "mem:0x1000"]),
    (r"(?i)\bperf_event_open(?:\(2?\))?", &["perf_event_open"]),
    (r"(?i)\bsystem-?wide\b", &["perf", "stat", "-a"]),
    (
        r"(?i)\bperf\b|\bperf_events?\b|\bperformance (?:counters?|monitoring|events?)\b|\bPMU\b|\bflame ?graphs?\b|\bprofil(?:er|ing)\b",
        &["perf_event_open"],
    ),
];

static COMPILED: LazyLock<Vec<(Regex, &[&str])>> = LazyLock::new(|| {
    let compile = |(pattern, command): &(&str, &'static [&'static str])| {
        Some((Regex::new(pattern).ok()?, *command))
    };
    ABOUT.iter().filter_map(compile).collect()
});

/// Finds the subject, unless a command says it.
pub(super) fn read(scan: &mut Scan) {
    for (regex, command) in &*COMPILED {
        scan.each(regex, |found, it| {
            found.concerns_perf = true;
            if found.command.is_none() {
                found.command = Some(command.iter().map(|&word| word.to_owned()).collect());
                found.understand(it[0].trim().to_owned());
            }
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_well_formed() {
        assert_eq!(COMPILED.len(), ABOUT.len());
    }
}
