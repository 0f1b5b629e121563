//! One AVC record.

use std::collections::BTreeSet;

use crate::transcript::Avc;

use super::extent::whole_record;

/// An AVC record: a decision of SELinux that was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// True for `granted`, which an auditallow rule logs: nothing was denied.
    pub granted: bool,
    /// The permissions between the braces.
    pub permissions: BTreeSet<String>,
    /// `tclass=`
    pub class: String,
    /// `scontext=`, the context of the subject.
    pub source: Context,
    /// `tcontext=`, the context of the object.
    pub target: Context,
    /// `pid=`, the thread group's id.
    pub pid: Option<u32>,
    /// `comm=`, the program's name.
    pub comm: Option<String>,
    /// `path=` of the file or descriptor.
    pub path: Option<String>,
    /// `permissive=`: true if the access was denied but let through. Old kernels do not log it, and
    /// some tools omit it.
    pub permissive: Option<bool>,
    /// `lockdown_reason=`: the feature that lockdown forbids.
    pub lockdown_reason: Option<String>,
    /// Why CAP_SYS_ADMIN was asked for, if the record denies it. Other records or checks show that.
    pub sys_admin_reason: SysAdminReason,
    /// The record from `avc:` on.
    pub text: String,
}

/// The reason why the kernel asked for CAP_SYS_ADMIN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SysAdminReason {
    /// Neither records nor checks show it.
    #[default]
    Unknown,
    /// SELinux refused CAP_PERFMON to the same process in the same call before, and logged that.
    AfterPerfmon,
    /// The process does not hold CAP_PERFMON.
    WithoutPerfmon,
    /// CAP_PERFMON does not count: uprobes, breakpoints in the kernel, Debian's level 3.
    OnItsOwn,
}

/// A security context in a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context {
    /// The whole context.
    pub text: String,
    /// True if the loaded policy no longer defines it (`srawcon=`), so the record shows the
    /// unlabeled context instead.
    pub invalid: bool,
}

/// Stands for a context that the form of the log omits.
const OMITTED: &str = "?";

/// All the ways an AVC record can be malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedRecord {
    /// The record does not parse.
    #[error("not of the form `avc: denied {{ PERMISSION }} for … tclass=CLASS`")]
    Shape,
    /// A field is missing.
    #[error("`{0}=` is missing; is the record cut short?")]
    Lacks(&'static str),
}

impl Context {
    /// A context whose type alone is known.
    pub(super) fn of_type(kind: &str) -> Self {
        Self { text: format!("*:*:{kind}"), invalid: false }
    }

    /// A context that the form of the log omits.
    pub(super) fn omitted() -> Self {
        Self { text: OMITTED.to_owned(), invalid: false }
    }

    /// True if the form of the log omits the context.
    #[must_use]
    pub fn is_omitted(&self) -> bool {
        self.text == OMITTED
    }

    /// The type, which rules name. Returns `None` if the text is not a context.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        let mut parts = self.text.split(':');
        let (Some(_), Some(_), Some(kind)) = (parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        is_name(kind).then_some(kind)
    }

    /// The type, or else the whole text.
    #[must_use]
    pub fn short(&self) -> &str {
        self.kind().unwrap_or(&self.text)
    }
}

/// True if the text can name a type, a class or a permission. Nothing else may enter a policy.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter))
}

/// True for the classes of capabilities in the initial user namespace, the only ones perf checks.
pub(crate) fn is_capability(class: &str) -> bool {
    matches!(class, "capability" | "capability2")
}

impl Denial {
    /// Parses the AVC record in a line. Returns `None` if the line has none.
    ///
    /// # Errors
    ///
    /// If the line begins like a record but is malformed.
    #[must_use]
    pub fn parse(line: &str) -> Option<Result<Self, MalformedRecord>> {
        // Mail clients turn the first of two spaces into a no-break space.
        let line = &*line.replace('\u{a0}', " ");
        let at = line.find("avc:")?;
        let (head, record) = (&line[..at], &line[at..]);
        // From a user-space object manager, whose classes are not the kernel's.
        if head.contains("USER_AVC") || head.ends_with("msg='") {
            return None;
        }
        let body = record["avc:".len()..].trim_start();
        if !body.starts_with("denied") && !body.starts_with("granted") {
            return None;
        }
        let record = whole_record(record);
        // `ausearch -i` does not encode names, and prints a space before this colon.
        let interpreted = head.trim_end().ends_with(") :");
        Some(Self::read(record, interpreted))
    }

