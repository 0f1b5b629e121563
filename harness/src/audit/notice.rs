//! Lines of the kernel and the audit system about perf that are not AVC records.

use std::sync::LazyLock;

use regex::{Captures, Regex, RegexSet};

use super::arch::Architecture;

/// A fact that a line of a log states.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// The loaded policy lacks a class.
    UndefinedClass(String),
    /// The loaded policy lacks a permission.
    UndefinedPermission {
        /// The permission's class.
        class: String,
        /// The permission.
        name: String,
    },
    /// The kernel says how it handles what the policy lacks (`handle_unknown`).
    UnknownPermissions(UnknownHandling),
    /// Lockdown refused a feature.
    Lockdown {
        /// The program's name.
        comm: Option<String>,
        /// The feature, in the kernel's words.
        what: String,
    },
    /// AppArmor decided about a capability or another access.
    AppArmor(AppArmorRecord),
    /// A seccomp filter acted on a system call.
    Seccomp(SeccompRecord),
    /// SELinux refused something that no allow rule decides: a SELINUX_ERR record.
    SelinuxErr {
        /// `op=`
        operation: String,
    },
    /// The mode of SELinux changed.
    Mode {
        /// True for enforcing.
        enforcing: bool,
    },
    /// Records or messages were lost.
    Lost(String),
    /// The kernel has no driver for the machine's performance counters.
    NoCounters,
    /// Addresses of kernel symbols are hidden.
    HiddenAddresses,
    /// A message about perf that is no refusal.
    NoRefusal(String),
    /// `ausearch` found nothing.
    NoMatches,
    /// SELinux decided about an access, and the form does not say which.
    Decision(DecisionSummary),
}

/// A decision of SELinux as a report has it that leaves out the record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DecisionSummary {
    /// The program's path or name.
    pub program: Option<String>,
    /// True if the system call succeeded.
    pub succeeded: Option<bool>,
    /// The event's serial.
    pub serial: Option<String>,
    /// The event's time, as the report has it.
    pub when: Option<String>,
}

/// The handling of classes and permissions that the loaded policy lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnknownHandling {
    /// They are allowed and never logged.
    Allowed,
    /// They are denied and logged.
    Denied,
    /// The policy is not loaded.
    Rejected,
}

/// A record of AppArmor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppArmorRecord {
    /// `DENIED`, `ALLOWED` (the profile only complains), `AUDIT`.
    pub verdict: String,
    /// `operation=`
    pub operation: String,
    /// `profile=`
    pub profile: Option<String>,
    /// `comm=`
    pub comm: Option<String>,
    /// The capability's name, in lower case and without `cap_`.
    pub capability: Option<String>,
    /// `name=`, the path of a file.
    pub path: Option<String>,
}

/// A SECCOMP record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeccompRecord {
    /// The program's name.
    pub comm: Option<String>,
    /// The call's name, or a phrase with its number.
    pub call: String,
    /// `code=`: the filter's action.
    pub action: SeccompAction,
}

/// The action of a seccomp filter (`include/uapi/linux/seccomp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeccompAction {
    /// The process or the thread was killed.
    Kill,
    /// It got SIGSYS.
    Trap,
    /// The call failed with an error of the filter's choice.
    Errno,
    /// The call was only logged.
    Log,
    /// Another action.
    Other(u32),
}

/// Numbers of capabilities that matter to perf, for records without a name.
const CAPABILITIES: [(u32, &str); 8] = [
    (38, "perfmon"),
    (21, "sys_admin"),
    (39, "bpf"),
    (19, "sys_ptrace"),
    (14, "ipc_lock"),
    (34, "syslog"),
    (5, "kill"),
    (2, "dac_read_search"),
];

