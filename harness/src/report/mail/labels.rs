//! The kernels of a run: each once, newest first, with a unique label.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::kernel::Kernel;
use crate::record::{LaneRun, LaneStarted, Run};
use crate::report::wording;

/// A kernel, and every lane in which it ran.
#[derive(Debug)]
pub(super) struct TestedKernel<'a> {
    /// The kernel.
    pub(super) kernel: &'a Kernel,
    /// Its version, or more if another kernel has the same version.
    pub(super) label: String,
    /// Its lanes.
    pub(super) lanes: Vec<&'a LaneRun>,
}

/// The kernels of a run, newest first.
pub(super) fn kernels(run: &Run) -> Vec<TestedKernel<'_>> {
    let mut kernels: Vec<TestedKernel<'_>> = Vec::new();
    for lane in &run.lanes {
        let kernel = &lane.started.kernel;
        match kernels.iter_mut().find(|known| same(known.kernel, kernel)) {
            Some(known) => known.lanes.push(lane),
            None => kernels.push(TestedKernel { kernel, label: String::new(), lanes: vec![lane] }),
        }
    }
    kernels.sort_by_key(|tested| std::cmp::Reverse(tested.kernel.version));
    for at in 0..kernels.len() {
        kernels[at].label = label(kernels[at].kernel, &kernels);
    }
    kernels
}

fn same(a: &Kernel, b: &Kernel) -> bool {
    (a.identity(), &a.release) == (b.identity(), &b.release)
}

fn label(kernel: &Kernel, all: &[TestedKernel<'_>]) -> String {
    let others = || all.iter().map(|tested| tested.kernel).filter(|other| !same(other, kernel));
    if others().all(|other| other.version != kernel.version) {
        kernel.version.to_string()
    } else if others().all(|other| other.release != kernel.release) {
        kernel.release.clone()
    } else {
        let hash = kernel.sha256().map(|sha256| format!(" ({})", short(sha256)));
        format!("{}{}", kernel.release, hash.unwrap_or_default())
    }
}

/// The boot mode of a lane, with its policy but not the policy's directory.
pub(super) fn boot_description(lane: &LaneStarted) -> String {
    let policy = base(Path::new(&lane.policy));
    wording::boot_description(&LaneStarted { policy, ..lane.clone() })
}

/// Every lane of these kernels with its label: that of its kernel, and the policy if there are
/// several.
pub(super) fn lanes<'a>(kernels: &'a [TestedKernel<'a>]) -> Vec<(String, &'a LaneRun)> {
    let all =
        || kernels.iter().flat_map(|tested| tested.lanes.iter().map(move |lane| (tested, *lane)));
    let policies: BTreeSet<&str> = all().map(|(_, lane)| lane.started.policy.as_str()).collect();
    let named = |(tested, lane): (&TestedKernel<'_>, &'a LaneRun)| match policies.len() {
        0 | 1 => (tested.label.clone(), lane),
        _ => (format!("{} under {}", tested.label, base(Path::new(&lane.started.policy))), lane),
    };
    all().map(named).collect()
}

/// The last part of a path: directories of this host do not belong in a public report.
pub(super) fn base(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The path of a case file, starting with the last part of the directory of the cases.
pub(super) fn case_file(path: &Path, cases: Option<&Path>) -> PathBuf {
    let inside = cases.and_then(|cases| Some((cases, path.strip_prefix(cases).ok()?)));
    inside.map_or_else(|| path.to_owned(), |(cases, rest)| Path::new(&base(cases)).join(rest))
}

/// The first 12 digits of a hash, enough to identify it.
pub(super) fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list<S: AsRef<str>>(words: &[S]) -> String {
    match words {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [most @ .., last] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", most.join(", "), last.as_ref())
        }
    }
}
