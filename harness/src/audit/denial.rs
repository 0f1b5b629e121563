//! One AVC record.

use std::collections::BTreeSet;

use crate::printable::printable_line;
use crate::transcript::Avc;

/// What SELinux logged about one decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// `granted`, by an auditallow rule: nothing was denied.
    pub granted: bool,
    /// The permissions.
    pub permissions: BTreeSet<String>,
    /// The class.
    pub class: String,
    /// Context of who asked.
    pub source: Context,
    /// Context of what was asked for.
    pub target: Context,
    /// The process (the thread group's number).
    pub pid: Option<u32>,
    /// The program's name, printable.
    pub comm: Option<String>,
    /// Path of the file or the descriptor that it is about, printable.
    pub path: Option<String>,
    /// Whether it was let through all the same; older kernels do not say.
    pub permissive: Option<bool>,
    /// Of a denial of CAP_SYS_ADMIN: why it was asked for, which other records or checks tell.
    pub sys_admin_reason: SysAdminReason,
    /// The record from `avc:` on, printable.
    pub text: String,
}

/// Why CAP_SYS_ADMIN was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SysAdminReason {
    /// Nothing tells.
    #[default]
    Unknown,
    /// SELinux had refused CAP_PERFMON to the same process in the same call, and logged it.
    AfterPerfmon,
    /// The process did not hold CAP_PERFMON.
    WithoutPerfmon,
    /// CAP_PERFMON does not count there: uprobes, breakpoints in the kernel, Debian's level 3.
    OnItsOwn,
}

/// A context of a record, printable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context {
    /// The whole.
    pub text: String,
    /// Whether the loaded policy no longer knows it (`srawcon=`): then the record shows the unlabeled one.
    pub invalid: bool,
}

/// Why a line that looks like an AVC record is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedRecord {
    /// It has not the form.
    #[error("it is not of the form `avc: denied {{ PERMISSION }} for … tclass=CLASS`")]
    Shape,
    /// A field is missing.
    #[error("it lacks `{0}=`: is it cut short?")]
    Lacks(&'static str),
}

impl Context {
    /// The type, which rules are about; none of what is no context.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        let mut parts = self.text.split(':');
        let (Some(_), Some(_), Some(kind)) = (parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        is_name(kind).then_some(kind)
    }

    /// The type, or else the whole.
    #[must_use]
    pub fn short(&self) -> &str {
        self.kind().unwrap_or(&self.text)
    }
}

/// Whether it can be the name of a type, a class or a permission: nothing else may get into a policy.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter))
}

/// Whether a class is of capabilities in the first user namespace: perf asks for no other.
pub(crate) fn is_capability(class: &str) -> bool {
    matches!(class, "capability" | "capability2")
}

impl Denial {
    /// Takes a record apart, from a line that holds it. `None` when the line holds none.
    ///
    /// # Errors
    ///
    /// When it begins like one and is none.
    #[must_use]
    pub fn parse(line: &str) -> Option<Result<Self, MalformedRecord>> {
        // Two blanks in a row become a no-break space in many a mail.
        let line = &*line.replace('\u{a0}', " ");
        let at = line.find("avc:")?;
        let (head, record) = (&line[..at], &line[at..]);
        // A user-space object manager's: its classes are its own.
        if head.contains("USER_AVC") || head.ends_with('\'') {
            return None;
        }
        let body = record["avc:".len()..].trim_start();
        if !body.starts_with("denied") && !body.starts_with("granted") {
            return None;
        }
        // auditd's enriched format appends fields of its own after this.
        let record = record.split('\u{1d}').next().unwrap_or(record).trim_end();
        // `ausearch -i` writes names as they are, and a blank before this colon.
        let interpreted = head.trim_end().ends_with(") :");
        Some(Self::read(record, interpreted))
    }

