//! Bisections of configurations, with a Kconfig of a few rules.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use rstest::rstest;

use super::super::tests::{CELLS, fixture, names, recorded, run_of};
use super::super::{BisectError, BisectMark, CommitInfo};
use super::*;
use crate::engine::{Batch, EngineError, RecordedRun};
use crate::kbuild::{BuildError, BuiltKernel};
use crate::kernel::{Config, Kernel, hash};
use crate::plan::Filter;

/// A lab in which an option can depend on others.
struct Rules {
    /// Each option is set only if the other is.
    needs: &'static [(&'static str, &'static str)],
    /// Each option is set exactly if the other is, like one without a prompt.
    follows: &'static [(&'static str, &'static str)],
    /// The letters of the three cells of a kernel, as `run_of` takes them, or `nobuild`.
    sees: fn(&Config) -> &'static str,
    /// The letters of each kernel that ran, and the number of cells.
    runs: Vec<(String, usize)>,
    said: RefCell<Vec<String>>,
}

impl Rules {
    fn new(sees: fn(&Config) -> &'static str) -> Self {
        Self { needs: &[], follows: &[], sees, runs: Vec::new(), said: RefCell::default() }
    }
}

impl ConfigLab for Rules {
    fn configure(&mut self, wanted: &Config) -> Result<Config, BuildError> {
        let mut config = wanted.clone();
        for (option, other) in self.needs {
            if config.raw(other).is_none() {
                config.set(option, None);
            }
        }
        for (option, other) in self.follows {
            let value = config.raw(other).map(str::to_owned);
            config.set(option, value.as_deref());
        }
        Ok(config)
    }

    fn build(&mut self, config: &Config) -> Result<BuiltKernel, BuildError> {
        let state = (self.sees)(config);
        if state == "nobuild" {
            return Err(BuildError::Failed(Box::new(crate::kbuild::BuildFailure {
                commit: COMMIT.parse().unwrap(),
                subject: "c".to_owned(),
                first: None,
                places: Vec::new(),
                log: PathBuf::from("log"),
            })));
        }
        let kernel = fixture().lanes[0].started.kernel.clone();
        let mut image = kernel.image.clone().unwrap();
        let text: String =
            config.options().map(|(name, value)| format!("{name}={value}")).collect();
        image.sha256 = hash::sha256(text.as_bytes());
        let kernel = Kernel { image: Some(image), banner: state.to_owned(), ..kernel };
        Ok(BuiltKernel { kernel, warnings: BTreeSet::new(), log: PathBuf::from("log") })
    }

    fn run(&mut self, kernel: &Kernel, batch: &Batch) -> Result<RecordedRun, EngineError> {
        let mut run = run_of(&kernel.banner);
        let only = &batch.filter.names;
        run.lanes[0].cells.retain(|cell| only.is_empty() || only.contains(&cell.name));
        self.runs.push((kernel.banner.clone(), run.lanes[0].cells.len()));
        Ok(recorded(run, &format!("{}.jsonl", self.runs.len())))
    }

    fn note(&self, text: &str) {
        self.said.borrow_mut().push(text.to_owned());
    }

    fn stopped(&self) -> bool {
        false
    }
}

const COMMIT: &str = "0123456789012345678901234567890123456789";

fn search(lab: &mut Rules, good: &str, bad: &str) -> Result<ConfigBisection, BisectError> {
    let named = |path: &str, text: &str| NamedConfig {
        path: PathBuf::from(path),
        config: Config::parse(&text.replace(' ', "\n")),
    };
    let commit = CommitInfo {
        commit: COMMIT.parse().unwrap(),
        subject: "Linux 6.12".to_owned(),
        author: "Ann Example <ann@example.org>".to_owned(),
        date: "2026-11-30T00:00:00Z".to_owned(),
    };
    let (good, bad) = (named("good.config", good), named("bad.config", bad));
    bisect_config(lab, ("linux", commit), &Filter::default(), good, bad)
}

/// The options that the report names: the culprit, and those that change with it.
fn found(outcome: &ConfigBisection) -> (Option<&str>, Vec<&str>) {
    let name = |option: &ChangedOption| -> &'static str { option.name.clone().leak() };
    (outcome.culprit.as_ref().map(name), outcome.others.iter().map(name).collect())
}

const MANY: &str = "CONFIG_A=y CONFIG_B=y CONFIG_C=m CONFIG_D=1 CONFIG_E=y CONFIG_F=y CONFIG_G=y";

fn sees_d(config: &Config) -> &'static str {
    if config.is_set("CONFIG_D") { "aab" } else { "aaa" }
}

