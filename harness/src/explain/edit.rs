//! Changes of what a case does: what a process gave up, or what its file does not give it.

use perfsec_wire::step::{Capset, CloneFlag, Prctl, UnshareFlag};
use perfsec_wire::{BootMode, CapSet, Step};

use crate::asks::StepQuestions;
use crate::case::{Case, Coordinates, Level};

/// A change of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// The program of this step is on a file system without `nosuid`.
    OtherMount(usize),
    /// The file of this step has the effective bit.
    Effective(usize),
    /// The file of this step does not have the effective bit.
    NotEffective(usize),
    /// The capabilities of this step's file are valid in the initial namespace.
    Rootid(usize),
    /// The file of this step has no capabilities, and the process keeps its own as ambient ones.
    Ambient(usize),
    /// The process does not give up privileges in these steps.
    Keep(Vec<usize>, &'static str),
    /// The kernel is booted with file capabilities.
    FileCaps,
    /// `kernel.perf_event_paranoid`
    Level(i32),
}

/// The changes that a case offers, those that change least first.
pub(super) fn edits(case: &Case, at: &Coordinates) -> Vec<Edit> {
    let mut all = Vec::new();
    if case.boot == BootMode::NoFileCaps {
        all.push(Edit::FileCaps);
    }
    for (index, step) in case.steps.iter().enumerate() {
        match step {
            Step::Execve(file) => {
                if file.nosuid {
                    all.push(Edit::OtherMount(index));
                }
                if !file.permitted.is_empty() && !file.effective {
                    all.push(Edit::Effective(index));
                }
                if !file.permitted.is_empty() && file.effective {
                    all.push(Edit::NotEffective(index));
                }
                if file.rootid.is_some_and(|id| id != 0) {
                    all.push(Edit::Rootid(index));
                }
                all.push(Edit::Ambient(index));
            }
            Step::Clone(clone) if clone.flags.contains(&CloneFlag::Newuser) => {
                all.push(Edit::Keep(vec![index], "do it outside of the user namespace"));
            }
            Step::Clone(clone) if clone.flags.contains(&CloneFlag::Fs) => {
                let how = "do not share the root directory with another process (CLONE_FS)";
                all.push(Edit::Keep(vec![index], how));
            }
            step => {
                if let Some(how) = kept(step) {
                    all.push(Edit::Keep(namespace(case, index, step), how));
                }
            }
        }
    }
    if let Level::Set(level) = at.paranoid {
        all.extend((-1..level).rev().map(Edit::Level));
    }
    all
}

/// The way to keep the privilege that a step gives up.
fn kept(step: &Step) -> Option<&'static str> {
    Some(match step {
        Step::Prctl(Prctl::SetNoNewPrivs) => "start it without no_new_privs (NoNewPrivileges=no)",
        Step::Prctl(Prctl::CapbsetDrop(_)) => {
            "leave the capability in the bounding set (CapabilityBoundingSet= of a service)"
        }
        Step::Prctl(Prctl::SetSecurebits(_)) => "do not set the securebits (SecureBits=)",
        Step::Prctl(Prctl::SetDumpable(0)) => "leave the process dumpable",
        Step::Unshare(unshare) if unshare.flags.contains(&UnshareFlag::Newuser) => {
            "do it outside of the user namespace"
        }
        Step::Capset(_) => "keep the capability in the effective set (capset(2))",
        Step::Setresuid(_) => "do not change the user id, or set PR_SET_KEEPCAPS before",
        Step::Setfsuid(_) => "do not change the user id for files",
        _ => return None,
    })
}

/// A step, with those that write the maps of the namespace that it makes.
fn namespace(case: &Case, index: usize, step: &Step) -> Vec<usize> {
    let mut steps = vec![index];
    if matches!(step, Step::Unshare(_)) {
        let is_map = |step: &Step| match step {
            Step::Write(write) => write.text.split_whitespace().count() == 3,
            _ => false,
        };
        let later = case.steps.iter().enumerate().skip(index);
        steps.extend(later.filter(|(_, step)| is_map(step)).map(|(at, _)| at));
    }
    steps
}

impl Edit {
    /// Changes a case, or where its cell is.
    pub(super) fn apply(&self, case: &mut Case, at: &mut Coordinates) {
        let file =
            |case: &mut Case, index: usize, change: &dyn Fn(&mut perfsec_wire::step::Execve)| {
                if let Some(Step::Execve(file)) = case.steps.get_mut(index) {
                    change(file);
                }
            };
        match self {
            Self::OtherMount(index) => file(case, *index, &|file| file.nosuid = false),
            Self::Effective(index) => file(case, *index, &|file| file.effective = true),
            Self::NotEffective(index) => file(case, *index, &|file| file.effective = false),
            Self::Rootid(index) => file(case, *index, &|file| file.rootid = None),
            Self::Ambient(index) => {
                file(case, *index, &|file| file.permitted = CapSet::EMPTY);
                let caps = at.grant.0;
                let keep = Capset { permitted: caps, effective: caps, inheritable: caps };
                let raise = Prctl::CapAmbientRaise(caps);
                for step in [Step::Prctl(raise), Step::Capset(keep)] {
                    case.steps.insert(*index, step);
                    if let Some(questions) = &mut case.questions {
                        let none = StepQuestions { line: 1, asks: Vec::new(), returns: Vec::new() };
                        questions.insert(*index, none);
                    }
                }
            }
            Self::Keep(steps, _) => {
                // In place, so that the numbers of other changes stay.
                for index in steps {
                    if let Some(step) = case.steps.get_mut(*index) {
                        *step = match step {
                            Step::Clone(clone) => {
                                let mut clone = clone.clone();
                                clone
                                    .flags
                                    .retain(|it| !matches!(it, CloneFlag::Newuser | CloneFlag::Fs));
                                Step::Clone(clone)
                            }
                            _ => Step::Prctl(Prctl::GetDumpable),
                        };
                    }
                    let is_clone = matches!(case.steps.get(*index), Some(Step::Clone(_)));
                    if let Some(questions) =
                        case.questions.as_mut().and_then(|it| it.get_mut(*index))
                        && !is_clone
                    {
                        questions.asks.clear();
                        questions.returns.clear();
                    }
                }
            }
            Self::FileCaps => case.boot = BootMode::Selinux,
            Self::Level(level) => at.paranoid = Level::Set(*level),
        }
    }

    /// The change as an imperative.
    pub(super) fn how(&self) -> String {
        match self {
            Self::OtherMount(_) => "remount the file system without nosuid, or execute a copy of \
                                    the program on another one"
                .to_owned(),
            Self::Effective(_) => {
                "set the capability on the file with the effective bit (=ep)".to_owned()
            }
            Self::NotEffective(_) => "set the capability on the file without the effective bit \
                                      (=p), if the program raises it itself"
                .to_owned(),
            Self::Rootid(_) => {
                "set the capability on the file as root of the initial user namespace".to_owned()
            }
            Self::Ambient(_) => "pass the capability as an ambient one (AmbientCapabilities= of a \
                                 service), to a file without capabilities"
                .to_owned(),
            Self::Keep(_, how) => (*how).to_owned(),
            Self::FileCaps => "boot without no_file_caps".to_owned(),
            Self::Level(level) => format!("`sysctl kernel.perf_event_paranoid={level}`"),
        }
    }
}
