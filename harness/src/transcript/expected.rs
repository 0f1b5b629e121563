//! Expected transcripts. They may leave open how often something happens.

use std::fmt;

use super::{CallHead, Effect};

/// The transcript that a cell must show on one kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedTranscript {
    /// The calls, in order.
    pub calls: Vec<ExpectedCall>,
}

/// A syscall that a cell must make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedCall {
    /// The syscall with its result.
    pub head: CallHead,
    /// Its line in the case file, from 1.
    pub line: usize,
    /// Its effects, in order.
    pub effects: Vec<ExpectedEffects>,
}

/// Effects that occur together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedEffects {
    /// The effects, in order.
    pub effects: Vec<Effect>,
    /// The number of times that they occur.
    pub times: Times,
    /// Their line in the case file, from 1.
    pub line: usize,
}

/// A number of occurrences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Exactly once.
    Once,
    /// `+`: once or more often. For counts that no kernel promises.
    OneOrMore,
    /// `*`: any number of times, or never.
    Any,
}

impl Times {
    const REPEATED: [(Self, &str); 2] = [(Self::OneOrMore, "  +"), (Self::Any, "  *")];

    /// The least number.
    #[must_use]
    pub const fn least(self) -> usize {
        match self {
            Self::Once | Self::OneOrMore => 1,
            Self::Any => 0,
        }
    }
}

impl ExpectedEffects {
    /// An effect that occurs once.
    #[must_use]
    pub fn once(effect: Effect, line: usize) -> Self {
        Self { effects: vec![effect], times: Times::Once, line }
    }

    /// Reads `EFFECT`, `EFFECT  +`, `EFFECT  *`, or `(EFFECT; EFFECT)` with `+` or `*`.
    ///
    /// # Errors
    ///
    /// The mistake, and the likely correction.
    pub fn parse(text: &str, line: usize) -> Result<Self, String> {
        let text = text.trim();
        let repeated = Times::REPEATED.iter().find_map(|(times, suffix)| {
            text.strip_suffix(suffix).map(|effects| (*times, effects.trim_end()))
        });
        let (times, text) = repeated.unwrap_or((Times::Once, text));
        let group = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
        let effects = match group {
            Some(_) if times == Times::Once => {
                return Err(format!(
                    "`{text}` has no count: write `+` (one or more) or `*` (any number) after it, \
                     set off by two blanks"
                ));
            }
            Some(group) => group.split(';').map(str::parse).collect::<Result<_, _>>()?,
            None => vec![text.parse()?],
        };
        Ok(Self { effects, times, line })
    }
}

impl fmt::Display for ExpectedEffects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = Times::REPEATED.iter().find(|(times, _)| *times == self.times);
        // A call of a program and what it causes is a line and the lines below it.
        if let (Some((_, suffix)), [call @ Effect::Called(_), below @ ..]) =
            (suffix, self.effects.as_slice())
        {
            writeln!(f, "  {call}{suffix}")?;
            return below.iter().try_for_each(|effect| writeln!(f, "  {effect}"));
        }
        match (suffix, self.effects.as_slice()) {
            (None, effects) => effects.iter().try_for_each(|effect| writeln!(f, "  {effect}")),
            (Some((_, suffix)), [effect]) => writeln!(f, "  {effect}{suffix}"),
            (Some((_, suffix)), effects) => {
                let effects: Vec<_> = effects.iter().map(ToString::to_string).collect();
                writeln!(f, "  ({}){suffix}", effects.join("; "))
            }
        }
    }
}

impl fmt::Display for ExpectedTranscript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.calls.iter().try_for_each(|call| {
            writeln!(f, "{}", call.head)?;
            call.effects.iter().try_for_each(|effects| effects.fmt(f))
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("cap bpf = granted", Times::Once, 1)]
    #[case("cap bpf = granted  +", Times::OneOrMore, 1)]
    #[case("(cap perfmon = not held; cap sys_admin = not held)  +", Times::OneOrMore, 2)]
    #[case("(cap bpf = granted; avc denied { open } tclass=perf_event)  *", Times::Any, 2)]
    fn effects_are_written_as_they_are_read(
        #[case] text: &str,
        #[case] times: Times,
        #[case] number: usize,
    ) {
        let effects = ExpectedEffects::parse(text, 7).unwrap();
        assert_eq!((effects.times, effects.effects.len(), effects.line), (times, number, 7));
        assert_eq!(effects.to_string(), format!("  {text}\n"));
    }

    #[rstest]
    #[case("(cap bpf = granted)", "no count")]
    #[case("cap bpf = granted +", "did you mean `granted`")]
    #[case("(cap bpf = granted; cap prefmon = granted)  +", "did you mean `perfmon`")]
    #[case("()  +", "neither")]
    fn a_mistake_is_reported(#[case] text: &str, #[case] part: &str) {
        let error = ExpectedEffects::parse(text, 1).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
