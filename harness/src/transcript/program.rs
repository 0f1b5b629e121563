//! The lines of a program: its system calls below the `run` step, their effects below them.

use perfsec_wire::attr::{Hardware, Named, Software};
use perfsec_wire::program::{AttrWords, Program, ProgramCall, ProgramRequest};
use perfsec_wire::step::Run;

use super::{Effect, glob};
use crate::audit::{bpf_command_name, syscall_name};
use crate::errno::Errno;

/// Heading of effects during no call of the program.
pub(crate) const BETWEEN: &str = "(outside every call)";

/// Makes the lines of a program. `effects` writes those of one call, or of none.
pub(super) fn program_lines(
    program: &Program,
    step: &Run,
    processes: &[(String, u32, String)],
    mut effects: impl FnMut(Option<&ProgramCall>) -> Vec<Effect>,
) -> Vec<Effect> {
    let names = Names { program, processes };
    let mut lines = Vec::new();
    let below = |all: Vec<Effect>| all.into_iter().map(|effect| Effect::Caused(Box::new(effect)));
    for call in &program.calls {
        lines.push(Effect::Called(names.call(call)));
        lines.extend(below(effects(Some(call))));
    }
    let outside = effects(None);
    if !outside.is_empty() {
        lines.push(Effect::Called(BETWEEN.to_owned()));
        lines.extend(below(outside));
    }
    for line in program.output.lines() {
        let selected = step.output.iter().filter(|text| glob::is_in(text, line));
        lines.extend(selected.map(|text| Effect::Output(text.clone())));
    }
    lines
}

/// Names for the numbers in calls.
struct Names<'a> {
    program: &'a Program,
    /// Name, pid and context.
    processes: &'a [(String, u32, String)],
}

