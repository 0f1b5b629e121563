//! The sizes of foreign input, in one table. `docs/limitations.md` lists them for users.

use std::fmt;
use std::io;

use perfsec_wire::frame::MAX_CONTENT;

/// The largest input of one kind.
#[derive(Debug)]
pub(crate) struct Limit {
    /// The kind of input, with its article.
    pub(crate) of: &'static str,
    /// In bytes.
    pub(crate) bytes: u64,
}

/// The error for larger input.
#[derive(Debug, thiserror::Error)]
#[error("it is larger than {0}, the limit of {of} (`perfsec help limitations`)", of = .0.of)]
struct TooLarge(&'static Limit);

impl Limit {
    /// The error for input past the limit.
    pub(crate) fn exceeded(&'static self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, TooLarge(self))
    }

    /// The limit as a length in memory.
    pub(crate) fn length(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }
}

/// The size, in the largest unit that divides it.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let unit = units.into_iter().find(|(size, _)| self.bytes.is_multiple_of(*size));
        let (size, name) = unit.unwrap_or((1, "bytes"));
        write!(f, "{} {name}", self.bytes / size)
    }
}

/// Defines the limits, and a list of them for a test.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $of:literal, $bytes:expr;)*) => {
        $($(#[$doc])* pub(crate) static $name: Limit = Limit { of: $of, bytes: $bytes };)*

        #[cfg(test)]
        static ALL: &[&Limit] = &[$(&$name),*];
    };
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

limits! {
    /// The longest of ours has 9 KB.
    CASE = "a case file", MIB;
    KNOWN = "a file of known differences", 4 * MIB;
    CHANGES = "a file of stated changes", 4 * MIB;
    DEFAULTS = "a file of defaults", MIB;
    MUTATION = "a mutation", MIB;
    MUTANTS = "a list of code to mutate", MIB;
    SURVIVORS = "a list of judged survivors", 4 * MIB;
    SURVEY = "a survey", 64 * MIB;
    STEPS = "a file of steps", MIB;
    /// A survivor's patch and a killer's difference have some KB.
    MUTANT_RECORD = "a record of mutants", 256 * MIB;
    /// Fedora's binary policy has 4 MB, its CIL source 20 MB.
    POLICY = "a policy", 256 * MIB;
    /// Fedora's store has 30 MB.
    POLICY_FILES = "the modules of a policy", 512 * MIB;
    /// The cells of a record are in memory. A cell has 5 to 20 KB.
    RECORD = "a run record", 4 * GIB;
    /// A cell's line has the observation, its transcript and those of its attempts. JSON escapes a
    /// control character with six letters.
    RECORD_LINE = "a line of a run record", 32 * MAX_CONTENT as u64;
    LOG = "a log", 16 * GIB;
    /// `MAX_AUDIT_MESSAGE_LENGTH` is 8970; an event in JSON has several messages.
    LOG_LINE = "a line of a log", 256 * KIB;
    /// Far beyond any thread of a list.
    MAILBOX = "a mailbox", 64 * MIB;
    /// An uncompressed kernel with debug information has 1 GB, a package without 0.1 GB.
    KERNEL_FILE = "a kernel file", 8 * GIB;
    /// A corrupt length must not exhaust the host's memory.
    KERNEL = "an uncompressed kernel", 512 * MIB;
    /// The modules of a kernel with debug information have 5 GB.
    PACKAGE = "an unpacked package", 16 * GIB;
    CONTROL = "the control files of a Debian package", 16 * MIB;
    /// An allmodconfig has 600 KiB.
    CONFIG = "a kernel configuration", 4 * MIB;
    /// The complete configuration of a distribution has 0.3 MB.
    FRAGMENT = "a configuration fragment", 8 * MIB;
    /// Four times the size of a kernel source.
    SOURCE = "an unpacked kernel source", 8 * GIB;
    /// The largest, a list of registers, has 15 MB.
    SOURCE_FILE = "a file of a kernel source", 64 * MIB;
    /// Programs that perfsec inspects or copies into the guest.
    PROGRAM = "a program", 64 * MIB;
    /// Of `/proc` or `/etc`.
    SYSTEM_FILE = "a file of the system", MIB;
    CACHED = "a file that perfsec keeps", 64 * MIB;
    /// `git rev-list` over all of Linux prints 60 MB.
    OUTPUT = "the output of a program", GIB;
    /// LLVM's library has 130 MB.
    GUEST_FILE = "a file of a guest system", GIB;
    /// A linker's command line in a build log has up to 2 MB; longer lines are cut.
    OUTPUT_LINE = "a line of a program's output", 4 * MIB;
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_of_limitations_lists_every_limit() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/limitations.md");
        let page = std::fs::read_to_string(page).unwrap();
        for limit in ALL {
            let row = format!("    {:<42}{limit}", limit.of);
            assert!(page.lines().any(|line| line == row), "docs/limitations.md lacks:\n{row}");
        }
    }

    #[test]
    fn a_size_has_its_largest_unit() {
        let show = |bytes| Limit { of: "", bytes }.to_string();
        assert_eq!([4, 2048, 3 << 20, 5 << 30].map(show), ["4 bytes", "2 KiB", "3 MiB", "5 GiB"]);
    }
}
