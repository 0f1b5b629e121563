//! Lines of strace, and of programs that print the type and the config of an event.

use std::sync::LazyLock;

use perfsec_wire::attr::{Hardware, Named as _, Software};
use regex::Regex;

use super::scan::Scan;

/// `perf_event_open({type=…, config=…, …}, PID, CPU, GROUP, FLAGS) = …`
static CALL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"perf_event_open\(\{([^}]*)\}?[^,]*, *([^,]+), *(-?\d+), *[^,)]*(?:, *[^)]*)?\)")
        .ok()
});

/// `event_type=1, event_config=3`
static NUMBERS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\(?\b(?:event_)?type[=: ]+(\d+),? *(?:event_)?config[=: ]+(0x[0-9a-f]+|\d+)\)?")
        .ok()
});

/// The name of perf for an event by its numbers (include/uapi/linux/perf_event.h).
fn event(kind: u32, config: u64) -> String {
    let at = usize::try_from(config).unwrap_or(usize::MAX);
    let name = match kind {
        0 => Hardware::NAMES.get(at).map(|(_, name)| *name),
        1 => Software::NAMES.get(at).map(|(_, name)| *name),
        2 => Some("some:tracepoint"),
        5 => Some("mem:0x1000"),
        _ => Some("r0"),
    };
    name.unwrap_or("r0").to_owned()
}

/// The name of perf for an event by the constants that strace writes.
fn by_constants(attr: &str) -> String {
    let field = |name: &str| {
        attr.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let config = field("config").unwrap_or_default();
    let constant = config.strip_prefix("PERF_COUNT_HW_").or(config.strip_prefix("PERF_COUNT_SW_"));
    let mut name = match (field("type"), constant) {
        (_, Some(constant)) => constant.to_lowercase().replace('_', "-"),
        (Some("PERF_TYPE_TRACEPOINT"), _) => "some:tracepoint".to_owned(),
        (Some("PERF_TYPE_BREAKPOINT"), _) => "mem:0x1000".to_owned(),
        _ => "r0".to_owned(),
    };
    let excludes = |side: &str| field(side).is_some_and(|value| value.starts_with('1'));
    let (kernel, user) = (excludes("exclude_kernel"), excludes("exclude_user"));
    match (kernel, user) {
        (true, false) => name += ":u",
        (false, true) => name += ":k",
        _ => {}
    }
    name
}

/// Finds the call.
pub(super) fn read(scan: &mut Scan) {
    if let Some(regex) = &*CALL {
        scan.each(regex, |found, it| {
            let mut words =
                vec!["perf_event_open".to_owned(), "-e".to_owned(), by_constants(&it[1])];
            match it[2].trim() {
                "-1" => words.push("-a".to_owned()),
                "0" => {}
                pid => words.extend(["-p".to_owned(), pid.to_owned()]),
            }
            found.command(words, "a line of strace")
        });
    }
    if let Some(regex) = &*NUMBERS {
        scan.each(regex, |found, it| {
            let config = match it[2].strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => it[2].parse(),
            };
            let (Ok(kind), Ok(config)) = (it[1].parse(), config) else { return false };
            let name = event(kind, config);
            let words = ["perf_event_open", "-e", &name].map(str::to_owned).to_vec();
            found.command(words, "the type and the config of an event");
            true
        });
    }
}
