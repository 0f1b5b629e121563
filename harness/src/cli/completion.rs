//! `perfsec run --resume` and `--failed`: a run that completes another.

use std::path::Path;

use clap::Parser as _;

use super::args::{BootArgs, Cli, Command, MachineArgs, RunArgs};
use super::{Failure, record};
use crate::engine::Keep;
use crate::record::Run;

/// A run to complete.
pub(super) struct Completion {
    /// The run as far as it got.
    pub(super) run: Run,
    /// Its results that count.
    pub(super) keep: Keep,
    /// The command line that is repeated.
    pub(super) command: Vec<String>,
}

impl Completion {
    /// The run that the options name, if any.
    pub(super) fn requested(args: &RunArgs) -> Result<Option<Self>, Failure> {
        let resume = args.resume.as_deref().map(|path| (path, Keep::Results));
        let failed = args.failed.as_deref().map(|path| (path, Keep::Passes));
        resume.or(failed).map(|(path, keep)| Self::read(path, keep)).transpose()
    }

    fn read(path: &Path, keep: Keep) -> Result<Self, Failure> {
        let run = record::read(path)?;
        let started = &run.started;
        let command = started.asked.completes.clone().unwrap_or_else(|| started.command.clone());
        Ok(Self { run, keep, command })
    }

    /// The options of that run, with those of this one for what may differ: reports, verdicts,
    /// limits and the number of guests.
    pub(super) fn options(&self, own: &RunArgs) -> Result<RunArgs, Failure> {
        let wrong = |why: &str| {
            let command = self.command.join(" ");
            Failure::input(format!("cannot repeat the command of that run, `{command}`: {why}"))
        };
        let cli = Cli::try_parse_from(&self.command).map_err(|error| wrong(&error.to_string()))?;
        let Command::Run(then) = cli.command else {
            return Err(wrong("it is not `perfsec run`"));
        };
        let boot = BootArgs {
            quiet: own.machine.boot.quiet,
            accel: own.machine.boot.accel.or(then.machine.boot.accel),
            jobs: own.machine.boot.jobs,
            cold: own.machine.boot.cold,
            limits: own.machine.boot.limits,
            retries: own.machine.boot.retries,
            ..then.machine.boot
        };
        Ok(RunArgs {
            baseline: own.baseline.clone(),
            strict: own.strict,
            format: own.format.clone(),
            out: own.out.clone(),
            options: own.options.clone(),
            machine: MachineArgs { boot, ..then.machine },
            ..then
        })
    }
}