impl Names<'_> {
    /// A call as strace writes it.
    fn call(&self, call: &ProgramCall) -> String {
        let child = if call.pid == self.program.pid { "" } else { "[child] " };
        let (text, word) = self.request(&call.request);
        let result = match call.result {
            None => "?".to_owned(),
            Some(result @ -4095..0) => Errno(-result as i32).to_string(),
            Some(result) => word.map_or_else(|| result.to_string(), str::to_owned),
        };
        format!("{child}{text} = {result}")
    }

    /// The call with its arguments, and the word for its success.
    fn request(&self, request: &ProgramRequest) -> (String, Option<&'static str>) {
        match request {
            ProgramRequest::Open { attr, pid, cpu, grouped, flags } => {
                let event = attr.as_ref().map_or("?".to_owned(), |attr| self.event(attr));
                let mut text = format!("perf_event_open({event}");
                for word in attr.iter().flat_map(modifiers) {
                    text += &format!(", {word}");
                }
                text += &format!(", pid={}, cpu={cpu}", self.pid(*pid));
                if *grouped {
                    text += ", group";
                }
                for (bit, name) in [(1, "FD_NO_GROUP"), (2, "FD_OUTPUT"), (4, "PID_CGROUP")] {
                    if flags & bit != 0 {
                        text += &format!(", {name}");
                    }
                }
                (text + ")", Some("fd"))
            }
            ProgramRequest::Mmap { event, length } => {
                // The size of the buffer depends on the version of perf and on limits.
                let aux = if *length == 0 { ", 0" } else { "" };
                (format!("mmap({}{aux})", self.opened(*event)), Some("addr"))
            }
            ProgramRequest::Ioctl { event, request, .. } => {
                let name = ioctl_name(*request);
                let word = (name == "ID").then_some("0");
                (format!("ioctl({}, {name})", self.opened(*event)), word)
            }
            ProgramRequest::Read { event, .. } => {
                (format!("read({})", self.opened(*event)), Some("some"))
            }
            ProgramRequest::Bpf { command, kind } => {
                let name =
                    bpf_command_name(*command).map_or_else(|| format!("{command}"), str::to_owned);
                let kind = match (name.as_str(), kind) {
                    ("PROG_LOAD", Some(kind)) => format!(", {}", prog_type(*kind)),
                    ("MAP_CREATE", Some(kind)) => format!(", {}", map_type(*kind)),
                    _ => String::new(),
                };
                let makes = matches!(
                    name.as_str(),
                    "PROG_LOAD"
                        | "MAP_CREATE"
                        | "BTF_LOAD"
                        | "LINK_CREATE"
                        | "RAW_TRACEPOINT_OPEN"
                        | "PROG_GET_FD_BY_ID"
                        | "MAP_GET_FD_BY_ID"
                        | "BTF_GET_FD_BY_ID"
                        | "OBJ_GET"
                        | "TOKEN_CREATE"
                );
                (format!("bpf({name}{kind})"), makes.then_some("fd"))
            }
            ProgramRequest::OpenFile { path, access } => {
                let path = self.path(path.as_deref());
                let access = match access {
                    Some(1) => ", WRONLY",
                    Some(2) => ", RDWR",
                    _ => "",
                };
                (format!("open({path}{access})"), Some("fd"))
            }
            ProgramRequest::Exec { path } => {
                (format!("execve({})", self.path(path.as_deref())), None)
            }
            ProgramRequest::Other { number } => {
                let name = syscall_name(*number)
                    .map_or_else(|| format!("syscall_{number}"), str::to_owned);
                (format!("{name}()"), None)
            }
        }
    }

    /// A path in quotes, with names for the pids of processes.
    fn path(&self, path: Option<&str>) -> String {
        let Some(path) = path else { return "?".to_owned() };
        let parts = path.split('/').map(|part| match part.parse() {
            Ok(pid) => {
                let name = self.pid(pid);
                if name == part { name } else { format!("{{{name}}}") }
            }
            Err(_) => part.to_owned(),
        });
        format!("{:?}", parts.collect::<Vec<_>>().join("/"))
    }

    fn pid(&self, pid: i32) -> String {
        let Ok(id) = u32::try_from(pid) else { return pid.to_string() };
        if let Some((name, ..)) = self.processes.iter().find(|(_, known, _)| *known == id) {
            return name.clone();
        }
        match id {
            0 => "0".to_owned(),
            id if id == self.program.pid => "program".to_owned(),
            id if self.program.others.contains(&id) => "child".to_owned(),
            id => id.to_string(),
        }
    }

    /// The event that a call opened.
    fn opened(&self, call: Option<u32>) -> String {
        let call = call.and_then(|index| self.program.calls.get(index as usize));
        match call.map(|call| &call.request) {
            Some(ProgramRequest::Open { attr: Some(attr), .. }) => self.event(attr),
            _ => "?".to_owned(),
        }
    }

    /// An event by the names of case files.
    fn event(&self, attr: &AttrWords) -> String {
        let (kind, config) = (attr[0] as u32, attr[1]);
        let constant = |names: Vec<&'static str>| {
            usize::try_from(config).ok().and_then(|at| names.get(at).copied())
        };
        let name = |known: &[(u64, String)]| {
            known.iter().find(|(number, _)| *number == config).map(|(_, name)| name.clone())
        };
        let text = match kind {
            0 => constant(all::<Hardware>()).map(|name| format!("hardware/{name}")),
            1 => constant(all::<Software>()).map(|name| format!("software/{name}")),
            2 => name(&self.program.tracepoints).map(|name| format!("tracepoint/{name}")),
            3 => Some(format!("hw-cache/{config:#x}")),
            4 => Some(format!("raw/{config:#x}")),
            5 => Some("breakpoint".to_owned()),
            kind => {
                let pmu = self.program.pmus.iter().find(|(number, _)| *number == kind);
                pmu.map(|(_, name)| format!("pmu/{name}/{config:#x}"))
            }
        };
        text.unwrap_or_else(|| format!("type/{kind}/{config:#x}"))
    }
}

/// The names of constants that are declared in the order of their numbers, from 0 on.
fn all<T: Named>() -> Vec<&'static str> {
    T::NAMES.iter().map(|(_, name)| *name).collect()
}

/// The fields of an event on which a privilege depends.
fn modifiers(attr: &AttrWords) -> Vec<String> {
    // The bits behind `read_format` (include/uapi/linux/perf_event.h).
    const FLAGS: [(u32, &str); 3] =
        [(4, "exclude_user"), (5, "exclude_kernel"), (20, "exclude_guest")];
    const PRECISE_IP: u32 = 15;
    const SAMPLES: [(u32, &str); 6] = [
        (5, "CALLCHAIN"),
        (10, "RAW"),
        (11, "BRANCH_STACK"),
        (3, "ADDR"),
        (19, "PHYS_ADDR"),
        (12, "REGS_USER"),
    ];
    let (sample_type, flags) = (attr[3], attr[5]);
    let shown = |name: &str| name != "exclude_guest";
    let set = FLAGS.iter().filter(|(bit, name)| flags >> bit & 1 == 1 && shown(name));
    let mut words: Vec<_> = set.map(|(_, name)| (*name).to_owned()).collect();
    let precise = flags >> PRECISE_IP & 3;
    if precise > 0 {
        words.push(format!("precise_ip={precise}"));
    }
    let samples = SAMPLES.iter().filter(|(bit, _)| sample_type >> bit & 1 == 1);
    let samples: Vec<_> = samples.map(|(_, name)| *name).collect();
    if !samples.is_empty() {
        words.push(format!("sample_type={}", samples.join("|")));
    }
    words
}

