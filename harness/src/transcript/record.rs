//! Audit records that describe a syscall and its event, as a transcript writes them.
//!
//! A field is left out if it repeats what is known from elsewhere: the subject's ids, names and
//! context, the call with its arguments and its result as the subject saw them. A field that the
//! record lacks is written as `KEY=-`. A record with a field that it should not have, or in another
//! order, is written whole.

use std::fmt;
use std::str::FromStr;

use perfsec_wire::observation::RawCall;
use perfsec_wire::{CapSet, record_types};

use super::avc::{quoted, words};
use super::{Effect, Subject};

/// The value of a field that a record lacks.
const MISSING: &str = "-";

/// A type of record that a case can request with `records`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// The syscall that caused the event.
    Syscall,
    /// The file capabilities of an exec.
    BprmFcaps,
    /// The arguments of an exec.
    Execve,
    /// The new sets of a `capset(2)`.
    Capset,
    /// A change of audit's rules.
    ConfigChange,
    /// The working directory.
    Cwd,
    /// A path that the syscall looked up.
    Path,
    /// The process's command line.
    Proctitle,
    /// The descriptor and the flags of an `mmap(2)`.
    Mmap,
    /// A BPF program that was loaded or unloaded.
    Bpf,
    /// The end of an event.
    Eoe,
}

/// The form of a field.
enum Form {
    /// Always written.
    Plain,
    /// Always written; below `/proc`, with the name of the process.
    Path,
    /// Never written: it varies from boot to boot.
    Varies,
    /// Left out if it has this value.
    Default(&'static str),
    /// Left out if it repeats what is known.
    Repeats(Known),
    /// A set of capabilities in hex, written by their names; left out if it is empty.
    Caps,
    /// A context, written by its type if that is the only difference from the subject's.
    Context,
    /// A command line, left out if it is the path of the program.
    Title,
    /// Left out if the record lacks it.
    Optional,
}

/// Something that is known without the record.
#[derive(Clone, Copy)]
enum Known {
    Arch,
    Number,
    Success,
    Exit,
    Argument(usize),
    Parent,
    Pid,
    Id,
    Comm,
    Exe,
    Context,
}

impl RecordType {
    /// All of them, with their names and numbers.
    const ALL: [(Self, &'static str, u16); 11] = [
        (Self::Syscall, "SYSCALL", record_types::SYSCALL),
        (Self::BprmFcaps, "BPRM_FCAPS", record_types::BPRM_FCAPS),
        (Self::Execve, "EXECVE", record_types::EXECVE),
        (Self::Capset, "CAPSET", record_types::CAPSET),
        (Self::ConfigChange, "CONFIG_CHANGE", record_types::CONFIG_CHANGE),
        (Self::Cwd, "CWD", record_types::CWD),
        (Self::Path, "PATH", record_types::PATH),
        (Self::Proctitle, "PROCTITLE", record_types::PROCTITLE),
        (Self::Mmap, "MMAP", record_types::MMAP),
        (Self::Bpf, "BPF", record_types::BPF),
        (Self::Eoe, "EOE", record_types::EOE),
    ];

    /// Its name, as in `ausearch -m`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, _)| name)
    }

    /// The type with this number.
    #[must_use]
    pub(super) fn numbered(number: u16) -> Option<Self> {
        Self::ALL.iter().find(|(.., known)| *known == number).map(|(kind, ..)| *kind)
    }

    /// True if every event of a syscall has it that the kernel logs, also of one that failed:
    /// `audit_log_exit()`. The others depend on how far the syscall came.
    #[must_use]
    pub(crate) fn is_of_every_event(self) -> bool {
        matches!(self, Self::Syscall | Self::Cwd | Self::Path | Self::Proctitle | Self::Eoe)
    }

    /// True if it makes the kernel log the event, as an AVC record does (`audit_log_start()`).
    #[must_use]
    pub(crate) fn starts_event(self) -> bool {
        matches!(self, Self::Bpf | Self::ConfigChange)
    }

