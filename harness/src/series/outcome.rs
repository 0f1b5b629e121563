//! The result of a check, patch by patch: the JSON document, and the source of every report.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::compare::Comparison;
use crate::judge::Verdict;
use crate::kbuild::Diagnostic;
use crate::record::{Death, LaneRun, LaneStarted, Run, RunStarted};

/// Version of the format; readers refuse any other.
pub const FORMAT: u32 = 1;

/// The result of checking a series, as far as the check got.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeriesOutcome {
    /// [`FORMAT`]
    pub format: u32,
    /// The command and the cells of the check. Runs of kernels may be older.
    pub run: RunStarted,
    /// The series.
    pub series: SeriesInfo,
    /// The kernel before the first patch.
    pub base: BaseOutcome,
    /// Configuration and compiler of the kernels.
    pub built: BuildSettings,
    /// The lanes in which the kernel of the base ran; empty until it has run.
    pub lanes: Vec<LaneStarted>,
    /// The result of each patch, in order.
    pub patches: Vec<PatchOutcome>,
    /// The last kernel that ran, compared with the base; `None` if every patch has the kernel of
    /// the base.
    pub whole: Option<Comparison>,
    /// The changes that the author stated beforehand.
    pub stated: Vec<StatedOutcome>,
    /// Notes that come before the results.
    pub notes: Vec<String>,
    /// True if the check was completed.
    pub ended: bool,
}

/// The series that was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesInfo {
    /// The mailbox, directory or range, as the user named it.
    pub name: String,
    /// The version of the series, from 1.
    pub version: u32,
    /// The subject of its cover letter, if it has one.
    pub cover: Option<String>,
    /// The Message-ID of its cover letter, if it has one.
    #[serde(default)]
    pub cover_id: Option<String>,
    /// SHA-256 of its patches, in hexadecimal.
    pub sha256: String,
}

/// The kernel before the first patch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BaseOutcome {
    /// The revision, as the user named it.
    pub named: String,
    /// The commit, in hexadecimal.
    pub commit: String,
    /// The commit, as in `git describe`.
    pub describe: String,
    /// The tree, as in run records.
    pub tree: String,
    /// True if perfsec made the commit, from a tree with uncommitted changes: no clone has it.
    pub own: bool,
    /// The build; `None` before it ends.
    pub build: Option<BuildResult>,
    /// The run; `None` before it ends.
    pub tested: Option<TestResult>,
}

/// Configuration and compiler of kernels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSettings {
    /// The configuration fragments, by name.
    pub config: Vec<String>,
    /// Variables for `make`, as `NAME=VALUE`.
    pub make: Vec<String>,
    /// The compiler, as in the first line of `--version`.
    pub compiler: String,
}

/// The result of a patch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PatchOutcome {
    /// Its number in the series, from 1.
    pub number: usize,
    /// The first line of the commit message.
    pub subject: String,
    /// The Message-ID of its mail, if it has one.
    pub id: Option<String>,
    /// The author.
    pub author: String,
    /// Whether it applies.
    pub apply: ApplyResult,
    /// The build of the kernel with it; `None` if not tried.
    pub build: Option<BuildResult>,
    /// The run of that kernel; `None` if not tried.
    pub tested: Option<TestResult>,
    /// The cells that it changes; `None` if no kernel of its own ran.
    pub changed: Option<CellChanges>,
}

/// Whether a patch applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ApplyResult {
    /// Not tried, because an earlier patch does not apply.
    NotTried,
    /// It applies.
    Applied {
        /// The resulting commit.
        commit: String,
    },
    /// It does not apply.
    Failed {
        /// The hunks that do not apply.
        places: Vec<RejectedHunk>,
        /// The messages of `git am`.
        message: String,
    },
}

/// A hunk that does not apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedHunk {
    /// The file.
    pub file: String,
    /// The line at which git expected the hunk.
    pub line: usize,
}

/// The build of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum BuildResult {
    /// It builds.
    Built {
        /// SHA-256 of the image, in hexadecimal.
        image: String,
        /// Compiler warnings that the kernel before it does not have.
        new_warnings: Vec<Diagnostic>,
    },
    /// It does not build.
    Failed {
        /// The compiler's first error, if the compiler failed.
        first: Option<Diagnostic>,
        /// Path of the build log.
        log: PathBuf,
    },
}

/// The run of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum TestResult {
    /// Not run again: it is the same image, bit for bit, as after this patch (0: the base).
    Same {
        /// The number of the patch.
        as_of: usize,
    },
    /// It ran.
    Ran(KernelRun),
}

