//! The program that runs on the kernel under test.
//!
//! It starts as process 1 of a guest, or as an ordinary root process on a machine that lives on. It has
//! another program, `perfsec-subject`, execute the steps of cells. It is told what to do by a [`Lane`](perfsec_wire::Lane), says what it saw in [`Message`](perfsec_wire::Message)s,
//! and never judges.

#![cfg_attr(not(test), no_main)]

mod actions;
mod attribute;
mod audit;
mod cell;
mod channel;
mod children;
mod coverage;
mod error;
mod init;
mod kmsg;
mod knob;
mod lane;
mod local;
mod lockdown;
mod machine;
mod record;
mod selinux;
mod shell;
mod subject;
mod sys;
mod sysctl;
mod trace;
mod undo;

/// The program; the result is its exit code.
fn start() -> u8 {
    if std::process::id() == 1 {
        init::run();
    }
    local::run(std::env::args().skip(1))
}

/// Tests start elsewhere, and still everything is reachable from here.
#[cfg(test)]
const _: fn() -> u8 = start;
