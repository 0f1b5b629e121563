//! The result of a walk through the how-to.

use std::time::Duration;

/// The how-to, as it went on one system.
#[derive(Clone, Debug, Default)]
pub struct Walkthrough {
    /// The kernel, for display.
    pub kernel: String,
    /// The guest system, for display.
    pub system: String,
    /// The versions of its packages.
    pub packages: Vec<String>,
    /// The machinery, for display.
    pub machine: String,
    /// The steps.
    pub steps: Vec<StepOutcome>,
    /// The error that ended the walk in its last step.
    pub stopped: Option<String>,
    /// Time of all steps, with their boots.
    pub took: Duration,
}

/// A step, as it went.
#[derive(Clone, Debug, Default)]
pub struct StepOutcome {
    /// Its title.
    pub title: String,
    /// The how-to's paragraph.
    pub says: String,
    /// The boot that it began with.
    pub boot: Option<Boot>,
    /// The commands.
    pub commands: Vec<Performed>,
}

/// A boot.
#[derive(Clone, Debug, Default)]
pub struct Boot {
    /// The parameters that matter.
    pub parameters: String,
    /// Time until commands could be typed.
    pub took: Duration,
    /// True if the guest was restored from a snapshot.
    pub restored: bool,
}

/// A command that was typed.
#[derive(Clone, Debug, Default)]
pub struct Performed {
    /// The prompt, such as `root#`.
    pub prompt: String,
    /// The lines that were typed.
    pub typed: String,
    /// The reason why, if the how-to does not have it.
    pub why: String,
    /// Its output; the less interesting lines are left out.
    pub output: Vec<String>,
    /// Its exit code.
    pub exit: Option<u8>,
    /// Time that it took.
    pub took: Duration,
    /// The promises.
    pub findings: Vec<Finding>,
}

/// A promise, and if it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The promise.
    pub claim: String,
    /// The verdict.
    pub verdict: Verdict,
}

/// The verdict on a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was kept.
    Kept,
    /// It was not kept, for a known reason.
    Differs {
        /// The event that happened instead, as a clause.
        but: String,
        /// The reason.
        why: String,
    },
    /// It was not kept.
    Broken {
        /// The event that happened instead, as a clause.
        but: String,
    },
}

impl Walkthrough {
    /// The number of promises that were kept, that differ, and that are broken.
    #[must_use]
    pub fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        let commands = self.steps.iter().flat_map(|step| &step.commands);
        for finding in commands.flat_map(|command| &command.findings) {
            counts[match finding.verdict {
                Verdict::Kept => 0,
                Verdict::Differs { .. } => 1,
                Verdict::Broken { .. } => 2,
            }] += 1;
        }
        counts
    }

    /// True if the walk came to its end and no promise is broken without a known reason.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.stopped.is_none() && self.counts()[2] == 0
    }

    /// The result in one sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let [kept, differ, broken] = self.counts();
        let mut counted = format!("promises: {kept} kept");
        if differ > 0 {
            counted += &format!(", {differ} differing as explained");
        }
        if broken > 0 {
            counted += &format!(", {broken} broken");
        }
        match &self.stopped {
            None => counted,
            Some(_) => format!("stopped in step {}: {counted} until then", self.steps.len()),
        }
    }
}

impl StepOutcome {
    /// True if every promise of the step was kept or differs for a known reason.
    #[must_use]
    pub fn holds(&self) -> bool {
        let mut findings = self.commands.iter().flat_map(|command| &command.findings);
        findings.all(|finding| !matches!(finding.verdict, Verdict::Broken { .. }))
    }
}
