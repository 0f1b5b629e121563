//! Steps of `bpf(2)`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FdName, Syscall, Task, default_fd, joined};
use crate::named::named;

/// `bpf(2)`, by the command's name in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Bpf {
    /// `BPF_PROG_LOAD`.
    ProgLoad(ProgLoad),
    /// `BPF_MAP_CREATE`.
    MapCreate(MapCreate),
    /// `BPF_TASK_FD_QUERY`.
    TaskFdQuery(TaskFdQuery),
    /// `BPF_OBJ_GET_INFO_BY_FD`, of a program.
    ObjGetInfoByFd(ObjGetInfoByFd),
    /// A command that no kernel defines: 2^31-1.
    Unknown,
}

/// Arguments of `BPF_PROG_LOAD`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProgLoad {
    /// The type by its name without `BPF_PROG_TYPE_`.
    pub prog_type: ProgType,
    /// The instructions.
    #[serde(default)]
    pub program: Program,
    /// `insn_cnt`, instead of the number of instructions.
    #[serde(default)]
    pub insn_cnt: Option<u32>,
    /// Flags by name without `BPF_F_`.
    #[serde(default)]
    pub prog_flags: Vec<ProgFlag>,
    /// The license that the program declares.
    #[serde(default = "gpl")]
    pub license: String,
    /// Name for the returned file descriptor.
    #[serde(default = "default_program", rename = "as")]
    pub bind: FdName,
}

fn gpl() -> String {
    "GPL".to_owned()
}

fn default_program() -> FdName {
    "prog".to_owned()
}

named! {
    /// A type of BPF program (`include/uapi/linux/bpf.h`).
    ProgType is "type of BPF program" {
        /// Filters a socket.
        SocketFilter = "SOCKET_FILTER",
        /// Runs at a kprobe.
        Kprobe = "KPROBE",
        /// Classifies packets.
        SchedCls = "SCHED_CLS",
        /// Runs at a tracepoint.
        Tracepoint = "TRACEPOINT",
        /// Sees packets before the network stack does.
        Xdp = "XDP",
        /// Runs when a perf event overflows.
        PerfEvent = "PERF_EVENT",
        /// Filters packets of a cgroup.
        CgroupSkb = "CGROUP_SKB",
        /// Runs at a tracepoint, without its format.
        RawTracepoint = "RAW_TRACEPOINT",
        /// Like `RAW_TRACEPOINT`, and may write.
        RawTracepointWritable = "RAW_TRACEPOINT_WRITABLE",
        /// Dissects packet headers.
        FlowDissector = "FLOW_DISSECTOR",
        /// Allows or refuses sysctls of a cgroup.
        CgroupSysctl = "CGROUP_SYSCTL",
        /// Replaces a function of any other program.
        Ext = "EXT",
        /// Makes syscalls; loaded with `BPF_F_SLEEPABLE`, without which every kernel refuses it.
        Syscall = "SYSCALL",
        /// A type that no kernel defines: 2^31-1.
        Unknown = "UNKNOWN",
    }
}

named! {
    /// A flag of `BPF_PROG_LOAD`.
    ProgFlag is "flag of a BPF program" {
        /// The verifier demands aligned access.
        StrictAlignment = "STRICT_ALIGNMENT",
        /// The verifier allows unaligned access, without `CAP_BPF` only on machines that do.
        AnyAlignment = "ANY_ALIGNMENT",
        /// The program may sleep.
        Sleepable = "SLEEPABLE",
        /// A flag that no kernel defines: bit 31.
        Unknown = "UNKNOWN",
    }
}

named! {
    /// A program, named after its effect.
    #[derive(Default)]
    Program is "program" {
        /// `r0 = 0; exit`
        #[default]
        Nothing = "nothing",
        /// Returns the frame pointer, so leaks a pointer.
        ReturnPointer = "return-pointer",
        /// Reads uninitialized stack.
        ReadStack = "read-stack",
        /// Calls `bpf_probe_read_kernel()`, which only tracing programs may call.
        ProbeRead = "probe-read",
        /// Calls `bpf_ktime_get_ns()`, which every program may call.
        Time = "time",
        /// Calls `bpf_jiffies64()`, a helper of the `bpf_spin_lock` group.
        Jiffies = "jiffies",
        /// Calls `bpf_trace_printk()`.
        TracePrintk = "trace-printk",
        /// Calls `bpf_get_current_task()`.
        CurrentTask = "current-task",
        /// Calls `bpf_get_current_task_btf()`.
        CurrentTaskBtf = "current-task-btf",
        /// Calls `bpf_skc_to_tcp6_sock()` on the packet's socket.
        SkcToTcp6 = "skc-to-tcp6",
        /// Calls `bpf_skc_to_tcp_sock()` on the packet's socket.
        SkcToTcp = "skc-to-tcp",
        /// Calls `bpf_skc_to_tcp6_sock()` on the context, which is not a socket.
        SkcOfContext = "skc-of-context",
        /// Calls `bpf_sys_bpf()`, which only `SYSCALL` programs may call.
        SysBpf = "sys-bpf",
        /// Calls `bpf_read_branch_records()`, which only `PERF_EVENT` programs may call.
        BranchRecords = "branch-records",
        /// Calls `bpf_get_func_ip()`, which only tracing programs may call.
        FuncIp = "func-ip",
        /// Calls `bpf_get_func_arg()`, which only tracing programs may call.
        FuncArg = "func-arg",
        /// Calls `bpf_tcp_raw_gen_syncookie_ipv4()`, which only network programs may call.
        Syncookie = "syncookie",
    }
}

