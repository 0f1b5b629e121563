//! The subject's events, folded into counts. Pure: it sees neither tracefs nor the kernel.

use std::collections::BTreeMap;

use perfsec_wire::coverage::{Check, Counts};

use super::function::{FUNCTIONS, Function, Role};

/// More places than any kernel has that a cell can reach.
const MAX_PLACES: usize = 2048;

/// What the trace says, of one thread and in order. Functions are indices of [`FUNCTIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A function was entered; its first two arguments, or the one that matters.
    Enter { function: usize, arguments: (u64, u64) },
    /// It returned.
    Leave { function: usize, result: u64, caller: u64 },
    /// commoncap gave its verdict.
    Commoncap { verdict: i32 },
    /// SELinux logged; this is what it denied.
    Audited { denied: u64 },
}

/// Who asked what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The function that the place called.
    pub(crate) via: &'static str,
    pub(crate) check: Check,
    /// Where the call returns to.
    pub(crate) caller: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Allowed,
    Logged,
    NotHeld,
    Refused,
}

/// A function that has not returned.
struct Frame {
    function: usize,
    arguments: (u64, u64),
    commoncap: Option<i32>,
    logged: bool,
    /// A capability was asked for inside and is not held.
    not_held: bool,
    /// What was asked inside and has no place yet.
    asked: Vec<(Check, Answer)>,
}

/// Counts by place.
#[derive(Default)]
pub(crate) struct Tally {
    counts: BTreeMap<Key, Counts>,
    dropped: u32,
}

