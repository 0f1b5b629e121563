//! Each step as a C expression.

use std::collections::{BTreeMap, BTreeSet};

use perfsec_wire::CapSet;
use perfsec_wire::attr::Named;
use perfsec_wire::step::{
    Action, AttrPlace, Bpf, CloneFlag, Execve, Ioctl, MapFlag, MapType, OpenAccess, PerfEventOpen,
    Place, Prctl, ProgFlag, ProgType, Request, Securebit, Task, UnshareFlag,
};
use perfsec_wire::{PerfEventAttr, Step};

use super::attr::attr;
use super::bpf::instructions;
use super::constants::{bits, caps};
use super::literal::{identifier, string};
use super::obstacle::Obstacle;
use crate::case::Case;
use crate::grant::cap_constant;

/// The most bytes of a text that a step reads.
const LONGEST_TEXT: u32 = 4096;

/// The definition of the memory that steps read.
const BUFFER: &str = "static char buffer[4096];\n";

/// The variable with the address of that memory in another process.
pub(super) fn buffer_of(process: &str) -> String {
    format!("{process}_buffer")
}

/// Collects the needs of the steps of all processes of a cell.
#[derive(Default)]
pub(super) struct Needs {
    /// True if variables are members of a structure that all processes share.
    pub(super) shares: bool,
    /// Variables: descriptors, addresses, pids.
    pub(super) variables: BTreeSet<String>,
    /// Definitions of static data, in order.
    pub(super) data: Vec<String>,
    /// Optional parts of the skeleton.
    pub(super) parts: BTreeSet<&'static str>,
    /// Programs to make: by path, the step that executes it.
    pub(super) files: BTreeMap<String, Execve>,
    /// Numbers to read in the parent: a variable, and the file.
    pub(super) lookups: BTreeMap<String, String>,
    /// Statements of a process before its steps, by the name of the process; `""` is the subject.
    pub(super) before: BTreeMap<String, Vec<String>>,
    /// Domains that programs enter.
    pub(super) domains: BTreeSet<String>,
    /// The number of tasks that steps make.
    pub(super) tasks: usize,
    /// True if a step makes a PID namespace, in which process 1 is not the parent.
    pub(super) has_pid_namespace: bool,
    /// Name of the subject's executable.
    pub(super) comm: String,
    /// Names of the other processes: a step can give the same name to what it makes.
    pub(super) processes: BTreeSet<String>,
    /// Variables that the parent's steps make.
    pub(super) made: Vec<String>,
    /// Descriptors that come with a message, which may bring none.
    received: BTreeSet<String>,
    attrs: Vec<(Vec<String>, String)>,
}

/// The process that performs a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By<'a> {
    /// The subject; the number of the step.
    Subject(usize),
    /// Another process of the case.
    Process(&'a str),
    /// The parent, before the subject starts.
    Parent,
}

impl By<'_> {
    fn name(self) -> String {
        match self {
            Self::Subject(_) => String::new(),
            Self::Process(name) => name.to_owned(),
            Self::Parent => "(parent)".to_owned(),
        }
    }
}

impl Needs {
    /// The needs of a case without steps.
    pub(super) fn of(case: &Case) -> Self {
        let processes = case.processes.iter().map(|process| process.name.clone()).collect();
        let received = case.steps.iter().filter(|step| matches!(step, Step::Recvmsg(_)));
        let received = received.filter_map(Step::binds).map(str::to_owned).collect();
        Self { comm: case.comm.clone(), processes, received, ..Self::default() }
    }

    /// The expression of a variable.
    pub(super) fn variable(&mut self, name: &str) -> String {
        let name = identifier(name);
        self.variables.insert(name.clone());
        if self.shares { format!("s->{name}") } else { name }
    }

    /// The pid of the program's first process. In a guest it is process 1.
    fn parent(&mut self) -> String {
        if self.shares { self.variable("parent") } else { "getppid()".to_owned() }
    }

