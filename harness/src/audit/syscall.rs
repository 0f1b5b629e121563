//! The SYSCALL record of an event: which system call it was, and its result.

use std::fmt;

use crate::errno::Errno;

use super::arch::{Architecture, usual_name};

/// A system call in a SYSCALL record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditedCall {
    /// Its name, or its number as text if the name is unknown.
    pub name: String,
    /// Its result.
    pub outcome: CallOutcome,
    /// The arguments' meaning, as far as it decides which checks were made.
    pub purpose: CallPurpose,
}

/// The result of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallOutcome {
    /// The call succeeded.
    Success,
    /// The call failed with this errno, a positive number.
    Error(i32),
    /// The call failed, and the record does not say with which error.
    Failure,
    /// The record lacks the result.
    Unknown,
}

/// The part of a call's arguments that decides about the checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallPurpose {
    /// The record does not show it, or it does not matter.
    #[default]
    Unknown,
    /// `perf_event_open()` with a pid of 0 or of the caller.
    OwnProcess,
    /// `perf_event_open()` with the pid of another process.
    OtherProcess,
    /// `perf_event_open()` with the pid -1: every task on a CPU.
    EveryTask,
    /// The command of `bpf()`, the first argument (`enum bpf_cmd`).
    Bpf(u8),
}

/// The commands of `bpf()`, by their number (`include/uapi/linux/bpf.h`).
const BPF_COMMANDS: [&str; 38] = [
    "BPF_MAP_CREATE",
    "BPF_MAP_LOOKUP_ELEM",
    "BPF_MAP_UPDATE_ELEM",
    "BPF_MAP_DELETE_ELEM",
    "BPF_MAP_GET_NEXT_KEY",
    "BPF_PROG_LOAD",
    "BPF_OBJ_PIN",
    "BPF_OBJ_GET",
    "BPF_PROG_ATTACH",
    "BPF_PROG_DETACH",
    "BPF_PROG_TEST_RUN",
    "BPF_PROG_GET_NEXT_ID",
    "BPF_MAP_GET_NEXT_ID",
    "BPF_PROG_GET_FD_BY_ID",
    "BPF_MAP_GET_FD_BY_ID",
    "BPF_OBJ_GET_INFO_BY_FD",
    "BPF_PROG_QUERY",
    "BPF_RAW_TRACEPOINT_OPEN",
    "BPF_BTF_LOAD",
    "BPF_BTF_GET_FD_BY_ID",
    "BPF_TASK_FD_QUERY",
    "BPF_MAP_LOOKUP_AND_DELETE_ELEM",
    "BPF_MAP_FREEZE",
    "BPF_BTF_GET_NEXT_ID",
    "BPF_MAP_LOOKUP_BATCH",
    "BPF_MAP_LOOKUP_AND_DELETE_BATCH",
    "BPF_MAP_UPDATE_BATCH",
    "BPF_MAP_DELETE_BATCH",
    "BPF_LINK_CREATE",
    "BPF_LINK_UPDATE",
    "BPF_LINK_GET_FD_BY_ID",
    "BPF_LINK_GET_NEXT_ID",
    "BPF_ENABLE_STATS",
    "BPF_ITER_CREATE",
    "BPF_LINK_DETACH",
    "BPF_PROG_BIND_MAP",
    "BPF_TOKEN_CREATE",
    "BPF_PROG_STREAM_READ_BY_FD",
];

