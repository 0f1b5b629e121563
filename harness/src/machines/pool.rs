//! The interface between the engine and the machines.

use std::fmt;

use perfsec_wire::frame::FrameError;
use perfsec_wire::{BootMode, Message, Order};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Blame, End, Load, MachineError, Sink};
use crate::guest::GuestName;
use crate::kernel::Kernel;
use crate::plan::PlannedCell;

/// Machines of one kind, handed out one boot at a time, to several threads at once.
pub trait Pool: fmt::Debug + Send + Sync {
    /// Finds out, with a kernel that is about to be booted, what can only be found out by booting
    /// (whether acceleration works, for one). `say` shows the user one line. By default there is
    /// nothing to find out.
    ///
    /// # Errors
    ///
    /// If no machine of this pool can work at all.
    fn prepare(&self, _kernel: &Kernel, _say: &dyn Fn(&str)) -> Result<(), MachineError> {
        Ok(())
    }

    /// The machinery that boots kernels in this mode, for the run record.
    fn describe(&self, mode: BootMode) -> Machinery;

    /// True if the machines run a system that loads a policy of its own.
    fn has_system(&self) -> bool {
        false
    }

    /// True if kernels start on real machines, which firmware, power or people can end as well.
    fn is_metal(&self) -> bool {
        false
    }

    /// The kernel that the machines run already, if they boot none.
    fn kernel(&self) -> Option<&Kernel> {
        None
    }

    /// Checks that the machines can run a cell; it is skipped if not. By default they can run all.
    ///
    /// # Errors
    ///
    /// The reason why they cannot.
    fn can_run(&self, _cell: &PlannedCell) -> Result<(), CannotBoot> {
        Ok(())
    }

    /// The state in which machines are left. By default there is nothing to put back: a machine is
    /// gone after its run.
    fn aftermath(&self) -> Aftermath {
        Aftermath::Restored
    }

    /// Checks that the machines can boot in this mode; the cells that need it are skipped if not.
    /// By default they can boot in all.
    ///
    /// # Errors
    ///
    /// The reason why they cannot.
    fn can(&self, _mode: BootMode) -> Result<(), CannotBoot> {
        Ok(())
    }

    /// Boots once, or restores a guest that was saved after such a boot, unless it must be `cold`.
    /// Incidents and the console go to `sink` until [`Incident::Ended`](super::Incident) or until
    /// the guest is dropped. The sink may make threads of the machine wait, but not once nobody
    /// listens.
    ///
    /// A booted guest begins with [`Message::Hello`]; a restored one waits for
    /// [`Order::Begin`](perfsec_wire::Order::Begin), as one that said [`Message::Parked`] does.
    ///
    /// # Errors
    ///
    /// If the machine does not start; the error says whose fault that is.
    fn boot(
        &self,
        kernel: &Kernel,
        mode: BootMode,
        load: &Load,
        cold: bool,
        sink: Sink,
    ) -> Result<Box<dyn Guest>, MachineError>;

    /// Boots into a shell on perfsec's own terminal and waits until the user leaves it: a static
    /// busybox, or without one the logins of the system that the machine runs. `listener` gets what
    /// the agent says on the way.
    ///
    /// # Errors
    ///
    /// If the machine does not start, or gives no shell.
    fn shell(
        &self,
        _kernel: &Kernel,
        _load: &Load,
        _shell: Option<Vec<u8>>,
        _listener: Box<dyn Fn(Message) + Send>,
    ) -> Result<End, MachineError> {
        Err(MachineError::new(Blame::Machine, "open a shell: this kind of machine gives none"))
    }
}

/// A machine that runs. Dropping it ends it and leaves nothing behind.
pub trait Guest {
    /// Sends an order to the agent, which must wait for one.
    ///
    /// # Errors
    ///
    /// If the agent cannot be reached, as a rule because the machine is ending, or does not read.
    fn order(&mut self, order: &Order) -> Result<(), FrameError>;

    /// The name of the snapshot from which it was restored; `None` if it was booted.
    fn snapshot(&self) -> Option<String> {
        None
    }

    /// Saves the guest, whose agent is parked, for later boots. The guest goes on in any case; if
    /// it cannot be saved, later boots are cold.
    fn save(&mut self) {}

    /// Deletes the snapshot from which it was restored.
    fn discard_snapshot(&mut self) {}

    /// Asks a guest that hangs for what it can still tell, before it is killed: its memory, if the
    /// user wants it ([`Incident::Dumped`](super::Incident) follows), or what its kernel says to
    /// SysRq. It never continues.
    fn examine(&mut self) {}

    /// Ends it at once; [`Incident::Ended`](super::Incident) follows.
    fn kill(&mut self);
}

/// The state in which a machine is left, from the best to the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aftermath {
    /// Everything was put back.
    #[default]
    Restored,
    /// It was to be put back, and perfsec did not see that it was.
    Unseen,
    /// Something is left changed.
    Changed,
}

/// The reason why a pool cannot boot in some mode, or cannot run a cell: a clause that fits after
/// "this machine".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannotBoot(pub String);

/// The machinery that runs a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machinery {
    /// Program and version, `QEMU emulator version 7.2.22`; or the name of a real machine:
    /// `here`, `rack1`.
    pub machine: String,
    /// `tcg` or `kvm`; `none` for a machine that is no program.
    pub accel: String,
    /// The kernel's command line.
    pub parameters: String,
    /// The system that runs beside the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<GuestSystem>,
    /// Host name of a machine that is no program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// A guest system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuestSystem {
    /// Its name: `debian:trixie`
    pub name: GuestName,
    /// SHA-256 of its image, in hexadecimal.
    pub sha256: String,
}

impl fmt::Display for CannotBoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this machine {}", self.0)
    }
}