/// Makes a notice of a match.
type Make = fn(&Captures<'_>) -> Notice;

/// A pattern of messages.
type Pattern = (Regex, Make);

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let table: [(&str, Make); 15] = [
        (r"SELinux:\s+Class (\w+) not defined in policy", |found| {
            Notice::UndefinedClass(found[1].to_owned())
        }),
        (r"SELinux:\s+Permission (\w+) in class (\w+) not defined in policy", |found| {
            Notice::UndefinedPermission { name: found[1].to_owned(), class: found[2].to_owned() }
        }),
        (
            r"SELinux:\s+the above unknown classes and permissions will be (allowed|denied)",
            |found| {
                Notice::UnknownPermissions(match &found[1] {
                    "allowed" => UnknownHandling::Allowed,
                    _ => UnknownHandling::Denied,
                })
            },
        ),
        (r"SELinux:\s+failed to load policy", |_| {
            Notice::UnknownPermissions(UnknownHandling::Rejected)
        }),
        (r"Lockdown: (?:(.+?): )?(\S.*?) is restricted(?:;|$)", |found| Notice::Lockdown {
            comm: found.get(1).map(|comm| comm.as_str().to_owned()),
            what: found[2].to_owned(),
        }),
        (
            concat!(
                r"audit: (backlog limit exceeded|rate limit exceeded|kauditd hold queue overflow",
                r"|audit_backlog=\d+ > audit_backlog_limit=\d+|audit_lost=[1-9]\d* .*)"
            ),
            |found| Notice::Lost(found[1].trim().to_owned()),
        ),
        (r"(\w*printk_skb: \d+ callbacks suppressed)", |found| Notice::Lost(found[1].to_owned())),
        (r"(Missed \d+ kernel messages|Suppressed \d+ messages from)", |found| {
            Notice::Lost(found[1].to_owned())
        }),
        (r"(?:type=MAC_STATUS|type=1404) .*\benforcing=([01]) ", |found| Notice::Mode {
            enforcing: &found[1] == "1",
        }),
        (
            concat!(
                r"no PMU driver, software events only|Performance Events: [Nn]o ",
                r"|hw perfevents: .*(?:not supported|failed)"
            ),
            |_| Notice::NoCounters,
        ),
        (r"perf:? interrupt took too long|perfevents: .* took too long", |_| {
            Notice::NoRefusal(
                "the kernel lowers kernel.perf_event_max_sample_rate because the interrupts of \
                     events take too long: it throttles, and refuses nothing"
                    .to_owned(),
            )
        }),
        (
            concat!(
                r"Performance Events: \S|NMI watchdog: .*consumes one hw-PMU counter",
                r"|hw perfevents: enabled|RAPL PMU: "
            ),
            |_| {
                Notice::NoRefusal(
                    "the kernel names the counters that it found: no refusal".to_owned(),
                )
            },
        ),
        (r"\bpK-error\b|\(____ptrval____\)", |_| Notice::HiddenAddresses),
        (r"^0{8,16} [a-zA-Z] \w+", |_| Notice::HiddenAddresses),
        (r"^<no matches>", |_| Notice::NoMatches),
    ];
    table.into_iter().filter_map(|(text, make)| Some((Regex::new(text).ok()?, make))).collect()
});

/// All patterns, which are searched at once.
static ANY: LazyLock<Option<RegexSet>> =
    LazyLock::new(|| RegexSet::new(PATTERNS.iter().map(|(pattern, _)| pattern.as_str())).ok());

/// A field of a record, without its quotes.
fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let mut from = 0;
    loop {
        let at = from + line[from..].find(key)?;
        let behind = &line[at + key.len()..];
        let begins =
            line[..at].chars().next_back().is_none_or(|c| !(c.is_alphanumeric() || c == '_'));
        if let (Some(value), true) = (behind.strip_prefix('='), begins) {
            return Some(match value.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next().unwrap_or_default(),
                None => value.split([' ', '\u{1d}', '\n']).next().unwrap_or_default(),
            });
        }
        from = at + key.len();
    }
}

/// A name that the kernel may have encoded in hex.
fn name(value: &str) -> String {
    match crate::unhex(value) {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        None => value.to_owned(),
    }
}

