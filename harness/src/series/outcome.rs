//! What came of a series, patch by patch: the document for programs, and what every report is made of.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::compare::Comparison;
use crate::judge::Verdict;
use crate::kbuild::Diagnostic;
use crate::record::{LaneRun, LaneStarted, Run, RunStarted};

/// Version of the format; readers refuse any other.
pub const FORMAT: u32 = 1;

/// A series, as far as it was checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// [`FORMAT`]
    pub format: u32,
    /// How the check began: the command, and which cells it is about. Runs of kernels may be older.
    pub run: RunStarted,
    /// What was checked.
    pub series: Checked,
    /// The kernel before the first patch.
    pub base: Base,
    /// How kernels were built.
    pub built: Built,
    /// The lanes in which the kernel of the base ran; none before it did.
    pub lanes: Vec<LaneStarted>,
    /// What came of each patch, in their order.
    pub patches: Vec<PatchOutcome>,
    /// The kernel of the last patch that ran against that of the base; none when no patch has another one.
    pub whole: Option<Comparison>,
    /// The changes that were stated beforehand.
    pub stated: Vec<Stated>,
    /// What a reader must know before the rest.
    pub notes: Vec<String>,
    /// Whether it came to its end.
    pub ended: bool,
}

/// What was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Where it came from, as the user named it.
    pub name: String,
    /// The version of the series.
    pub version: u32,
    /// The subject of its cover letter.
    pub cover: Option<String>,
    /// SHA-256 of all that is applied, in hexadecimal.
    pub sha256: String,
}

/// The kernel before the first patch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Base {
    /// The revision, as the user named it.
    pub named: String,
    /// The commit.
    pub commit: String,
    /// The commit as `git describe` calls it.
    pub describe: String,
    /// The tree, as records call it.
    pub tree: String,
    /// Whether the commit is perfsec's own, of a tree as it lies on this host: no clone has it.
    pub own: bool,
    /// What came of building it; none before that.
    pub build: Option<Build>,
    /// What came of running it.
    pub tested: Option<Tested>,
}

/// How kernels were built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The configuration fragments, by name.
    pub config: Vec<String>,
    /// What `make` was given besides.
    pub make: Vec<String>,
    /// The compiler, as it calls itself.
    pub compiler: String,
}

/// What came of a patch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PatchOutcome {
    /// Its place in the series, from 1.
    pub number: usize,
    /// The commit's first line.
    pub subject: String,
    /// The id of its mail.
    pub id: Option<String>,
    /// Who wrote it.
    pub author: String,
    /// Whether it applies.
    pub apply: Apply,
    /// Whether the kernel builds with it; none when that was not tried.
    pub build: Option<Build>,
    /// Whether that kernel runs; none when that was not tried.
    pub tested: Option<Tested>,
    /// Which cells it changes; none when it has no kernel of its own that ran.
    pub changed: Option<Changed>,
}

/// Whether a patch applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Apply {
    /// It was not tried, because one before it does not.
    NotTried,
    /// It does.
    Applied {
        /// The commit that it became.
        commit: String,
    },
    /// It does not.
    Failed {
        /// The places, as git names them: the file and the line of the hunk.
        places: Vec<Place>,
        /// What git said.
        message: String,
    },
}

/// Where a patch does not apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line at which the hunk was expected.
    pub line: usize,
}

/// Whether a kernel builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Build {
    /// It does.
    Built {
        /// SHA-256 of the image, in hexadecimal.
        image: String,
        /// Warnings of the compiler that the kernel before it did not have.
        new_warnings: Vec<Diagnostic>,
    },
    /// It does not.
    Failed {
        /// The first error of the compiler, if it was the compiler.
        first: Option<Diagnostic>,
        /// The log.
        log: PathBuf,
    },
}

/// Whether a kernel runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Tested {
    /// It is the same kernel, bit for bit, as after this patch (0: the base), and was not run again.
    Same {
        /// The number of the patch.
        as_of: usize,
    },
    /// It ran.
    Ran(Ran),
}