/// The fields of a SYSCALL record: `key=value` words, with those that auditd's enriched format
/// appends.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        let mut words = self.0.split([' ', '\u{1d}']);
        let value = words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?;
        Some(value.trim_matches('"'))
    }

    /// An argument, which the kernel prints in hex and tools with `0x` or by name.
    fn argument(&self, key: &str) -> Option<u64> {
        let text = self.get(key)?;
        u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
    }

    fn name(&self) -> Option<String> {
        let number = self.get("syscall")?;
        // auditd's enriched format adds the name; `ausearch -i` replaces the number by it.
        if let Some(name) = self.get("SYSCALL") {
            return Some(usual_name(name).to_owned());
        }
        let Ok(number) = number.parse::<u32>() else {
            return Some(usual_name(number).to_owned());
        };
        let arch = match self.get("arch").or_else(|| self.get("ARCH")) {
            Some(arch) => Architecture::find(arch),
            None => Some(Architecture::x86_64()),
        };
        let Some(arch) = arch else {
            return Some(format!("system call {number} of another architecture"));
        };
        Some(match arch.call(number) {
            Some(name) => name.to_owned(),
            None if arch == Architecture::x86_64() => format!("system call {number}"),
            None => format!("system call {number} of {}", arch.name),
        })
    }

    fn outcome(&self) -> CallOutcome {
        let failed = match self.get("success") {
            Some("yes") => return CallOutcome::Success,
            Some("no") => CallOutcome::Failure,
            _ => CallOutcome::Unknown,
        };
        let Some(exit) = self.get("exit") else { return failed };
        // As `ausearch -i` prints it: `exit=EACCES(Permission denied)`.
        let errno = exit.split('(').next().unwrap_or_default();
        match exit.parse::<i32>() {
            Ok(number) if number < 0 => number.checked_neg().map_or(failed, CallOutcome::Error),
            // `success=` is `?` in some forms: a descriptor is a success.
            Ok(_) if failed == CallOutcome::Unknown => CallOutcome::Success,
            Ok(_) => failed,
            Err(_) => errno.parse::<Errno>().map_or(failed, |errno| CallOutcome::Error(errno.0)),
        }
    }

    fn purpose(&self, name: &str) -> CallPurpose {
        match name {
            "bpf" => {
                let named = self
                    .get("a0")
                    .and_then(|text| BPF_COMMANDS.iter().position(|name| *name == text));
                let number = named.map(|at| at as u64).or_else(|| self.argument("a0"));
                number
                    .and_then(|number| u8::try_from(number).ok())
                    .map_or(CallPurpose::Unknown, CallPurpose::Bpf)
            }
            "perf_event_open" => {
                let own = self.get("pid").and_then(|pid| pid.parse::<u64>().ok());
                match self.argument("a1") {
                    // A pid of 32 bits, extended with its sign or not.
                    Some(0xffff_ffff | u64::MAX) => CallPurpose::EveryTask,
                    Some(0) => CallPurpose::OwnProcess,
                    Some(pid) if own == Some(pid) => CallPurpose::OwnProcess,
                    Some(_) => CallPurpose::OtherProcess,
                    None => CallPurpose::Unknown,
                }
            }
            _ => CallPurpose::Unknown,
        }
    }
}

/// The name of a system call of x86-64.
#[must_use]
pub(crate) fn syscall_name(number: i64) -> Option<&'static str> {
    Architecture::x86_64().call(u32::try_from(number).ok()?)
}

/// The name of a command of `bpf()`, without `BPF_`.
#[must_use]
pub(crate) fn bpf_command_name(command: u32) -> Option<&'static str> {
    BPF_COMMANDS.get(command as usize)?.strip_prefix("BPF_")
}

impl AuditedCall {
    /// Parses the SYSCALL record in a line. Returns `None` if the line has none.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let fields = Fields(line);
        let name = fields.name()?;
        let purpose = fields.purpose(&name);
        Some(Self { name, outcome: fields.outcome(), purpose })
    }

    /// The call's name with the command of `bpf()`.
    #[must_use]
    pub fn full_name(&self) -> String {
        match self.bpf_command() {
            Some(command) => format!("{}({command})", self.name),
            None => self.name.clone(),
        }
    }

    /// The name of the command of `bpf()`.
    #[must_use]
    pub fn bpf_command(&self) -> Option<&'static str> {
        let CallPurpose::Bpf(number) = self.purpose else { return None };
        BPF_COMMANDS.get(usize::from(number)).copied()
    }

    /// The error of a call that failed, if the record names it.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self.outcome {
            CallOutcome::Error(errno) => Some(Errno(errno)),
            _ => None,
        }
    }
}