impl Notice {
    /// Reads the fact in a line. Returns `None` if the line states none of these.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        if let Some(verdict) = field(line, "apparmor") {
            return Some(Self::AppArmor(AppArmorRecord::read(line, verdict)));
        }
        if line.contains("type=SECCOMP")
            || line.contains("type=1326")
            || is_journal(line, "SECCOMP")
        {
            return SeccompRecord::read(line).map(Self::Seccomp);
        }
        if line.contains("type=SELINUX_ERR")
            || line.contains("type=1401")
            || is_journal(line, "SELINUX_ERR")
        {
            let operation = field(line, "op").unwrap_or("unknown").to_owned();
            return Some(Self::SelinuxErr { operation });
        }
        let first = ANY.as_ref()?.matches(line).iter().next()?;
        let (pattern, make) = PATTERNS.get(first)?;
        pattern.captures(line).map(|found| make(&found))
    }
}

/// True for a line of the journal with a record of this type.
fn is_journal(line: &str, kind: &str) -> bool {
    line.split_once("]: ").is_some_and(|(head, rest)| {
        head.contains("audit[") && rest.strip_prefix(kind).is_some_and(|rest| rest.starts_with(' '))
    })
}

impl AppArmorRecord {
    fn read(line: &str, verdict: &str) -> Self {
        let number = field(line, "capability").and_then(|number| number.parse::<u32>().ok());
        let numbered =
            CAPABILITIES.iter().find(|(known, _)| Some(*known) == number).map(|(_, name)| *name);
        let capability = field(line, "capname").or(numbered).map(|name| {
            let name = name.to_ascii_lowercase();
            name.strip_prefix("cap_").unwrap_or(&name).to_owned()
        });
        let text = |key: &str| field(line, key).map(name);
        Self {
            verdict: verdict.to_owned(),
            operation: field(line, "operation").unwrap_or("unknown").to_owned(),
            profile: text("profile"),
            comm: text("comm"),
            capability,
            path: text("name"),
        }
    }
}

