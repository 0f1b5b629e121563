//! Steps of `bpf(2)`.

use nix::libc;
use perfsec_wire::step::{Bpf, MapCreate, MapFlag, MapType, ProgFlag, ProgLoad, ProgType, Syscall};

use super::Lower;
use super::instructions::instructions;
use crate::subject::program::{Arg, Assembler, number};

/// A command or a type that no kernel defines.
const UNDEFINED: u32 = i32::MAX as u32;

impl Lower for Bpf {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        // `union bpf_attr`, as long as in 5.10; newer fields are zero.
        const LENGTH: usize = 120;
        const BPF_MAP_CREATE: i64 = 0;
        const BPF_PROG_LOAD: i64 = 5;
        const BPF_OBJ_GET_INFO_BY_FD: i64 = 15;
        const BPF_TASK_FD_QUERY: i64 = 20;
        let (command, mut words) = match self {
            Self::ProgLoad(load) => (BPF_PROG_LOAD, prog_load(load, assembler)),
            Self::MapCreate(create) => (BPF_MAP_CREATE, map_create(create)),
            Self::TaskFdQuery(_) => (BPF_TASK_FD_QUERY, vec![0; 6]),
            Self::ObjGetInfoByFd(_) => (BPF_OBJ_GET_INFO_BY_FD, info(assembler)),
            Self::Unknown => (UNDEFINED.into(), Vec::new()),
        };
        words.resize(LENGTH / 8, 0);
        let at = assembler.words(&words);
        if let Self::TaskFdQuery(query) = self {
            match assembler.task(&query.pid) {
                // Only the caller knows its own pid.
                Arg::Value(pid) => assembler.overwrite(at, pid as u32),
                Arg::Slot(_) => assembler.store(&query.pid.to_string(), at),
            }
            assembler.store(&query.fd, at + 4);
        }
        if let Self::ObjGetInfoByFd(asked) = self {
            assembler.store(&asked.fd, at);
        }
        let arguments = [number(command), Arg::Value(at), number(LENGTH as i64)];
        assembler.call(libc::SYS_bpf, &arguments);
        if let Self::TaskFdQuery(query) = self {
            assembler.requires(&query.fd);
        }
        if let Self::ObjGetInfoByFd(asked) = self {
            assembler.requires(&asked.fd);
        }
        if let Some(name) = self.binds() {
            assembler.bind(name);
        }
        Ok(())
    }
}

fn map_create(create: &MapCreate) -> Vec<u64> {
    // enum bpf_map_type (include/uapi/linux/bpf.h), and the usual size of a value.
    let (kind, value) = match create.map_type {
        MapType::Hash => (1, 8),
        MapType::Array => (2, 8),
        MapType::PerfEventArray => (4, 4),
        MapType::StackTrace => (7, 8),
        MapType::Unknown => (UNDEFINED, 8),
    };
    let flags = create.map_flags.iter().fold(0, |flags, flag| {
        flags
            | match flag {
                MapFlag::NoPrealloc => 1 << 0,
                MapFlag::RdonlyProg => 1 << 7,
                MapFlag::Unknown => 1 << 31,
            }
    });
    // map_type, key_size; value_size, max_entries; map_flags.
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let value = create.value_size.unwrap_or(value);
    vec![pair(kind, create.key_size), pair(value, create.max_entries), pair(flags, 0)]
}

/// Asks for the beginning of `struct bpf_prog_info`, without any of its arrays.
fn info(assembler: &mut Assembler<'_>) -> Vec<u64> {
    const WORDS: usize = 13;
    let info = assembler.words(&[0; WORDS]);
    // bpf_fd, info_len; info.
    vec![(WORDS as u64 * 8) << 32, info]
}

fn prog_load(load: &ProgLoad, assembler: &mut Assembler<'_>) -> Vec<u64> {
    const BPF_F_SLEEPABLE: u64 = 1 << 4;
    let flags = load.prog_flags.iter().fold(0, |flags, flag| {
        flags
            | match flag {
                ProgFlag::StrictAlignment => 1 << 0,
                ProgFlag::AnyAlignment => 1 << 1,
                ProgFlag::Sleepable => BPF_F_SLEEPABLE,
                ProgFlag::Unknown => 1 << 31,
            }
    });
    // enum bpf_prog_type (include/uapi/linux/bpf.h).
    let kind: u64 = match load.prog_type {
        ProgType::SocketFilter => 1,
        ProgType::Kprobe => 2,
        ProgType::SchedCls => 3,
        ProgType::Tracepoint => 5,
        ProgType::Xdp => 6,
        ProgType::PerfEvent => 7,
        ProgType::CgroupSkb => 8,
        ProgType::RawTracepoint => 17,
        ProgType::FlowDissector => 22,
        ProgType::CgroupSysctl => 23,
        ProgType::RawTracepointWritable => 24,
        ProgType::Ext => 28,
        ProgType::Syscall => 31,
        ProgType::Unknown => UNDEFINED.into(),
    };
    // Without the flag check_attach_btf_id() refuses it before the verifier sees an instruction.
    let flags = flags | if load.prog_type == ProgType::Syscall { BPF_F_SLEEPABLE } else { 0 };
    let code = instructions(load.program);
    let count = load.insn_cnt.map_or(code.len() as u64, u64::from);
    let code = assembler.words(&code);
    let license = assembler.text(&load.license);
    // prog_type, insn_cnt; insns; license; log_level, log_size; log_buf; kern_version, prog_flags.
    vec![kind | count << 32, code, license, 0, 0, flags << 32]
}