    /// A descriptor; the one with the number 0 always exists.
    fn fd(&mut self, name: &str) -> String {
        if name == "stdin" { "0".to_owned() } else { self.variable(name) }
    }

    /// A pid.
    fn task(&mut self, task: &Task) -> String {
        match task {
            Task::Caller => "0".to_owned(),
            Task::Every => "-1".to_owned(),
            Task::First if self.has_pid_namespace => "1".to_owned(),
            Task::First => self.parent(),
            Task::Nobody => "4 << 20 /* PID_MAX_LIMIT */".to_owned(),
            Task::Named(name) => self.pid(name),
        }
    }

    /// The pid of a process, or of a task that a step made.
    pub(super) fn pid(&mut self, name: &str) -> String {
        if self.processes.contains(name) {
            self.variable(&format!("{name}_pid"))
        } else {
            self.variable(name)
        }
    }

    /// Defines a `struct perf_event_attr`; returns its name.
    fn attr(&mut self, wanted: &PerfEventAttr, by: By<'_>) -> Result<String, Obstacle> {
        let attr = attr(wanted)?;
        if attr.own && !self.data.iter().any(|data| data.contains("own_variable")) {
            self.data.insert(0, "static long own_variable;\n".to_owned());
        }
        let key =
            [attr.fields.clone(), attr.looked_up.iter().map(|(_, file)| file.clone()).collect()];
        let key = key.concat();
        let known =
            self.attrs.iter().find(|(known, _)| *known == key).map(|(_, name)| name.clone());
        let name = known.unwrap_or_else(|| {
            let number = self.attrs.len();
            let name = if number == 0 { "attr".to_owned() } else { format!("attr{}", number + 1) };
            let fields: String = attr.fields.iter().map(|field| format!("\t{field},\n")).collect();
            self.data.push(format!("static struct perf_event_attr {name} = {{\n{fields}}};\n"));
            self.attrs.push((key, name.clone()));
            name
        });
        if let Some((field, file)) = attr.looked_up {
            let member = format!("{name}_{field}");
            self.lookups.insert(member.clone(), file);
            let statement = match self.shares {
                true => format!("{name}.{field} = {};", self.variable(&member)),
                false => format!("{name}.{field} = atol(getenv(\"{member}\"));"),
            };
            let before = self.before.entry(by.name()).or_default();
            if !before.contains(&statement) {
                before.push(statement);
            }
        }
        Ok(name)
    }

    /// A path as a C expression.
    fn path(&mut self, path: &str) -> Result<String, Obstacle> {
        const OURS: [&str; 2] = ["/perfsec", "/nosuid"];
        if OURS.iter().any(|prefix| path.starts_with(prefix)) {
            return Err(Obstacle::Path(path.to_owned()));
        }
        let named = path.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        let (format, pid) = match named {
            Some((name, _)) => (path.replace(&format!("{{{name}}}"), "%ld"), self.pid(name)),
            None if path.starts_with("/proc/1/") && !self.has_pid_namespace => {
                (path.replacen("/proc/1/", "/proc/%ld/", 1), format!("(long){}", self.parent()))
            }
            None => return Ok(string(path)),
        };
        self.parts.insert("path");
        Ok(format!("of({}, {pid})", string(&format)))
    }

