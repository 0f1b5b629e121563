//! Files for reports.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Failure;
use super::args::{BootArgs, RunArgs};
use super::destination::{self, Destination};
use crate::policy::PolicySource;
use crate::record::{Event, RecordError, Run, Writer};
use crate::report::{Format, FormatOptions};

/// A file for one report, opened before the run starts, so that a file that cannot be written is an
/// error at once.
#[derive(Debug)]
pub(super) enum Output {
    /// The run record, written as the run goes on.
    Record(Writer),
    /// A report of the whole run.
    Report {
        /// Its format.
        format: Format,
        /// Its file; `None` for standard output.
        file: Option<Destination>,
    },
}

impl Output {
    /// The record of a run that is about to start.
    pub(super) fn record(path: &Path) -> Result<Self, Failure> {
        Ok(Self::Record(Writer::create(path)?))
    }

    /// A report.
    pub(super) fn create(format: Format, path: &Path) -> Result<Self, Failure> {
        Ok(Self::Report { format, file: Some(Destination::open(path)?) })
    }

    /// The files of `--format` and `--out`.
    pub(super) fn requested(args: &RunArgs) -> Result<Vec<Self>, Failure> {
        let (formats, paths) = (&args.format, &args.out);
        let inputs: Vec<&Path> = args.baseline.as_deref().into_iter().collect();
        distinct(&inputs, &paths.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
        if formats.is_empty() {
            return paths.iter().map(|path| Self::record(path)).collect();
        }
        // The record is written during the run, and has a file in any case.
        if let ([format], []) = (formats.as_slice(), paths.as_slice())
            && *format != Format::Jsonl
        {
            return Ok(vec![Self::Report { format: *format, file: None }]);
        }
        if formats.len() != paths.len() {
            return Err(Failure::input(format!(
                "{} --format and {} --out: give one --out for each --format, in the same order",
                formats.len(),
                paths.len()
            )));
        }
        let output = |(format, path): (&Format, &PathBuf)| match format {
            Format::Jsonl => Self::record(path),
            format => Self::create(*format, path),
        };
        std::iter::zip(formats, paths).map(output).collect()
    }

    /// True if the file is written from the whole run at its end.
    pub(super) fn needs_run(&self) -> bool {
        matches!(self, Self::Report { .. })
    }

    /// True if the report is printed, in place of a summary.
    pub(super) fn is_printed(&self) -> bool {
        matches!(self, Self::Report { file: None, .. })
    }

    /// Takes in an event of the run.
    pub(super) fn event(&mut self, event: &Event) -> Result<(), RecordError> {
        match self {
            Self::Record(writer) => writer.write(event),
            Self::Report { .. } => Ok(()),
        }
    }

    /// Writes the report, unless it was written during the run.
    pub(super) fn finish(self, run: &Run, options: &FormatOptions) -> Result<(), Failure> {
        match self {
            Self::Record(_) => Ok(()),
            Self::Report { format, file } => destination::write(file, &format.render(run, options)),
        }
    }
}

/// Refuses outputs that would overwrite an input or each other, before any is opened. Devices and
/// pipes are always accepted.
pub(super) fn distinct(inputs: &[&Path], outputs: &[&Path]) -> Result<(), Failure> {
    for (at, path) in outputs.iter().enumerate() {
        let Some(this) = identity(path) else { continue };
        let is_this = |other: &&&Path| identity(other).as_ref() == Some(&this);
        if inputs.iter().find(is_this).is_some() {
            let path = path.display();
            return Err(Failure::input(format!("{path} is an input; writing it would destroy it")));
        }
        if outputs[..at].iter().find(is_this).is_some() {
            let path = path.display();
            return Err(Failure::input(format!("two reports would go to {path}: name two files")));
        }
    }
    Ok(())
}

/// Identifies a regular file, existing or not; `None` for a device or a pipe.
fn identity(path: &Path) -> Option<(PathBuf, u64, u64)> {
    match std::fs::metadata(path) {
        Ok(data) => data.is_file().then(|| (PathBuf::new(), data.dev(), data.ino())),
        Err(_) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = std::fs::canonicalize(parent.unwrap_or(Path::new("."))).ok()?;
            Some((parent.join(path.file_name()?), 0, 0))
        }
    }
}

/// The files among the policies, modules and configuration fragments that options name.
pub(super) fn named(boot: &BootArgs) -> impl Iterator<Item = &Path> {
    // Anything else is the name of a built-in one.
    let policies = boot.policy.iter().filter_map(PolicySource::path);
    let modules = boot.module.iter().map(|module| module.path.as_path());
    let names = boot.build.config.iter().map(Path::new).chain(policies).chain(modules);
    names.filter(|path| path.is_file())
}
