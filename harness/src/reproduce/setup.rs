//! Set-up of the machine: settings, programs, other processes, steps of the parent.

use std::collections::{BTreeMap, BTreeSet};

use perfsec_wire::step::{Execve, Task};
use perfsec_wire::{CapSet, Mode, Step};

use super::constants::numbers;
use super::literal::{comment, identifier, string};
use super::obstacle::Obstacle;
use super::steps::{By, Needs, buffer_of};
use crate::case::{COMM, Case, CaseProcess, Coordinates, Level};
use crate::grant::cap_constant;

/// The functions of the other processes, and the statements that start them.
pub(super) struct Processes {
    /// The functions.
    pub(super) functions: String,
    /// The statements.
    pub(super) launches: String,
}

/// Writes the other processes of a case.
pub(super) fn processes(case: &Case, needs: &mut Needs) -> Result<Processes, Obstacle> {
    let mut out = Processes { functions: String::new(), launches: String::new() };
    for process in &case.processes {
        let name = identifier(&process.name);
        let mut body = String::new();
        for step in &process.steps {
            let call = needs.call(step, By::Process(&process.name))?;
            needs.parts.insert("must");
            body.push_str(&match step.binds() {
                Some(made) => format!("\t{} = must({call});\n", needs.variable(made)),
                None => format!("\tmust({call});\n"),
            });
        }
        if case.steps.iter().any(|step| reads(step, &process.name)) {
            needs.buffer();
            let address = needs.variable(&buffer_of(&process.name));
            body.push_str(&format!("\t{address} = (long)buffer;\n"));
        }
        let before = lines(needs.before.remove(&process.name));
        needs.parts.insert("process");
        out.functions.push_str(&format!(
            "/* The process {} */\nstatic void process_{name}(void)\n{{\n{before}{body}\tready();\n}}\n\n",
            comment(&process.name)
        ));
        let pid = needs.pid(&process.name);
        let file = Execve::granted(process.grant.0).path(COMM);
        out.launches.push_str(&format!(
            "\t{pid} = launch(pipes[1], {}, {}, {}, {});\n\
             \tif (getc(output))\n\t\terrx(4, {});\n",
            string(&file),
            string(&process.domain),
            process.uid,
            string(&process.name),
            string(&format!("cannot start the process {}", process.name))
        ));
    }
    Ok(out)
}

/// True if a step reads the memory of a process.
fn reads(step: &Step, process: &str) -> bool {
    matches!(step, Step::ProcessVmReadv(read)
        if matches!(&read.pid, Task::Named(name) if name == process))
}

/// Writes the steps of the parent before the subject starts.
pub(super) fn given(case: &Case, needs: &mut Needs) -> Result<String, Obstacle> {
    let mut out = String::new();
    for step in &case.given {
        let call = match step {
            Step::Agent(action) => needs.act(action)?,
            step => needs.call(step, By::Parent)?,
        };
        let what = text(&step.to_string());
        let call = match step.binds() {
            Some(name) if needs.shares => format!("({} = {call})", needs.variable(name)),
            Some(name) => {
                let name = identifier(name);
                out.push_str(&format!("\tlong {name} = {call};\n"));
                needs.made.push(name.clone());
                name
            }
            None if call.contains(" ? ") => format!("({call})"),
            None => call,
        };
        out.push_str(&format!("\tif ({call} < 0)\n\t\terr(4, {what});\n"));
    }
    Ok(lines(needs.before.remove("(parent)")) + &out)
}

/// Writes the actions among the steps, which the parent performs.
pub(super) fn actions(case: &Case, needs: &mut Needs) -> Result<String, Obstacle> {
    let mut out = String::new();
    for (index, step) in case.steps.iter().enumerate() {
        if let Step::Agent(action) = step {
            out.push_str(&format!("\tcase {}:\n\t\treturn {};\n", index + 1, needs.act(action)?));
        }
    }
    Ok(out)
}

/// Calls the function of the process that the program is.
pub(super) fn roles(case: &Case) -> String {
    let role = |process: &CaseProcess| {
        let name = identifier(&process.name);
        format!("\t\tif (!strcmp(argv[1], {}))\n\t\t\tprocess_{name}();\n", string(&process.name))
    };
    case.processes.iter().map(role).collect()
}

/// The set-up of a cell that needs no shared memory.
#[derive(Default)]
pub(super) struct Simple {
    /// Statements that change settings.
    pub(super) settings: String,
    /// Statements that pass numbers of files to the subject.
    pub(super) lookups: String,
    /// Statements that pass to the subject what the parent's steps made.
    pub(super) passes: String,
    /// Statements that restore the settings.
    pub(super) end: String,
}

/// Writes the set-up of a cell that needs no shared memory.
pub(super) fn simple(case: &Case, at: &Coordinates, needs: &Needs) -> Simple {
    let mut out = Simple::default();
    for (name, path, value) in settings(case, at) {
        let last = identifier(name.rsplit('.').next().unwrap_or(&name));
        let (path, value) = (string(&path), string(&value));
        out.settings.push_str(&format!("\tchar *old_{last} = set({path}, {value});\n"));
        out.end.insert_str(0, &format!("\tset({path}, old_{last});\n"));
    }
    for name in needs.made.iter().filter(|name| needs.variables.contains(*name)) {
        out.passes.push_str(&format!("\tpass(\"{name}\", {name});\n"));
    }
    for (member, file) in &needs.lookups {
        let file = string(file);
        out.lookups.push_str(&format!("\tsetenv(\"{member}\", set({file}, NULL), 1);\n"));
    }
    out
}