/// Arguments of `BPF_MAP_CREATE`; without others, those of a map with one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MapCreate {
    /// The type by its name without `BPF_MAP_TYPE_`.
    pub map_type: MapType,
    /// Bytes of a key.
    #[serde(default = "default_key_size")]
    pub key_size: u32,
    /// Bytes of a value; by default 8, or 4 in a `PERF_EVENT_ARRAY`.
    #[serde(default)]
    pub value_size: Option<u32>,
    /// The number of entries.
    #[serde(default = "default_max_entries")]
    pub max_entries: u32,
    /// Flags by name without `BPF_F_`.
    #[serde(default)]
    pub map_flags: Vec<MapFlag>,
    /// Name for the returned file descriptor.
    #[serde(default = "default_map", rename = "as")]
    pub bind: FdName,
}

fn default_key_size() -> u32 {
    4
}

fn default_max_entries() -> u32 {
    1
}

fn default_map() -> FdName {
    "map".to_owned()
}

named! {
    /// A flag of `BPF_MAP_CREATE`.
    MapFlag is "flag of a BPF map" {
        /// Elements are allocated when they are inserted.
        NoPrealloc = "NO_PREALLOC",
        /// Programs can only read it.
        RdonlyProg = "RDONLY_PROG",
        /// A flag that no kernel defines: bit 31.
        Unknown = "UNKNOWN",
    }
}

named! {
    /// A type of BPF map.
    MapType is "type of BPF map" {
        /// Keys are hashed.
        Hash = "HASH",
        /// Keys are indices.
        Array = "ARRAY",
        /// Values are perf events.
        PerfEventArray = "PERF_EVENT_ARRAY",
        /// Values are stack traces.
        StackTrace = "STACK_TRACE",
        /// A type that no kernel defines: 2^31-1.
        Unknown = "UNKNOWN",
    }
}

/// Arguments of `BPF_TASK_FD_QUERY`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskFdQuery {
    /// The task that has the descriptor.
    #[serde(default)]
    pub pid: Task,
    /// The descriptor of a perf event.
    #[serde(default = "default_fd")]
    pub fd: FdName,
}

/// Arguments of `BPF_OBJ_GET_INFO_BY_FD`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ObjGetInfoByFd {
    /// The descriptor of a program.
    #[serde(default = "default_program")]
    pub fd: FdName,
}

impl Syscall for Bpf {
    fn name(&self) -> &'static str {
        "bpf"
    }

    fn needs(&self) -> Vec<&str> {
        match self {
            Self::TaskFdQuery(query) => vec![&query.fd],
            Self::ObjGetInfoByFd(asked) => vec![&asked.fd],
            Self::ProgLoad(_) | Self::MapCreate(_) | Self::Unknown => Vec::new(),
        }
    }

    fn binds(&self) -> Option<&str> {
        match self {
            Self::ProgLoad(load) => Some(&load.bind),
            Self::MapCreate(create) => Some(&create.bind),
            Self::TaskFdQuery(_) | Self::ObjGetInfoByFd(_) | Self::Unknown => None,
        }
    }

    fn task(&self) -> Option<&Task> {
        match self {
            Self::TaskFdQuery(query) => Some(&query.pid),
            _ => None,
        }
    }
}

impl fmt::Display for Bpf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProgLoad(load) => {
                write!(f, "PROG_LOAD, {}, {}", load.prog_type, load.program)?;
                if let Some(count) = load.insn_cnt {
                    write!(f, ", insn_cnt={count}")?;
                }
                if !load.prog_flags.is_empty() {
                    f.write_str(", ")?;
                    joined(f, &load.prog_flags)?;
                }
                if load.license != "GPL" {
                    write!(f, ", license={:?}", load.license)?;
                }
                Ok(())
            }
            Self::MapCreate(create) => {
                write!(f, "MAP_CREATE, {}", create.map_type)?;
                if create.key_size != default_key_size() {
                    write!(f, ", key_size={}", create.key_size)?;
                }
                if let Some(size) = create.value_size {
                    write!(f, ", value_size={size}")?;
                }
                if create.max_entries != default_max_entries() {
                    write!(f, ", max_entries={}", create.max_entries)?;
                }
                if !create.map_flags.is_empty() {
                    f.write_str(", ")?;
                    joined(f, &create.map_flags)?;
                }
                Ok(())
            }
            Self::TaskFdQuery(query) => write!(f, "TASK_FD_QUERY, pid={}, {}", query.pid, query.fd),
            Self::ObjGetInfoByFd(asked) => write!(f, "OBJ_GET_INFO_BY_FD, {}", asked.fd),
            Self::Unknown => f.write_str("UNKNOWN"),
        }
    }
}