    /// Its fields, in the kernel's order.
    fn fields(self) -> &'static [(&'static str, Form)] {
        use Form::{Caps, Context, Default, Optional, Path, Plain, Repeats, Title, Varies};
        match self {
            // audit_log_exit(), audit_log_task_info(), audit_log_key()
            Self::Syscall => &[
                ("arch", Repeats(Known::Arch)),
                ("syscall", Repeats(Known::Number)),
                ("per", Optional),
                ("success", Repeats(Known::Success)),
                ("exit", Repeats(Known::Exit)),
                ("a0", Repeats(Known::Argument(0))),
                ("a1", Repeats(Known::Argument(1))),
                ("a2", Repeats(Known::Argument(2))),
                ("a3", Repeats(Known::Argument(3))),
                ("items", Default("0")),
                ("ppid", Repeats(Known::Parent)),
                ("pid", Repeats(Known::Pid)),
                ("auid", Default("4294967295")),
                ("uid", Repeats(Known::Id)),
                ("gid", Repeats(Known::Id)),
                ("euid", Repeats(Known::Id)),
                ("suid", Repeats(Known::Id)),
                ("fsuid", Repeats(Known::Id)),
                ("egid", Repeats(Known::Id)),
                ("sgid", Repeats(Known::Id)),
                ("fsgid", Repeats(Known::Id)),
                ("tty", Default("(none)")),
                ("ses", Default("4294967295")),
                ("comm", Repeats(Known::Comm)),
                ("exe", Repeats(Known::Exe)),
                ("subj", Repeats(Known::Context)),
                ("key", Default("(null)")),
            ],
            // audit_log_exit(), audit_log_cap()
            Self::BprmFcaps => &[
                ("fver", Plain),
                ("fp", Caps),
                ("fi", Caps),
                ("fe", Plain),
                ("old_pp", Caps),
                ("old_pi", Caps),
                ("old_pe", Caps),
                ("old_pa", Caps),
                ("pp", Caps),
                ("pi", Caps),
                ("pe", Caps),
                ("pa", Caps),
                ("frootid", Default("0")),
            ],
            // audit_log_execve_info(); the arguments follow, see `argument()`.
            Self::Execve => &[("argc", Default("1"))],
            // show_special()
            Self::Capset => &[
                ("pid", Repeats(Known::Pid)),
                ("cap_pi", Caps),
                ("cap_pp", Caps),
                ("cap_pe", Caps),
                ("cap_pa", Caps),
            ],
            // audit_watch_log_rule_change() writes no blank before `op`, which ends up in `ses`.
            Self::ConfigChange => &[
                ("auid", Default("4294967295")),
                ("ses", Plain),
                ("path", Path),
                ("key", Default("(null)")),
                ("list", Plain),
                ("res", Plain),
            ],
            Self::Cwd => &[("cwd", Plain)],
            // audit_log_name(), audit_log_fcaps()
            Self::Path => &[
                ("item", Plain),
                ("name", Path),
                ("inode", Varies),
                ("dev", Varies),
                ("mode", Plain),
                ("ouid", Plain),
                ("ogid", Plain),
                ("rdev", Default("00:00")),
                ("obj", Context),
                ("nametype", Default("NORMAL")),
                ("cap_fp", Caps),
                ("cap_fi", Caps),
                ("cap_fe", Default("0")),
                ("cap_fver", Default("0")),
                ("cap_frootid", Default("0")),
            ],
            Self::Proctitle => &[("proctitle", Title)],
            // show_special()
            Self::Mmap => &[("fd", Plain), ("flags", Plain)],
            // bpf_audit_prog()
            Self::Bpf => &[("prog-id", Varies), ("op", Plain)],
            Self::Eoe => &[],
        }
    }

    fn place(self, key: &str) -> Option<(usize, usize)> {
        let fixed = self.fields().iter().position(|(known, _)| *known == key);
        match fixed {
            Some(place) => Some((place, 0)),
            None if self == Self::Execve => argument(key),
            None => None,
        }
    }
}

/// The place of a field of an EXECVE record behind `argc`: `a1`, or if an argument is logged in
/// parts `a1_len`, `a1[0]`, `a1[1]`, … (`audit_log_execve_info()`).
fn argument(key: &str) -> Option<(usize, usize)> {
    let number = |text: &str| text.parse::<usize>().ok().filter(|it| it.to_string() == text);
    let key = key.strip_prefix('a')?;
    let (index, part) = match key.split_once('[') {
        Some((index, part)) => (index, number(part.strip_suffix(']')?)?.checked_add(1)?),
        None => (key.strip_suffix("_len").unwrap_or(key), 0),
    };
    Some((number(index)?.checked_add(1)?, part))
}

