//! AVC records and their short form.
//!
//! The kernel's form is that of `avc_audit_pre_callback()`, `dump_common_audit_data()` and
//! `avc_audit_post_callback()` (security/selinux/avc.c, security/lsm_audit.c):
//!
//! ```text
//! avc:  denied  { perfmon } for  pid=89 comm="subject" capability=38  scontext=… tcontext=…
//! tclass=capability2 permissive=1
//! ```
//!
//! (in one line). The short form omits fields that have their default: the subject's pid, its comm,
//! its context on both sides, and `permissive=` according to the cell's mode. An inode number is
//! `ino=*`, and in a path below `/proc` the process has its name. A context that differs from the subject's only in its type is written as that type,
//! because the level is different in every cell.

use std::fmt;
use std::fmt::Write as _;

use perfsec_wire::Mode;

use super::Effect;

/// Replaces a value that carries no information.
const ANY: &str = "*";

/// The process that a record is about. The short form takes its defaults from it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Process id (of the thread group).
    pub pid: u32,
    /// Name of its executable.
    pub comm: &'a str,
    /// SELinux context.
    pub context: &'a str,
    /// SELinux mode in which the steps ran.
    pub mode: Mode,
    /// The path of the program that it executes.
    pub exe: &'a str,
    /// Processes that a transcript names instead of their ids.
    pub tasks: &'a [(String, u32)],
}

/// A parsed AVC record, from either form. `Display` writes it as a transcript does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Avc {
    /// `denied` or `granted`.
    pub verb: String,
    /// The permissions between the braces, in the record's order.
    pub permissions: Vec<String>,
    /// `key=value` pairs in the record's order, values as written, quotes included.
    pub fields: Vec<(String, String)>,
}

impl<'a> Subject<'a> {
    /// The name of the process with this id.
    pub(super) fn task(&self, pid: &str) -> Option<&'a str> {
        let found = self.tasks.iter().find(|(_, known)| known.to_string() == pid);
        found.map(|(name, _)| name.as_str())
    }

    /// A path with the name of the process instead of its id: `/proc/{subject}/maps`.
    pub(super) fn named_path(&self, path: &str) -> String {
        let parts = path.strip_prefix("\"/proc/").and_then(|rest| rest.split_once('/'));
        let Some((pid, file)) = parts else { return path.to_owned() };
        let own = (pid == self.pid.to_string()).then_some("subject");
        match own.or_else(|| self.task(pid)) {
            Some(name) => format!("\"/proc/{{{name}}}/{file}"),
            None => path.to_owned(),
        }
    }

    /// The type of a context that differs from the subject's at most in its type.
    #[must_use]
    pub fn type_in<'b>(&self, context: &'b str) -> Option<&'b str> {
        type_beside(self.context, context)
    }
}

/// The type of a context that differs from a process's at most in its type.
fn type_beside<'a>(own: &str, context: &'a str) -> Option<&'a str> {
    let (own, other) = (split_context(own)?, split_context(context)?);
    ((own.0, own.2) == (other.0, other.2)).then_some(other.1)
}

/// A context as the short form of a record about a process with the context `own` has it.
#[must_use]
pub fn short_context<'a>(context: &'a str, own: &str) -> &'a str {
    type_beside(own, context).unwrap_or(context)
}

/// Splits a context, `user:role:type:level`, into `user:role:`, `type` and `:level`. Without MLS,
/// there is no level.
fn split_context(context: &str) -> Option<(&str, &str, &str)> {
    let role = context.find(':')? + 1;
    let start = role + context[role..].find(':')? + 1;
    let end = context[start..].find(':').map_or(context.len(), |at| start + at);
    Some((&context[..start], &context[start..end], &context[end..]))
}

