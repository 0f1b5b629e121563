//! The numbers of system calls, by the architecture that `arch=` names.
//!
//! Only calls in which the kernel decides about perf, BPF or another process. Architectures are
//! those of `include/uapi/linux/audit.h` that run perf; numbers are those of the kernel's
//! `syscall.tbl` of each and of `include/uapi/asm-generic/unistd.h`.

/// An architecture of a SYSCALL record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Architecture {
    /// Its name, as `ausearch -i` prints it.
    pub(super) name: &'static str,
    /// The numbers of `AUDIT_ARCH_*` that share the table.
    numbers: &'static [u32],
    /// Other names of the same architecture.
    aliases: &'static [&'static str],
    /// The numbers of [`CALLS`], in the same order.
    calls: [Option<u32>; CALLS.len()],
}

/// The system calls, in the order of the tables. The 32-bit tables have `mmap2` for `mmap`.
const CALLS: [&str; 16] = [
    "perf_event_open",
    "bpf",
    "ioctl",
    "mmap",
    "read",
    "write",
    "open",
    "openat",
    "openat2",
    "execve",
    "execveat",
    "recvmsg",
    "ptrace",
    "prctl",
    "process_vm_readv",
    "process_madvise",
];

/// Names that the audit tools print for a call of [`CALLS`].
const OTHER_NAMES: [(&str, &str); 3] =
    [("perf_counter_open", "perf_event_open"), ("mmap2", "mmap"), ("old_mmap", "mmap")];

/// Calls of the x32 ABI have the architecture of x86-64 and this bit in the number.
const X32: u32 = 0x4000_0000;

/// x32 numbers some calls of its own (`arch/x86/entry/syscalls/syscall_64.tbl`).
const X32_CALLS: [(u32, &str); 6] = [
    (514, "ioctl"),
    (519, "recvmsg"),
    (520, "execve"),
    (521, "ptrace"),
    (539, "process_vm_readv"),
    (545, "execveat"),
];

/// Marks a call that an architecture does not have.
const NONE: u32 = u32::MAX;

const fn table(numbers: [u32; CALLS.len()]) -> [Option<u32>; CALLS.len()] {
    let mut calls = [None; CALLS.len()];
    let mut at = 0;
    while at < numbers.len() {
        if numbers[at] != NONE {
            calls[at] = Some(numbers[at]);
        }
        at += 1;
    }
    calls
}

const fn arch(
    name: &'static str,
    numbers: &'static [u32],
    aliases: &'static [&'static str],
    calls: [u32; CALLS.len()],
) -> Architecture {
    Architecture { name, numbers, aliases, calls: table(calls) }
}

/// `include/uapi/asm-generic/unistd.h`
const GENERIC: [u32; CALLS.len()] =
    [241, 280, 29, 222, 63, 64, NONE, 56, 437, 221, 281, 212, 117, 167, 270, 440];
const POWERPC: [u32; CALLS.len()] =
    [319, 361, 54, 90, 3, 4, 5, 286, 437, 11, 362, 342, 26, 171, 351, 440];
const S390: [u32; CALLS.len()] =
    [331, 351, 54, 90, 3, 4, 5, 288, 437, 11, 354, 372, 26, 172, 340, 440];

static ARCHITECTURES: [Architecture; 13] = [
    arch(
        "x86_64",
        &[0xc000_003e],
        &["x86-64", "amd64", "x64"],
        [298, 321, 16, 9, 0, 1, 2, 257, 437, 59, 322, 47, 101, 157, 310, 440],
    ),
    arch(
        "i386",
        &[0x4000_0003],
        &["i486", "i586", "i686", "x86"],
        [336, 357, 54, 192, 3, 4, 5, 295, 437, 11, 358, 372, 26, 172, 347, 440],
    ),
    arch("aarch64", &[0xc000_00b7], &["arm64"], GENERIC),
    arch(
        "arm",
        &[0x4000_0028, 0x28],
        &["armeb", "armv5tejl", "armv5tel", "armv6l", "armv7l"],
        [364, 386, 54, 192, 3, 4, 5, 322, 437, 11, 387, 297, 26, 172, 376, 440],
    ),
    arch("ppc64le", &[0xc000_0015], &["powerpc64le"], POWERPC),
    arch("ppc64", &[0x8000_0015], &["powerpc64"], POWERPC),
    arch("ppc", &[0x14], &["powerpc"], POWERPC),
    arch("s390x", &[0x8000_0016], &[], S390),
    arch("s390", &[0x16], &[], S390),
    arch("riscv64", &[0xc000_00f3], &[], GENERIC),
    arch("loongarch64", &[0xc000_0102], &[], GENERIC),
    arch(
        "mips64",
        &[0x8000_0008, 0xc000_0008],
        &["mipsel64", "mips64el"],
        [
            5292, 5315, 5015, 5009, 5000, 5001, 5002, 5247, 5437, 5057, 5316, 5046, 5099, 5153,
            5304, 5440,
        ],
    ),
    arch(
        "mips",
        &[0x8, 0x4000_0008],
        &["mipsel"],
        [
            4333, 4355, 4054, 4210, 4003, 4004, 4005, 4288, 4437, 4011, 4356, 4177, 4026, 4192,
            4345, 4440,
        ],
    ),
];

