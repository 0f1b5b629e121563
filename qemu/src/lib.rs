//! Starts virtual machines and notices their death.
//!
//! A [`Machine`] describes what to boot; a [`Vm`] is a running one. Its console and its end arrive
//! as [`VmEvent`]s, and [`Vm::channel`] is the byte stream to the program inside. [`Vm::save`]
//! writes the state of a running guest, and [`Vm::restore`] continues it any number of times.
//! Nothing sleeps, and no process and no file outlives its `Vm`, however this process ends.
//!
//! Known limits: x86-64 guests with one CPU; without reading the console, a panic looks like a
//! reboot (stock kernels have the driver for QEMU's panic device as a module).

pub mod accel;
mod error;
mod event;
pub mod initramfs;
pub mod machine;
mod migration;
mod process;
mod qmp;
mod supervisor;
mod sys;
mod vm;

pub use accel::Accel;
pub use error::{Error, SaveError};
pub use event::{End, VmEvent};
pub use initramfs::Initramfs;
pub use machine::{ConsoleTo, Machine};
pub use vm::Vm;