    fn read(record: &str, interpreted: bool) -> Result<Self, MalformedRecord> {
        let requoted = interpreted.then(|| quoted(record));
        let avc = requoted.as_deref().unwrap_or(record).strip_prefix("avc:");
        let avc = avc.and_then(Avc::parse).ok_or(MalformedRecord::Shape)?;
        let context = |key: &'static str, sid: &str, raw: &str| {
            let invalid = avc.field(raw);
            let text = avc.field(key).map(str::to_owned);
            let text = text.or_else(|| Some(format!("{sid}={}", avc.field(sid)?)));
            let text = text.ok_or(MalformedRecord::Lacks(key))?;
            Ok(Context { text: printable_line(&text), invalid: invalid.is_some() })
        };
        let class = avc.field("tclass").ok_or(MalformedRecord::Lacks("tclass"))?;
        Ok(Self {
            granted: avc.verb == "granted",
            permissions: avc.permissions.iter().map(|name| printable_line(name)).collect(),
            class: printable_line(class),
            source: context("scontext", "ssid", "srawcon")?,
            target: context("tcontext", "tsid", "trawcon")?,
            pid: avc.field("pid").and_then(|pid| pid.parse().ok()),
            comm: avc.field("comm").map(|value| untrusted(value, interpreted)),
            path: avc.field("path").map(|value| untrusted(value, interpreted)),
            permissive: match avc.field("permissive") {
                Some("0") => Some(false),
                Some("1") => Some(true),
                _ => None,
            },
            sys_admin_reason: SysAdminReason::Unknown,
            text: printable_line(record),
        })
    }

    /// Whether a rule can name all of it: what is no name must not get into a policy.
    #[must_use]
    pub fn has_names(&self) -> bool {
        is_name(&self.class)
            && self.permissions.iter().all(|name| is_name(name))
            && self.source.kind().is_some()
            && self.target.kind().is_some()
    }

    /// Whether the record is about a permission that was refused, not let through.
    #[must_use]
    pub fn refused(&self) -> bool {
        !self.granted && self.permissive != Some(true)
    }

    /// Whether this permission of a capability is in it, in whichever of the classes.
    #[must_use]
    pub fn has_capability(&self, name: &str) -> bool {
        is_capability(&self.class) && self.permissions.contains(name)
    }

    /// Whether CAP_PERFMON was denied and not let through, so that CAP_SYS_ADMIN is asked for next.
    pub(crate) fn refuses_perfmon(&self) -> bool {
        self.refused() && self.has_capability("perfmon")
    }

    /// Whether CAP_SYS_ADMIN was denied.
    pub(crate) fn denies_sys_admin(&self) -> bool {
        !self.granted && self.has_capability("sys_admin")
    }
}

/// The record with quotes around values that have blanks, which `ausearch -i` leaves out.
fn quoted(record: &str) -> String {
    let Some((head, fields)) = record.split_once('}') else { return record.to_owned() };
    let mut groups: Vec<String> = Vec::new();
    for word in fields.split_whitespace() {
        match groups.last_mut() {
            Some(last) if !word.contains('=') && last.contains('=') => {
                last.push(' ');
                last.push_str(word);
            }
            _ => groups.push(word.to_owned()),
        }
    }
    let quote = |group: String| match group.split_once('=') {
        Some((key, value)) if value.contains(' ') && !value.starts_with('"') => {
            format!("{key}=\"{}\"", value.replace('"', "'"))
        }
        _ => group,
    };
    format!("{head}}} {}", groups.into_iter().map(quote).collect::<Vec<_>>().join(" "))
}