impl Avc {
    /// Parses the text after `avc:` of a record, or after `avc` of a short form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (verb, rest) = text.trim_start().split_once(char::is_whitespace)?;
        let (permissions, rest) = rest.trim_start().strip_prefix('{')?.split_once('}')?;
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("for ").unwrap_or(rest);
        let fields = words(rest)
            .map(|field| field.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
            .collect::<Option<Vec<_>>>()?;
        let permissions: Vec<_> = permissions.split_whitespace().map(str::to_owned).collect();
        let known = matches!(verb, "denied" | "granted") && !permissions.is_empty();
        known.then(|| Self { verb: verb.to_owned(), permissions, fields })
    }

    /// The value of a field as written, quotes included.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The short form: the record without the fields that have their default.
    #[must_use]
    pub fn short(&self, subject: &Subject<'_>) -> Self {
        let given = self
            .fields
            .iter()
            .filter(|(key, value)| self.default(key, subject).as_ref() != Some(value));
        let fields = given.map(|(key, value)| {
            let value = match key.as_str() {
                "path" => return (key.clone(), subject.named_path(value)),
                "pid" => subject.task(value).unwrap_or(value),
                // An inode number of an in-memory file system is different in every boot.
                "ino" => ANY,
                "scontext" | "tcontext" => subject.type_in(value).unwrap_or(value),
                // Written by audit_log_untrustedstring(), in quotes.
                "srawcon" | "trawcon" => subject.type_in(value.trim_matches('"')).unwrap_or(value),
                _ => value,
            };
            (key.clone(), value.to_owned())
        });
        let fields = fields.collect();
        Self { verb: self.verb.clone(), permissions: self.permissions.clone(), fields }
    }

    /// The record in the kernel's form, with defaults for the fields that are missing.
    #[must_use]
    pub fn expand(&self, subject: &Subject<'_>) -> String {
        const HEAD: [&str; 2] = ["pid", "comm"];
        const TAIL: [&str; 4] = ["scontext", "tcontext", "tclass", "permissive"];
        let mut text = format!("avc:  {}  {{ {} }} for ", self.verb, self.permissions.join(" "));
        let fixed = |text: &mut String, key: &str| {
            let given = self.field(key).map(str::to_owned);
            if let Some(value) = given.or_else(|| self.default(key, subject)) {
                let _ = write!(text, " {key}={value}");
            }
        };
        HEAD.iter().for_each(|key| fixed(&mut text, key));
        let (before, after): (Vec<_>, Vec<_>) = self
            .fields
            .iter()
            .filter(|(key, _)| !HEAD.contains(&key.as_str()) && !TAIL.contains(&key.as_str()))
            // The original of a context that the policy made invalid comes last.
            .partition(|(key, _)| !matches!(key.as_str(), "srawcon" | "trawcon"));
        for (key, value) in before {
            // dump_common_audit_data() prints " capability=%d " with a space on both sides.
            let space = if key == "capability" { " " } else { "" };
            let _ = write!(text, " {key}={value}{space}");
        }
        TAIL.iter().for_each(|key| fixed(&mut text, key));
        for (key, value) in after {
            let _ = write!(text, " {key}={value}");
        }
        text
    }

    fn default(&self, key: &str, subject: &Subject<'_>) -> Option<String> {
        match key {
            "pid" => Some(subject.pid.to_string()),
            "comm" => Some(quoted(subject.comm)),
            "scontext" => Some(subject.context.to_owned()),
            "tcontext" => Some(self.field("scontext").unwrap_or(subject.context).to_owned()),
            // Only denials have it (avc_audit_post_callback()).
            "permissive" if self.verb == "denied" => {
                Some(u8::from(subject.mode == Mode::Permissive).to_string())
            }
            _ => None,
        }
    }
}

impl fmt::Display for Avc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "avc {} {{ {} }}", self.verb, self.permissions.join(" "))?;
        self.fields.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
    }
}

/// Splits at blanks outside of quotes: `lockdown_reason="use of kprobes"` is one word.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |letter: char| {
        quoted ^= letter == '"';
        letter.is_ascii_whitespace() && !quoted
    })
    .filter(|word| !word.is_empty())
}

