//! Fits an expected transcript to an observed one: a group of effects that may be repeated gets the
//! number of repetitions that was observed.

use super::program_fit::fit_program;
use super::{
    Effect, ExpectedCall, ExpectedEffects, ExpectedTranscript, FittedTranscript, Times, Transcript,
    TranscriptCall,
};

impl ExpectedTranscript {
    /// The transcript with the least counts.
    #[must_use]
    pub fn least(&self) -> FittedTranscript {
        self.fit(&Transcript::default(), |_| true)
    }

    /// The transcript with the counts that were observed. A call that was not observed, or that
    /// differs in anything but a count, gets the counts that come closest.
    ///
    /// Effects for which `compared` is false are ignored when counting.
    #[must_use]
    pub fn fit(
        &self,
        observed: &Transcript,
        compared: impl Fn(&Effect) -> bool,
    ) -> FittedTranscript {
        let mut rest = observed.calls.iter();
        let mut fitted = FittedTranscript::default();
        for call in &self.calls {
            if is_run(call) {
                let seen = find(&mut rest, call);
                // It may accept every exit code.
                let head = seen.map(|seen| &seen.head).filter(|head| call.head.matches(head));
                let head = head.unwrap_or(&call.head).clone();
                let seen = seen.map(|seen| seen.effects.as_slice());
                let lines = fit_program(&call.effects, seen, &compared);
                fitted.places.push(call.line);
                fitted.places.extend(lines.iter().map(|(_, line)| *line));
                let effects = lines.into_iter().map(|(effect, _)| effect).collect();
                fitted.transcript.calls.push(TranscriptCall { head, effects });
                continue;
            }
            let seen: Vec<_> = find(&mut rest, call)
                .map(|seen| seen.effects.iter().filter(|effect| compared(effect)).collect())
                .unwrap_or_default();
            let counts = match call.effects.iter().any(|group| group.times != Times::Once) {
                true => Fit::new(call, &compared, &seen).counts(),
                false => vec![1; call.effects.len()],
            };
            let mut effects = Vec::new();
            fitted.places.push(call.line);
            for (group, times) in call.effects.iter().zip(counts) {
                for _ in 0..times {
                    effects.extend_from_slice(&group.effects);
                    fitted.places.extend(group.effects.iter().map(|_| group.line));
                }
            }
            fitted.transcript.calls.push(TranscriptCall { head: call.head.clone(), effects });
        }
        fitted
    }
}

/// True for a step that runs a program.
fn is_run(call: &ExpectedCall) -> bool {
    call.head.syscall().is_some_and(|syscall| syscall.name == "run")
}

/// The next observed call of the same step. The calls before it are skipped only if there is one.
fn find<'a>(
    rest: &mut std::slice::Iter<'a, TranscriptCall>,
    call: &ExpectedCall,
) -> Option<&'a TranscriptCall> {
    let mut after = rest.clone();
    let found = after.find(|seen| call.head.is_step(&seen.head))?;
    *rest = after;
    Some(found)
}

/// The effects of one call.
struct Fit<'a> {
    groups: Vec<(Times, Vec<&'a Effect>)>,
    seen: &'a [&'a Effect],
    /// True at `[group][place]` if this group and the following ones are exactly what was observed
    /// from that place on.
    fits: Vec<Vec<bool>>,
    /// The same if the group may occur any number of times.
    repeated: Vec<Vec<bool>>,
}

