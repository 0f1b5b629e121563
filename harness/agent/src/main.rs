//! The program that runs on the kernel under test: as process 1 of a guest, as an ordinary process
//! of a guest system, which has an init of its own, or beside everything else on a machine that is
//! not perfsec's.
//!
//! It gets its orders in a [`Lane`](perfsec_wire::Lane) and reports what it saw in
//! [`Message`](perfsec_wire::Message)s; it never judges. Another program, `perfsec-subject`,
//! performs the steps of cells.

#![cfg_attr(not(test), no_main)]

mod actions;
mod answers;
mod attribute;
mod audit;
mod cell;
mod channel;
mod children;
mod console;
mod coverage;
mod error;
mod facts;
mod follow;
mod handover;
mod here;
mod init;
mod kmsg;
mod knob;
mod lane;
mod limits;
mod lockdown;
mod machine;
mod orphans;
mod program;
mod record;
mod root;
mod selinux;
mod serial;
mod serve;
mod service;
mod shell;
mod subject;
mod sys;
mod sysctl;
mod takeover;
mod terminal;
mod trace;
mod watchdog;

/// The program; returns its exit code.
fn start() -> u8 {
    if let Some(role) = here::Role::of(std::env::args().skip(1)) {
        return role.play();
    }
    if let Some(takeover) = takeover::Takeover::of(std::env::args().skip(1)) {
        return takeover.run();
    }
    match (std::process::id() == 1, handover::is_guest_system()) {
        (true, false) => init::run(),
        (true, true) => handover::run(),
        (false, true) => service::run(),
        (false, false) => {
            eprintln!(
                "perfsec-agent: perfsec starts it: in a guest, or on a machine that it is to test"
            );
            2
        }
    }
}

/// Tests have another `main`; this keeps everything reachable.
#[cfg(test)]
const _: fn() -> u8 = start;