impl FromStr for RecordType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name, _)| *name == text);
        found.map(|(kind, ..)| *kind).ok_or_else(|| {
            let names = Self::ALL.map(|(_, name, _)| name);
            match crate::suggest::closest(text, names).as_str() {
                "" => format!("no type of record `{text}`: one of `{}`", names.join("`, `")),
                close => format!("no type of record `{text}`{close}"),
            }
        })
    }
}

impl schemars::JsonSchema for RecordType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RecordType".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "enum": Self::ALL.map(|(_, name, _)| name),
            "description": "A type of audit record.",
        })
    }
}

/// A record with the fields that are not left out, in the kernel's order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordLine {
    /// Its type.
    pub kind: RecordType,
    /// The fields.
    pub fields: Vec<(String, String)>,
}

impl RecordLine {
    /// Adds a field unless the line has it.
    pub(crate) fn add(&mut self, key: &str, value: impl Into<String>) {
        if self.fields.iter().all(|(known, _)| known != key) {
            self.fields.push((key.to_owned(), value.into()));
            self.sort();
        }
    }

    fn sort(&mut self) {
        let kind = self.kind;
        self.fields.sort_by_key(|(key, _)| kind.place(key));
    }
}

impl fmt::Display for RecordLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}", self.kind.name())?;
        self.fields.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
    }
}

impl FromStr for RecordLine {
    type Err = String;

    /// Reads a line without the word `record`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, fields) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let kind: RecordType = kind.parse()?;
        let mut line = Self { kind, fields: Vec::new() };
        for word in words(fields) {
            let (key, value) =
                word.split_once('=').ok_or_else(|| format!("`{word}` is not a field KEY=VALUE"))?;
            if kind.place(key).is_none() {
                let names = kind.fields().iter().map(|(name, _)| *name);
                let close = crate::suggest::closest(key, names);
                return Err(format!("a {} record has no field `{key}`{close}", kind.name()));
            }
            line.fields.push((key.to_owned(), value.to_owned()));
        }
        line.sort();
        Ok(line)
    }
}

/// The state of the process that a record is about, and its syscall.
pub(super) struct RecordContext<'a> {
    pub(super) subject: Subject<'a>,
    /// The user and group id with which the subject started.
    pub(super) uid: u32,
    /// The syscall as the process made it.
    pub(super) call: Option<&'a RawCall>,
}

impl RecordContext<'_> {
    /// The value of a field that repeats something known.
    fn value(&self, known: Known) -> Option<String> {
        let call = self.call;
        match known {
            // AUDIT_ARCH_X86_64, AUDIT_ARCH_I386
            Known::Arch => {
                call.map(|call| if call.compat { "40000003" } else { "c000003e" }.into())
            }
            Known::Number => call.map(|call| call.number.to_string()),
            Known::Success => call.map(|call| if call.result < 0 { "no" } else { "yes" }.into()),
            Known::Exit => call.map(|call| call.result.to_string()),
            Known::Argument(index) => call.map(|call| format!("{:x}", call.arguments[index])),
            // The agent starts the subject.
            Known::Parent => Some("1".to_owned()),
            Known::Pid => Some(self.subject.pid.to_string()),
            Known::Id => Some(self.uid.to_string()),
            Known::Comm => Some(quoted(self.subject.comm)),
            Known::Exe => Some(quoted(self.subject.exe)),
            Known::Context => Some(self.subject.context.to_owned()),
        }
    }

    /// A field as a transcript has it, or `None` if it is left out.
    fn written(&self, form: &Form, value: Option<&str>) -> Option<String> {
        let Some(value) = value else {
            let left_out = match form {
                Form::Optional => true,
                // audit_log_task_context(): without a security module, there is no context.
                Form::Repeats(Known::Context) => self.subject.context.is_empty(),
                _ => false,
            };
            return (!left_out).then(|| MISSING.to_owned());
        };
        let known = match form {
            Form::Varies => true,
            Form::Default(default) => value == *default,
            Form::Title => value == quoted(self.subject.exe),
            Form::Repeats(known) => self.value(*known).as_deref() == Some(value),
            Form::Caps => value == "0",
            Form::Plain | Form::Path | Form::Context | Form::Optional => false,
        };
        if known {
            return None;
        }
        let written = match form {
            Form::Caps => caps(value).map(|set| set.to_string()),
            Form::Title => title(value),
            Form::Path => Some(self.subject.named_path(value)),
            Form::Context | Form::Repeats(Known::Context) => {
                self.subject.type_in(value).map(str::to_owned)
            }
            Form::Repeats(Known::Parent | Known::Pid) => {
                let own = value == self.subject.pid.to_string();
                let name = if own { Some("subject") } else { self.subject.task(value) };
                name.map(str::to_owned)
            }
            _ => None,
        };
        Some(abbreviate(written.as_deref().unwrap_or(value)))
    }
}

