//! Assembles the C file of a cell.

use std::collections::BTreeSet;

use perfsec_wire::step::Execve;
use perfsec_wire::{BootMode, CapSet, Lockdown, Mode, Step};

use super::constants::numbers;
use super::domains;
use super::expected::{ExpectedStep, Subject, expected};
use super::literal::{comment, identifier, string};
use super::obstacle::Obstacle;
use super::skeleton::Filling;
use super::steps::{By, Needs};
use crate::case::{Case, CaseProcess, Circumstances, Coordinates, Level, Setting};
use crate::grant::cap_constant;
use crate::policy::{KERNEL, entered_by, is_domain};
use crate::transcript::ExpectedTranscript;

/// Width of the comments, in columns.
const WIDTH: usize = 92;

/// A cell to reproduce.
#[derive(Clone, Copy)]
pub struct Reproducer<'a> {
    /// The case.
    pub case: &'a Case,
    /// The cell.
    pub at: &'a Coordinates,
    /// The kernel in words: `Linux 6.12`.
    pub kernel: &'a str,
}

/// Writes the C file that reproduces a cell, as it must behave on a kernel.
///
/// # Errors
///
/// The reason why no such file can.
pub fn reproducer(cell: &Reproducer<'_>, setting: &Setting<'_>) -> Result<String, Obstacle> {
    let Reproducer { case, at, .. } = *cell;
    check(case, at)?;
    if let Some(reason) = case.unmet_requirement(&setting.kernel) {
        return Err(Obstacle::Requirement(reason.to_owned()));
    }
    let transcript = case.expected(at, setting);
    let subject = Subject {
        comm: &case.comm,
        domain: &at.domain,
        uid: case.uid,
        permissive: at.mode == Mode::Permissive,
    };
    let mut needs = Needs::default();
    needs.comm.clone_from(&case.comm);
    needs.processes = case.processes.iter().map(|process| process.name.clone()).collect();
    needs.variables.insert("parent".to_owned());
    let processes = processes(case, &mut needs)?;
    let given = given(case, &mut needs)?;
    let steps = steps(case, &mut needs)?;
    let expected = expected(&case.steps, &transcript, &subject)?;
    let mut filling = Filling::default();
    let places = &mut filling.places;
    places.insert("HEAD", head(cell, &transcript, assumed(case, at, setting).as_deref()));
    places.insert("PROCESSES", processes.functions);
    places.insert("STEPS", steps);
    places.insert("ACTIONS", actions(case, &mut needs)?);
    places.insert(
        "RECORDS",
        (expected.iter().map(|step| step.records.len()).max().unwrap_or(0) + 1).to_string(),
    );
    places.insert("EXPECTED", table(case, &expected, &needs));
    let last = expected.iter().rposition(|step| step.result.is_some());
    places.insert("LAST", last.map_or("START".to_owned(), |last| last.to_string()));
    let has_pattern = expected.iter().flat_map(|step| &step.records).any(|it| it.contains('*'));
    needs.parts.insert(if has_pattern { "pattern" } else { "plain" });
    places.insert("ROLES", roles(case));
    places.insert("SETTINGS", settings(case, at));
    places.insert("FILES", files(case, at, &needs));
    let has_rootid = needs.files.values().any(|file| file.rootid.is_some());
    places.insert(
        "CAPS_SIZE",
        match has_rootid {
            true => "caps.magic_etc & 0x1000000 ? XATTR_CAPS_SZ_3 : XATTR_CAPS_SZ_2".to_owned(),
            false => "XATTR_CAPS_SZ_2".to_owned(),
        },
    );
    places.insert("GIVEN", [set_up(case, &needs), processes.launches, given].concat());
    places.insert("DOMAIN", at.domain.clone());
    places.insert("FILE", Execve::granted(at.grant.0).path(&case.comm));
    places.insert("UID", case.uid.to_string());
    places.insert("POLICY", policy(case, at, &needs));
    places.insert("DATA", needs.data.iter().map(|data| format!("{data}\n")).collect());
    places.insert("STACKS", needs.tasks.to_string());
    places.insert("END", end(case, &needs));
    let (ours, names) = selection(case);
    places.insert("OURS", ours);
    places.insert("NAMES", names);
    let execs = needs.parts.contains("exec");
    let flush = "\tput(\"/sys/fs/selinux/commit_pending_bools\", \"1\");\n";
    places.insert(
        "FLUSH",
        match execs {
            true => format!("\t\tif (s->fresh-- > 0)\n\t\t{flush}"),
            false => format!("\t\tif (s->step == START)\n\t\t{flush}"),
        },
    );
    if execs {
        needs.variables.insert("fresh".to_owned());
    }
    let variables = needs.variables.iter().cloned().collect::<Vec<_>>().join(", ");
    places.insert("VARIABLES", wrap(&format!("long {variables};"), "\t", "\t     "));
    filling.parts = needs.parts;
    filling.parts.insert(if execs { "exec" } else { "straight" });
    Ok(filling.file())
}

