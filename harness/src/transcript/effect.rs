//! Effects of a syscall: the indented lines of a transcript.

use std::fmt;
use std::str::FromStr;

use perfsec_wire::{CapCheck, CapSet};
use serde::{Deserialize, Serialize};

use super::program::parse_call;
use super::{Avc, RecordLine};
use crate::grant::{cap_name, cap_number};

/// The indent of an effect of a program's call.
const BELOW: &str = "  ";
/// Stands for lines that are not listed.
const GAP: &str = "...";

/// An effect of a syscall. Files contain it as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Effect {
    /// `cap NAME = VERDICT`
    Cap(CapLine),
    /// `avc denied { … } …`
    Avc(Avc),
    /// `holds SET`: the process's capabilities after an exec.
    Holds(Holds),
    /// `domain TYPE`: the context's type after an exec, if it changed.
    Domain(String),
    /// `uid NUMBER`: the real user id after an exec, if it changed.
    Uid(u32),
    /// `kernel TEXT`: a line of the kernel log that matches the case's `messages`.
    Kernel(String),
    /// `selinux_err op=… …`: a refusal of SELinux that no rule can allow. Contexts are written as
    /// in an AVC record.
    SelinuxErr(String),
    /// `record SYSCALL …`: a record of a type that the case requests with `records`.
    Record(RecordLine),
    /// `record NUMBER BODY`: an audit record of a type that no other variant has.
    OtherRecord {
        /// Type of the record.
        kind: u16,
        /// Its text.
        body: String,
    },
    /// `[child] NAME(ARGUMENTS) = RESULT`: a system call of the program that the step runs.
    Called(String),
    /// An effect of the call above, indented below it.
    Caused(Box<Effect>),
    /// `output "TEXT"`: the program wrote a line with a text that the step selects.
    Output(String),
    /// `...`: calls that are not listed and left no audit record; with `avc`, any calls. Only a
    /// case contains it.
    Gap {
        /// True if they may have left audit records.
        recorded: bool,
    },
    /// `never TEXT`: no line of the program contains the text. Only a case contains it.
    Never(String),
    /// A line of a record that is none of these, such as an AVC record out of shape.
    Verbatim(String),
}

/// The capabilities of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holds {
    /// Permitted capabilities.
    pub permitted: CapSet,
    /// Effective capabilities.
    pub effective: CapSet,
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "holds {}", self.permitted)?;
        if self.effective != self.permitted {
            write!(f, ", effective {}", self.effective)?;
        }
        Ok(())
    }
}

/// A capability check and its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapLine {
    /// Capability number.
    pub cap: u32,
    /// True for a check with `CAP_OPT_NOAUDIT`.
    pub unaudited: bool,
    /// The result.
    pub verdict: CapVerdict,
}

/// The result of a capability check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CapVerdict {
    /// Held, and allowed by SELinux.
    Granted,
    /// Not in the effective set: commoncap refused, and SELinux was never asked.
    NotHeld,
    /// In the effective set, but refused by SELinux.
    Refused,
}

impl CapVerdict {
    const ALL: [Self; 3] = [Self::Granted, Self::NotHeld, Self::Refused];

    /// Its words in a transcript.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::NotHeld => "not held",
            Self::Refused => "refused by selinux",
        }
    }
}

impl From<&CapCheck> for CapLine {
    fn from(check: &CapCheck) -> Self {
        /// `CAP_OPT_NOAUDIT` of include/linux/security.h.
        const NOAUDIT: u32 = 1 << 1;
        let verdict = match (check.commoncap, check.verdict) {
            (_, 0) => CapVerdict::Granted,
            (0, _) => CapVerdict::Refused,
            _ => CapVerdict::NotHeld,
        };
        Self { cap: check.cap, unaudited: check.opts & NOAUDIT != 0, verdict }
    }
}