    /// A denial of a form that has no record: `text` is its line. The caller adds the class, the
    /// permissions and the program.
    pub(super) fn summarised(source: Context, target: Context, text: &str) -> Self {
        Self {
            granted: false,
            permissions: BTreeSet::new(),
            class: String::new(),
            source,
            target,
            pid: None,
            comm: None,
            path: None,
            permissive: None,
            lockdown_reason: None,
            sys_admin_reason: SysAdminReason::Unknown,
            text: text.to_owned(),
        }
    }

    fn read(record: &str, interpreted: bool) -> Result<Self, MalformedRecord> {
        let requoted = interpreted.then(|| quoted(record));
        let avc = requoted.as_deref().unwrap_or(record).strip_prefix("avc:");
        let avc = avc.and_then(Avc::parse).ok_or(MalformedRecord::Shape)?;
        // Without quotes, a program's name can look like fields. The kernel's own come last.
        let last = |key: &str| {
            let mut fields = avc.fields.iter().rev();
            fields.find(|(known, _)| known == key).map(|(_, value)| value.as_str())
        };
        let context = |key: &'static str, sid: &str, raw: &str| {
            let invalid = avc.field(raw);
            let text = last(key).map(str::to_owned);
            let text = text.or_else(|| Some(format!("{sid}={}", avc.field(sid)?)));
            let text = text.ok_or(MalformedRecord::Lacks(key))?;
            Ok(Context { text, invalid: invalid.is_some() })
        };
        let class = last("tclass").ok_or(MalformedRecord::Lacks("tclass"))?;
        Ok(Self {
            granted: avc.verb == "granted",
            permissions: avc.permissions.iter().cloned().collect(),
            class: class.to_owned(),
            source: context("scontext", "ssid", "srawcon")?,
            target: context("tcontext", "tsid", "trawcon")?,
            pid: avc.field("pid").and_then(|pid| pid.parse().ok()),
            comm: avc.field("comm").map(|value| untrusted(value, interpreted)),
            path: avc.field("path").map(|value| untrusted(value, interpreted)),
            permissive: match last("permissive") {
                Some("0") => Some(false),
                Some("1") => Some(true),
                _ => None,
            },
            lockdown_reason: avc
                .field("lockdown_reason")
                .map(|value| untrusted(value, interpreted)),
            sys_admin_reason: SysAdminReason::Unknown,
            text: record.to_owned(),
        })
    }

    /// True if the text is the kernel's record, rather than a line that reports it.
    pub(super) fn is_record(&self) -> bool {
        self.text.starts_with("avc:")
    }

    /// True if a rule can name the types, the class and the permissions. Nothing else may enter a
    /// policy.
    #[must_use]
    pub fn is_nameable(&self) -> bool {
        is_name(&self.class)
            && self.permissions.iter().all(|name| is_name(name))
            && self.source.kind().is_some()
            && self.target.kind().is_some()
    }

    /// True if the access was refused, rather than granted or let through.
    #[must_use]
    pub fn refused(&self) -> bool {
        !self.granted && self.permissive != Some(true)
    }

    /// True if the record is about this capability, in either class.
    #[must_use]
    pub fn has_capability(&self, name: &str) -> bool {
        is_capability(&self.class) && self.permissions.contains(name)
    }

    /// True if CAP_PERFMON was refused, so that the kernel asks for CAP_SYS_ADMIN next.
    pub(crate) fn refuses_perfmon(&self) -> bool {
        self.refused() && self.has_capability("perfmon")
    }

    /// True if CAP_SYS_ADMIN was denied.
    pub(crate) fn denies_sys_admin(&self) -> bool {
        !self.granted && self.has_capability("sys_admin")
    }
}

/// Puts the quotes back around values with spaces, which `ausearch -i` omits.
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