/// Checks what is independent of the steps.
fn check(case: &Case, at: &Coordinates) -> Result<(), Obstacle> {
    if case.boot != BootMode::Selinux {
        return Err(Obstacle::Boot(case.boot.to_string()));
    }
    if let Some(policy) = case.policy.as_ref().filter(|name| *name != "minimal") {
        return Err(Obstacle::Policy(policy.clone()));
    }
    if !case.audit {
        return Err(Obstacle::AuditOff);
    }
    if case.lockdown != Lockdown::None {
        return Err(Obstacle::Lockdown);
    }
    if !case.messages.is_empty() {
        return Err(Obstacle::Messages);
    }
    if !case.records.is_empty() {
        return Err(Obstacle::Records);
    }
    let others = case.processes.iter().map(|process| &process.domain);
    for domain in others.chain([&at.domain]) {
        if domain == KERNEL || !is_domain(domain) {
            return Err(Obstacle::Policy(domain.clone()));
        }
    }
    Ok(())
}

/// The comment that begins the file.
fn head(cell: &Reproducer<'_>, transcript: &ExpectedTranscript, assumed: Option<&str>) -> String {
    let Reproducer { case, at, kernel } = *cell;
    let mut lines = vec![case.cell_name(at), String::new()];
    lines.extend(wrap(&case.title, "", "").lines().map(str::to_owned));
    for source in &case.source {
        lines.extend(wrap(source, "  from ", "       ").lines().map(str::to_owned));
    }
    lines.push(String::new());
    lines.push(
        "  cc -Wall -Werror -o reproducer reproducer.c && ./reproducer    (as root)".to_owned(),
    );
    lines.push(String::new());
    lines.push(format!(
        "The result is 0 if the kernel does what is expected of {kernel}, 1 if it does"
    ));
    lines.push(
        "something else, 4 if it cannot be seen here. Expected, with the capability checks,"
            .to_owned(),
    );
    lines.push("which leave no record if they pass:".to_owned());
    if let Some(unknown) = assumed {
        lines.push(String::new());
        let text = format!("{unknown}; this assumes that it has");
        lines.extend(wrap(&text, "  note: ", "  ").lines().map(str::to_owned));
    }
    lines.push(String::new());
    lines.extend(transcript.to_string().lines().map(|line| format!("  {line}")));
    let line = |line: &String| format!(" * {}", comment(line)).trim_end().to_owned() + "\n";
    format!("/*\n{} */\n", lines.iter().map(line).collect::<String>())
}

/// The property of the machine that the expectation depends on, if the machine is unknown.
fn assumed(case: &Case, at: &Coordinates, setting: &Setting<'_>) -> Option<String> {
    let kernel = Circumstances { assumed: false, ..setting.kernel };
    let unknown = case.undecided(at, &case.expectation(at, setting), &kernel)?;
    unknown.contains("the machine has").then_some(unknown)
}