impl fmt::Display for CapLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unaudited = if self.unaudited { " unaudited" } else { "" };
        write!(f, "cap {}{unaudited} = {}", cap_name(self.cap), self.verdict.words())
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cap(line) => line.fmt(f),
            Self::Avc(avc) => avc.fmt(f),
            Self::Holds(holds) => holds.fmt(f),
            Self::Domain(domain) => write!(f, "domain {domain}"),
            Self::Uid(uid) => write!(f, "uid {uid}"),
            Self::Kernel(text) => write!(f, "kernel {text}"),
            Self::SelinuxErr(text) => write!(f, "selinux_err {text}"),
            Self::Record(line) => line.fmt(f),
            Self::OtherRecord { kind, body } => write!(f, "record {kind} {body}"),
            Self::Caused(effect) => write!(f, "{BELOW}{effect}"),
            Self::Output(text) => write!(f, "output {text:?}"),
            Self::Gap { recorded: false } => f.write_str(GAP),
            Self::Gap { recorded: true } => write!(f, "{GAP} avc"),
            Self::Never(text) => write!(f, "never {text}"),
            Self::Called(text) | Self::Verbatim(text) => f.write_str(text),
        }
    }
}

impl Effect {
    /// Reads an effect of a record. Displaying it returns exactly that text again.
    #[must_use]
    pub fn read(text: &str) -> Self {
        if let Some(below) = text.strip_prefix(BELOW) {
            return Self::Caused(Box::new(Self::read(below)));
        }
        let effect = text.parse().ok().filter(|effect: &Self| effect.to_string() == text);
        effect.unwrap_or_else(|| Self::Verbatim(text.to_owned()))
    }

    /// True for an audit record other than AVC and SELINUX_ERR.
    #[must_use]
    pub fn is_record(&self) -> bool {
        match self {
            Self::Record(_) | Self::OtherRecord { .. } => true,
            Self::Caused(effect) => effect.is_record(),
            _ => false,
        }
    }

    /// True if it is a capability check.
    #[must_use]
    pub fn is_check(&self) -> bool {
        match self {
            Self::Cap(_) => true,
            Self::Caused(effect) => effect.is_check(),
            _ => false,
        }
    }

    /// True if it can only be a line of a program.
    #[must_use]
    pub fn is_of_program(&self) -> bool {
        matches!(
            self,
            Self::Called(_) | Self::Caused(_) | Self::Output(_) | Self::Gap { .. } | Self::Never(_)
        )
    }
}

impl From<String> for Effect {
    fn from(text: String) -> Self {
        Self::read(&text)
    }
}

impl From<Effect> for String {
    fn from(effect: Effect) -> Self {
        effect.to_string()
    }
}

impl FromStr for Effect {
    type Err = String;

    /// Reads an effect that a person wrote; blanks may be more than one.
    ///
    /// # Errors
    ///
    /// If it is invalid: the mistake, and the likely correction.
    fn from_str(line: &str) -> Result<Self, String> {
        let line = line.trim();
        if let Some(call) = parse_call(line)? {
            return Ok(Self::Called(call));
        }
        if line == GAP {
            return Ok(Self::Gap { recorded: false });
        }
        match line.split_once(char::is_whitespace) {
            Some((GAP, "avc")) => Ok(Self::Gap { recorded: true }),
            Some(("never", rest)) => Ok(Self::Never(rest.trim().to_owned())),
            Some(("output", rest)) => parse_output(rest.trim()).map(Self::Output),
            Some(("cap", rest)) => parse_cap(rest).map(Self::Cap),
            Some(("avc", rest)) => match Avc::parse(rest) {
                Some(avc) if avc.field("tclass").is_none() => {
                    Err("an AVC record needs its class: add `tclass=…`".to_owned())
                }
                Some(avc) => Ok(Self::Avc(avc)),
                None => Err(format!(
                    "`{line}` is not an AVC record: write `avc denied {{ PERMISSION }} \
                     tclass=CLASS`"
                )),
            },
            Some(("holds", rest)) => parse_holds(rest).map(Self::Holds),
            Some(("domain", rest)) => Ok(Self::Domain(rest.trim().to_owned())),
            Some(("uid", rest)) => match rest.trim().parse() {
                Ok(uid) => Ok(Self::Uid(uid)),
                Err(_) => Err(format!("`{rest}` is not a user id")),
            },
            Some(("kernel", rest)) => Ok(Self::Kernel(rest.to_owned())),
            Some(("selinux_err", rest)) => {
                let words = rest.split_whitespace().collect::<Vec<_>>().join(" ");
                Ok(Self::SelinuxErr(words))
            }
            Some(("record", rest)) => parse_record(rest.trim_start()),
            _ => Err(unknown(line)),
        }
    }
}

fn unknown(line: &str) -> String {
    format!(
        "`{line}` is neither a `cap` nor an `avc` line, nor one of \
         `holds`, `domain`, `uid`, `kernel`, `selinux_err`, `record`"
    )
}