/// Formats a string as `audit_log_untrustedstring()` does: quoted, or in hex if it contains a
/// quote, a blank or a byte outside printable ASCII.
pub(crate) fn quoted(text: &str) -> String {
    if text.bytes().any(|byte| byte == b'"' || !(0x21..=0x7e).contains(&byte)) {
        return text.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02X}"));
    }
    format!("\"{text}\"")
}

/// An AVC record as an effect: the short form if it expands to the record byte for byte, otherwise
/// the whole record.
pub(super) fn avc_effect(record: &str, subject: &Subject<'_>) -> Effect {
    let avc = record.strip_prefix("avc:").and_then(Avc::parse);
    match avc.filter(|avc| avc.expand(subject) == record) {
        Some(avc) => Effect::read(&avc.short(subject).to_string()),
        None => Effect::Verbatim(format!("avc whole {record}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const CONTEXT: &str = "u:r:none_t:s0:c2";

    fn subject(mode: Mode) -> Subject<'static> {
        Subject {
            pid: 89,
            comm: "probe-P",
            context: CONTEXT,
            mode,
            exe: "/tmp/none/probe-P",
            tasks: &[],
        }
    }

    // Records of a 6.1 kernel, as received over netlink; the one of class lockdown is from 5.10.
    #[rstest]
    #[case(
        "avc:  denied  { open } for  pid=89 comm=\"probe-P\" \
         scontext=u:r:none_t:s0:c2 tcontext=u:r:none_t:s0:c2 tclass=perf_event permissive=1",
        "avc denied { open } tclass=perf_event"
    )]
    #[case(
        "avc:  denied  { perfmon } for  pid=89 comm=\"probe-P\" capability=38  \
         scontext=u:r:none_t:s0:c2 tcontext=u:r:none_t:s0:c2 tclass=capability2 permissive=1",
        "avc denied { perfmon } capability=38 tclass=capability2"
    )]
    #[case(
        "avc:  denied  { confidentiality } for  pid=89 comm=\"probe-P\" \
         lockdown_reason=\"use of kprobes\" \
         scontext=u:r:none_t:s0:c2 tcontext=u:r:none_t:s0:c2 tclass=lockdown permissive=1",
        r#"avc denied { confidentiality } lockdown_reason="use of kprobes" tclass=lockdown"#
    )]
    #[case(
        "avc:  denied  { read } for  pid=89 comm=\"probe-P\" \
         scontext=u:r:none_t:s0:c2 tcontext=u:r:kernel_t:s0 tclass=perf_event permissive=1",
        "avc denied { read } tcontext=u:r:kernel_t:s0 tclass=perf_event"
    )]
    #[case(
        "avc:  denied  { open } for  pid=90 comm=\"probe-P\" \
         scontext=u:r:none_t:s0:c2 tcontext=u:r:none_t:s0:c2 tclass=perf_event permissive=0",
        "avc denied { open } pid=90 tclass=perf_event permissive=0"
    )]
    #[case(
        "avc:  granted  { open } for  pid=89 comm=\"probe-P\" \
         scontext=u:r:none_t:s0:c2 tcontext=u:r:none_t:s0:c2 tclass=perf_event",
        "avc granted { open } tclass=perf_event"
    )]
    fn a_record_has_one_short_form(#[case] record: &str, #[case] short: &str) {
        let subject = subject(Mode::Permissive);
        assert_eq!(avc_effect(record, &subject).to_string(), short);
        let back = Avc::parse(short.strip_prefix("avc").unwrap()).unwrap();
        assert_eq!(back.expand(&subject), record);
    }

    #[test]
    fn a_process_to_which_the_subject_handed_over_has_its_name() {
        let record = "avc:  denied  { use } for  pid=90 comm=\"probe-P\" \
            scontext=u:r:none_t:s0:c2 tcontext=u:r:none_t:s0:c2 tclass=fd permissive=0";
        let tasks = [("child".to_owned(), 90)];
        let subject = Subject { tasks: &tasks, ..subject(Mode::Enforcing) };
        let short = avc_effect(record, &subject);
        assert_eq!(short.to_string(), "avc denied { use } pid=child tclass=fd");
    }

    #[rstest]
    #[case("/proc/89/maps", "/proc/{subject}/maps")]
    #[case("/proc/90/maps", "/proc/{child}/maps")]
    #[case("/proc/91/maps", "/proc/91/maps")]
    #[case("/proc/89", "/proc/89")]
    #[case("/tmp/89/maps", "/tmp/89/maps")]
    fn a_path_below_proc_has_the_name_of_the_process(#[case] path: &str, #[case] named: &str) {
        let record = format!(
            "avc:  denied  {{ ioctl }} for  pid=89 comm=\"probe-P\" path=\"{path}\" dev=\"proc\" \
             ino=5051 ioctlcmd=0x2401 scontext=u:r:none_t:s0:c2 tcontext=u:r:none_t:s0:c2 \
             tclass=file permissive=0"
        );
        let tasks = [("child".to_owned(), 90)];
        let subject = Subject { tasks: &tasks, ..subject(Mode::Enforcing) };
        let short = format!(
            "avc denied {{ ioctl }} path=\"{named}\" dev=\"proc\" ino=* ioctlcmd=0x2401 tclass=file"
        );
        assert_eq!(avc_effect(&record, &subject).to_string(), short);
    }

    #[test]
    fn a_context_that_differs_only_in_its_type_is_written_as_that_type() {
        let record = "avc:  denied  { use } for  pid=89 comm=\"probe-P\" \
            scontext=u:r:none_t:s0:c2 tcontext=u:r:owner_t:s0:c2 tclass=fd permissive=0";
        let short = avc_effect(record, &subject(Mode::Enforcing));
        assert_eq!(short.to_string(), "avc denied { use } tcontext=owner_t tclass=fd");
    }

    #[rstest]
    #[case(
        "avc: denied  { open } for  pid=89 comm=\"probe-P\" \
         scontext=a tcontext=a tclass=x permissive=1"
    )]
    #[case(
        "avc:  denied  { open } for  pid=89 comm=\"probe-P\" \
         scontext=a tcontext=a  tclass=x permissive=1"
    )]
    #[case(
        "avc:  denied  { open } for  comm=\"probe-P\" \
         pid=89 scontext=a tcontext=a tclass=x permissive=1"
    )]
    #[case("avc:  nonsense")]
    fn a_malformed_record_is_written_whole(#[case] record: &str) {
        let whole = Effect::Verbatim(format!("avc whole {record}"));
        assert_eq!(avc_effect(record, &subject(Mode::Permissive)), whole);
    }

    #[test]
    fn a_comm_with_a_blank_is_in_hex() {
        assert_eq!(quoted("a b"), "612062");
        assert_eq!(quoted("perf"), "\"perf\"");
    }

    /// A regular expression for well-formed records.
    const RECORDS: &str = concat!(
        r#"avc:  (denied|granted)  \{ [a-z_ ]{1,12} \} for  "#,
        r#"(pid=[0-9]{1,3} )?(comm="[a-z]{1,6}" )?(capability=[0-9]{1,2}  )?"#,
        r#"scontext=[a-z:0-9]{1,9} tcontext=[a-z:0-9]{1,9} tclass=[a-z_]{1,9}( permissive=[01])?"#,
    );

    proptest! {
        #[test]
        fn a_short_form_expands_to_its_record(record in RECORDS) {
            let subject = subject(Mode::Enforcing);
            if let Effect::Avc(short) = avc_effect(&record, &subject) {
                prop_assert_eq!(short.expand(&subject), record);
            }
        }

        #[test]
        fn hostile_records_never_panic(record in ".{0,200}") {
            let _ = avc_effect(&record, &subject(Mode::Enforcing));
        }
    }
}