/// The functions of the other processes, and the statements that start them.
struct Processes {
    functions: String,
    launches: String,
}

fn processes(case: &Case, needs: &mut Needs) -> Result<Processes, Obstacle> {
    let mut out = Processes { functions: String::new(), launches: String::new() };
    for process in &case.processes {
        let name = identifier(&process.name);
        let mut body = String::new();
        for step in &process.steps {
            let call = needs.call(step, By::Process(&process.name))?;
            needs.parts.insert("must");
            body.push_str(&statement(step, &format!("must({call})"), needs));
        }
        let before = needs.before.remove(&process.name).unwrap_or_default();
        let before: String = before.iter().map(|line| format!("\t{line}\n")).collect();
        needs.parts.insert("process");
        needs.parts.insert("signal");
        out.functions.push_str(&format!(
            "/* The process {} */\nstatic void process_{name}(void)\n{{\n{before}{body}\tready();\n}}\n\n",
            comment(&process.name)
        ));
        let pid = needs.pid(&process.name);
        let file = Execve::granted(process.grant.0).path(crate::case::COMM);
        out.launches.push_str(&format!(
            "\t{pid} = launch({}, {}, {}, {});\n\
             \tneed(read(from[0], &byte, 1) == 1 && s->result >= 0, {});\n",
            string(&file),
            string(&process.domain),
            process.uid,
            string(&process.name),
            string(&format!("start the process {}", process.name))
        ));
    }
    Ok(out)
}

/// The steps of the parent.
fn given(case: &Case, needs: &mut Needs) -> Result<String, Obstacle> {
    let mut out = String::new();
    for step in &case.given {
        let by = By::Parent;
        let call = match step {
            Step::Agent(action) => needs.act(action)?,
            step => needs.call(step, by)?,
        };
        let assigned = step.binds().map(str::to_owned);
        let what = string(&step.to_string());
        out.push_str(&match assigned {
            Some(name) => {
                let variable = needs.variable(&name);
                format!("\tneed(({variable} = {call}) >= 0, {what});\n")
            }
            None => format!("\tneed({call} >= 0, {what});\n"),
        });
    }
    let before = needs.before.remove("(parent)").unwrap_or_default();
    let before: String = before.iter().map(|line| format!("\t{line}\n")).collect();
    Ok(before + &out)
}

/// The subject's steps.
fn steps(case: &Case, needs: &mut Needs) -> Result<String, Obstacle> {
    let resumes = |step: &Step| match step {
        Step::Execve(_) => true,
        Step::Clone(clone) => clone.continues,
        _ => false,
    };
    let has_entries = case.steps.iter().any(resumes);
    if has_entries {
        needs.variables.insert("next".to_owned());
    }
    let mut out = String::new();
    for (index, step) in case.steps.iter().enumerate() {
        let call = needs.call(step, By::Subject(index))?;
        if has_entries && (index == 0 || case.steps.get(index - 1).is_some_and(resumes)) {
            out.push_str(&format!("\tcase {index}:\n"));
        }
        let conditions = needs.conditions(step);
        let binds_task = matches!(step, Step::Clone(clone) if clone.continues);
        let task = step.binds().filter(|_| binds_task).map(|name| needs.variable(name));
        let call = match task {
            Some(task) => {
                format!("hand_over({index}, {}, &{task}, {call})", call.contains("THREAD") as u8)
            }
            None => format!("done({index}, {call})"),
        };
        let mut lines = String::new();
        if resumes(step) {
            lines.push_str(&format!("\ts->next = {};\n", index + 1));
        }
        lines.push_str(&guarded(&statement(step, &call, needs), &conditions));
        out.push_str(&lines);
    }
    let before = needs.before.remove("").unwrap_or_default();
    let before: String = before.iter().map(|line| format!("\t{line}\n")).collect();
    if has_entries {
        out = format!("\tswitch (s->next) {{\n{out}\t}}\n");
    }
    Ok(before + &out)
}