    /// The expression of a step, and the variable that its result goes to.
    pub(super) fn call(&mut self, step: &Step, by: By<'_>) -> Result<String, Obstacle> {
        Ok(match step {
            Step::PerfEventOpen(open) => self.perf_event_open(open, by)?,
            Step::Ioctl(ioctl) => self.ioctl(ioctl, by)?,
            Step::Read(read) => {
                let fd = self.fd(&read.fd);
                if read.text {
                    self.parts.insert("text");
                    let count = read.count.min(LONGEST_TEXT);
                    return Ok(format!("read_text({fd}, {count})"));
                }
                self.buffer();
                format!("read({fd}, buffer, {})", read.count.min(4096))
            }
            Step::Write(write) => {
                if write.text.contains("u:r:") {
                    return Err(Obstacle::Step("it writes a context of perfsec's policies"));
                }
                format!(
                    "write({}, {}, {})",
                    self.fd(&write.fd),
                    string(&write.text),
                    write.text.len()
                )
            }
            Step::Mmap(map) => {
                const PAGE: u64 = 4096;
                if map.aux.is_some() || map.aux_offset.is_some() {
                    return Err(Obstacle::Step("it maps an AUX area"));
                }
                let sharing = if map.private { "MAP_PRIVATE" } else { "MAP_SHARED" };
                let offset = u64::from(map.offset.unwrap_or(0)) * PAGE;
                format!(
                    "(long)mmap(NULL, {} * 4096, PROT_READ | PROT_WRITE, {sharing}, {}, {offset})",
                    map.pages,
                    self.fd(&map.fd)
                )
            }
            Step::Munmap(unmap) => {
                format!("munmap((void *){}, {} * 4096)", self.fd(&unmap.map), unmap.pages)
            }
            Step::Poll(poll) => {
                format!("poll(&(struct pollfd){{ {}, POLLIN }}, 1, 0)", self.fd(&poll.fd))
            }
            Step::Close(close) => format!("close({})", self.fd(&close.fd)),
            Step::Open(open) => {
                let access = match open.write {
                    OpenAccess::Read => "O_RDONLY",
                    OpenAccess::ReadWrite => "O_RDWR",
                    OpenAccess::Write => "O_WRONLY",
                };
                format!("open({}, {access})", self.path(&open.path)?)
            }
            Step::Access(access) => {
                let mode = bits("", access.mode.iter().map(|kind| kind.name()));
                let mode = mode.replace('R', "R_OK").replace('W', "W_OK").replace('X', "X_OK");
                let mode = if access.mode.is_empty() { "F_OK".to_owned() } else { mode };
                format!("syscall(SYS_access, {}, {mode})", self.path(&access.path)?)
            }
            Step::Setexeccon(set) => {
                self.domains.insert(set.domain.clone());
                let fd = self.fd(&set.fd);
                self.parts.insert("setexeccon");
                format!("write_text({fd}, context({}))", string(&set.domain))
            }
            Step::Sendmsg(send) => {
                self.parts.insert("send");
                format!("send_fd({}, {})", self.socket(&send.fd, by), self.fd(&send.send))
            }
            Step::Recvmsg(receive) => {
                self.parts.insert("receive");
                format!("receive_fd({})", self.socket(&receive.fd, by))
            }
            Step::Bpf(bpf) => self.bpf(bpf)?,
            Step::Prctl(prctl) => self.prctl(prctl),
            Step::Capset(set) => {
                self.parts.insert("capset");
                let sets = [set.permitted, set.effective, set.inheritable].map(caps);
                format!("set_caps({})", sets.join(", "))
            }
            Step::Setresuid(ids) => ids3("setresuid", ids.real, ids.effective, ids.saved),
            Step::Setresgid(ids) => ids3("setresgid", ids.real, ids.effective, ids.saved),
            Step::Setfsuid(set) => {
                format!("setfsuid({})", set.uid)
            }
            Step::Setrlimit(limit) => {
                let (resource, limit) = (limit.resource.name(), limit.limit);
                format!("setrlimit(RLIMIT_{resource}, &(struct rlimit){{ {limit}, {limit} }})")
            }
            Step::Personality(persona) => {
                format!("syscall(SYS_personality, {:#x})", persona.argument())
            }
            Step::Unshare(unshare) => {
                self.has_pid_namespace |= unshare.flags.contains(&UnshareFlag::Newpid);
                let flags = bits("CLONE_", unshare.flags.iter().map(|flag| flag.name()));
                format!("unshare({flags})")
            }
            Step::Clone(clone) => self.clone_task(clone, by)?,
            Step::Execve(execve) => self.execve(execve, by)?,
            Step::PidfdOpen(open) => {
                format!("syscall(SYS_pidfd_open, {}, 0)", self.task(&open.pid))
            }
            Step::ProcessVmReadv(read) => {
                self.buffer();
                let memory = |at: &str| format!("&(struct iovec){{ {at}, {} }}", read.count);
                // A process has its own layout; a task that the subject made has the subject's.
                let there = match &read.pid {
                    Task::Named(name) if self.processes.contains(name) => {
                        format!("(void *){}", self.variable(&buffer_of(name)))
                    }
                    _ => "buffer".to_owned(),
                };
                let task = self.task(&read.pid);
                let (here, there) = (memory("buffer"), memory(&there));
                format!("process_vm_readv({task}, {here}, 1, {there}, 1, 0)")
            }
            Step::ProcessMadvise(advise) => {
                self.data("page", "static char page[4096] __attribute__((aligned(4096)));\n");
                format!(
                    "syscall(SYS_process_madvise, {}, &(struct iovec){{ page, sizeof page }}, 1, \
                     MADV_{}, 0)",
                    self.fd(&advise.pidfd),
                    advise.advice.name()
                )
            }
            Step::Agent(action) => {
                self.parts.insert("actions");
                self.action(action)?;
                "0".to_owned()
            }
            Step::Stat(_) | Step::Capget(_) | Step::Getresuid(_) => {
                return Err(Obstacle::Step("the result of a step is a text"));
            }
            Step::Mkdir(_) | Step::Rmdir(_) => {
                return Err(Obstacle::Step("it makes and removes directories"));
            }
            Step::Mount(_) => return Err(Obstacle::Step("it mounts a file system")),
            Step::Ptrace(_) => return Err(Obstacle::Step("a process is traced")),
            Step::Run(_) => return Err(Obstacle::Step("it runs a program, which you can run")),
        })
    }