/// A string that `audit_log_untrustedstring()` wrote: in quotes, or in hex.
fn untrusted(value: &str, interpreted: bool) -> String {
    if let Some(text) = value.strip_prefix('"') {
        return printable_line(text.trim_end_matches('"'));
    }
    match (interpreted, unhex(value)) {
        (false, Some(bytes)) => printable_line(&String::from_utf8_lossy(&bytes)),
        _ => printable_line(value),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const OPEN: &str = r#"avc:  denied  { open } for  pid=8859 comm="perf" scontext=user_u:user_r:user_t tcontext=user_u:user_r:user_t tclass=perf_event permissive=1"#;

    // The forms in which the same record is met.
    #[rstest]
    #[case::bare("")]
    #[case::audit_log("type=AVC msg=audit(1581580399.165:784): ")]
    #[case::of_a_host("node=box type=AVC msg=audit(1581580399.165:784): ")]
    #[case::ausearch("type=AVC msg=audit(02/13/2020 10:53:19.165:784) : ")]
    #[case::kernel("[  137.877713] audit: type=1400 audit(1581580399.165:784): ")]
    #[case::syslog("Feb 13 10:53:19 box kernel: audit: type=1400 audit(1581580399.165:784): ")]
    #[case::priority("<5>audit: type=1400 audit(1581580399.165:784): ")]
    #[case::journal("Feb 13 10:53:19 box audit[8859]: AVC ")]
    #[case::no_break_space("\u{a0}type=AVC msg=audit(1581580399.165:784): ")]
    #[case::quoted_in_a_mail(">>>>>>> type=AVC msg=audit(1581580399.165:784): ")]
    fn a_record_is_found_in_every_form(#[case] head: &str) {
        let denial = Denial::parse(&format!("{head}{OPEN}")).unwrap().unwrap();
        assert_eq!((denial.class.as_str(), denial.comm.as_deref()), ("perf_event", Some("perf")));
        assert_eq!(denial.source.kind(), Some("user_t"));
        assert_eq!(denial.permissive, Some(true));
        assert_eq!(denial.text, OPEN);
    }

    #[test]
    fn no_break_spaces_of_a_mail_are_blanks() {
        let mailed = OPEN.replace("  ", "\u{a0} ");
        assert_eq!(Denial::parse(&mailed).unwrap().unwrap().text, OPEN);
    }

    #[rstest]
    #[case::quoted(r#""perf""#, ") : ", "perf")]
    #[case::hex("7065726600", "): ", "perf\\u{0}")]
    #[case::hex_with_a_blank("7065726620616C6C", "): ", "perf all")]
    #[case::escape("1B5B324A", "): ", "\\u{1b}[2J")]
    #[case::interpreted_with_a_blank("perf all", ") : ", "perf all")]
    #[case::interpreted("FACE", ") : ", "FACE")]
    #[case::no_hex("perf", "): ", "perf")]
    fn the_programs_name_is_decoded_and_printable(
        #[case] comm: &str,
        #[case] colon: &str,
        #[case] shown: &str,
    ) {
        let record = OPEN.replace(r#""perf""#, comm);
        let denial = Denial::parse(&format!("type=AVC msg=audit(1.2:3{colon}{record}"));
        assert_eq!(denial.unwrap().unwrap().comm.as_deref(), Some(shown));
    }

    #[rstest]
    #[case::class(" tclass=perf_event", "lacks `tclass=`")]
    #[case::source(" scontext=user_u:user_r:user_t", "lacks `scontext=`")]
    #[case::target(" tcontext=user_u:user_r:user_t", "lacks `tcontext=`")]
    #[case::brace("}", "not of the form")]
    fn half_a_record_says_what_is_missing(#[case] without: &str, #[case] words: &str) {
        let error = Denial::parse(&OPEN.replace(without, "")).unwrap().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }

    #[rstest]
    #[case("type=SYSCALL msg=audit(1.2:3): arch=c000003e syscall=298")]
    #[case(
        "type=USER_AVC msg=audit(1.2:3): pid=1 msg='avc:  denied  { start } for auid=0 tclass=service'"
    )]
    #[case("avc:  received policyload notice (seqno=2)")]
    fn what_is_no_record_of_the_kernels_is_none(#[case] line: &str) {
        assert_eq!(Denial::parse(line), None);
    }

    #[test]
    fn fields_that_auditd_appended_are_not_part_of_it() {
        let line = format!("type=AVC msg=audit(1.2:3): {OPEN}\u{1d}ARCH=x86_64 SYSCALL=x");
        assert_eq!(Denial::parse(&line).unwrap().unwrap().text, OPEN);
    }

    #[rstest]
    #[case("user_u:user_r:user_t", Some("user_t"))]
    #[case("u:r:t:s0:c1,c2", Some("t"))]
    #[case("ssid=12", None)]
    #[case("u:r:t)(allow_all:s0", None)]
    fn only_a_name_is_a_type(#[case] text: &str, #[case] kind: Option<&str>) {
        assert_eq!(Context { text: text.to_owned(), invalid: false }.kind(), kind);
    }

    proptest! {
        #[test]
        fn hostile_lines_never_panic_and_show_nothing_that_acts(line in "(avc:  denied  \\{ .{0,9}\\} )?.{0,99}") {
            if let Some(Ok(denial)) = Denial::parse(&line) {
                prop_assert!(!denial.text.contains(char::is_control));
                prop_assert!(!denial.comm.unwrap_or_default().contains(char::is_control));
            }
        }
    }
}