/// A statement, with the assignment of what it makes.
fn statement(step: &Step, call: &str, needs: &mut Needs) -> String {
    let text = match step.binds() {
        Some(name) => format!("{} = {call};", needs.variable(name)),
        None => format!("{call};"),
    };
    format!("\t{text}\n")
}

fn guarded(statement: &str, conditions: &[String]) -> String {
    match conditions {
        [] => statement.to_owned(),
        _ => format!("\tif ({})\n\t{statement}", conditions.join(" && ")),
    }
}

/// The parent's part: the actions among the steps.
fn actions(case: &Case, needs: &mut Needs) -> Result<String, Obstacle> {
    let mut out = String::new();
    for (index, step) in case.steps.iter().enumerate() {
        if let Step::Agent(action) = step {
            let act = needs.act(action)?;
            out.push_str(&format!("\tcase {index}:\n\t\treturn {act};\n"));
        }
    }
    Ok(out)
}

fn table(case: &Case, expected: &[ExpectedStep], needs: &Needs) -> String {
    let (exec, text) = (needs.parts.contains("exec"), needs.parts.contains("text"));
    let lines = case.steps.iter().zip(expected).map(|(step, it)| it.initialiser(step, exec, text));
    lines.collect::<Vec<_>>().join("\n")
}

/// Calls the function of the process that this is.
fn roles(case: &Case) -> String {
    let role = |process: &CaseProcess| {
        let name = identifier(&process.name);
        format!("\t\tif (!strcmp(argv[1], {}))\n\t\t\tprocess_{name}();\n", string(&process.name))
    };
    case.processes.iter().map(role).collect()
}

/// The mode and the sysctls.
fn settings(case: &Case, at: &Coordinates) -> String {
    let mode = match at.mode {
        Mode::Permissive => "installed || set(\"/sys/fs/selinux/enforce\", \"0\") > 0",
        _ => "set(\"/sys/fs/selinux/enforce\", \"1\") > 0",
    };
    let mut out = format!("\tneed({mode}, \"set the mode\");\n");
    let level = match at.paranoid {
        Level::Set(value) => Some(("kernel.perf_event_paranoid".to_owned(), value.to_string())),
        Level::Default => None,
    };
    for (name, value) in case.sysctls.clone().into_iter().chain(level) {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        out.push_str(&format!(
            "\tneed(set({}, {}) > 0, {});\n",
            string(&path),
            string(&value),
            string(&name)
        ));
    }
    out
}

/// Makes the programs.
fn files(case: &Case, at: &Coordinates, needs: &Needs) -> String {
    let mut files = needs.files.clone();
    let own = Execve::granted(at.grant.0);
    files.insert(own.path(&case.comm), own);
    for process in &case.processes {
        let file = Execve::granted(process.grant.0);
        files.insert(file.path(crate::case::COMM), file);
    }
    let mut folders = BTreeSet::new();
    let mut out = String::new();
    for (path, file) in files {
        let folder = format!("/tmp/{}", file.folder());
        if folders.insert(folder.clone()) {
            out.push_str(&format!("\tmkdir({}, 0755);\n", string(&folder)));
        }
        out.push_str(&format!(
            "\tmake({}, {}, (struct vfs_ns_cap_data){{{}}});\n",
            string(&path),
            if file.setuid { "04755" } else { "0755" },
            file_caps(&file),
        ));
    }
    out
}