    /// Defines the memory that steps read.
    pub(super) fn buffer(&mut self) {
        self.data("buffer", BUFFER);
    }

    fn data(&mut self, name: &str, definition: &str) {
        let is_known = self.data.iter().any(|data| data.contains(&format!(" {name}[")));
        if !is_known {
            self.data.push(definition.to_owned());
        }
    }

    /// The own end of a socket between the subject and a process.
    fn socket(&mut self, name: &str, by: By<'_>) -> String {
        match by {
            By::Process(process) => self.variable(&format!("{process}_socket")),
            By::Subject(_) | By::Parent => self.variable(&format!("socket_{name}")),
        }
    }

    fn perf_event_open(&mut self, open: &PerfEventOpen, by: By<'_>) -> Result<String, Obstacle> {
        if open.times != 1 {
            return Err(Obstacle::Step("it opens more events than a program usually may"));
        }
        let attr = match open.attr_at {
            AttrPlace::Mapped => format!("&{}", self.attr(&open.attr, by)?),
            AttrPlace::Unmapped => "NULL".to_owned(),
            AttrPlace::Edge | AttrPlace::Again => {
                return Err(Obstacle::Step("its perf_event_attr is at a special address"));
            }
        };
        let group = open.group.as_ref().map_or("-1".to_owned(), |name| self.fd(name));
        let flags = bits("PERF_FLAG_", open.flags.iter().map(|flag| flag.name()));
        let task = self.task(&open.pid);
        Ok(format!("syscall(SYS_perf_event_open, {attr}, {task}, {}, {group}, {flags})", open.cpu))
    }