/// A run of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// The run record.
    pub record: PathBuf,
    /// SHA-256 of the run record, in hexadecimal.
    pub sha256: String,
    /// Whether it booted.
    pub boot: Boot,
    /// How many cells have each verdict.
    pub counts: Vec<(Verdict, usize)>,
    /// How many cells have no result.
    pub unseen: usize,
}

/// Whether a kernel booted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Boot {
    /// It did, in every lane.
    Booted,
    /// It died before it was ready for a cell.
    Died {
        /// What of, in one line.
        cause: String,
        /// The end of the console.
        console: String,
    },
    /// It booted and cannot be tested.
    Refused {
        /// Why, and what to do.
        reason: String,
        /// The end of the console.
        console: String,
    },
}

/// Which cells a patch changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changed {
    /// The patch after which the kernel is that it is compared with; 0 is the base.
    pub against: usize,
    /// The comparison.
    pub comparison: Comparison,
}

/// A change that was stated beforehand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated {
    /// The number of the patch that was to make it; none: any patch.
    pub patch: Option<usize>,
    /// Globs on the cells.
    pub cells: Vec<String>,
    /// Why.
    pub reason: String,
    /// Those of the globs of which no cell changed so.
    pub unmet: Vec<String>,
}

impl Ran {
    /// What is kept of a run, whose record is this file with this hash.
    #[must_use]
    pub fn of(run: &Run, record: PathBuf, sha256: String) -> Self {
        let counts = run.counts().iter().collect();
        Self { record, sha256, boot: Boot::of(run), counts, unseen: run.unseen() }
    }
}

impl Boot {
    /// Whether the kernel of a run booted in every lane; else why not in the first that it did not.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let bad = run.lanes.iter().find_map(Self::of_lane);
        bad.unwrap_or(Self::Booted)
    }

    fn of_lane(lane: &LaneRun) -> Option<Self> {
        let first = lane.deaths.first().filter(|_| lane.ready.is_empty());
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
    /// A patch of which nothing is known yet.
    #[must_use]
    pub fn new(patch: &super::Patch) -> Self {
        Self {
            number: patch.number,
            subject: patch.subject.clone(),
            id: patch.id.as_ref().map(|id| id.as_str().to_owned()),
            author: patch.author.clone(),
            apply: Apply::NotTried,
            build: None,
            tested: None,
            changed: None,
        }
    }

    /// The warnings that the patch brings.
    #[must_use]
    pub fn new_warnings(&self) -> &[Diagnostic] {
        match &self.build {
            Some(Build::Built { new_warnings, .. }) => new_warnings,
            _ => &[],
        }
    }
}

impl Changed {
    /// How many cells changed that nobody stated.
    #[must_use]
    pub fn unstated(&self) -> usize {
        unstated(&self.comparison)
    }

    /// How many cells fail that did not, and that nobody stated.
    #[must_use]
    pub fn failing(&self) -> usize {
        let groups = self.comparison.groups.iter().filter(|group| group.stated.is_none());
        let fails = groups
            .filter(|group| group.verdict_b == Verdict::Fail && group.verdict_a != Verdict::Fail);
        fails.map(|group| group.cells.count).sum()
    }

    /// How many cells have no result to compare: that a kernel is no longer one for a cell hides what it
    /// would do.
    #[must_use]
    pub fn not_judged(&self) -> usize {
        let Comparison { not_judged, skipped, .. } = &self.comparison;
        let lost = skipped.iter().filter(|apart| apart.is_only_on_b());
        not_judged.iter().chain(lost).map(|apart| apart.cells.count).sum()
    }
}

/// How many cells differ of which nobody stated it.
pub(super) fn unstated(comparison: &Comparison) -> usize {
    let groups = comparison.groups.iter().filter(|group| group.stated.is_none());
    groups.map(|group| group.cells.count).sum()
}
