//! The SYSCALL record of an event: which system call it was, and its result.

use std::fmt;

use nix::libc;

use crate::errno::Errno;

/// A system call in a SYSCALL record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditedCall {
    /// Its name, or its number as text if the name is unknown.
    pub name: String,
    /// Its result.
    pub outcome: CallOutcome,
}

/// The result of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallOutcome {
    /// The call succeeded.
    Success,
    /// The call failed with this errno, a positive number.
    Error(i32),
    /// The record lacks the result.
    Unknown,
}

/// `AUDIT_ARCH_X86_64` (include/uapi/linux/audit.h).
const X86_64: &str = "c000003e";

/// The system calls of x86-64 in which the kernel decides about perf.
const NAMES: [(libc::c_long, &str); 12] = [
    (libc::SYS_perf_event_open, "perf_event_open"),
    (libc::SYS_ioctl, "ioctl"),
    (libc::SYS_mmap, "mmap"),
    (libc::SYS_read, "read"),
    (libc::SYS_bpf, "bpf"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_open, "open"),
    (libc::SYS_write, "write"),
    (libc::SYS_execve, "execve"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_process_vm_readv, "process_vm_readv"),
    (libc::SYS_process_madvise, "process_madvise"),
];

impl AuditedCall {
    /// Parses the SYSCALL record in a line. Returns `None` if the line has none.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let field = |key: &str| {
            let mut words = line.split([' ', '\u{1d}']);
            words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        };
        let number = field("syscall")?;
        let arch = field("arch");
        // auditd's enriched format adds the name; `ausearch -i` replaces the number by it.
        let name = match (field("SYSCALL"), number.parse::<libc::c_long>()) {
            (Some(name), _) => name.to_owned(),
            (None, Err(_)) => number.to_owned(),
            (None, Ok(number)) if arch.is_none_or(|arch| arch == X86_64 || arch == "x86_64") => {
                let known = NAMES.iter().find(|(known, _)| *known == number);
                known.map_or(format!("system call {number}"), |(_, name)| (*name).to_owned())
            }
            (None, Ok(number)) => format!("system call {number} of another architecture"),
        };
        let outcome = match field("exit") {
            _ if field("success") == Some("yes") => CallOutcome::Success,
            // As `ausearch -i` prints it: `exit=EACCES(Permission denied)`.
            Some(exit) => {
                let errno = exit.split('(').next().unwrap_or_default();
                let number = exit.parse::<i32>().ok().and_then(i32::checked_neg);
                let named = || errno.parse::<Errno>().ok().map(|errno| errno.0);
                number.or_else(named).map_or(CallOutcome::Unknown, CallOutcome::Error)
            }
            None => CallOutcome::Unknown,
        };
        Some(Self { name, outcome })
    }
}

impl fmt::Display for AuditedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            CallOutcome::Success => write!(f, "{} succeeded", self.name),
            CallOutcome::Error(errno) => write!(f, "{} failed with {}", self.name, Errno(errno)),
            CallOutcome::Unknown => write!(f, "{}", self.name),
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
    #[case(
        "arch=c00000b7 syscall=241 success=no exit=-13",
        "system call 241 of another architecture failed with EACCES"
    )]
    #[case("arch=c000003e syscall=165 success=no exit=-1", "system call 165 failed with EPERM")]
    #[case("arch=c000003e syscall=298 success=no exit=x", "perf_event_open")]
    fn a_call_is_named(#[case] line: &str, #[case] shown: &str) {
        assert_eq!(AuditedCall::parse(line).unwrap().to_string(), shown);
    }

    #[test]
    fn a_line_without_a_syscall_record_yields_none() {
        assert_eq!(AuditedCall::parse("type=CWD msg=audit(1.2:3): cwd=\"/\""), None);
    }
}
