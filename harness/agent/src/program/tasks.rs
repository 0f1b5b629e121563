//! The tasks of a program: their thread groups, and the events behind their descriptors.

use std::collections::HashMap;

use nix::libc;

/// `PERF_FLAG_FD_CLOEXEC`
const FD_CLOEXEC: u64 = 8;

/// An event behind a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenEvent {
    /// Index of the call that opened it.
    pub(super) call: usize,
    cloexec: bool,
}

/// A task.
#[derive(Clone, Copy, Debug)]
struct Task {
    /// Process id.
    group: i32,
    /// Index of its table of descriptors.
    table: usize,
}

/// The tasks that were seen.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    tasks: HashMap<i32, Task>,
    tables: Vec<HashMap<i32, OpenEvent>>,
}

impl Tasks {
    /// The first task of the program.
    pub(super) fn first(pid: i32) -> Self {
        let tasks = HashMap::from([(pid, Task { group: pid, table: 0 })]);
        Self { tasks, tables: vec![HashMap::new()] }
    }

    /// A task made another, with these flags of clone(2).
    pub(super) fn forked(&mut self, parent: i32, child: i32, flags: u64) {
        let Some(parent) = self.tasks.get(&parent).copied() else { return };
        let has = |flag: i32| flags & flag as u64 != 0;
        let group = if has(libc::CLONE_THREAD) { parent.group } else { child };
        let table = if has(libc::CLONE_FILES) {
            parent.table
        } else {
            self.tables.push(self.tables[parent.table].clone());
            self.tables.len() - 1
        };
        self.tasks.insert(child, Task { group, table });
    }

    /// Process id of a task.
    pub(super) fn group(&self, tid: i32) -> i32 {
        self.tasks.get(&tid).map_or(tid, |task| task.group)
    }

    /// Ids of all tasks and processes.
    pub(super) fn ids(&self) -> Vec<i32> {
        let mut ids: Vec<_> = self.tasks.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The event behind a descriptor.
    pub(super) fn event(&self, tid: i32, fd: u64) -> Option<OpenEvent> {
        let task = self.tasks.get(&tid)?;
        self.tables[task.table].get(&(fd as i32)).copied()
    }

    fn table(&mut self, tid: i32) -> Option<&mut HashMap<i32, OpenEvent>> {
        let task = self.tasks.get(&tid)?;
        self.tables.get_mut(task.table)
    }

    /// Follows descriptors through a syscall that succeeded.
    pub(super) fn returned(
        &mut self,
        tid: i32,
        call: usize,
        number: i64,
        arguments: &[u64; 6],
        result: i64,
    ) {
        let (from, result) = (arguments[0] as i32, result as i32);
        let Some(table) = self.table(tid) else { return };
        match number {
            libc::SYS_perf_event_open => {
                let cloexec = arguments[4] & FD_CLOEXEC != 0;
                table.insert(result, OpenEvent { call, cloexec });
            }
            libc::SYS_close => drop(table.remove(&from)),
            libc::SYS_dup | libc::SYS_dup2 | libc::SYS_dup3 => {
                let flags = if number == libc::SYS_dup3 { arguments[2] as i32 } else { 0 };
                copy(table, from, result, flags & libc::O_CLOEXEC != 0);
            }
            libc::SYS_fcntl => match arguments[1] as i32 {
                libc::F_DUPFD => copy(table, from, result, false),
                libc::F_DUPFD_CLOEXEC => copy(table, from, result, true),
                libc::F_SETFD => {
                    let cloexec = arguments[2] as i32 & libc::FD_CLOEXEC != 0;
                    table.entry(from).and_modify(|event| event.cloexec = cloexec);
                }
                _ => {}
            },
            libc::SYS_execve | libc::SYS_execveat => table.retain(|_, event| !event.cloexec),
            _ => {}
        }
    }
}

fn copy(table: &mut HashMap<i32, OpenEvent>, from: i32, to: i32, cloexec: bool) {
    match table.get(&from).copied() {
        Some(event) => drop(table.insert(to, OpenEvent { cloexec, ..event })),
        // dup2(2) closes the descriptor that it replaces.
        None => drop(table.remove(&to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(tasks: &mut Tasks, tid: i32, call: usize, fd: i64, flags: u64) {
        let arguments = [0, 0, 0, 0, flags, 0];
        tasks.returned(tid, call, libc::SYS_perf_event_open, &arguments, fd);
    }

    fn call_behind(tasks: &Tasks, tid: i32, fd: u64) -> Option<usize> {
        tasks.event(tid, fd).map(|event| event.call)
    }

    #[test]
    fn a_child_has_a_copy_of_the_descriptors_and_a_thread_the_same() {
        let mut tasks = Tasks::first(7);
        open(&mut tasks, 7, 0, 3, 0);
        tasks.forked(7, 8, 0);
        tasks.forked(7, 9, (libc::CLONE_THREAD | libc::CLONE_FILES) as u64);
        open(&mut tasks, 7, 1, 4, 0);
        let of = |fd| [7, 8, 9].map(|tid| call_behind(&tasks, tid, fd));
        assert_eq!(of(3), [Some(0); 3]);
        assert_eq!(of(4), [Some(1), None, Some(1)]);
        assert_eq!([7, 8, 9].map(|tid| tasks.group(tid)), [7, 8, 7]);
    }

    #[test]
    fn a_copy_is_the_same_event_and_a_closed_descriptor_none() {
        let mut tasks = Tasks::first(7);
        open(&mut tasks, 7, 0, 3, 0);
        tasks.returned(7, 1, libc::SYS_dup2, &[3, 9, 0, 0, 0, 0], 9);
        tasks.returned(7, 2, libc::SYS_close, &[3, 0, 0, 0, 0, 0], 0);
        assert_eq!((call_behind(&tasks, 7, 3), call_behind(&tasks, 7, 9)), (None, Some(0)));
    }

    #[test]
    fn an_exec_closes_what_is_marked() {
        let mut tasks = Tasks::first(7);
        open(&mut tasks, 7, 0, 3, FD_CLOEXEC);
        open(&mut tasks, 7, 1, 4, 0);
        tasks.returned(7, 2, libc::SYS_execve, &[0; 6], 0);
        assert_eq!((call_behind(&tasks, 7, 3), call_behind(&tasks, 7, 4)), (None, Some(1)));
    }
}
