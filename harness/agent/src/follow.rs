//! The events of the tasks that perform the steps, one task after another.

use nix::libc;

use crate::trace::{Event, EventData};

/// A task to which a step handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heir {
    /// The name that the step gives to it.
    pub(crate) name: String,
    /// Its thread id in the initial PID namespace.
    pub(crate) tid: i32,
    /// True if it belongs to the thread group of its creator.
    pub(crate) thread: bool,
}

/// Picks the events of the steps: those of task `first` up to the call that makes its heir, those
/// of the heir, and so on.
pub(crate) fn follow(first: i32, heirs: &[Heir], events: Vec<Event>) -> Vec<Event> {
    let mut picked = Vec::new();
    let mut current = Task { tid: first, leader: first, done: 0 };
    for heir in heirs {
        let made = |event: &Event| {
            matches!(event.data, EventData::Exit { number: libc::SYS_clone, result }
                if result == i64::from(heir.tid))
        };
        picked.extend(current.until(&events, made));
        let leader = if heir.thread { current.leader } else { heir.tid };
        current = Task { tid: heir.tid, leader, done: 0 };
        // Its own start, which ends with getpid(): `take_over()` in the subject.
        let started =
            |event: &Event| matches!(event.data, EventData::Exit { number: libc::SYS_getpid, .. });
        current.until(&events, started);
    }
    picked.extend(current.until(&events, |_| false));
    picked
}

/// A task that performs steps.
struct Task {
    tid: i32,
    leader: i32,
    /// Number of events that have been looked at.
    done: usize,
}

impl Task {
    /// The next events of the task, with the first for which `last` is true.
    fn until(&mut self, events: &[Event], last: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut own = Vec::new();
        // In an execve, de_thread() makes a thread the leader of its group, whose id it takes.
        let mut executes = false;
        while let Some(event) = events.get(self.done) {
            self.done += 1;
            let by_leader = executes && event.tid == self.leader && self.tid != self.leader;
            match event.data {
                // The old leader is killed in the syscall in which it waits, or which it restarts.
                EventData::Enter { .. } if by_leader => continue,
                EventData::Exit { number, .. } if by_leader && number != libc::SYS_execve => {
                    continue;
                }
                _ if by_leader => self.tid = self.leader,
                _ if event.tid != self.tid => continue,
                EventData::Enter { number } => executes = number == libc::SYS_execve,
                EventData::Exit { .. } => executes = false,
                _ => {}
            }
            own.push(event.clone());
            if last(event) {
                break;
            }
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const CLONE: i64 = libc::SYS_clone;
    const EXECVE: i64 = libc::SYS_execve;
    const GETPID: i64 = libc::SYS_getpid;
    const PRCTL: i64 = libc::SYS_prctl;
    const READ: i64 = libc::SYS_read;
    const WAIT: i64 = libc::SYS_wait4;

    fn enter(tid: i32, number: i64) -> (i32, EventData) {
        (tid, EventData::Enter { number })
    }

    fn exit(tid: i32, number: i64, result: i64) -> (i32, EventData) {
        (tid, EventData::Exit { number, result })
    }

    /// The picked events as `TID:NUMBER`, with a plus sign for an entry.
    fn picked(heirs: &[Heir], events: &[(i32, EventData)]) -> String {
        let events = events.iter().zip(0..);
        let events =
            events.map(|((tid, data), time)| Event { time, tid: *tid, data: data.clone() });
        let words = follow(7, heirs, events.collect()).into_iter().map(|event| match event.data {
            EventData::Enter { number } => format!("{}+{number}", event.tid),
            EventData::Exit { number, .. } => format!("{}-{number}", event.tid),
            _ => format!("{}?", event.tid),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn heir(tid: i32, thread: bool) -> Heir {
        Heir { name: "child".to_owned(), tid, thread }
    }

    #[test]
    fn one_task_keeps_its_events_and_no_others() {
        let events = [enter(7, READ), enter(8, READ), exit(7, READ, 8), exit(8, READ, 8)];
        assert_eq!(picked(&[], &events), "7+0 7-0");
    }

    /// On two CPUs the new task can run before its creator returns.
    #[rstest]
    fn after_a_clone_the_new_task_continues(#[values(false, true)] early: bool) {
        let creator = [exit(7, CLONE, 8), enter(7, WAIT)];
        let heir_steps = [
            exit(8, CLONE, 0),
            enter(8, PRCTL),
            exit(8, PRCTL, 0),
            enter(8, GETPID),
            exit(8, GETPID, 8),
            enter(8, READ),
        ];
        let (first, second) = match early {
            false => (creator.as_slice(), heir_steps.as_slice()),
            true => (heir_steps.as_slice(), creator.as_slice()),
        };
        let end = [exit(8, READ, 8), exit(7, WAIT, 8), enter(7, libc::SYS_exit_group)];
        let events = [&[enter(7, CLONE)], first, second, &end].concat();
        assert_eq!(picked(&[heir(8, false)], &events), "7+56 7-56 8+0 8-0");
    }

    #[test]
    fn a_thread_that_executes_a_program_takes_the_id_of_its_leader() {
        let checked = |tid| (tid, EventData::Commoncap { verdict: 0 });
        let events = [
            enter(7, CLONE),
            exit(7, CLONE, 8),
            enter(7, libc::SYS_pause),
            exit(8, CLONE, 0),
            exit(8, GETPID, 7),
            enter(8, EXECVE),
            checked(8),
            exit(7, libc::SYS_pause, -514),
            enter(7, libc::SYS_pause),
            exit(7, libc::SYS_pause, -512),
            checked(7),
            exit(7, EXECVE, 0),
            enter(7, READ),
            exit(7, READ, 8),
        ];
        let expected = "7+56 7-56 8+59 8? 7? 7-59 7+0 7-0";
        assert_eq!(picked(&[heir(8, true)], &events), expected);
    }

    #[test]
    fn a_thread_whose_execve_fails_stays_itself() {
        let events = [
            enter(7, CLONE),
            exit(7, CLONE, 8),
            exit(8, GETPID, 7),
            enter(8, EXECVE),
            exit(8, EXECVE, -13),
            enter(8, READ),
            exit(7, libc::SYS_pause, -514),
            exit(8, READ, 8),
        ];
        assert_eq!(picked(&[heir(8, true)], &events), "7+56 7-56 8+59 8-59 8+0 8-0");
    }
}
