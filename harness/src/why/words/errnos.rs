//! Errors in words, as libraries and people write them.

use std::sync::LazyLock;

use regex::Regex;

use super::scan::Scan;
use crate::errno::Errno;

/// Texts of strerror(3), and their names.
const TEXTS: &[(&str, &str)] = &[
    ("permission denied", "EACCES"),
    ("operation not permitted", "EPERM"),
    ("no such file or directory", "ENOENT"),
    ("invalid argument", "EINVAL"),
    ("operation not supported", "EOPNOTSUPP"),
    ("no such device", "ENODEV"),
    ("function not implemented", "ENOSYS"),
    ("device or resource busy", "EBUSY"),
    ("too many open files", "EMFILE"),
    ("no such process", "ESRCH"),
    ("argument list too long", "E2BIG"),
    ("no space left on device", "ENOSPC"),
];

/// `errno: 1`, `exit=-2`, `error -13`, `err=-1`, `rc = -13`.
static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:\b(?:errno|error|err|exit|rc|ret)\b[: =(]{1,3}-?|: -)(\d{1,3})\b").ok()
});

/// `EPERM`, with what strace writes before and after it.
static NAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:= *)?(?:-1 )?\b(E[A-Z0-9]{2,12}|eacces|eperm)\b\.?").ok());

/// Finds the errno. The first that is found counts.
pub(super) fn read(scan: &mut Scan) {
    if let Some(regex) = &*NAME {
        scan.each(regex, |found, it| {
            let Ok(errno) = it[1].to_uppercase().parse::<Errno>() else { return false };
            found.errno(errno)
        });
    }
    if let Some(regex) = &*NUMBER {
        scan.each(regex, |found, it| match it[1].parse() {
            Ok(number @ 1..=133) => found.errno(Errno(number)),
            _ => false,
        });
    }
    for (text, name) in TEXTS {
        let Ok(regex) = Regex::new(&format!("(?i){text}")) else { continue };
        let Ok(errno) = name.parse::<Errno>() else { continue };
        scan.each(&regex, |found, _| found.errno(errno));
    }
}