/// The initialiser of a `struct vfs_cap_data`.
fn file_caps(file: &Execve) -> String {
    if file.permitted.is_empty() && file.inheritable.is_empty() {
        return " 0 ".to_owned();
    }
    let effective = if file.effective { " | VFS_CAP_FLAGS_EFFECTIVE" } else { "" };
    let revision = if file.rootid.is_some() { 3 } else { 2 };
    let mut fields = vec![format!(".magic_etc = VFS_CAP_REVISION_{revision}{effective}")];
    fields.extend(file.rootid.map(|rootid| format!(".rootid = {rootid}")));
    for (name, set) in [("permitted", file.permitted), ("inheritable", file.inheritable)] {
        for half in 0..2 {
            let range = CapSet(set.0 & 0xffff_ffff_u64 << (32 * half));
            let masks: Vec<_> = numbers(range)
                .map(|number| format!("CAP_TO_MASK({})", cap_constant(number)))
                .collect();
            if !masks.is_empty() {
                fields.push(format!(".data[{half}].{name} = {}", masks.join(" | ")));
            }
        }
    }
    format!("\n\t\t{} ", fields.join(",\n\t\t"))
}

/// The preparations of the parent: numbers that only it can look up, and sockets.
fn set_up(case: &Case, needs: &Needs) -> String {
    let mut out = String::from("\ts->parent = getpid();\n");
    for name in &needs.variables {
        if name != "parent" && name != "next" && name != "fresh" {
            out.push_str(&format!("\ts->{name} = -1;\n"));
        }
    }
    for (member, file) in &needs.lookups {
        out.push_str(&format!("\ts->{member} = number_in({});\n", string(file)));
    }
    for process in &case.processes {
        let own = format!("{}_socket", identifier(&process.name));
        let other = format!("socket_{}", identifier(&process.name));
        let (own_used, other_used) =
            (needs.variables.contains(&own), needs.variables.contains(&other));
        if own_used || other_used {
            if !out.contains("int pair") {
                out.push_str("\tint pair[2];\n");
            }
            out.push_str(
                "\tneed(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), \"connect processes\");\n",
            );
            for (used, name, end) in [(own_used, &own, 0), (other_used, &other, 1)] {
                if used {
                    out.push_str(&format!("\ts->{name} = pair[{end}];\n"));
                }
            }
        }
    }
    out
}

/// Ends the processes that wait.
fn end(case: &Case, needs: &Needs) -> String {
    let mut out = String::new();
    for process in &case.processes {
        out.push_str(&format!(
            "\tkill(s->{}, SIGKILL);\n",
            identifier(&format!("{}_pid", process.name))
        ));
    }
    if needs.parts.contains("heir") {
        out.push_str("\tkill(pid, SIGKILL);\n");
    }
    out
}

/// The condition that a record is one of the cell's processes, and how their pids are named.
fn selection(case: &Case) -> (String, String) {
    let mut ours = "strstr(record, pids)".to_owned();
    let mut names = String::new();
    for step in &case.steps {
        if let Step::Clone(clone) = step
            && !clone.flags.contains(&perfsec_wire::step::CloneFlag::Thread)
        {
            let name = identifier(&clone.bind);
            ours = format!("({ours} || is_of(record, s->{name}))");
            names.push_str(&format!(
                "\t\tsnprintf(pids2, sizeof pids2, \"pid=%ld \", s->{name});\n\
                 \t\treplace(record, pids2, {});\n",
                string(&format!("pid={} ", clone.bind))
            ));
        }
    }
    (ours, names)
}

fn policy(case: &Case, at: &Coordinates, needs: &Needs) -> String {
    let mut all: BTreeSet<String> = needs.domains.clone();
    all.insert(at.domain.clone());
    all.extend(case.processes.iter().map(|process| process.domain.clone()));
    let entered: Vec<_> = all.iter().filter_map(|domain| entered_by(domain)).collect();
    all.extend(entered);
    let mut classes = vec!["capability", "capability2", "fd", "perf_event", "process"];
    if needs.parts.contains("bpf") {
        classes.push("bpf");
    }
    if needs.parts.contains("exec") {
        classes.push("process2");
    }
    domains::module(&all, at.mode, &classes)
}

/// Wraps a text at blanks.
fn wrap(text: &str, first: &str, rest: &str) -> String {
    let options = textwrap::Options::new(WIDTH)
        .initial_indent(first)
        .subsequent_indent(rest)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}
