//! The directories of the cache, and what they are for.

/// A directory of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Name of the directory.
    pub name: &'static str,
    /// Its content.
    pub purpose: &'static str,
    /// The kind of its content.
    pub holds: Holds,
}

/// The kind of content of a directory of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Files that never change, each with a seal.
    Entries,
    /// Directories of tools, which check by themselves what they read there.
    Trees,
    /// Files for people. perfsec does not read them.
    Logs,
    /// Files that cannot be made again, so that they are deleted only by name.
    Records,
}

/// The directories of the cache, without those for temporary files, seals and locks.
pub const ROOMS: &[Room] = &[
    Room::SNAPSHOTS,
    Room::GUESTS,
    Room::KERNEL,
    Room::BUILDS,
    Room::LOGS,
    Room::SOURCE,
    Room::DEBIAN,
    Room::DEBIAN_LISTS,
    Room::APT,
    Room::POLICIES,
    Room::ACCEL,
    Room::SERIES,
    Room::ANSWERS,
    Room::RUNS,
];

/// A room, its name and what it holds.
macro_rules! rooms {
    ($($constant:ident, $name:literal, $holds:ident, $purpose:literal;)*) => {
        impl Room {
            $(
                #[doc = concat!("For ", $purpose, ".")]
                pub const $constant: Self =
                    Self { name: $name, purpose: $purpose, holds: Holds::$holds };
            )*
        }
    };
}

rooms! {
    SNAPSHOTS, "snapshots", Entries,
        "guests saved when they were ready, so that the next run need not boot";
    GUESTS, "guests", Entries, "guest systems: archives that kernels boot, and their policies";
    KERNEL, "kernel", Entries,
        "kernels as they are booted: unpacked, with their release and configuration";
    BUILDS, "builds", Entries, "which kernel a tree, a configuration and a compiler make";
    LOGS, "logs", Logs, "logs of builds";
    SOURCE, "source", Trees, "repositories in which kernels are built, with their object files";
    DEBIAN, "debian", Entries, "packages from Debian's archive";
    DEBIAN_LISTS, "debian-lists", Entries, "packages that Debian's archive has, by suite";
    APT, "apt", Trees, "state of apt, by suite";
    POLICIES, "policies", Entries, "compiled policies";
    ACCEL, "accel", Entries, "the answers of QEMU and KVM on this host";
    SERIES, "series", Entries, "which runs `series` need not repeat";
    ANSWERS, "answers", Entries, "the answers of `b4-check` about the mails of checked series";
    RUNS, "runs", Records, "run records, which reports are made from";
}

impl Room {
    /// The directory of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ROOMS.iter().copied().find(|room| room.name == name)
    }

    /// True if its content cannot be made again.
    #[must_use]
    pub fn is_irreplaceable(self) -> bool {
        self.holds == Holds::Records
    }
}
