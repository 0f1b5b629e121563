//! Assembles the C file of a cell.

use perfsec_wire::step::Execve;
use perfsec_wire::{BootMode, Lockdown, Mode, Step};

use super::domains;
use super::expected::{Subject, expected};
use super::head::head;
use super::headers::includes;
use super::obstacle::Obstacle;
use super::records;
use super::setup;
use super::skeleton::Filling;
use super::steps::Needs;
use super::subject::{self, wrap};
use crate::case::{Case, Circumstances, Coordinates, Setting};
use crate::policy::{KERNEL, is_domain};

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
/// A cell of one process that the subject's steps alone decide gets a small program. Processes, an
/// execve, a new task that goes on, and steps of the parent need memory that all share, and a list
/// of what to restore.
///
/// # Errors
///
/// The reason why no such file can.
pub fn reproducer(cell: &Reproducer<'_>, setting: &Setting<'_>) -> Result<String, Obstacle> {
    let Reproducer { case, at, kernel } = *cell;
    check(case, at)?;
    if let Some(reason) = case.unmet_requirement(&setting.kernel) {
        return Err(Obstacle::Requirement(reason.to_owned()));
    }
    let transcript = case.expected(at, setting);
    let about = Subject {
        comm: &case.comm,
        domain: &at.domain,
        uid: case.uid,
        permissive: at.mode == Mode::Permissive,
    };
    let mut needs = Needs::of(case);
    needs.shares = is_full(case);
    let expected = expected(&case.steps, &transcript, &about)?;
    let processes = setup::processes(case, &mut needs)?;
    let given = setup::given(case, &mut needs)?;
    let actions = setup::actions(case, &mut needs)?;
    let steps = subject::steps(case, &expected, &mut needs)?;
    let mut filling = Filling::default();
    let places = &mut filling.places;
    places.insert("STEPS", steps.text.clone());
    places.insert("PROCESSES", processes.functions);
    places.insert("ACTIONS", actions);
    places.insert("OURS", records::ours(case, &expected));
    places.insert("ROLES", setup::roles(case));
    let own = Execve::granted(at.grant.0);
    let is_setup_full = needs.shares;
    places.insert(
        "FILE",
        match is_setup_full {
            true => own.path(&case.comm),
            false => format!("/tmp/{}", case.comm),
        },
    );
    places.insert("CAPS", setup::file_caps(&own).replace("\t\t", "\t"));
    places.insert("UID", case.uid.to_string());
    places.insert("DOMAIN", at.domain.clone());
    places.insert("STACKS", needs.tasks.to_string());
    places.insert("DATA", needs.data.iter().map(|data| format!("\n{data}")).collect());
    let module = domains::module(&domains::of(case, at, &needs), &classes(&needs));
    places.insert("HEAD", head(case, at, kernel, assumed(case, at, setting).as_deref(), &module));
    let (constants, any) = (steps.constants(is_setup_full), steps.any_in_words());
    let mut parts = steps.parts.clone();
    if is_setup_full {
        let fill = setup::full(case, at, &needs);
        places.insert("FILES", fill.files.text);
        places.insert("CAPS_SIZE", fill.files.caps_size);
        places.insert("SETTINGS", fill.settings);
        places.insert("BEFORE", String::new());
        places.insert("GIVEN", [fill.variables, processes.launches, given].concat());
        places.insert("END", fill.end);
        places.insert("VARIABLES", wrap(&members(&needs), "\t", "\t     "));
        places.insert("DIFFERENCES", "s->differences".to_owned());
        places.insert("VERDICT", "0".to_owned());
        parts.extend(["full", "context"]);
        parts.extend(fill.files.has_caps.then_some("full-filecaps"));
    } else {
        let fill = setup::simple(case, at, &needs);
        places.insert("SETTINGS", fill.settings);
        places.insert("BEFORE", fill.lookups + &given);
        places.insert("GIVEN", fill.passes);
        places.insert("END", fill.end);
        places.insert("FILES", String::new());
        places.insert("VARIABLES", String::new());
        places.insert("DIFFERENCES", "differences".to_owned());
        places.insert("VERDICT", "!!differences".to_owned());
        parts.insert("simple");
        let has_caps = !at.grant.0.is_empty();
        parts.insert(if has_caps { "simple-filecaps" } else { "simple-nocaps" });
        parts.insert(if needs.lookups.is_empty() { "simple-plain" } else { "simple-lookup" });
    }
    let kind = |full: &'static str, simple: &'static str| if is_setup_full { full } else { simple };
    // A denial that a permissive domain is granted is logged once, until the cache is emptied.
    if module.contains("typepermissive") || at.mode == Mode::Permissive {
        parts.insert(kind("full-flush", "simple-flush"));
        places.insert("MARKS", kind("", ", marks = 0").to_owned());
    } else {
        places.insert("MARKS", String::new());
    }
    if parts.contains("parent") {
        parts.insert(kind("context-parent", "simple-parent"));
    }
    if is_setup_full && !needs.lookups.is_empty() {
        parts.insert("lookup-full");
    }
    places.insert("CONSTANTS", constants);
    places.insert("ANY", any);
    parts.extend(needs.parts);
    parts.extend((!parts.contains("actions")).then_some("idle-parent"));
    filling.parts = parts;
    let file = filling.file();
    Ok(file.replacen("@INCLUDES@", &includes(&file), 1))
}

/// True if a cell needs memory that several processes or programs share.
fn is_full(case: &Case) -> bool {
    let needs_it = |step: &Step| match step {
        Step::Execve(_) | Step::Agent(_) | Step::Setexeccon(_) => true,
        Step::Clone(clone) => clone.continues,
        _ => false,
    };
    !case.processes.is_empty() || case.given.iter().chain(&case.steps).any(needs_it)
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

/// The property of the machine that the expectation depends on, if the machine is unknown.
fn assumed(case: &Case, at: &Coordinates, setting: &Setting<'_>) -> Option<String> {
    let kernel = Circumstances { assumed: false, ..setting.kernel };
    let unknown = case.unknowns(at, &case.expectation(at, setting), &kernel);
    unknown.into_iter().find(|unknown| unknown.contains("the machine has"))
}

/// The classes of the policy that a cell's steps can ask about.
fn classes(needs: &Needs) -> Vec<&'static str> {
    let mut classes = vec!["capability", "capability2", "fd", "perf_event", "process"];
    if needs.parts.contains("bpf") {
        classes.push("bpf");
    }
    if needs.parts.contains("exec") {
        classes.push("process2");
    }
    classes
}

/// The members of the shared structure that the steps use.
fn members(needs: &Needs) -> String {
    let names: Vec<_> = needs.variables.iter().cloned().collect();
    if names.is_empty() { String::new() } else { format!("long {};", names.join(", ")) }
}