/// Decodes a string from `audit_log_untrustedstring()`: in quotes, or in hex.
fn untrusted(value: &str, interpreted: bool) -> String {
    if let Some(text) = value.strip_prefix('"') {
        return text.trim_end_matches('"').to_owned();
    }
    match (interpreted, crate::unhex(value)) {
        (false, Some(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const OPEN: &str = concat!(
        r#"avc:  denied  { open } for  pid=8859 comm="perf" scontext=user_u:user_r:user_t "#,
        "tcontext=user_u:user_r:user_t tclass=perf_event permissive=1"
    );

    #[rstest]
    #[case::bare("")]
    #[case::audit_log("type=AVC msg=audit(1581580399.165:784): ")]
    #[case::with_a_host("node=box type=AVC msg=audit(1581580399.165:784): ")]
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
    fn no_break_spaces_of_a_mail_are_spaces() {
        let mailed = OPEN.replace("  ", "\u{a0} ");
        assert_eq!(Denial::parse(&mailed).unwrap().unwrap().text, OPEN);
    }

    #[rstest]
    #[case::quoted(r#""perf""#, ") : ", "perf")]
    #[case::hex("7065726600", "): ", "perf\0")]
    #[case::hex_with_a_blank("7065726620616C6C", "): ", "perf all")]
    #[case::escape("1B5B324A", "): ", "\u{1b}[2J")]
    #[case::interpreted_with_a_blank("perf all", ") : ", "perf all")]
    #[case::interpreted("FACE", ") : ", "FACE")]
    #[case::no_hex("perf", "): ", "perf")]
    fn the_programs_name_is_decoded(#[case] comm: &str, #[case] colon: &str, #[case] shown: &str) {
        let record = OPEN.replace(r#""perf""#, comm);
        let denial = Denial::parse(&format!("type=AVC msg=audit(1.2:3{colon}{record}"));
        assert_eq!(denial.unwrap().unwrap().comm.as_deref(), Some(shown));
    }

    #[rstest]
    #[case::class(" tclass=perf_event", "`tclass=` is missing")]
    #[case::source(" scontext=user_u:user_r:user_t", "`scontext=` is missing")]
    #[case::target(" tcontext=user_u:user_r:user_t", "`tcontext=` is missing")]
    #[case::brace("}", "not of the form")]
    fn the_error_of_half_a_record_names_the_missing_field(
        #[case] without: &str,
        #[case] words: &str,
    ) {
        let error = Denial::parse(&OPEN.replace(without, "")).unwrap().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }

    #[rstest]
    #[case("type=SYSCALL msg=audit(1.2:3): arch=c000003e syscall=298")]
    #[case(
        "type=USER_AVC msg=audit(1.2:3): pid=1 \
         msg='avc:  denied  { start } for auid=0 tclass=service'"
    )]
    #[case("avc:  received policyload notice (seqno=2)")]
    fn a_line_without_a_record_of_the_kernel_yields_none(#[case] line: &str) {
        assert_eq!(Denial::parse(line), None);
    }

    #[rstest]
    #[case::enriched("\u{1d}ARCH=x86_64 SYSCALL=x")]
    #[case::enriched_and_copied("ARCH=x86_64 SYSCALL=x")]
    #[case::json("\"}")]
    #[case::json_array("\",")]
    #[case::brackets("']")]
    #[case::full_stop(".")]
    #[case::quoted("' for perf")]
    #[case::code("`")]
    fn text_behind_a_record_is_dropped_and_permissive_is_kept(#[case] behind: &str) {
        let line = format!("type=AVC msg=audit(1.2:3): {OPEN}{behind}");
        let denial = Denial::parse(&line).unwrap().unwrap();
        assert_eq!((denial.text.as_str(), denial.permissive), (OPEN, Some(true)));
    }

    #[test]
    fn a_programs_name_does_not_forge_the_mode() {
        let record = OPEN.replace(r#""perf""#, "x permissive=0");
        let denial = Denial::parse(&format!("type=AVC msg=audit(1.2:3) : {record}"));
        assert_eq!(denial.unwrap().unwrap().permissive, Some(true));
    }

    #[test]
    fn the_reason_of_lockdown_is_read_with_and_without_quotes() {
        let lockdown = OPEN.replace("open", "confidentiality").replace("perf_event", "lockdown");
        for (colon, reason) in [(": ", r#""use of kprobes""#), (" : ", "use of kprobes")] {
            let record =
                lockdown.replace(" scontext=", &format!(" lockdown_reason={reason} scontext="));
            let denial = Denial::parse(&format!("type=AVC msg=audit(1.2:3){colon}{record}"));
            let reason = denial.unwrap().unwrap().lockdown_reason;
            assert_eq!(reason.as_deref(), Some("use of kprobes"));
        }
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
        fn hostile_lines_never_panic(line in "(avc:  denied  \\{ .{0,9}\\} )?.{0,99}") {
            let _ = Denial::parse(&line);
        }
    }
}