impl<'a> Fit<'a> {
    fn new(
        call: &'a ExpectedCall,
        compared: impl Fn(&Effect) -> bool,
        seen: &'a [&'a Effect],
    ) -> Self {
        let group = |group: &'a ExpectedEffects| {
            let effects = group.effects.iter().filter(|effect| compared(effect)).collect();
            (group.times, effects)
        };
        let groups: Vec<_> = call.effects.iter().map(group).collect();
        let table = vec![vec![false; seen.len() + 1]; groups.len() + 1];
        let mut fit = Self { seen, fits: table.clone(), repeated: table, groups };
        fit.fits[fit.groups.len()][seen.len()] = true;
        // From the end, so that each answer depends only on answers that are known.
        for group in (0..fit.groups.len()).rev() {
            for place in (0..=seen.len()).rev() {
                let after = fit.after(group, place);
                let again = after.is_some_and(|end| end > place && fit.repeated[group][end]);
                fit.repeated[group][place] = again || fit.fits[group + 1][place];
                fit.fits[group][place] = match fit.groups[group].0 {
                    Times::Once => after.is_some_and(|end| fit.fits[group + 1][end]),
                    Times::OneOrMore => after.is_some_and(|end| fit.repeated[group][end]),
                    Times::Any => fit.repeated[group][place],
                };
            }
        }
        fit
    }

    /// The end of a group that occurs at this place.
    fn after(&self, group: usize, place: usize) -> Option<usize> {
        let effects = &self.groups[group].1;
        self.seen[place..].starts_with(effects).then_some(place + effects.len())
    }

    /// The number of repetitions of each group.
    fn counts(&self) -> Vec<usize> {
        let exact = self.fits[0][0];
        let mut place = 0;
        let mut counts = Vec::new();
        for (group, (times, effects)) in self.groups.iter().enumerate() {
            if *times == Times::Once || effects.is_empty() {
                place = self.after(group, place).unwrap_or(place);
                counts.push(times.least());
                continue;
            }
            // Something else than a count differs: the repetitions may begin later.
            if !exact {
                let found = (place..self.seen.len()).find(|at| self.after(group, *at).is_some());
                place = found.unwrap_or(place);
            }
            let mut count = 0;
            while let Some(end) = self.after(group, place)
                && (!exact || self.repeated[group][end])
            {
                (place, count) = (end, count + 1);
            }
            counts.push(count.max(times.least()));
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::transcript::CallHead;

    /// `a+ (ab)* b` as an expected call, with `a` and `b` for two checks.
    fn expected(groups: &str) -> ExpectedTranscript {
        let effects = groups.split_whitespace().map(|group| {
            let letters = group.trim_end_matches(['+', '*']);
            let times = match &group[letters.len()..] {
                "+" => Times::OneOrMore,
                "*" => Times::Any,
                _ => Times::Once,
            };
            let effects = letters.chars().filter(char::is_ascii_lowercase).map(effect).collect();
            ExpectedEffects { effects, times, line: 2 }
        });
        let effects = effects.collect();
        let call = ExpectedCall { head: CallHead::read("bpf(x) = prog"), line: 1, effects };
        ExpectedTranscript { calls: vec![call] }
    }

    fn effect(letter: char) -> Effect {
        Effect::Verbatim(letter.to_string())
    }

    fn observed(letters: &str) -> Transcript {
        let effects = letters.chars().map(effect).collect();
        Transcript {
            calls: vec![TranscriptCall { head: CallHead::read("bpf(x) = prog"), effects }],
        }
    }

    fn letters(transcript: &Transcript) -> String {
        transcript.effects().map(ToString::to_string).collect()
    }

    #[rstest]
    #[case::once("a b", "ab", "ab")]
    #[case::several("a+ b", "aaab", "aaab")]
    #[case::a_fixed_line_follows("a+ a", "aaa", "aaa")]
    #[case::a_group_may_end_early("(ab)+ a b", "abab", "abab")]
    #[case::never("a* b", "b", "b")]
    #[case::two_ways("a+ (ab)* b", "aab", "aab")]
    #[case::one_is_missing("a+ b", "b", "ab")]
    #[case::too_few("a+ a", "a", "aa")]
    #[case::something_else_differs("c a+ b", "daaab", "caaab")]
    #[case::later("a+ b+", "aacbb", "aabb")]
    #[case::nothing_observed("a+ b*", "", "a")]
    fn a_group_gets_the_observed_number_of_repetitions(
        #[case] groups: &str,
        #[case] seen: &str,
        #[case] fitted: &str,
    ) {
        let fitted_to = expected(groups).fit(&observed(seen), |_| true);
        assert_eq!(letters(fitted_to.transcript()), fitted);
        let places: Vec<_> = fitted_to.lines().map(|(_, line)| line).collect();
        assert_eq!(places.len(), 1 + fitted.len());
        assert!(places[1..].iter().all(|line| *line == 2));
    }

    #[test]
    fn a_call_that_was_not_observed_does_not_hide_the_next() {
        let mut two = expected("a+");
        two.calls.extend(expected("b+").calls);
        two.calls[0].head = CallHead::read("read(fd, 8) = 8");
        assert_eq!(letters(two.fit(&observed("bbb"), |_| true).transcript()), "abbb");
    }

    #[test]
    fn effects_that_are_not_compared_do_not_count() {
        let fitted = expected("(ab)+ c").fit(&observed("aac"), |it| *it != effect('b'));
        assert_eq!(letters(fitted.transcript()), "ababc");
    }

    proptest! {
        /// The regular expression says if the observation is one that is expected.
        #[test]
        fn the_fitted_transcript_is_the_observed_one_if_any_count_makes_it_so(
            groups in prop::collection::vec("(a|b|[(]ab[)]|[(]aba[)])[+*]?", 0..5),
            seen in "[ab]{0,8}",
        ) {
            let fitted = expected(&groups.join(" ")).fit(&observed(&seen), |_| true);
            let pattern = regex::Regex::new(&format!("^{}$", groups.concat())).unwrap();
            prop_assert_eq!(letters(fitted.transcript()) == seen, pattern.is_match(&seen));
        }
    }
}