    fn ioctl(&mut self, ioctl: &Ioctl, by: By<'_>) -> Result<String, Obstacle> {
        if ioctl.compat {
            return Err(Obstacle::Step("it enters the kernel as a 32-bit program"));
        }
        let argument = match (&ioctl.to, ioctl.request, ioctl.at) {
            (Some(to), ..) => self.fd(to),
            (None, Request::SetOutput, _) => "-1L".to_owned(),
            (None, request, Place::Unmapped) if request.takes_pointer() => "NULL".to_owned(),
            (None, request, Place::Mapped) if request.takes_pointer() => match request {
                Request::ModifyAttributes => match &ioctl.attr {
                    Some(attr) => format!("&{}", self.attr(attr, by)?),
                    None => return Err(Obstacle::Step("an ioctl has no attr")),
                },
                Request::SetFilter => string(ioctl.filter.as_deref().unwrap_or_default()),
                Request::QueryBpf => format!("(__u32[66]){{ {} }}", ioctl.ids_len),
                _ => format!("&(__u64){{ {} }}", ioctl.arg),
            },
            (None, request, _) if request.takes_pointer() => {
                return Err(Obstacle::Step("the argument of an ioctl is at a special address"));
            }
            _ => format!("{}ul", ioctl.arg),
        };
        let request = match ioctl.request {
            Request::Unknown => "_IO('$', 0xff)".to_owned(),
            other => format!("PERF_EVENT_IOC_{}", other.name()),
        };
        Ok(format!("ioctl({}, {request}, {argument})", self.fd(&ioctl.fd)))
    }

    fn prctl(&mut self, prctl: &Prctl) -> String {
        let one = |set: &CapSet| cap_constant(set.0.trailing_zeros());
        let arguments = match prctl {
            Prctl::SetNoNewPrivs => "PR_SET_NO_NEW_PRIVS, 1".to_owned(),
            Prctl::CapbsetDrop(cap) => format!("PR_CAPBSET_DROP, {}", one(cap)),
            Prctl::CapAmbientRaise(cap) => {
                format!("PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, {}", one(cap))
            }
            Prctl::SetSecurebits(set) => {
                let name = |bit: &Securebit| match bit {
                    Securebit::Noroot => "SECBIT_NOROOT",
                    Securebit::NoSetuidFixup => "SECBIT_NO_SETUID_FIXUP",
                    Securebit::KeepCaps => "SECBIT_KEEP_CAPS",
                    Securebit::NoCapAmbientRaise => "SECBIT_NO_CAP_AMBIENT_RAISE",
                };
                format!("PR_SET_SECUREBITS, {}", bits("", set.iter().map(name)))
            }
            Prctl::GetDumpable => "PR_GET_DUMPABLE".to_owned(),
            Prctl::SetDumpable(value) => format!("PR_SET_DUMPABLE, {value}"),
            Prctl::SetName(name) => format!("PR_SET_NAME, {}", string(name)),
        };
        let zeros = ", 0".repeat(4 - arguments.matches(", ").count().min(4));
        format!("prctl({arguments}{zeros})")
    }