#[test]
fn an_option_is_found_with_the_cells_that_differ() {
    let mut lab = Rules::new(sees_d);
    let bad = MANY.replace("CONFIG_D=1", "CONFIG_D=y");
    let outcome = search(&mut lab, "CONFIG_Z=y", &bad).unwrap();
    assert_eq!(found(&outcome), (Some("CONFIG_D"), vec![]));
    assert_eq!((outcome.options, &outcome.cells[..]), (8, &names()[2..]));
    assert_eq!(lab.runs[..2], [("aaa".to_owned(), CELLS), ("aab".to_owned(), CELLS)]);
    assert!(lab.runs[2..].iter().all(|(_, cells)| *cells == 1), "{:?}", lab.runs);
    assert_eq!((outcome.steps.len(), outcome.across.different()), (3, 1));
    let text = config_text(&outcome).plain();
    let first = "CONFIG_D (not set when good, y when bad) makes the difference\n";
    assert!(text.starts_with(first), "{text}");
    assert!(text.contains("linux, 012345678901 (\"Linux 6.12\")"), "{text}");
    assert!(text.contains("4 of 8 options"), "{text}");
}

#[test]
fn an_option_is_named_before_those_that_follow_it() {
    let mut lab = Rules {
        follows: &[("CONFIG_AUDITSYSCALL", "CONFIG_AUDIT")],
        needs: &[("CONFIG_SELINUX", "CONFIG_AUDIT")],
        ..Rules::new(|config| if config.is_set("CONFIG_AUDIT") { "aaa" } else { "bbb" })
    };
    let good = "CONFIG_AUDIT=y CONFIG_AUDITSYSCALL=y CONFIG_SELINUX=y CONFIG_HZ=250";
    let outcome = search(&mut lab, good, "CONFIG_HZ=1000").unwrap();
    let others = ["CONFIG_AUDITSYSCALL", "CONFIG_SELINUX"];
    let (culprit, with) = found(&outcome);
    assert_eq!(culprit, Some("CONFIG_AUDIT"));
    assert!(with.iter().all(|name| others.contains(name)), "{with:?}");
    assert!(with.contains(&"CONFIG_AUDITSYSCALL"), "{with:?}");
}

#[test]
fn options_of_which_both_are_needed_are_named_together() {
    // Bad only with both, and Kconfig lets neither be changed alone.
    let mut lab = Rules {
        needs: &[("CONFIG_A", "CONFIG_B"), ("CONFIG_B", "CONFIG_A")],
        ..Rules::new(|config| if config.is_set("CONFIG_A") { "bbb" } else { "aaa" })
    };
    let outcome = search(&mut lab, "CONFIG_Z=y", "CONFIG_Z=y CONFIG_A=y CONFIG_B=y").unwrap();
    assert_eq!(found(&outcome), (None, vec!["CONFIG_A", "CONFIG_B"]));
    let text = config_text(&outcome).plain();
    assert!(text.starts_with("2 options make the difference"), "{text}");
}

#[test]
fn a_mixture_that_does_not_build_is_passed_over() {
    let mut lab = Rules::new(|config| {
        let (c, d) = (config.raw("CONFIG_C"), config.is_set("CONFIG_D"));
        if c.is_some() && !d { "nobuild" } else { sees_d(config) }
    });
    let bad = MANY.replace("CONFIG_D=1", "CONFIG_D=y");
    let outcome = search(&mut lab, "CONFIG_Z=y", &bad).unwrap();
    assert_eq!(found(&outcome).0, Some("CONFIG_D"));
    assert!(outcome.steps.iter().any(|step| step.mark == BisectMark::Skip), "{:?}", outcome.steps);
}

#[rstest]
#[case("CONFIG_A=y", "CONFIG_A=y", "the same configuration of both files")]
#[case("CONFIG_A=y", "CONFIG_B=y", "3 cells saw the same at both ends")]
fn there_is_nothing_to_find_if_the_ends_are_alike(
    #[case] good: &str,
    #[case] bad: &str,
    #[case] words: &str,
) {
    let error = search(&mut Rules::new(sees_d), good, bad).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn an_end_that_does_not_build_is_named() {
    let mut lab = Rules::new(|config| match config.is_set("CONFIG_B") {
        true => "nobuild",
        false => "aaa",
    });
    let error = search(&mut lab, "CONFIG_A=y", "CONFIG_B=y").unwrap_err().to_string();
    assert_eq!(error, "prove that the bad end is bad");
}
