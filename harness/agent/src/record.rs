//! What the agent must know about an audit record to attribute it; the rest is the judge's.

use perfsec_wire::observation::Record;

/// `AUDIT_AVC` of `include/uapi/linux/audit.h`.
pub(crate) const AVC: u16 = 1400;
/// `AUDIT_SYSCALL`.
const SYSCALL: u16 = 1300;

/// `SECONDS.MILLIS:SERIAL`, which records of one event share.
pub(crate) fn serial(text: &str) -> Option<&str> {
    text.strip_prefix("audit(")?.split_once("):").map(|(serial, _)| serial)
}

/// The value of a field that is not quoted. Fields are looked for as words, and a `comm` is quoted or in hex,
/// so that it cannot hold ` tclass=`: `audit_log_untrustedstring()` writes one with a space in hex.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// The process that a record names as its cause.
pub(crate) fn pid(text: &str) -> Option<u32> {
    field(text, "pid")?.parse().ok()
}

/// Number and result in a SYSCALL record.
pub(crate) fn syscall(record: &Record) -> Option<(i64, i64)> {
    let number = |name| field(&record.text, name)?.parse().ok();
    (record.kind == SYSCALL).then(|| Some((number("syscall")?, number("exit")?)))?
}
