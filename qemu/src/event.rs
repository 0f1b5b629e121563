//! Events in the life of a virtual machine.

use std::process::ExitStatus;

/// An event in the life of a virtual machine.
#[derive(Debug)]
pub enum VmEvent {
    /// Raw bytes from the guest's console: split anywhere, with `\r\n` line ends.
    Console(Vec<u8>),
    /// The guest reset its machine, and its memory is in the file of
    /// [`Machine::dump`](crate::Machine::dump); or QEMU's words about why it is not.
    Dumped(Result<(), String>),
    /// The machine ended. This is the last event.
    Ended(End),
}

/// The end of a virtual machine.
#[derive(Debug)]
pub enum End {
    /// The guest powered itself off.
    PoweredOff,
    /// The guest reset its machine: it rebooted, panicked with `panic=-1`, or hit a triple fault.
    /// Only the console shows which.
    Reset,
    /// QEMU died, gave up on the guest, or was ended by someone else.
    Crashed {
        /// The exit status of the process.
        status: ExitStatus,
        /// Its standard error, and the state it reported, if any.
        said: String,
    },
    /// [`Vm::kill`](crate::Vm::kill), a drop, or the user at the terminal ended it.
    Killed,
}