/// A command line that is logged in hex because of the NULs between its arguments; `None` if it is
/// written in another way.
fn title(value: &str) -> Option<String> {
    let bytes = crate::unhex(value)?;
    Some(format!("{:?}", str::from_utf8(&bytes).ok()?))
}

/// Writes each unit of one or two characters that is repeated over more than 64 as `{UNIT*COUNT}`.
fn abbreviate(value: &str) -> String {
    const SHORT: usize = 64;
    let letters: Vec<char> = value.chars().collect();
    let repeated = |rest: &[char], unit: usize| {
        rest.chunks_exact(unit).take_while(|chunk| *chunk == &rest[..unit]).count()
    };
    let (mut out, mut rest) = (String::new(), letters.as_slice());
    while let [first, behind @ ..] = rest {
        let run = [1, 2].map(|unit| (unit, repeated(rest, unit)));
        match run.into_iter().find(|(unit, count)| unit * count > SHORT) {
            Some((unit, count)) => {
                let text: String = rest[..unit].iter().collect();
                out += &format!("{{{text}*{count}}}");
                rest = &rest[unit * count..];
            }
            None => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    out
}

/// A set as `audit_log_cap()` writes it; `None` if it is written in another way.
fn caps(value: &str) -> Option<CapSet> {
    let set = u64::from_str_radix(value, 16).ok()?;
    (format!("{set:016x}") == value).then_some(CapSet(set))
}

/// A record as an effect. `body` is its text behind the serial.
pub(super) fn record_effect(kind: RecordType, body: &str, context: &RecordContext<'_>) -> Effect {
    let whole = || Effect::Verbatim(format!("record {} whole {body}", kind.name()));
    // A record that continues another begins with the blank between two arguments.
    let continued = body.strip_prefix(' ').filter(|_| kind == RecordType::Execve);
    let body = continued.unwrap_or(body);
    let mut found: Vec<(&str, &str)> = Vec::new();
    let mut last = None;
    for word in words(body) {
        let Some((key, value)) = word.split_once('=') else { return whole() };
        let place = kind.place(key);
        if place <= last {
            return whole();
        }
        last = place;
        found.push((key, value));
    }
    let rejoined: Vec<_> = found.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if rejoined.join(" ") != body {
        return whole();
    }
    let fixed = kind.fields().iter().filter_map(|(key, form)| {
        let value = found.iter().find(|(known, _)| known == key).map(|(_, value)| *value);
        Some(((*key).to_owned(), context.written(form, value)?))
    });
    let is_fixed = |key: &str| kind.fields().iter().any(|(known, _)| *known == key);
    let arguments = found.iter().filter(|(key, _)| !is_fixed(key));
    let arguments = arguments.map(|(key, value)| ((*key).to_owned(), abbreviate(value)));
    let fields = fixed.chain(arguments).collect();
    Effect::read(&RecordLine { kind, fields }.to_string())
}

#[cfg(test)]
mod tests {
    use perfsec_wire::Mode;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const EXE: &str = "/tmp/perfmon/subject";

    fn effect(kind: RecordType, body: &str, call: Option<&RawCall>) -> String {
        let tasks = [("child".to_owned(), 90)];
        let subject = Subject {
            pid: 89,
            comm: "subject",
            context: "u:r:all_t:s0:c2",
            mode: Mode::Enforcing,
            exe: EXE,
            tasks: &tasks,
        };
        let context = RecordContext { subject, uid: 1000, call };
        record_effect(kind, body, &context).to_string()
    }

    fn open() -> RawCall {
        RawCall { compat: false, number: 298, arguments: [0x1000, 0, 1, 2], result: -13 }
    }

    const SYSCALL: &str = "arch=c000003e syscall=298 success=no exit=-13 a0=1000 a1=0 a2=1 a3=2 \
        items=0 ppid=1 pid=89 auid=4294967295 uid=1000 gid=1000 euid=1000 suid=1000 fsuid=1000 \
        egid=1000 sgid=1000 fsgid=1000 tty=(none) ses=4294967295 comm=\"subject\" \
        exe=\"/tmp/perfmon/subject\" subj=u:r:all_t:s0:c2 key=(null)";

    #[test]
    fn a_syscall_record_that_repeats_what_is_known_has_no_fields() {
        assert_eq!(effect(RecordType::Syscall, SYSCALL, Some(&open())), "record SYSCALL");
    }

    // The text to replace, its replacement, and the fields of the line.
    #[rstest]
    #[case("success=no", "success=yes", "success=yes")]
    #[case("a1=0", "a1=1", "a1=1")]
    #[case("arch=c000003e", "arch=40000003", "arch=40000003")]
    #[case("items=0", "items=2", "items=2")]
    #[case("ppid=1 pid=89", "ppid=89 pid=90", "ppid=subject pid=child")]
    #[case(" uid=1000", " uid=0", "uid=0")]
    #[case("suid=1000 ", "suid=0 ", "suid=0")]
    #[case("comm=\"subject\"", "comm=\"worker\"", "comm=\"worker\"")]
    #[case("subj=u:r:all_t:s0:c2", "subj=u:r:none_t:s0:c2", "subj=none_t")]
    #[case("key=(null)", "key=\"perfsec\"", "key=\"perfsec\"")]
    #[case(" ses=4294967295", "", "ses=-")]
    #[case(" subj=u:r:all_t:s0:c2", "", "subj=-")]
    #[case("syscall=298", "syscall=298 per=8", "per=8")]
    fn a_field_that_says_something_else_is_written(
        #[case] from: &str,
        #[case] to: &str,
        #[case] fields: &str,
    ) {
        let body = SYSCALL.replacen(from, to, 1);
        assert_ne!(body, SYSCALL);
        let expected = format!("record SYSCALL {fields}");
        assert_eq!(effect(RecordType::Syscall, &body, Some(&open())), expected);
    }

    #[rstest]
    #[case("tty=(none) ses=4294967295", "ses=4294967295 tty=(none)")]
    #[case("items=0", "items=0 items=0")]
    #[case("items=0", "items=0 elements=0")]
    #[case("items=0", " items=0")]
    #[case("items=0", "items")]
    fn a_record_out_of_shape_is_written_whole(#[case] from: &str, #[case] to: &str) {
        let body = SYSCALL.replacen(from, to, 1);
        let expected = format!("record SYSCALL whole {body}");
        assert_eq!(effect(RecordType::Syscall, &body, Some(&open())), expected);
    }

    #[test]
    fn arguments_out_of_order_are_written_whole() {
        let body = "argc=3 a0=78 a2=78 a1=78";
        assert_eq!(effect(RecordType::Execve, body, None), format!("record EXECVE whole {body}"));
    }

    #[test]
    fn of_a_syscall_that_is_not_known_every_argument_is_written() {
        let line = effect(RecordType::Syscall, SYSCALL, None);
        let expected = "record SYSCALL arch=c000003e syscall=298 success=no exit=-13 a0=1000 a1=0 \
                        a2=1 a3=2";
        assert_eq!(line, expected);
    }

    // Records of debian:6.1.
    #[rstest]
    #[case(
        RecordType::BprmFcaps,
        "fver=2 fp=0000004000000000 fi=0 fe=1 old_pp=0 old_pi=0 old_pe=0 old_pa=0 \
         pp=0000004000000000 pi=0 pe=0000004000000000 pa=0 frootid=0",
        "record BPRM_FCAPS fver=2 fp=perfmon fe=1 pp=perfmon pe=perfmon"
    )]
    #[case(
        RecordType::Capset,
        "pid=90 cap_pi=0 cap_pp=0000004000200000 cap_pe=0000000000200000 cap_pa=0",
        "record CAPSET pid=child cap_pp=perfmon+sys_admin cap_pe=sys_admin"
    )]
    #[case(
        RecordType::Path,
        "item=0 name=\"/tmp/perfmon/subject\" inode=12 dev=00:1a mode=0100755 ouid=0 ogid=0 \
         rdev=00:00 obj=u:object_r:object_t:s0 nametype=NORMAL cap_fp=0000004000000000 cap_fi=0 \
         cap_fe=1 cap_fver=2 cap_frootid=0",
        "record PATH item=0 name=\"/tmp/perfmon/subject\" mode=0100755 ouid=0 ogid=0 \
         obj=u:object_r:object_t:s0 cap_fp=perfmon cap_fe=1 cap_fver=2"
    )]
    #[case(
        RecordType::Execve,
        "argc=1 a0=\"/tmp/perfmon/subject\"",
        "record EXECVE a0=\"/tmp/perfmon/subject\""
    )]
    #[case(
        RecordType::Execve,
        "argc=3 a0=\"\" a1=612062 a2_len=2 a2[0]=78 a2[1]=78",
        "record EXECVE argc=3 a0=\"\" a1=612062 a2_len=2 a2[0]=78 a2[1]=78"
    )]
    #[case(RecordType::Execve, " a2[10]=78", "record EXECVE argc=- a2[10]=78")]
    #[case(RecordType::Bpf, "prog-id=7 op=LOAD", "record BPF op=LOAD")]
    #[case(RecordType::Cwd, "cwd=\"/\"", "record CWD cwd=\"/\"")]
    #[case(RecordType::Eoe, "", "record EOE")]
    #[case(RecordType::Proctitle, "proctitle=\"/tmp/perfmon/subject\"", "record PROCTITLE")]
    #[case(
        RecordType::Proctitle,
        "proctitle=2F746D702F612062002D78",
        "record PROCTITLE proctitle=\"/tmp/a b\\0-x\""
    )]
    #[case(RecordType::Proctitle, "proctitle=\"sh\"", "record PROCTITLE proctitle=\"sh\"")]
    fn a_record_is_written_briefly(
        #[case] kind: RecordType,
        #[case] body: &str,
        #[case] line: &str,
    ) {
        assert_eq!(effect(kind, body, None), line);
        assert_eq!(line.parse::<Effect>().unwrap().to_string(), line);
    }

    #[rstest]
    #[case("\"ab\"", "\"ab\"")]
    #[case(&"x".repeat(64), &"x".repeat(64))]
    #[case(&format!("\"{}\"", "x".repeat(65)), "\"{x*65}\"")]
    #[case(&format!("61{}", "78".repeat(3000)), "61{78*3000}")]
    #[case(&"é".repeat(70), "{é*70}")]
    fn a_long_run_is_counted(#[case] value: &str, #[case] text: &str) {
        assert_eq!(abbreviate(value), text);
    }

    #[test]
    fn a_person_may_write_fields_in_any_order() {
        let line: RecordLine = "SYSCALL key=\"a b\" items=2".parse().unwrap();
        assert_eq!(line.to_string(), "record SYSCALL items=2 key=\"a b\"");
    }

    #[rstest]
    #[case("SYSCAL", "did you mean `SYSCALL`?")]
    #[case("SYSCALL itmes=2", "did you mean `items`?")]
    #[case("CWD /", "is not a field")]
    fn a_mistake_is_reported(#[case] text: &str, #[case] part: &str) {
        let error = text.parse::<RecordLine>().unwrap_err();
        assert!(error.contains(part), "{error}");
    }

    proptest! {
        #[test]
        fn hostile_records_never_panic(body in "([a-z0-9]{1,9}=|[ -~é]){0,30}") {
            for (kind, ..) in RecordType::ALL {
                effect(kind, &body, Some(&open()));
            }
        }
    }
}