/// The set-up of any other cell.
pub(super) struct Full {
    /// The programs.
    pub(super) files: Files,
    /// Statements that change settings.
    pub(super) settings: String,
    /// Statements that give the shared variables a value.
    pub(super) variables: String,
    /// Statements that end processes.
    pub(super) end: String,
}

/// Programs to make.
pub(super) struct Files {
    /// The statements.
    pub(super) text: String,
    /// The expression of the size of their attribute.
    pub(super) caps_size: String,
    /// True if one has capabilities.
    pub(super) has_caps: bool,
}

/// Writes the set-up of a cell that needs shared memory.
pub(super) fn full(case: &Case, at: &Coordinates, needs: &Needs) -> Full {
    let settings = settings(case, at).into_iter().map(|(name, path, value)| {
        let (path, value) = (string(&path), string(&value));
        format!("\tif (set({path}, {value}) < 0)\n\t\terr(4, {});\n", text(&name))
    });
    let end = case.processes.iter().map(|process| {
        format!("\tkill(s->{}, SIGKILL);\n", identifier(&format!("{}_pid", process.name)))
    });
    Full {
        files: files(case, at, needs),
        settings: settings.collect(),
        variables: variables(case, needs),
        end: end.collect(),
    }
}

/// The sysctls and the mode, in the order of their change: name, file, value.
fn settings(case: &Case, at: &Coordinates) -> Vec<(String, String, String)> {
    let level = match at.paranoid {
        Level::Set(value) => Some(("kernel.perf_event_paranoid".to_owned(), value.to_string())),
        Level::Default => None,
    };
    let sysctls = case.sysctls.clone().into_iter().chain(level);
    let mut all: Vec<_> = sysctls
        .map(|(name, value)| {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            (name, path, value)
        })
        .collect();
    let enforce = if at.mode == Mode::Permissive { "0" } else { "1" };
    all.push(("enforce".to_owned(), "/sys/fs/selinux/enforce".to_owned(), enforce.to_owned()));
    all
}

fn files(case: &Case, at: &Coordinates, needs: &Needs) -> Files {
    let mut files: BTreeMap<String, Execve> = needs.files.clone();
    let own = Execve::granted(at.grant.0);
    files.insert(own.path(&case.comm), own);
    for process in &case.processes {
        let file = Execve::granted(process.grant.0);
        files.insert(file.path(COMM), file);
    }
    let mut folders = BTreeSet::new();
    let mut text = String::new();
    for (path, file) in &files {
        let folder = format!("/tmp/{}", file.folder());
        if folders.insert(folder.clone()) {
            text.push_str(&format!("\tmkdir({}, 0755);\n", string(&folder)));
        }
        text.push_str(&format!(
            "\tmake({}, {}, (struct vfs_ns_cap_data){{{}}});\n",
            string(path),
            if file.setuid { "04755" } else { "0755" },
            file_caps(file),
        ));
    }
    let third = "caps.magic_etc & 0x1000000 ? XATTR_CAPS_SZ_3 : XATTR_CAPS_SZ_2";
    let caps_size = match files.values().any(|file| file.rootid.is_some()) {
        true => third.to_owned(),
        false => "XATTR_CAPS_SZ_2".to_owned(),
    };
    Files { text, caps_size, has_caps: files.values().any(has_caps) }
}

fn has_caps(file: &Execve) -> bool {
    !file.permitted.is_empty() || !file.inheritable.is_empty()
}

/// The initialiser of a `struct vfs_cap_data`.
pub(super) fn file_caps(file: &Execve) -> String {
    if !has_caps(file) {
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

/// Gives the shared variables a value: numbers that only the parent can look up, and sockets.
fn variables(case: &Case, needs: &Needs) -> String {
    let mut out = String::new();
    for name in &needs.variables {
        match name.as_str() {
            "parent" => out.push_str("\ts->parent = getpid();\n"),
            "next" => {}
            name => out.push_str(&format!("\ts->{name} = -1;\n")),
        }
    }
    for (member, file) in &needs.lookups {
        out.push_str(&format!("\ts->{member} = number_in({});\n", string(file)));
    }
    for process in &case.processes {
        let own = format!("{}_socket", identifier(&process.name));
        let other = format!("socket_{}", identifier(&process.name));
        let uses = |name: &String| needs.variables.contains(name);
        if !uses(&own) && !uses(&other) {
            continue;
        }
        if !out.contains("int pair") {
            out.push_str("\tint pair[2];\n");
        }
        out.push_str(
            "\tif (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))\n\t\terr(4, \"connect processes\");\n",
        );
        for (name, end) in [(&own, 0), (&other, 1)] {
            if uses(name) {
                out.push_str(&format!("\ts->{name} = pair[{end}];\n"));
            }
        }
    }
    out
}

/// A text as a format without conversions.
fn text(words: &str) -> String {
    string(&words.replace('%', "%%"))
}

fn lines(statements: Option<Vec<String>>) -> String {
    statements.unwrap_or_default().iter().map(|line| format!("\t{line}\n")).collect()
}