fn parse_output(rest: &str) -> Result<String, String> {
    let text = serde_json::from_str::<String>(rest).ok();
    let same = text.filter(|text| format!("{text:?}") == rest);
    same.ok_or_else(|| format!("`{rest}` is not a text in quotes, such as `\"not supported\"`"))
}

fn parse_record(rest: &str) -> Result<Effect, String> {
    let number = rest.split_once(' ').and_then(|(kind, body)| Some((kind.parse().ok()?, body)));
    match number {
        Some((kind, body)) => Ok(Effect::OtherRecord { kind, body: body.to_owned() }),
        None => rest.parse().map(Effect::Record),
    }
}

fn parse_holds(rest: &str) -> Result<Holds, String> {
    let set = |text: &str| text.trim().parse::<crate::grant::Grant>().map(|grant| grant.0);
    match rest.split_once(',') {
        None => set(rest).map(|both| Holds { permitted: both, effective: both }),
        Some((permitted, rest)) => match rest.trim().strip_prefix("effective ") {
            Some(effective) => Ok(Holds { permitted: set(permitted)?, effective: set(effective)? }),
            None => Err(format!("`{rest}` is not `effective SET`")),
        },
    }
}

fn parse_cap(rest: &str) -> Result<CapLine, String> {
    let (check, words) = rest
        .split_once('=')
        .ok_or_else(|| format!("`cap {rest}` has no result: write `cap NAME = granted`"))?;
    let mut names = check.split_whitespace();
    let name = names.next().unwrap_or_default();
    // A capability that is newer than this program has its number as its name.
    let number = name.parse().ok().filter(|number| cap_name(*number) == name);
    let cap = number.map_or_else(|| cap_number(name), Ok)?;
    let unaudited = match (names.next(), names.next()) {
        (None, _) => false,
        (Some("unaudited"), None) => true,
        (Some(other), _) => return Err(format!("unknown word `{other}` in a capability check")),
    };
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let verdict =
        CapVerdict::ALL.into_iter().find(|verdict| verdict.words() == words).ok_or_else(|| {
            let close = crate::suggest::closest(&words, CapVerdict::ALL.map(CapVerdict::words));
            format!("`{words}` is not the result of a capability check{close}")
        })?;
    Ok(CapLine { cap, unaudited, verdict })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("cap  perfmon = granted", "cap perfmon = granted")]
    #[case("cap sys_admin =  not  held", "cap sys_admin = not held")]
    #[case("cap sys_admin unaudited = granted", "cap sys_admin unaudited = granted")]
    #[case("cap perfmon = refused by selinux", "cap perfmon = refused by selinux")]
    #[case("holds  perfmon", "holds perfmon")]
    #[case("holds perfmon, effective none", "holds perfmon, effective none")]
    #[case("kernel SELinux:  Class x", "kernel SELinux:  Class x")]
    #[case("avc  denied {  open } tclass=perf_event", "avc denied { open } tclass=perf_event")]
    fn an_effect_has_one_spelling(#[case] written: &str, #[case] canonical: &str) {
        assert_eq!(written.parse::<Effect>().unwrap().to_string(), canonical);
    }

    #[rstest]
    #[case("cap perfmom = granted", "did you mean `perfmon`?")]
    #[case("cap perfmon = granted!", "did you mean `granted`?")]
    #[case("cap perfmon", "no result")]
    #[case("avc denied { open }", "tclass")]
    #[case("avc denied open tclass=perf_event", "is not an AVC record")]
    #[case("acv denied { open } tclass=perf_event", "neither")]
    fn a_mistake_is_reported(#[case] written: &str, #[case] part: &str) {
        let error = written.parse::<Effect>().unwrap_err();
        assert!(error.contains(part), "{error}");
    }

    #[rstest]
    #[case(0, 0, "granted")]
    #[case(-1, -1, "not held")]
    #[case(0, -13, "refused by selinux")]
    fn an_observed_check_is_written_like_an_expected_one(
        #[case] commoncap: i32,
        #[case] verdict: i32,
        #[case] words: &str,
    ) {
        let line = CapLine::from(&CapCheck { cap: 38, opts: 0, commoncap, verdict });
        assert_eq!(line.to_string(), format!("cap perfmon = {words}"));
    }
}
