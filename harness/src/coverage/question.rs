//! A question to the security modules, in its written form.

use std::fmt;
use std::str::FromStr;

use perfsec_wire::caps;
use perfsec_wire::coverage::{Check, Hook};
use serde::Deserialize;

use crate::grant::{cap_name, cap_number};

/// A question to the security modules: `cap perfmon`, `hook kernel`, `ptrace` or `lockdown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct LsmQuestion(pub Check);

const HOOKS: [(&str, Hook); 7] = [
    ("open", Hook::Open),
    ("cpu", Hook::Cpu),
    ("kernel", Hook::Kernel),
    ("tracepoint", Hook::Tracepoint),
    ("alloc", Hook::Alloc),
    ("read", Hook::Read),
    ("write", Hook::Write),
];

impl LsmQuestion {
    /// The first question of `perfmon_capable()`.
    pub const PERFMON: Self = Self(Check::Capability(caps::PERFMON));

    /// True if only perf asks it.
    #[must_use]
    pub fn is_perf_only(self) -> bool {
        self == Self::PERFMON || matches!(self.0, Check::PerfEvent(_))
    }

    /// True if commoncap can refuse it.
    #[must_use]
    pub fn involves_commoncap(self) -> bool {
        matches!(self.0, Check::Capability(_) | Check::Ptrace)
    }
}

impl fmt::Display for LsmQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self.0 {
            Check::Capability(cap) => format!("cap {}", cap_name(cap)),
            Check::PerfEvent(hook) => {
                let known = HOOKS.iter().find(|(_, known)| *known == hook);
                format!("hook {}", known.map_or("?", |(name, _)| name))
            }
            Check::Ptrace => "ptrace".to_owned(),
            Check::LockedDown => "lockdown".to_owned(),
        })
    }
}

impl FromStr for LsmQuestion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let check = match text.split_once(' ') {
            None if text == "ptrace" => Check::Ptrace,
            None if text == "lockdown" => Check::LockedDown,
            Some(("cap", name)) => Check::Capability(cap_number(name)?),
            Some(("hook", name)) => {
                let hook = HOOKS.iter().find(|(known, _)| *known == name);
                let names = HOOKS.iter().map(|(known, _)| known);
                let (_, hook) = hook.ok_or_else(|| {
                    format!("unknown hook `{name}`{}", crate::suggest::closest(name, names))
                })?;
                Check::PerfEvent(*hook)
            }
            _ => {
                return Err(format!(
                    "`{text}` is not a question \
                     (expected `cap NAME`, `hook NAME`, `ptrace` or `lockdown`)"
                ));
            }
        };
        Ok(Self(check))
    }
}

impl TryFrom<String> for LsmQuestion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    fn a_question_is_parsed_and_displayed_alike(
        #[values(
            "cap perfmon",
            "cap ipc_lock",
            "hook tracepoint",
            "hook alloc",
            "ptrace",
            "lockdown"
        )]
        text: &str,
    ) {
        assert_eq!(text.parse::<LsmQuestion>().unwrap().to_string(), text);
    }

    #[rstest]
    #[case("cap perfmonn", "unknown capability `perfmonn`; did you mean `perfmon`?")]
    #[case("hook kernal", "unknown hook `kernal`; did you mean `kernel`?")]
    #[case(
        "perfmon",
        "`perfmon` is not a question (expected `cap NAME`, `hook NAME`, `ptrace` or `lockdown`)"
    )]
    fn an_invalid_question_is_refused(#[case] text: &str, #[case] why: &str) {
        assert_eq!(text.parse::<LsmQuestion>(), Err(why.to_owned()));
    }
}
