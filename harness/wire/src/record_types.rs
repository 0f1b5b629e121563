//! Types of audit records (`include/uapi/linux/audit.h`), without their prefix `AUDIT_`.

/// The syscall that caused the event.
pub const SYSCALL: u16 = 1300;
/// A path that the syscall looked up.
pub const PATH: u16 = 1302;
/// A change of the audit configuration.
pub const CONFIG_CHANGE: u16 = 1305;
/// The working directory.
pub const CWD: u16 = 1307;
/// The arguments of an exec.
pub const EXECVE: u16 = 1309;
/// The end of an event with several records.
pub const EOE: u16 = 1320;
/// The file capabilities of an exec.
pub const BPRM_FCAPS: u16 = 1321;
/// The new sets of a `capset(2)`.
pub const CAPSET: u16 = 1322;
/// The descriptor and the flags of an `mmap(2)`.
pub const MMAP: u16 = 1323;
/// The process's command line.
pub const PROCTITLE: u16 = 1327;
/// A BPF program that was loaded or unloaded.
pub const BPF: u16 = 1334;
/// An access that SELinux denied, or granted and logged.
pub const AVC: u16 = 1400;
/// A refusal of SELinux that no rule can allow, such as an unbounded transition.
pub const SELINUX_ERR: u16 = 1401;
/// A policy that was loaded.
pub const MAC_POLICY_LOAD: u16 = 1403;
/// A change between enforcing and permissive.
pub const MAC_STATUS: u16 = 1404;
/// A change of an SELinux boolean.
pub const MAC_CONFIG_CHANGE: u16 = 1405;