impl fmt::Display for AuditedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.full_name();
        match self.outcome {
            CallOutcome::Success => write!(f, "{name} succeeded"),
            CallOutcome::Error(errno) => write!(f, "{name} failed with {}", Errno(errno)),
            CallOutcome::Failure => write!(f, "{name} failed"),
            CallOutcome::Unknown => write!(f, "{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "arch=c000003e syscall=298 success=no exit=-13 a0=7f",
        "perf_event_open failed with EACCES"
    )]
    #[case("arch=c000003e syscall=16 success=yes exit=0 a0=7f", "ioctl succeeded")]
    #[case(
        "arch=x86_64 syscall=perf_event_open success=no exit=EACCES(Permission denied) a0=0x7f",
        "perf_event_open failed with EACCES"
    )]
    #[case(
        "arch=c000003e syscall=298 success=no exit=-1\u{1d}ARCH=x86_64 SYSCALL=perf_event_open",
        "perf_event_open failed with EPERM"
    )]
    #[case("arch=c00000b7 syscall=241 success=no exit=-13", "perf_event_open failed with EACCES")]
    #[case(
        "arch=ppc64le syscall=perf_counter_open success=no exit=EACCES(Permission denied)",
        "perf_event_open failed with EACCES"
    )]
    #[case(
        "arch=c00000b7 syscall=42 success=no exit=-13",
        "system call 42 of aarch64 failed with EACCES"
    )]
    #[case(
        "arch=deadbeef syscall=241 success=no exit=-13",
        "system call 241 of another architecture failed with EACCES"
    )]
    #[case("arch=c000003e syscall=165 success=no exit=-1", "system call 165 failed with EPERM")]
    #[case("arch=c000003e syscall=298 success=no exit=x", "perf_event_open failed")]
    #[case("arch=c000003e syscall=298", "perf_event_open")]
    #[case("arch=c000003e syscall=321 success=yes exit=3 a0=5", "bpf(BPF_PROG_LOAD) succeeded")]
    #[case("arch=x86_64 syscall=bpf success=yes exit=3 a0=0x10", "bpf(BPF_PROG_QUERY) succeeded")]
    #[case(
        "arch=x86_64 syscall=bpf success=yes exit=3 a0=BPF_PROG_LOAD",
        "bpf(BPF_PROG_LOAD) succeeded"
    )]
    fn a_call_is_named(#[case] line: &str, #[case] shown: &str) {
        assert_eq!(AuditedCall::parse(line).unwrap().to_string(), shown);
    }

    #[rstest]
    #[case::own("a1=0 pid=7", CallPurpose::OwnProcess)]
    #[case::own_by_id("a1=4d2 pid=1234", CallPurpose::OwnProcess)]
    #[case::other("a1=0x4d2 pid=7", CallPurpose::OtherProcess)]
    #[case::every_task("a1=ffffffff pid=7", CallPurpose::EveryTask)]
    #[case::every_task_in_64_bits("a1=ffffffffffffffff pid=7", CallPurpose::EveryTask)]
    #[case::unsaid("pid=7", CallPurpose::Unknown)]
    fn the_pid_argument_shows_whom_an_event_monitors(
        #[case] fields: &str,
        #[case] purpose: CallPurpose,
    ) {
        let line = format!("arch=c000003e syscall=298 success=yes exit=3 a0=7f {fields}");
        assert_eq!(AuditedCall::parse(&line).unwrap().purpose, purpose);
    }

    #[test]
    fn a_line_without_a_syscall_record_yields_none() {
        assert_eq!(AuditedCall::parse("type=CWD msg=audit(1.2:3): cwd=\"/\""), None);
    }
}
