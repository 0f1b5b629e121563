//! The program that runs on the kernel under test.
//!
//! It starts in one of three ways: as process 1 of a guest, as an ordinary root process on a machine
//! that lives on, and, executed by itself with file capabilities, as the subject of a cell. It is told what
//! to do by a [`Lane`](perfsec_wire::Lane), says what it saw in [`Message`](perfsec_wire::Message)s,
//! and never judges.

#![cfg_attr(not(test), no_main)]

mod attribute;
mod audit;
mod cell;
mod children;
mod coverage;
mod error;
mod executables;
mod init;
mod kmsg;
mod knob;
mod lane;
mod local;
mod machine;
mod perform;
mod record;
mod report;
mod selinux;
mod shell;
mod subject;
mod sys;
mod sysctl;
mod trace;
mod undo;

/// The program; the result is its exit code.
fn start() -> u8 {
    let mut arguments = std::env::args().skip(1);
    if std::process::id() == 1 {
        init::run();
    }
    match (arguments.next(), arguments.next()) {
        (Some(word), Some(fd)) if word == subject::WORD => subject::run(&fd),
        (first, second) => local::run(first.into_iter().chain(second).chain(arguments)),
    }
}

/// Tests start elsewhere, and still everything is reachable from here.
#[cfg(test)]
const _: fn() -> u8 = start;
