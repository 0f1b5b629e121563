//! Runs a bisection of configurations: tests both ends, and narrows what differs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::super::ends::{Ends, compare};
use super::super::images::{Images, Tested, Untested};
use super::super::{BisectEnd, BisectError, BisectMark, CommitInfo};
use super::lab::ConfigLab;
use super::outcome::{ChangedOption, ConfigBisection, ConfigStep};
use super::span::Span;
use crate::counted::counted;
use crate::engine::{EngineError, RecordedRun};
use crate::kernel::{Config, ConfigError};
use crate::plan::Filter;

/// A `.config` of the user's.
#[derive(Clone, Debug)]
pub struct NamedConfig {
    /// The file.
    pub path: PathBuf,
    /// Its options.
    pub config: Config,
}

impl NamedConfig {
    /// Reads a `.config`.
    ///
    /// # Errors
    ///
    /// If it cannot be read or sets no option.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Ok(Self { path: path.to_owned(), config: Config::load(path)? })
    }
}

/// Finds the option, or the smallest set of options, with which cells see what they see in the
/// configuration `bad`.
///
/// # Errors
///
/// Returns an error if an end cannot be tested or the ends do not differ, and the error of the lab.
pub fn bisect_config(
    lab: &mut dyn ConfigLab,
    (tree, commit): (&str, CommitInfo),
    filter: &Filter,
    good: NamedConfig,
    bad: NamedConfig,
) -> Result<ConfigBisection, BisectError> {
    let mut bisector = Bisector { lab, images: Images::new(filter) };
    let start = bisector.start(&good, &bad)?;
    let options = start.differing().len();
    let run_of_good = bisector.end(BisectEnd::Good, &good.path, start.good())?;
    let run_of_bad = bisector.end(BisectEnd::Bad, &bad.path, start.bad())?;
    if bisector.images.different() == 1 {
        let why = "both configurations give the same image, byte for byte";
        return Err(BisectError::Same(why.to_owned()));
    }
    let ends = Ends::of(run_of_good, run_of_bad)?;
    bisector.lab.note(&format!(
        "bisecting: {} between the configurations, which differ in {}",
        counted(options, "option"),
        counted(ends.cells.len(), "cell")
    ));
    let narrowed = bisector.narrow(start, &ends)?;
    let (culprit, others) = bisector.culprit(&narrowed.span)?;
    let [before, after] = &narrowed.runs;
    let across = compare(("A", &before.run), ("B", &after.run), Some(&ends.cells))?;
    let mut notes = ends.notes.clone();
    let changed: BTreeSet<&String> =
        across.groups.iter().flat_map(|group| &group.cells.names).collect();
    let elsewhere = ends.cells.iter().filter(|cell| !changed.contains(cell)).count();
    if elsewhere > 0 && !changed.is_empty() {
        notes.push(format!(
            "{} in which the ends differ changed with another option: bisect them separately",
            counted(elsewhere, "cell")
        ));
    }
    let records = [before.record.clone(), after.record.clone()];
    Ok(ConfigBisection {
        tree: tree.to_owned(),
        commit,
        good: good.path,
        bad: bad.path,
        options,
        cells: ends.cells.iter().cloned().collect(),
        notes,
        steps: narrowed.steps,
        built: bisector.images.built,
        culprit,
        others,
        across,
        records,
    })
}

/// The configurations that were tested.
struct Bisector<'a> {
    lab: &'a mut dyn ConfigLab,
    images: Images<'a>,
}

/// The result of the search: nothing between the ends is left to try.
struct Narrowed {
    span: Span,
    /// The runs of both ends.
    runs: [Rc<RecordedRun>; 2],
    steps: Vec<ConfigStep>,
}