impl SeccompRecord {
    fn read(line: &str) -> Option<Self> {
        let number = field(line, "syscall")?;
        let arch = field(line, "arch").and_then(Architecture::find);
        let call = match number.parse::<u32>() {
            // auditd's enriched format and `ausearch -i` print the name.
            Err(_) => number.to_owned(),
            Ok(number) => match field(line, "SYSCALL") {
                Some(name) => name.to_owned(),
                None => arch
                    .and_then(|arch| arch.call(number))
                    .map_or_else(|| format!("system call {number}"), str::to_owned),
            },
        };
        let code = field(line, "code").unwrap_or_default();
        let number = u32::from_str_radix(code.trim_start_matches("0x"), 16).unwrap_or_default();
        // The upper half is the action; `ausearch -i` prints its name.
        let action = match (number & 0xffff_0000, code) {
            (0x7ffc_0000, _) | (_, "log") => SeccompAction::Log,
            (0x0005_0000, _) | (_, "errno") => SeccompAction::Errno,
            (0x0003_0000, _) | (_, "trap") => SeccompAction::Trap,
            (0x8000_0000, _) => SeccompAction::Kill,
            (0, text) if text.is_empty() || text.starts_with("0x0") || text.contains("kill") => {
                SeccompAction::Kill
            }
            _ => SeccompAction::Other(number),
        };
        Some(Self { comm: field(line, "comm").map(name), call, action })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn lockdown(comm: Option<&str>, what: &str) -> Notice {
        Notice::Lockdown { comm: comm.map(str::to_owned), what: what.to_owned() }
    }

    #[rstest]
    #[case(
        "[    4.10] SELinux:  Class perf_event not defined in policy.",
        Notice::UndefinedClass("perf_event".to_owned())
    )]
    #[case(
        "kernel: SELinux:  Permission perfmon in class capability2 not defined in policy.",
        Notice::UndefinedPermission { class: "capability2".to_owned(), name: "perfmon".to_owned() }
    )]
    #[case(
        "SELinux: the above unknown classes and permissions will be denied",
        Notice::UnknownPermissions(UnknownHandling::Denied)
    )]
    #[case(
        "[9.1] Lockdown: bpftrace: use of kprobes is restricted; see man kernel_lockdown.7",
        lockdown(Some("bpftrace"), "use of kprobes")
    )]
    #[case(
        "Lockdown: perf: unsafe use of perf is restricted",
        lockdown(Some("perf"), "unsafe use of perf")
    )]
    #[case(
        "audit: backlog limit exceeded",
        Notice::Lost("backlog limit exceeded".to_owned())
    )]
    #[case(
        "audit: audit_backlog=65 > audit_backlog_limit=64",
        Notice::Lost("audit_backlog=65 > audit_backlog_limit=64".to_owned())
    )]
    #[case(
        "kauditd_printk_skb: 21 callbacks suppressed",
        Notice::Lost("kauditd_printk_skb: 21 callbacks suppressed".to_owned())
    )]
    #[case(
        "Performance Events: unsupported p6 CPU model 85 no PMU driver, software events only.",
        Notice::NoCounters
    )]
    #[case("0000000000000000 T _stext", Notice::HiddenAddresses)]
    #[case(
        "type=MAC_STATUS msg=audit(1.2:3): enforcing=0 old_enforcing=1 auid=0 ses=1",
        Notice::Mode { enforcing: false }
    )]
    #[case(
        "type=SELINUX_ERR msg=audit(1.2:3): op=security_bounded_transition seresult=denied",
        Notice::SelinuxErr { operation: "security_bounded_transition".to_owned() }
    )]
    fn a_line_states_a_fact(#[case] line: &str, #[case] notice: Notice) {
        assert_eq!(Notice::parse(line), Some(notice));
    }

    #[test]
    fn a_capability_of_apparmor_is_known_by_name_or_number() {
        for (fields, capability) in [
            ("capability=38  capname=\"perfmon\"", Some("perfmon")),
            ("capability=39", Some("bpf")),
            ("capability=1", None),
        ] {
            let line = format!(
                "audit: type=1400 audit(1.2:3): apparmor=\"DENIED\" operation=\"capable\" \
                 profile=\"snap.app\" pid=7 comm=\"app\" {fields}"
            );
            let Some(Notice::AppArmor(record)) = Notice::parse(&line) else { panic!("{line}") };
            assert_eq!(record.capability.as_deref(), capability);
            assert_eq!((record.verdict.as_str(), record.comm.as_deref()), ("DENIED", Some("app")));
            assert_eq!(record.profile.as_deref(), Some("snap.app"));
        }
    }

    #[rstest]
    #[case(
        "arch=c000003e syscall=298 compat=0 ip=0x7f code=0x50000",
        "perf_event_open",
        SeccompAction::Errno
    )]
    #[case(
        "arch=c00000b7 syscall=280 compat=0 ip=0x7f code=0x80000000",
        "bpf",
        SeccompAction::Kill
    )]
    #[case("arch=x86_64 syscall=bpf compat=0 ip=0x7f code=log", "bpf", SeccompAction::Log)]
    #[case(
        "arch=c000003e syscall=165 compat=0 ip=0x7f code=0x7ffc0000",
        "system call 165",
        SeccompAction::Log
    )]
    fn a_record_of_seccomp_names_the_call_and_the_action(
        #[case] fields: &str,
        #[case] call: &str,
        #[case] action: SeccompAction,
    ) {
        let line = format!("type=SECCOMP msg=audit(1.2:3): pid=7 comm=\"app\" sig=0 {fields}");
        let expected =
            SeccompRecord { comm: Some("app".to_owned()), call: call.to_owned(), action };
        assert_eq!(Notice::parse(&line), Some(Notice::Seccomp(expected)));
    }

    #[rstest]
    #[case("type=AVC msg=audit(1.2:3): avc:  denied  { open } for  pid=1 tclass=perf_event")]
    #[case("hello world")]
    #[case("audit: audit_lost=0 audit_rate_limit=0")]
    fn another_line_states_none(#[case] line: &str) {
        assert_eq!(Notice::parse(line), None);
    }

    proptest! {
        #[test]
        fn hostile_lines_never_panic(line in "(apparmor=|type=1326 syscall=|Lockdown: )?.{0,99}") {
            let _ = Notice::parse(&line);
        }
    }
}
