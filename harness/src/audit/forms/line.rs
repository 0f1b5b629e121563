//! Names the form of a line that has a record in it.

use std::sync::LazyLock;

use regex::Regex;

use super::form::Form;

/// The marks of the forms, the most particular first. Each is searched in the line without what a
/// mail or a page puts before it.
static MARKS: LazyLock<Vec<(Regex, Form)>> = LazyLock::new(|| {
    let table = [
        // auditd's own fields are behind a control character.
        (r"^(?:node=\S+ )?type=\S+ msg=audit\([^)]*\): .*\x1d", Form::AuditLogEnriched),
        (r"msg=audit\([^)]*\) :", Form::AusearchInterpreted),
        (r"^(?:node=\S+ )?type=\S+ msg=audit\(", Form::AuditLog),
        (r"^\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} |^[VDIWEF][ /]\S+\s*(?:\(\s*\d+\))?: ", Form::Logcat),
        (r"\baudit\[\d+\]: [A-Z]", Form::Journal),
        (r"(?:^|\s)kernel: |^<\d+>\d |\bmsg=audit\(", Form::Syslog),
        (
            concat!(
                r"^(?:<\d+>|\w+\s*:\w+\s*: ?)?(?:\[[^\]]*\]\s*|\d{4}-\d\d-\d\dT\S+ )*",
                r"(?:audit|SELinux|Lockdown|perf|Performance Events|\w*printk_skb|NMI watchdog",
                r"|RAPL PMU|hw perfevents|perfevents)\b"
            ),
            Form::KernelLog,
        ),
        (r"^(?:AVC )?avc:", Form::Bare),
    ];
    table.into_iter().filter_map(|(text, form)| Some((Regex::new(text).ok()?, form))).collect()
});

/// The form of a line with a record. `in_ausearch` is true behind lines that only ausearch prints.
pub(super) fn form(line: &str, in_ausearch: bool) -> Form {
    let line = line.trim_start_matches(|c: char| {
        c.is_whitespace() || matches!(c, '>' | '|' | '"' | '\'' | '`' | '*' | '-' | '\u{2022}')
    });
    let found = MARKS.iter().find(|(mark, _)| mark.is_match(line));
    match found.map_or(Form::Bare, |(_, form)| *form) {
        Form::AuditLog | Form::AuditLogEnriched if in_ausearch => Form::Ausearch,
        form => form,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("type=AVC msg=audit(1.2:3): avc:  denied", Form::AuditLog)]
    #[case("> type=AVC msg=audit(1.2:3): avc:  denied", Form::AuditLog)]
    #[case("node=box type=AVC msg=audit(1.2:3): avc:  denied", Form::AuditLog)]
    #[case("type=SYSCALL msg=audit(1.2:3): arch=c000003e\u{1d}ARCH=x86_64", Form::AuditLogEnriched)]
    #[case(
        "type=AVC msg=audit(11/28/2025 03:20:00.123:3) : avc:  denied",
        Form::AusearchInterpreted
    )]
    #[case("[  137.877713] audit: type=1400 audit(1.2:3): avc:  denied", Form::KernelLog)]
    #[case("[Fri Nov 28 03:20:00 2025] audit: type=1400 audit(1.2:3): avc:", Form::KernelLog)]
    #[case("2025-11-28T03:20:00,123456+01:00 audit: type=1400 audit(1.2:3): avc:", Form::KernelLog)]
    #[case("kern  :notice: [  137.877713] audit: type=1400 audit(1.2:3): avc:", Form::KernelLog)]
    #[case("<5>audit: type=1400 audit(1.2:3): avc:", Form::KernelLog)]
    #[case("<5>[  137.877713] audit: type=1400 audit(1.2:3): avc:", Form::KernelLog)]
    #[case("Nov 28 03:20:00 box kernel: audit: type=1400 audit(1.2:3): avc:", Form::Syslog)]
    #[case(
        "<5>1 2025-11-28T03:20:00Z box kernel - - - audit: type=1400 audit(1.2:3):",
        Form::Syslog
    )]
    #[case("Nov 28 03:20:00 box audispd: type=AVC msg=audit(1.2:3): avc:", Form::Syslog)]
    #[case("Nov 28 03:20:00 box audit[89]: AVC avc:  denied", Form::Journal)]
    #[case("11-28 03:20:00.123  89  89 W perf: type=1400 audit(0.0:3): avc:", Form::Logcat)]
    #[case("W/perf    (   89): type=1400 audit(0.0:3): avc:", Form::Logcat)]
    #[case("avc:  denied", Form::Bare)]
    fn a_line_has_its_form(#[case] line: &str, #[case] expected: Form) {
        assert_eq!(form(line, false), expected);
    }

    #[test]
    fn raw_records_behind_a_line_of_ausearch_are_its_own() {
        assert_eq!(form("type=AVC msg=audit(1.2:3): avc:", true), Form::Ausearch);
        assert_eq!(form("[  1.0] audit: type=1400 audit(1.2:3): avc:", true), Form::KernelLog);
    }
}