    fn bpf(&mut self, bpf: &Bpf) -> Result<String, Obstacle> {
        self.parts.insert("bpf");
        let undefined = || "INT_MAX".to_owned();
        Ok(match bpf {
            Bpf::Unknown => "syscall(SYS_bpf, INT_MAX, &(union bpf_attr){ 0 }, 120)".to_owned(),
            Bpf::TaskFdQuery(query) => format!(
                "syscall(SYS_bpf, BPF_TASK_FD_QUERY, &(union bpf_attr){{ .task_fd_query = {{ .pid = {}, \
                 .fd = {} }} }}, 120)",
                self.task(&query.pid),
                self.fd(&query.fd)
            ),
            Bpf::ObjGetInfoByFd(asked) => format!(
                "syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &(union bpf_attr){{ .info = {{ .bpf_fd = \
                 {}, .info_len = 104, .info = (long)&(struct bpf_prog_info){{ 0 }} }} }}, 120)",
                self.fd(&asked.fd)
            ),
            Bpf::MapCreate(map) => {
                let kind = match map.map_type {
                    MapType::Unknown => undefined(),
                    other => format!("BPF_MAP_TYPE_{}", other.name()),
                };
                let usual = if map.map_type == MapType::PerfEventArray { 4 } else { 8 };
                let value = map.value_size.unwrap_or(usual);
                let flag = |flag: &MapFlag| match flag {
                    MapFlag::Unknown => "1u << 31".to_owned(),
                    other => format!("BPF_F_{}", other.name()),
                };
                let flags: Vec<_> = map.map_flags.iter().map(flag).collect();
                let flags = match flags.is_empty() {
                    true => String::new(),
                    false => format!(", .map_flags = {}", flags.join(" | ")),
                };
                format!(
                    "syscall(SYS_bpf, BPF_MAP_CREATE, &(union bpf_attr){{ .map_type = {kind}, \
                     .key_size = {}, .value_size = {value}, .max_entries = {}{flags} }}, 120)",
                    map.key_size, map.max_entries
                )
            }
            Bpf::ProgLoad(load) => {
                let number = self.data.iter().filter(|data| data.contains("bpf_insn")).count();
                let code: String = instructions(load.program)
                    .iter()
                    .map(|line| format!("\t{{ {line} }},\n"))
                    .collect();
                let program = if number == 0 {
                    "program".to_owned()
                } else {
                    format!("program{}", number + 1)
                };
                // The kernel copies as many instructions as the call says.
                let room =
                    load.insn_cnt.map_or_else(String::new, |count| count.max(16).to_string());
                self.data
                    .push(format!("static struct bpf_insn {program}[{room}] = {{\n{code}}};\n"));
                let kind = match load.prog_type {
                    ProgType::Unknown => undefined(),
                    other => format!("BPF_PROG_TYPE_{}", other.name()),
                };
                let count = load.insn_cnt.map_or_else(
                    || format!("sizeof {program} / sizeof *{program}"),
                    |count| count.to_string(),
                );
                let flag = |flag: &ProgFlag| match flag {
                    ProgFlag::StrictAlignment => "BPF_F_STRICT_ALIGNMENT",
                    ProgFlag::AnyAlignment => "BPF_F_ANY_ALIGNMENT",
                    ProgFlag::Sleepable => "BPF_F_SLEEPABLE",
                    ProgFlag::Unknown => "1u << 31",
                };
                let mut flags: Vec<_> = load.prog_flags.iter().map(flag).collect();
                if load.prog_type == ProgType::Syscall {
                    flags.push("BPF_F_SLEEPABLE");
                }
                let flags = match flags.is_empty() {
                    true => String::new(),
                    false => format!(", .prog_flags = {}", flags.join(" | ")),
                };
                format!(
                    "syscall(SYS_bpf, BPF_PROG_LOAD, &(union bpf_attr){{\n\t\t.prog_type = {kind}, \
                     .insns = (unsigned long){program}, .insn_cnt = {count},\n\t\t.license = \
                     (unsigned long){}{flags} }}, 120)",
                    string(&load.license)
                )
            }
        })
    }

    fn clone_task(
        &mut self,
        clone: &perfsec_wire::step::Clone,
        by: By<'_>,
    ) -> Result<String, Obstacle> {
        if !matches!(by, By::Subject(_)) {
            return Err(Obstacle::Step("another process than the subject makes a task"));
        }
        self.parts.insert("clone");
        let thread = clone.flags.contains(&CloneFlag::Thread);
        if thread && clone.continues {
            return Err(Obstacle::Step("a thread performs the remaining steps"));
        }
        self.has_pid_namespace |= clone.flags.contains(&CloneFlag::Newpid);
        let mut flags: Vec<String> = Vec::new();
        for flag in &clone.flags {
            match flag {
                CloneFlag::Thread => flags.extend(
                    ["VM", "FS", "FILES", "SIGHAND", "THREAD"].map(|name| format!("CLONE_{name}")),
                ),
                other => flags.push(format!("CLONE_{}", other.name())),
            }
        }
        if !thread {
            flags.push("SIGCHLD".to_owned());
        }
        let function = match (clone.continues, clone.exits) {
            (true, _) => {
                self.parts.insert("heir");
                "go_on"
            }
            (false, true) => {
                flags.push("CLONE_VFORK".to_owned());
                self.parts.insert("zombie");
                "end"
            }
            (false, false) => {
                self.parts.insert("idle");
                "wait_forever"
            }
        };
        let number = self.tasks;
        self.tasks += 1;
        let argument = if thread { "(void *)1" } else { "NULL" };
        Ok(format!(
            "clone({function}, stacks[{number}] + sizeof *stacks, {}, {argument})",
            flags.join(" | ")
        ))
    }