/// A run of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelRun {
    /// Path of the run record.
    pub record: PathBuf,
    /// SHA-256 of the run record, in hexadecimal.
    pub sha256: String,
    /// The boot.
    pub boot: BootResult,
    /// The number of cells with each verdict.
    pub counts: Vec<(Verdict, usize)>,
    /// The number of cells without a result.
    pub unseen: usize,
}

/// The boot of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum BootResult {
    /// It booted in every lane.
    Booted,
    /// It died before it was ready for a cell.
    Died {
        /// The cause, in one line.
        cause: String,
        /// The end of the console.
        console: String,
    },
    /// It booted, and it cannot be tested.
    Refused {
        /// The reason and the remedy.
        reason: String,
        /// The end of the console.
        console: String,
    },
}

/// The cells that a patch changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CellChanges {
    /// The number of the patch whose kernel it is compared with; 0 is the base.
    pub against: usize,
    /// The comparison.
    pub comparison: Comparison,
}

/// A change that the author stated beforehand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedOutcome {
    /// The number of the patch that makes it; `None` for any patch.
    pub patch: Option<usize>,
    /// Globs on the cells.
    pub cells: Vec<String>,
    /// The author's reason.
    pub reason: String,
    /// The globs that match no cell that changed this way.
    pub unmet: Vec<String>,
}

impl KernelRun {
    /// Summarises a run whose record has this path and hash.
    #[must_use]
    pub fn of(run: &Run, record: PathBuf, sha256: String) -> Self {
        let counts = run.counts().iter().collect();
        Self { record, sha256, boot: BootResult::of(run), counts, unseen: run.unseen() }
    }
}

impl BootResult {
    /// The result of the first lane that did not boot, else [`Booted`](Self::Booted).
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let bad = run.lanes.iter().find_map(Self::of_lane);
        bad.unwrap_or(Self::Booted)
    }

    fn of_lane(lane: &LaneRun) -> Option<Self> {
        let by_kernel = |death: &&Death| death.blame.is_kernel();
        let first = lane.deaths.iter().find(by_kernel).filter(|_| lane.ready.is_empty());
        if let Some(death) = first {
            let (cause, console) = (death.cause.clone(), death.console.clone());
            return Some(Self::Died { cause, console });
        }
        let refused = lane.end.as_ref()?.refused.as_ref()?;
        let (reason, console) = (refused.reason.clone(), refused.console.clone());
        Some(Self::Refused { reason, console })
    }
}

impl PatchOutcome {
    /// A patch that was not tried yet.
    #[must_use]
    pub fn new(patch: &super::Patch) -> Self {
        Self {
            number: patch.number,
            subject: patch.subject.clone(),
            id: patch.id.as_ref().map(|id| id.as_str().to_owned()),
            author: patch.author.clone(),
            apply: ApplyResult::NotTried,
            build: None,
            tested: None,
            changed: None,
        }
    }

    /// The compiler warnings that the patch adds.
    #[must_use]
    pub fn new_warnings(&self) -> &[Diagnostic] {
        match &self.build {
            Some(BuildResult::Built { new_warnings, .. }) => new_warnings,
            _ => &[],
        }
    }
}

impl CellChanges {
    /// The number of cells that changed and whose change nobody stated.
    #[must_use]
    pub fn unstated(&self) -> usize {
        unstated(&self.comparison)
    }

    /// The number of cells that newly fail and whose change nobody stated.
    #[must_use]
    pub fn failing(&self) -> usize {
        let groups = self.comparison.groups.iter().filter(|group| group.stated.is_none());
        let fails = groups
            .filter(|group| group.verdict_b == Verdict::Fail && group.verdict_a != Verdict::Fail);
        fails.map(|group| group.cells.count).sum()
    }

    /// The number of cells without a result to compare. A cell that is newly skipped counts: the
    /// skip hides what it would do.
    #[must_use]
    pub fn not_judged(&self) -> usize {
        let Comparison { not_judged, skipped, .. } = &self.comparison;
        let lost = skipped.iter().filter(|apart| apart.is_only_on_b());
        not_judged.iter().chain(lost).map(|apart| apart.cells.count).sum()
    }
}

/// The number of cells that differ and whose change nobody stated.
pub(super) fn unstated(comparison: &Comparison) -> usize {
    let groups = comparison.groups.iter().filter(|group| group.stated.is_none());
    groups.map(|group| group.cells.count).sum()
}