impl Architecture {
    /// Finds the architecture of `arch=`: `c000003e`, `0xc000003e` or `x86_64`.
    pub(super) fn find(text: &str) -> Option<&'static Self> {
        let text = text.trim_matches('"');
        let number = u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok();
        ARCHITECTURES.iter().find(|known| {
            number.is_some_and(|number| known.numbers.contains(&number))
                || known.name.eq_ignore_ascii_case(text)
                || known.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(text))
        })
    }

    /// The x86-64 table: records without `arch=` are mostly from there.
    pub(super) fn x86_64() -> &'static Self {
        &ARCHITECTURES[0]
    }

    /// The name of a system call. Returns `None` for a call that does not matter to perf.
    pub(super) fn call(&self, number: u32) -> Option<&'static str> {
        let number = if self == Self::x86_64() && number & X32 != 0 {
            let number = number & !X32;
            if let Some((_, name)) = X32_CALLS.iter().find(|(known, _)| *known == number) {
                return Some(name);
            }
            number
        } else {
            number
        };
        // 192 is mmap2 on the 32-bit tables that also have the old call.
        if matches!(self.name, "ppc" | "s390") && number == 192 {
            return Some("mmap");
        }
        let at = self.calls.iter().position(|known| *known == Some(number))?;
        Some(CALLS[at])
    }
}

/// The kernel's name of a call that a tool names otherwise.
pub(super) fn usual_name(name: &str) -> &str {
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == name);
    other.map_or(name, |(_, usual)| usual)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::x86("c000003e", 298, "perf_event_open")]
    #[case::x86_named("x86_64", 321, "bpf")]
    #[case::prefixed("0xc000003e", 257, "openat")]
    #[case::x32("c000003e", 0x4000_0000 + 298, "perf_event_open")]
    #[case::x32_of_its_own("c000003e", 0x4000_0000 + 514, "ioctl")]
    #[case::i386("40000003", 336, "perf_event_open")]
    #[case::i386_mmap2("40000003", 192, "mmap")]
    #[case::i386_bpf("i386", 357, "bpf")]
    #[case::aarch64("c00000b7", 241, "perf_event_open")]
    #[case::aarch64_bpf("aarch64", 280, "bpf")]
    #[case::arm("40000028", 364, "perf_event_open")]
    #[case::arm_bpf("arm", 386, "bpf")]
    #[case::ppc64le("c0000015", 319, "perf_event_open")]
    #[case::ppc64("80000015", 361, "bpf")]
    #[case::s390x("80000016", 331, "perf_event_open")]
    #[case::s390x_bpf("s390x", 351, "bpf")]
    #[case::riscv64("c00000f3", 241, "perf_event_open")]
    #[case::loongarch("c0000102", 280, "bpf")]
    #[case::mips64("c0000008", 5292, "perf_event_open")]
    #[case::mips("40000008", 4333, "perf_event_open")]
    fn a_number_names_the_call_of_its_architecture(
        #[case] arch: &str,
        #[case] number: u32,
        #[case] name: &str,
    ) {
        assert_eq!(Architecture::find(arch).unwrap().call(number), Some(name));
    }

    #[rstest]
    #[case::number_of_x86("c00000b7", 298)]
    #[case::other_call("c000003e", 165)]
    #[case::absent("c00000b7", u32::MAX)]
    fn a_number_of_another_call_has_no_name(#[case] arch: &str, #[case] number: u32) {
        assert_eq!(Architecture::find(arch).unwrap().call(number), None);
    }

    #[test]
    fn an_unknown_architecture_is_not_found() {
        assert_eq!(Architecture::find("deadbeef"), None);
    }
}