    fn execve(&mut self, execve: &Execve, by: By<'_>) -> Result<String, Obstacle> {
        if !matches!(by, By::Subject(_)) {
            return Err(Obstacle::Step("another process than the subject executes a program"));
        }
        if execve.nosuid {
            return Err(Obstacle::Step("it executes a file on a nosuid mount"));
        }
        if execve.argv0.is_some() || execve.long_arg > 0 || !execve.args.is_empty() {
            return Err(Obstacle::Step("it passes arguments to a program"));
        }
        self.parts.insert("exec");
        let path = execve.path(&self.comm);
        self.files.insert(path.clone(), execve.clone());
        let path = string(&path);
        Ok(format!("execl({path}, {path}, \"subject\", NULL)"))
    }

    /// Checks that the parent can perform an action.
    fn action(&mut self, action: &Action) -> Result<(), Obstacle> {
        match action {
            Action::Write(_) => Ok(()),
            Action::Boolean(_) => {
                self.parts.insert("boolean");
                Ok(())
            }
            Action::Kill(_) => Ok(()),
            Action::LoadPolicy(name) => Err(Obstacle::Policy(name.clone())),
            Action::AuditRule(_) | Action::AuditExclude(_) => {
                Err(Obstacle::Action("load an audit rule"))
            }
            Action::AuditEnable => Err(Obstacle::Action("enable audit, which cannot be undone")),
            Action::AuditGet => Err(Obstacle::Action("know the audit parameters at boot")),
            Action::AuditBacklog(_) => Err(Obstacle::Action("change the limit of the audit queue")),
        }
    }

    /// The expression of what the parent does for an action.
    pub(super) fn act(&mut self, action: &Action) -> Result<String, Obstacle> {
        self.action(action)?;
        Ok(match action {
            Action::Write(write) => {
                format!("set({}, {})", string(&write.path), string(&write.text))
            }
            Action::Boolean(boolean) => {
                let path = format!("/sys/fs/selinux/booleans/{}", boolean.name);
                let value = if boolean.value { "1" } else { "0" };
                format!(
                    "set({}, \"{value}\") < 0 ? -1 : put(\"/sys/fs/selinux/commit_pending_bools\", \"1\") - 1",
                    string(&path)
                )
            }
            Action::Kill(name) => {
                let pid = self.pid(name);
                format!("kill({pid}, SIGKILL) + (waitpid({pid}, NULL, 0) != {pid})")
            }
            _ => "0".to_owned(),
        })
    }

    /// Names that must exist for the step to be performed.
    pub(super) fn conditions(&mut self, step: &Step) -> Vec<String> {
        let needed: Vec<String> = step.needs().into_iter().map(str::to_owned).collect();
        let mut conditions = Vec::new();
        for name in needed {
            let is_socket = matches!(step, Step::Sendmsg(send) if send.fd == name)
                || matches!(step, Step::Recvmsg(receive) if receive.fd == name);
            if name != "stdin" && !is_socket {
                let least = if self.received.contains(&name) { "> 0" } else { ">= 0" };
                conditions.push(format!("{} {least}", self.variable(&name)));
            }
        }
        if let Some(Task::Named(name)) = step.task()
            && !self.processes.contains(name)
        {
            conditions.push(format!("{} >= 0", self.pid(name)));
        }
        conditions
    }
}

fn ids3(name: &str, real: Option<u32>, effective: Option<u32>, saved: Option<u32>) -> String {
    let id = |id: Option<u32>| id.map_or("-1".to_owned(), |id| id.to_string());
    format!("{name}({}, {}, {})", id(real), id(effective), id(saved))
}