/// The name of a request without `PERF_EVENT_IOC_`.
fn ioctl_name(request: u32) -> String {
    let name = match request {
        0x2400 => "ENABLE",
        0x2401 => "DISABLE",
        0x2402 => "REFRESH",
        0x2403 => "RESET",
        0x4008_2404 => "PERIOD",
        0x2405 => "SET_OUTPUT",
        0x4008_2406 => "SET_FILTER",
        0x8008_2407 => "ID",
        0x4004_2408 => "SET_BPF",
        0x4004_2409 => "PAUSE_OUTPUT",
        0xc008_240a => "QUERY_BPF",
        0x4008_240b => "MODIFY_ATTRIBUTES",
        other => return format!("{other:#x}"),
    };
    name.to_owned()
}

/// `enum bpf_prog_type` (include/uapi/linux/bpf.h), as far as perf and bpftrace use it.
fn prog_type(kind: u32) -> String {
    let name = match kind {
        1 => "SOCKET_FILTER",
        2 => "KPROBE",
        5 => "TRACEPOINT",
        7 => "PERF_EVENT",
        17 => "RAW_TRACEPOINT",
        24 => "RAW_TRACEPOINT_WRITABLE",
        26 => "TRACING",
        29 => "LSM",
        31 => "SYSCALL",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// `enum bpf_map_type`.
fn map_type(kind: u32) -> String {
    let name = match kind {
        1 => "HASH",
        2 => "ARRAY",
        3 => "PROG_ARRAY",
        4 => "PERF_EVENT_ARRAY",
        5 => "PERCPU_HASH",
        6 => "PERCPU_ARRAY",
        7 => "STACK_TRACE",
        27 => "RINGBUF",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// Reads a call that a person wrote; blanks may be more than one.
///
/// # Errors
///
/// If its result is an error that does not exist.
pub(super) fn parse_call(line: &str) -> Result<Option<String>, String> {
    if line == BETWEEN {
        return Ok(Some(line.to_owned()));
    }
    let own = line.strip_prefix("[child] ").unwrap_or(line);
    let Some((call, result)) = own.rsplit_once(" = ") else { return Ok(None) };
    let Some((name, arguments)) = call.trim_end().split_once('(') else { return Ok(None) };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(word) || !arguments.ends_with(')') {
        return Ok(None);
    }
    if result.starts_with('E') {
        result.trim().parse::<Errno>()?;
    }
    Ok(Some(line.to_owned()))
}

/// True if `written` matches a line that was seen: `*` matches anything, and `...` any arguments.
pub(super) fn stands_for(written: &Effect, seen: &Effect) -> bool {
    match (written, seen) {
        (Effect::Called(written), Effect::Called(seen)) => {
            glob::matches(&written.replace("(...)", "(*)"), seen)
        }
        (Effect::Caused(written), Effect::Caused(seen)) => stands_for(written, seen),
        (Effect::Avc(_), Effect::Avc(_)) => glob::matches(&written.to_string(), &seen.to_string()),
        _ => written == seen,
    }
}

#[cfg(test)]
mod tests {
    use perfsec_wire::program::ProgramEnd;
    use rstest::rstest;

    use super::*;

    /// The first words of an attr with these fields.
    fn attr(kind: u32, config: u64, sample_type: u64, flags: u64) -> Option<AttrWords> {
        Some([u64::from(kind), config, 0, sample_type, 0, flags, 0, 0])
    }

    fn open(attr: Option<AttrWords>, pid: i32) -> ProgramRequest {
        ProgramRequest::Open { attr, pid, cpu: -1, grouped: false, flags: 8 }
    }

    fn program(requests: &[(u32, ProgramRequest, Option<i64>)]) -> Program {
        let calls = requests.iter().map(|(pid, request, result)| ProgramCall {
            pid: *pid,
            request: request.clone(),
            result: *result,
            effects: Vec::new(),
        });
        Program {
            path: "/usr/bin/perf".to_owned(),
            pid: 7,
            others: vec![8],
            end: ProgramEnd::Exited(0),
            calls: calls.collect(),
            outside: Vec::new(),
            output: "  <not supported>  cycles\nelapsed\n".to_owned(),
            tracepoints: vec![(316, "sched:sched_switch".to_owned())],
            pmus: vec![(8, "msr".to_owned())],
        }
    }

    fn lines(program: &Program, output: &[&str]) -> Vec<String> {
        let output = output.iter().map(ToString::to_string).collect();
        let step = Run { argv: vec!["perf".to_owned()], output, interrupt_after: None };
        let processes = [("target".to_owned(), 99, String::new())];
        let lines = program_lines(program, &step, &processes, |_| Vec::new());
        lines.iter().map(ToString::to_string).collect()
    }

    #[rstest]
    #[case(attr(1, 0, 0, 0), 0, "software/cpu-clock, pid=0")]
    #[case(attr(0, 0, 0, 1 << 5 | 2 << 15), -1, "hardware/cpu-cycles, exclude_kernel, precise_ip=2, pid=-1")]
    #[case(attr(2, 316, 1 << 10, 0), 7, "tracepoint/sched:sched_switch, sample_type=RAW, pid=program")]
    #[case(attr(8, 1, 0, 1 << 4), 8, "pmu/msr/0x1, exclude_user, pid=child")]
    #[case(attr(3, 0x1_0002, 0, 0), 99, "hw-cache/0x10002, pid=target")]
    #[case(attr(77, 5, 0, 0), 1234, "type/77/0x5, pid=1234")]
    #[case(None, 0, "?, pid=0")]
    fn an_event_is_written_with_the_fields_on_which_a_privilege_depends(
        #[case] attr: Option<AttrWords>,
        #[case] pid: i32,
        #[case] text: &str,
    ) {
        let program = program(&[(7, open(attr, pid), Some(3))]);
        assert_eq!(lines(&program, &[]), [format!("perf_event_open({text}, cpu=-1) = fd")]);
    }

    #[rstest]
    #[case(ProgramRequest::Mmap { event: Some(0), length: 4096 }, 1 << 40, "mmap(software/dummy) = addr")]
    #[case(ProgramRequest::Ioctl { event: Some(0), request: 0x2400, argument: 0 }, -1, "ioctl(software/dummy, ENABLE) = EPERM")]
    #[case(ProgramRequest::Read { event: None, count: 8 }, 8, "read(?) = some")]
    #[case(ProgramRequest::Bpf { command: 5, kind: Some(2) }, 4, "bpf(PROG_LOAD, KPROBE) = fd")]
    #[case(ProgramRequest::Bpf { command: 28, kind: None }, 4, "bpf(LINK_CREATE) = fd")]
    #[case(ProgramRequest::OpenFile { path: Some("/proc/99/maps".to_owned()), access: Some(0) }, -13, "open(\"/proc/{target}/maps\") = EACCES")]
    #[case(ProgramRequest::OpenFile { path: Some("/x/kprobe_events".to_owned()), access: Some(2) }, 3, "open(\"/x/kprobe_events\", RDWR) = fd")]
    #[case(ProgramRequest::Other { number: 101 }, 0, "ptrace() = 0")]
    fn a_call_is_written_as_it_is_expected(
        #[case] request: ProgramRequest,
        #[case] result: i64,
        #[case] text: &str,
    ) {
        let dummy = open(attr(1, 9, 0, 0), 0);
        let program = program(&[(7, dummy, Some(3)), (8, request, Some(result))]);
        let line = lines(&program, &[]).remove(1);
        assert_eq!(line, format!("[child] {text}"));
        assert_eq!(parse_call(&line), Ok(Some(line.clone())));
        assert_eq!(Effect::read(&line), Effect::Called(line));
    }

    #[test]
    fn a_selected_line_of_output_is_written_as_the_text_that_selects_it() {
        let program = program(&[]);
        assert_eq!(lines(&program, &["<not*cycles", "nothing"]), ["output \"<not*cycles\""]);
    }

    #[test]
    fn a_call_that_never_returned_has_no_result() {
        let program = program(&[(7, open(attr(1, 9, 0, 0), 0), None)]);
        assert!(lines(&program, &[])[0].ends_with(") = ?"));
    }
}
