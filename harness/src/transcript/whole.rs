//! A transcript: syscalls, each with its effects.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use super::program_fit::repeated;
use super::{CallHead, Effect};

/// The indent of an effect.
const INDENT: &str = "  ";

/// A transcript. A run record contains it as an array of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Transcript {
    /// The calls, in the order in which the subject made them.
    pub calls: Vec<TranscriptCall>,
}

/// A syscall with its effects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TranscriptCall {
    /// The syscall with its result.
    pub head: CallHead,
    /// Its effects, in order.
    pub effects: Vec<Effect>,
}

impl TranscriptCall {
    /// A call without effects.
    #[must_use]
    pub const fn new(head: CallHead) -> Self {
        Self { head, effects: Vec::new() }
    }

    /// Its lines.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        std::iter::once(self.head.to_string()).chain(self.effects.iter().map(effect_line))
    }

    /// Its lines as a case file contains them: without the arguments of a long call, and with a
    /// count for a call that a program repeats.
    pub fn abbreviated(&self) -> impl Iterator<Item = String> {
        let effects = repeated(&self.effects).into_iter();
        std::iter::once(self.head.abbreviated())
            .chain(effects.map(|line| INDENT.to_owned() + &line))
    }
}

fn effect_line(effect: &Effect) -> String {
    format!("{INDENT}{effect}")
}

impl Transcript {
    /// True if it has no lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Its lines.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.calls.iter().flat_map(TranscriptCall::lines)
    }

    /// The effects of all calls.
    pub fn effects(&self) -> impl Iterator<Item = &Effect> {
        self.calls.iter().flat_map(|call| &call.effects)
    }

    /// Appends a line.
    pub fn push(&mut self, line: &str) {
        match (self.calls.last_mut(), line.strip_prefix(INDENT)) {
            (Some(call), Some(effect)) => call.effects.push(Effect::read(effect)),
            _ => self.calls.push(TranscriptCall::new(CallHead::read(line))),
        }
    }

    /// The same without capability checks.
    #[must_use]
    pub fn without_checks(&self) -> Self {
        let mut rest = self.clone();
        for call in &mut rest.calls {
            call.effects.retain(|effect| !effect.is_check());
        }
        rest
    }

    /// True if `observed` has the same calls, results and effects. `...` in a call of `self` matches
    /// any arguments.
    #[must_use]
    pub fn matches(&self, observed: &Self) -> bool {
        self.calls.len() == observed.calls.len()
            && self.calls.iter().zip(&observed.calls).all(|(written, observed)| {
                written.head.matches(&observed.head) && written.effects == observed.effects
            })
    }
}

impl<T: AsRef<str>> FromIterator<T> for Transcript {
    fn from_iter<I: IntoIterator<Item = T>>(lines: I) -> Self {
        let mut transcript = Self::default();
        lines.into_iter().for_each(|line| transcript.push(line.as_ref()));
        transcript
    }
}

impl FromStr for Transcript {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.split_terminator('\n').collect())
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Serialize for Transcript {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.lines())
    }
}

impl<'de> Deserialize<'de> for Transcript {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<String>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A line of each kind, and lines that look like one.
    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            r"(open|read)\([a-z=, ]{0,9}\) = (fd|addr|some|nothing|E[A-Z]{3,5}|-?[0-9]{1,5})",
            r"\((no step [+0-9]{1,2}|outside every step)\)( = -?[0-9]{1,3})?",
            r"\+\+\+ killed by [A-Z0-9 ]{1,8} \+\+\+",
            r"  cap (bpf|[0-9]{1,2})( unaudited)? = (granted|not held|refused by selinux)",
            r"  avc denied \{ [a-z ]{1,6} \}( [a-z]{1,6}=[a-z\x22 :*]{1,6}){0,3} tclass=x",
            r"  avc whole avc:.{0,20}",
            r"  holds (none|all|bpf|bpf\+perfmon|perfmon\+bpf)(, effective (none|bpf))?",
            r"  (domain|uid|kernel|selinux_err|record) {1,2}[a-zA-Z0-9+= ]{0,9}",
            r"  record (SYSCALL|[0-9]{1,5} [a-z =]{0,9})",
            r"[^\n]{0,30}",
            r"[ \t]{0,3}(cap|avc|uid|holds)?[^\n]{0,20}",
        ]
    }

    proptest! {
        #[test]
        fn a_transcript_is_read_as_it_is_written(lines in prop::collection::vec(line(), 0..9)) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let transcript: Transcript = text.parse().unwrap();
            prop_assert_eq!(transcript.to_string(), text.clone());
            let again: Transcript = transcript.to_string().parse().unwrap();
            prop_assert_eq!(&again, &transcript);
            let json = serde_json::to_value(&transcript).unwrap();
            prop_assert_eq!(&json, &serde_json::json!(lines));
            prop_assert_eq!(serde_json::from_value::<Transcript>(json).unwrap(), transcript);
        }
    }

    /// The property test above holds for a reader that keeps every line verbatim.
    #[test]
    fn every_kind_of_line_is_recognised() {
        let text = "\
open(x) = fd
  cap perfmon = not held
  cap 63 unaudited = granted
  avc denied { read write } lockdown_reason=\"use of kprobes\" tclass=lockdown
  holds bpf+perfmon, effective none
  domain all_t
  uid 65534
  kernel SELinux:  Class x
  selinux_err op=security_bounded_transition seresult=denied
  record SYSCALL
  record 1326 auid=0
(no step 7) = -13
(outside every step)
+++ killed by SIGKILL +++
";
        let transcript: Transcript = text.parse().unwrap();
        assert_eq!(transcript.to_string(), text);
        let verbatim = transcript.effects().filter(|it| matches!(it, Effect::Verbatim(_)));
        assert_eq!(verbatim.count(), 0, "{transcript:?}");
        let heads = transcript.calls.iter().map(|call| &call.head);
        assert!(heads.clone().all(|head| !matches!(head, CallHead::Verbatim(_))));
        assert_eq!(transcript.calls.len(), 4);
    }

    #[test]
    fn a_line_out_of_shape_is_kept() {
        for line in ["", "  an effect before every call", "=", "fd", "\tcap bpf = granted"] {
            let transcript: Transcript = [line].into_iter().collect();
            assert_eq!(transcript.calls, [TranscriptCall::new(CallHead::Verbatim(line.into()))]);
        }
    }
}
