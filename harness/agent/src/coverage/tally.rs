//! Folds the subject's events into counts. Pure: it knows neither tracefs nor the kernel.

use std::collections::BTreeMap;

use perfsec_wire::coverage::{Check, Counts};

use super::function::{FUNCTIONS, Function, Role};

/// More call sites than cells can reach in any kernel.
const MAX_SITES: usize = 2048;

/// A step of one thread in the trace. Functions are indices of [`FUNCTIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TraceStep {
    /// A function was entered, with its first two arguments or the one that matters.
    Enter { function: usize, arguments: (u64, u64) },
    /// A function returned.
    Leave { function: usize, result: u64, caller: u64 },
    /// commoncap returned its verdict.
    Commoncap { verdict: i32 },
    /// SELinux logged an access; `denied` are the permissions that it denied.
    Audited { denied: u64 },
}

/// A check at a call site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The function that is called there.
    pub(crate) via: &'static str,
    pub(crate) check: Check,
    /// Return address of the call.
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
    /// A capability was checked inside and is not held.
    not_held: bool,
    /// Checks inside that have no call site yet.
    asked: Vec<(Check, Answer)>,
}

/// Counts by call site.
#[derive(Default)]
pub(crate) struct Tally {
    counts: BTreeMap<Key, Counts>,
    dropped: u32,
}

impl Tally {
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&Key, &Counts)> {
        self.counts.iter()
    }

    /// The number of answers that could not be counted.
    pub(crate) fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Adds the steps of one subject. Functions that it had not left when it died have no answer.
    pub(crate) fn add(&mut self, steps: impl IntoIterator<Item = TraceStep>) {
        let mut frames: Vec<Frame> = Vec::new();
        for step in steps {
            match step {
                TraceStep::Enter { function, arguments } => {
                    // None of them calls itself: if one seems to, the event of its return is
                    // missing. So the depth is bounded by their number.
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
                TraceStep::Commoncap { verdict } => {
                    if let Some(frame) = frames.last_mut() {
                        frame.commoncap = Some(verdict);
                    }
                }
                TraceStep::Audited { denied } => {
                    if let Some(frame) = frames.last_mut() {
                        frame.logged |= denied != 0;
                    }
                }
                TraceStep::Leave { function, result, caller } => {
                    // A return probe without a free instance records no return.
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
        // The trace has 64-bit registers; these functions return an int or a bool.
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
                    // It is not known who refused.
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
                    // __ptrace_may_access() checks the capability last before the modules.
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
        if self.counts.len() == MAX_SITES && !self.counts.contains_key(&key) {
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

    fn enter(name: &str, first: u64) -> TraceStep {
        TraceStep::Enter { function: index(name), arguments: (first, 0) }
    }

    fn leave(name: &str, result: u64, caller: u64) -> TraceStep {
        TraceStep::Leave { function: index(name), result, caller }
    }

    /// `capable(cap)` called before `caller`.
    fn capable(
        cap: u64,
        commoncap: i32,
        verdict: u64,
        logged: bool,
        caller: u64,
    ) -> Vec<TraceStep> {
        let mut steps = vec![
            enter("capable", cap),
            enter("security_capable", cap),
            TraceStep::Commoncap { verdict: commoncap },
        ];
        steps.extend(logged.then_some(TraceStep::Audited { denied: 0x40 }));
        steps.push(leave("security_capable", verdict, 1));
        steps.push(leave("capable", u64::from(verdict == 0), caller));
        steps
    }

    fn counts(tally: &Tally) -> Vec<(Key, Counts)> {
        tally.counts().map(|(key, counts)| (*key, *counts)).collect()
    }

    fn tallied(steps: Vec<TraceStep>) -> Vec<(Key, Counts)> {
        let mut tally = Tally::default();
        tally.add(steps);
        assert_eq!(tally.dropped(), 0);
        counts(&tally)
    }

    const NONE: Counts = Counts { allowed: 0, logged: 0, not_held: 0, refused: 0 };

    #[rstest]
    #[case::held(0, 0, false, Counts { allowed: 1, ..NONE })]
    #[case::denied_and_allowed(0, 0, true, Counts { logged: 1, ..NONE })]
    #[case::not_held(-1, EPERM, false, Counts { not_held: 1, ..NONE })]
    #[case::denied(0, EACCES, true, Counts { refused: 1, ..NONE })]
    fn a_capability_check_is_counted_where_its_wrapper_returns_to(
        #[case] commoncap: i32,
        #[case] verdict: u64,
        #[case] logged: bool,
        #[case] expected: Counts,
    ) {
        let key = Key { via: "capable", check: Check::Capability(38), caller: 0x100 };
        assert_eq!(tallied(capable(38, commoncap, verdict, logged, 0x100)), [(key, expected)]);
    }

    #[test]
    fn a_check_in_a_helper_belongs_to_its_caller() {
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
        assert_eq!(tallied(steps), expected);
    }

    #[test]
    fn a_check_that_a_function_makes_for_itself_is_counted_inside_it() {
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
        assert_eq!(tallied(steps), expected);
    }

    #[rstest]
    #[case::since_6_16((2, 0xffff_8880_dead_beef), Some(Hook::Kernel))]
    #[case::with_the_attributes_first((0xffff_8880_dead_beef, 1), Some(Hook::Cpu))]
    #[case::with_garbage_above(
        (0xffff_8880_dead_beef, 0xffff_ffff_0000_0003),
        Some(Hook::Tracepoint)
    )]
    #[case::of_an_unknown_type((0xffff_8880_dead_beef, 9), None)]
    fn the_type_of_an_open_is_found_in_either_argument(
        #[case] arguments: (u64, u64),
        #[case] expected: Option<Hook>,
    ) {
        let function = index("security_perf_event_open");
        let mut tally = Tally::default();
        tally.add([
            TraceStep::Enter { function, arguments },
            TraceStep::Leave { function, result: 0, caller: 5 },
        ]);
        let seen = counts(&tally).first().map(|(key, _)| key.check);
        assert_eq!(seen, expected.map(Check::PerfEvent));
        assert_eq!(tally.dropped(), u32::from(expected.is_none()));
    }

    #[test]
    fn a_missing_answer_is_counted_and_affects_no_other() {
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
    fn there_are_never_more_sites_than_the_limit() {
        let mut tally = Tally::default();
        for caller in 0..=MAX_SITES as u64 {
            tally.add(capable(38, 0, 0, false, caller));
        }
        assert_eq!((counts(&tally).len(), tally.dropped()), (MAX_SITES, 1));
    }
}
