//! Faults, and random plans of them.

use crate::machines::End;

/// A boot as it is planned.
#[derive(Clone, Debug, Default)]
pub struct FaultyBoot {
    /// Its faults.
    pub faults: Vec<Fault>,
    /// The guest is restored from a snapshot, if it need not be booted.
    pub restored: bool,
    /// The agent moves to memory that is shared with the host.
    pub window: bool,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The message that it meets, by its number in the boot, from 0. Beyond the last one, it never
    /// happens.
    pub at: usize,
    /// The fault.
    pub kind: FaultKind,
}

/// A kind of fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// These bytes are in front of the message.
    Garbage(Vec<u8>),
    /// The message claims this length.
    Length(u32),
    /// A bit of the message flips: the one with this number, counted round.
    Flip(usize),
    /// A bit of the next order flips.
    FlipOrder(usize),
    /// From now on, bytes come one at a time.
    Slow,
    /// The channel closes and the machine goes on.
    Close,
    /// The machine ends in the middle of the message.
    Cut(End),
    /// The machine ends in front of the message.
    End(End),
    /// The message is lost.
    Drop,
    /// The message comes so many times more.
    Repeat(usize),
    /// The message comes after the next one.
    Swap,
    /// Nothing comes any more.
    Silence,
    /// The console gets these lines.
    Print(String),
    /// Nothing comes any more but these lines on the console, without an end.
    Talk(String),
}

/// The report of a kernel that hangs, as it comes every 22 seconds.
pub const LOCKUP: &str =
    "[   28.025048] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [subject:97]\r\n";

impl FaultyBoot {
    /// A random boot of a guest that sends some `messages`. A quarter of them go well.
    #[must_use]
    pub fn random(rng: &mut fastrand::Rng, messages: usize) -> Self {
        let many = [0, 1, 1, 2][rng.usize(..4)];
        Self {
            faults: (0..many).map(|_| Fault::random(rng, messages)).collect(),
            restored: rng.u8(..4) == 0,
            window: rng.bool(),
        }
    }
}

impl Fault {
    /// A random fault of a guest that sends some `messages`.
    fn random(rng: &mut fastrand::Rng, messages: usize) -> Self {
        Self { at: rng.usize(..=messages), kind: FaultKind::random(rng) }
    }
}

impl FaultKind {
    fn random(rng: &mut fastrand::Rng) -> Self {
        match rng.u8(..18) {
            0 => Self::Garbage((0..rng.usize(1..40)).map(|_| rng.u8(..)).collect()),
            1 => Self::Length(rng.u32(..) >> rng.u32(..32)),
            2..=4 => Self::Flip(rng.usize(..1 << 16)),
            5 => Self::FlipOrder(rng.usize(..1 << 16)),
            6 => Self::Slow,
            7 => Self::Close,
            8 => Self::Cut(end(rng)),
            9 => Self::End(end(rng)),
            10 => Self::Drop,
            11 => Self::Repeat(1),
            12 => Self::Repeat(rng.usize(2..3000)),
            13 => Self::Swap,
            14 => Self::Silence,
            15 => Self::Print("[    2.000000] a line of noise\r\n".repeat(rng.usize(1..500))),
            16 => Self::Talk("[    3.000000] another line\r\n".repeat(rng.usize(1..5))),
            _ => Self::Talk(LOCKUP.to_owned()),
        }
    }

    /// True if the kernel is to blame: it reports something, or reboots by itself.
    #[must_use]
    pub fn is_kernels(&self) -> bool {
        match self {
            Self::Cut(end) | Self::End(end) => *end == End::Rebooted,
            Self::Print(text) | Self::Talk(text) => text == LOCKUP,
            _ => false,
        }
    }
}

fn end(rng: &mut fastrand::Rng) -> End {
    match rng.u8(..5) {
        0 => End::PoweredOff,
        1 => End::Rebooted,
        2 => End::Killed,
        3 => End::Crashed {
            detail: "QEMU was killed by a signal (9, SIGKILL)".to_owned(),
            said: String::new(),
        },
        _ => End::Crashed {
            detail: "QEMU exited with status 1".to_owned(),
            said: "qemu-system-x86_64: cannot allocate memory".to_owned(),
        },
    }
}