impl Tally {
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&Key, &Counts)> {
        self.counts.iter()
    }

    /// How many answers could not be told.
    pub(crate) fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Adds what one subject did. Functions that it was in when it died have no answer.
    pub(crate) fn add(&mut self, steps: impl IntoIterator<Item = Step>) {
        let mut frames: Vec<Frame> = Vec::new();
        for step in steps {
            match step {
                Step::Enter { function, arguments } => {
                    // None of them calls itself: the one that seems to left no trace of its end. That
                    // there are only so many of them also bounds the depth.
                    if let Some(at) = frames.iter().position(|frame| frame.function == function) {
                        frames.truncate(at);
                        self.dropped = self.dropped.saturating_add(1);
                    }
                    frames.push(Frame {
                        function,
                        arguments,
                        commoncap: None,
                        logged: false,
                        not_held: false,
                        asked: Vec::new(),
                    });
                }
                Step::Commoncap { verdict } => {
                    if let Some(frame) = frames.last_mut() {
                        frame.commoncap = Some(verdict);
                    }
                }
                Step::Audited { denied } => {
                    if let Some(frame) = frames.last_mut() {
                        frame.logged |= denied != 0;
                    }
                }
                Step::Leave { function, result, caller } => {
                    // A return probe that found no free instance leaves its entry behind.
                    while frames.last().is_some_and(|frame| frame.function != function) {
                        frames.pop();
                        self.dropped = self.dropped.saturating_add(1);
                    }
                    match frames.pop() {
                        Some(frame) => self.leave(frame, frames.last_mut(), result, caller),
                        None => self.dropped = self.dropped.saturating_add(1),
                    }
                }
            }
        }
    }

    fn leave(&mut self, frame: Frame, parent: Option<&mut Frame>, result: u64, caller: u64) {
        let Some(function) = FUNCTIONS.get(frame.function) else { return };
        let mut asked = frame.asked;
        // The trace has whole registers; these functions return an int or a bool.
        let zero = match result as u32 {
            0 if frame.logged => Answer::Logged,
            0 => Answer::Allowed,
            _ => Answer::Refused,
        };
        match function.role {
            Role::Capability => {
                let check = Check::Capability(frame.arguments.0 as u32);
                match (frame.commoncap, zero) {
                    (Some(0), answer) => asked.push((check, answer)),
                    (Some(_), _) => asked.push((check, Answer::NotHeld)),
                    // Who refused is not known.
                    (None, Answer::Refused) => self.dropped = self.dropped.saturating_add(1),
                    (None, answer) => asked.push((check, answer)),
                }
            }
            Role::PerfEvent(hook) => asked.push((Check::PerfEvent(hook), zero)),
            Role::PerfEventOpen => match Function::hook(frame.arguments.0, frame.arguments.1) {
                Some(hook) => asked.push((Check::PerfEvent(hook), zero)),
                None => self.dropped = self.dropped.saturating_add(1),
            },
            Role::Zero(check) => asked.push((check, zero)),
            Role::True(check) => {
                let answer = match (result as u8, frame.not_held, frame.logged) {
                    // __ptrace_may_access() asks for the capability last but for the modules.
                    (0, true, _) => Answer::NotHeld,
                    (0, false, _) => Answer::Refused,
                    (_, _, true) => Answer::Logged,
                    (_, _, false) => Answer::Allowed,
                };
                asked.push((check, answer));
            }
            Role::Capable | Role::Helper(_) => {}
        }
        if let Some(parent) = parent {
            parent.not_held |= asked.iter().any(|(_, answer)| *answer == Answer::NotHeld);
            let outer = FUNCTIONS.get(parent.function).map(|outer| outer.role);
            if function.is_transparent() && matches!(outer, Some(Role::Capable | Role::Helper(_))) {
                parent.asked.append(&mut asked);
                return;
            }
        }
        for (check, answer) in asked {
            self.count(Key { via: function.name, check, caller }, answer);
        }
    }

    fn count(&mut self, key: Key, answer: Answer) {
        if self.counts.len() == MAX_PLACES && !self.counts.contains_key(&key) {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let counts = self.counts.entry(key).or_default();
        let count = match answer {
            Answer::Allowed => &mut counts.allowed,
            Answer::Logged => &mut counts.logged,
            Answer::NotHeld => &mut counts.not_held,
            Answer::Refused => &mut counts.refused,
        };
        *count = count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use perfsec_wire::coverage::Hook;
    use rstest::rstest;

    use super::*;

    const EPERM: u64 = -1_i64 as u64;
    const EACCES: u64 = -13_i64 as u64;

    fn index(name: &str) -> usize {
        FUNCTIONS.iter().position(|function| function.name == name).unwrap()
    }

    fn enter(name: &str, first: u64) -> Step {
        Step::Enter { function: index(name), arguments: (first, 0) }
    }

    fn leave(name: &str, result: u64, caller: u64) -> Step {
        Step::Leave { function: index(name), result, caller }
    }

    /// `capable(cap)` called before `caller`.
    fn capable(cap: u64, commoncap: i32, verdict: u64, logged: bool, caller: u64) -> Vec<Step> {
        let mut steps = vec![
            enter("capable", cap),
            enter("security_capable", cap),
            Step::Commoncap { verdict: commoncap },
        ];
        steps.extend(logged.then_some(Step::Audited { denied: 0x40 }));
        steps.push(leave("security_capable", verdict, 1));
        steps.push(leave("capable", u64::from(verdict == 0), caller));
        steps
    }

    fn counts(tally: &Tally) -> Vec<(Key, Counts)> {
        tally.counts().map(|(key, counts)| (*key, *counts)).collect()
    }

    fn told(steps: Vec<Step>) -> Vec<(Key, Counts)> {
        let mut tally = Tally::default();
        tally.add(steps);
        assert_eq!(tally.dropped(), 0);
        counts(&tally)
    }

    const NONE: Counts = Counts { allowed: 0, logged: 0, not_held: 0, refused: 0 };

    #[rstest]
    #[case::held(0, 0, false, Counts { allowed: 1, ..NONE })]
    #[case::denied_and_let_through(0, 0, true, Counts { logged: 1, ..NONE })]
    #[case::not_held(-1, EPERM, false, Counts { not_held: 1, ..NONE })]
    #[case::denied(0, EACCES, true, Counts { refused: 1, ..NONE })]
    fn a_capability_check_is_counted_where_its_wrapper_returns_to(
        #[case] commoncap: i32,
        #[case] verdict: u64,
        #[case] logged: bool,
        #[case] expected: Counts,
    ) {
        let key = Key { via: "capable", check: Check::Capability(38), caller: 0x100 };
        assert_eq!(told(capable(38, commoncap, verdict, logged, 0x100)), [(key, expected)]);
    }

    #[test]
    fn what_a_helper_asks_its_caller_asks() {
        let mut steps = vec![enter("perf_allow_kernel", 0)];
        steps.extend(capable(38, -1, EPERM, false, 7));
        steps.extend(capable(21, 0, 0, false, 8));
        steps.push(enter("security_perf_event_open", 2));
        // A tail call: the helper's return address is the trampoline of its own probe.
        steps.push(leave("security_perf_event_open", EACCES, 9));
        steps.push(leave("perf_allow_kernel", EACCES, 0x200));
        let key = |check| Key { via: "perf_allow_kernel", check, caller: 0x200 };
        let expected = [
            (key(Check::Capability(21)), Counts { allowed: 1, ..NONE }),
            (key(Check::Capability(38)), Counts { not_held: 1, ..NONE }),
            (key(Check::PerfEvent(Hook::Kernel)), Counts { refused: 1, ..NONE }),
        ];
        assert_eq!(told(steps), expected);
    }

    #[test]
    fn what_a_function_asks_for_itself_is_counted_inside_it() {
        let mut steps = vec![enter("ptrace_may_access", 0)];
        steps.extend(capable(19, -1, EPERM, false, 0x300));
        steps.push(leave("ptrace_may_access", 0, 0x400));
        let expected = [
            (
                Key { via: "capable", check: Check::Capability(19), caller: 0x300 },
                Counts { not_held: 1, ..NONE },
            ),
            (
                Key { via: "ptrace_may_access", check: Check::Ptrace, caller: 0x400 },
                Counts { not_held: 1, ..NONE },
            ),
        ];
        assert_eq!(told(steps), expected);
    }

    #[rstest]
    #[case::of_today((2, 0xffff_8880_dead_beef), Some(Hook::Kernel))]
    #[case::with_the_attributes_first((0xffff_8880_dead_beef, 1), Some(Hook::Cpu))]
    #[case::with_garbage_above((0xffff_8880_dead_beef, 0xffff_ffff_0000_0003), Some(Hook::Tracepoint))]
    #[case::of_no_type_that_is_known((0xffff_8880_dead_beef, 9), None)]
    fn the_type_of_an_open_is_found_in_either_argument(
        #[case] arguments: (u64, u64),
        #[case] expected: Option<Hook>,
    ) {
        let function = index("security_perf_event_open");
        let mut tally = Tally::default();
        tally.add([
            Step::Enter { function, arguments },
            Step::Leave { function, result: 0, caller: 5 },
        ]);
        let seen = counts(&tally).first().map(|(key, _)| key.check);
        assert_eq!(seen, expected.map(Check::PerfEvent));
        assert_eq!(tally.dropped(), u32::from(expected.is_none()));
    }

    #[test]
    fn an_answer_that_is_missing_is_counted_as_such_and_spoils_no_other() {
        let whole = capable(38, 0, 0, false, 0x100);
        for index in 0..whole.len() {
            let mut steps = whole.clone();
            steps.remove(index);
            steps.extend(capable(38, 0, 0, false, 0x500));
            let mut tally = Tally::default();
            tally.add(steps);
            let last = Key { via: "capable", check: Check::Capability(38), caller: 0x500 };
            assert!(
                tally.counts().any(|(key, counts)| *key == last && counts.allowed == 1),
                "{index}"
            );
        }
    }

    #[test]
    fn subjects_do_not_end_each_others_functions() {
        let mut tally = Tally::default();
        tally.add([enter("capable", 38)]);
        tally.add([leave("capable", 1, 0x100)]);
        assert_eq!((counts(&tally).len(), tally.dropped()), (0, 1));
    }

    #[test]
    fn there_are_never_more_places_than_the_limit() {
        let mut tally = Tally::default();
        for caller in 0..=MAX_PLACES as u64 {
            tally.add(capable(38, 0, 0, false, caller));
        }
        assert_eq!((counts(&tally).len(), tally.dropped()), (MAX_PLACES, 1));
    }
}
