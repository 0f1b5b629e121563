//! The indented lines of a transcript.

use std::fmt;

use perfsec_wire::CapCheck;

use super::Avc;
use crate::grant::{cap_name, cap_number};

/// What a syscall caused, as an expectation names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// `cap NAME = VERDICT`
    Cap(CapLine),
    /// `avc denied { … } …`, in canonical spelling.
    Avc(Avc),
}

/// A capability check and its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapLine {
    /// Capability number.
    pub cap: u32,
    /// Asked with `CAP_OPT_NOAUDIT`.
    pub unaudited: bool,
    /// What came of it.
    pub verdict: CapVerdict,
}

/// The three ways in which a capability check can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapVerdict {
    /// Held, and SELinux agreed.
    Granted,
    /// Not in the effective set: commoncap said no and SELinux was never asked.
    NotHeld,
    /// In the effective set, and SELinux said no.
    Refused,
}

impl CapVerdict {
    const ALL: [Self; 3] = [Self::Granted, Self::NotHeld, Self::Refused];

    const fn words(self) -> &'static str {
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
            Self::Avc(avc) => {
                write!(f, "avc {} {{ {} }}", avc.verb, avc.permissions.join(" "))?;
                avc.fields.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
            }
        }
    }
}

/// Reads an indented line of an expectation; blanks may be more than one.
///
/// # Errors
///
/// When it is none, with what is wrong and what was probably meant.
pub fn parse(line: &str) -> Result<Effect, String> {
    let line = line.trim();
    match line.split_once(char::is_whitespace) {
        Some(("cap", rest)) => parse_cap(rest).map(Effect::Cap),
        Some(("avc", rest)) => match Avc::parse(rest) {
            Some(avc) if avc.field("tclass").is_none() => {
                Err("an AVC record needs its class: add `tclass=…`".to_owned())
            }
            Some(avc) => Ok(Effect::Avc(avc)),
            None => Err(format!(
                "`{line}` is no AVC record: write `avc denied {{ PERMISSION }} tclass=CLASS`"
            )),
        },
        _ => Err(format!("`{line}` is neither a `cap` nor an `avc` line")),
    }
}

fn parse_cap(rest: &str) -> Result<CapLine, String> {
    let (check, words) = rest
        .split_once('=')
        .ok_or_else(|| format!("`cap {rest}` has no outcome: write `cap NAME = granted`"))?;
    let mut names = check.split_whitespace();
    let cap = cap_number(names.next().unwrap_or_default())?;
    let unaudited = match (names.next(), names.next()) {
        (None, _) => false,
        (Some("unaudited"), None) => true,
        (Some(other), _) => return Err(format!("unknown word `{other}` in a capability check")),
    };
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let verdict =
        CapVerdict::ALL.into_iter().find(|verdict| verdict.words() == words).ok_or_else(|| {
            let close = crate::suggest::closest(&words, CapVerdict::ALL.map(CapVerdict::words));
            format!("a capability check cannot end in `{words}`{close}")
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
    #[case("avc  denied {  open } tclass=perf_event", "avc denied { open } tclass=perf_event")]
    fn an_effect_has_one_spelling(#[case] written: &str, #[case] canonical: &str) {
        assert_eq!(parse(written).unwrap().to_string(), canonical);
    }

    #[rstest]
    #[case("cap perfmom = granted", "did you mean `perfmon`?")]
    #[case("cap perfmon = granted!", "did you mean `granted`?")]
    #[case("cap perfmon", "no outcome")]
    #[case("avc denied { open }", "tclass")]
    #[case("avc denied open tclass=perf_event", "is no AVC record")]
    #[case("acv denied { open } tclass=perf_event", "neither")]
    fn a_mistake_is_named(#[case] written: &str, #[case] part: &str) {
        let error = parse(written).unwrap_err();
        assert!(error.contains(part), "{error}");
    }

    #[rstest]
    #[case(0, 0, "granted")]
    #[case(-1, -1, "not held")]
    #[case(0, -13, "refused by selinux")]
    fn an_observed_check_reads_like_an_expected_one(
        #[case] commoncap: i32,
        #[case] verdict: i32,
        #[case] words: &str,
    ) {
        let line = CapLine::from(&CapCheck { cap: 38, opts: 0, commoncap, verdict });
        assert_eq!(line.to_string(), format!("cap perfmon = {words}"));
    }
}