impl Bisector<'_> {
    /// The configurations that the tree makes of the two files.
    fn start(&mut self, good: &NamedConfig, bad: &NamedConfig) -> Result<Span, BisectError> {
        let mut resolve = |end: BisectEnd, named: &NamedConfig| {
            self.lab.configure(&named.config).map_err(|error| match error {
                error if error.is_commits_fault() => {
                    BisectError::Build { end, source: Box::new(error) }
                }
                error => EngineError::from(error).into(),
            })
        };
        let span = Span::between(resolve(BisectEnd::Good, good)?, resolve(BisectEnd::Bad, bad)?);
        if span.differing().is_empty() {
            let why = "the tree makes the same configuration of both files";
            return Err(BisectError::Same(why.to_owned()));
        }
        Ok(span)
    }

    /// Builds a configuration and runs cells, unless the same image has run. An inner error is the
    /// reason why it cannot be tested.
    fn test(
        &mut self,
        config: &Config,
        only: Option<&BTreeSet<String>>,
    ) -> Result<Tested, BisectError> {
        let kernel = match self.lab.build(config) {
            Ok(built) => built.kernel,
            Err(error) if error.is_commits_fault() => return Ok(Err(Untested::NoBuild(error))),
            Err(error) => return Err(EngineError::from(error).into()),
        };
        let lab = &mut *self.lab;
        let ran = self.images.test(&kernel, only, |filter| {
            let ran = lab.run(&kernel, &filter.into())?;
            Ok((ran, lab.stopped()))
        })?;
        Ok(ran.map_err(Untested::NoBoot))
    }

    /// Runs all cells that the user asked for at an end, which must work.
    fn end(
        &mut self,
        end: BisectEnd,
        path: &Path,
        config: &Config,
    ) -> Result<Rc<RecordedRun>, BisectError> {
        self.lab.note(&format!("bisecting: the {end} end, {}", path.display()));
        self.test(config, None)?.map_err(|untested| match untested {
            Untested::NoBuild(error) => BisectError::Build { end, source: Box::new(error) },
            Untested::NoBoot(why) => BisectError::Config { end, path: path.to_owned(), why },
        })
    }

    /// Tests configurations between the ends until none is left.
    fn narrow(&mut self, mut span: Span, ends: &Ends) -> Result<Narrowed, BisectError> {
        let mut runs = [Rc::clone(&ends.good), Rc::clone(&ends.bad)];
        let (mut steps, mut known) = (Vec::new(), Vec::<Config>::new());
        while let Some(wanted) = span.propose() {
            let of = span.differing().len();
            let config = match self.lab.configure(&wanted) {
                Ok(config) => config,
                Err(error) if error.is_commits_fault() => continue,
                Err(error) => return Err(EngineError::from(error).into()),
            };
            // Kconfig turned it into an end, or into one that could not be tested.
            if span.is_end(&config) || known.contains(&config) {
                continue;
            }
            let changed = Span::between(span.good().clone(), config.clone()).differing().len();
            self.lab.note(&format!("bisecting: {changed} of {}", counted(of, "option")));
            let (mark, why, record) = match self.test(&config, Some(&ends.cells))? {
                Ok(ran) => {
                    let (mark, why) = ends.judge(&ran.run)?;
                    match mark {
                        BisectMark::Good => runs[0] = Rc::clone(&ran),
                        BisectMark::Bad => runs[1] = Rc::clone(&ran),
                        BisectMark::Skip => {}
                    }
                    (mark, why, Some(ran.record.clone()))
                }
                Err(untested) => (BisectMark::Skip, untested.to_string(), None),
            };
            self.lab.note(&format!("{}: {changed} of {of}: {why}", mark.word()));
            steps.push(ConfigStep { changed, of, mark, why, record });
            match mark {
                BisectMark::Good => span.is_good(config),
                BisectMark::Bad => span.is_bad(config),
                BisectMark::Skip => known.push(config),
            }
        }
        Ok(Narrowed { span, runs, steps })
    }

    /// The one option that makes the others change too, and the others.
    fn culprit(
        &mut self,
        span: &Span,
    ) -> Result<(Option<ChangedOption>, Vec<ChangedOption>), BisectError> {
        let value = |config: &Config, name: &str| config.raw(name).map(str::to_owned);
        let mut left: Vec<ChangedOption> = span
            .differing()
            .into_iter()
            .map(|name| ChangedOption {
                good: value(span.good(), &name),
                bad: value(span.bad(), &name),
                name,
            })
            .collect();
        for at in 0..left.len() {
            let alone = span.with(std::slice::from_ref(&left[at].name));
            if left.len() == 1 || self.becomes_bad(&alone, span)? {
                let culprit = left.remove(at);
                return Ok((Some(culprit), left));
            }
        }
        Ok((None, left))
    }

    fn becomes_bad(&mut self, wanted: &Config, span: &Span) -> Result<bool, BisectError> {
        match self.lab.configure(wanted) {
            Ok(config) => Ok(config == *span.bad()),
            Err(error) if error.is_commits_fault() => Ok(false),
            Err(error) => Err(EngineError::from(error).into()),
        }
    }
}
