//! Turns options into the values that the engine takes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Failure;
use super::args::{BootArgs, BuildArgs, CaseArgs, LimitArgs, MachineArgs, ObtainArgs, Switch};
use crate::case::Library;
use crate::engine::{Limits, ObtainSetup, Setup, Suite, default_jobs};
use crate::kbuild::kconfig::FragmentError;
use crate::kernel::ImageOptions;
use crate::known::KnownDifferences;
use crate::machines::MachineSetup;
use crate::machines::qemu::QemuOptions;
use crate::policy::{PolicyRequest, PolicySource};

impl MachineArgs {
    /// The engine's setup.
    ///
    /// # Errors
    ///
    /// Returns an error if a fragment cannot be read.
    pub(super) fn setup(&self) -> Result<Setup, FragmentError> {
        self.boot.setup(&self.obtain)
    }
}

impl BootArgs {
    /// The engine's setup, with kernels obtained as `obtain` says.
    ///
    /// # Errors
    ///
    /// Returns an error if a fragment cannot be read.
    pub(super) fn setup(&self, obtain: &ObtainArgs) -> Result<Setup, FragmentError> {
        Ok(Setup {
            policies: self.policy.iter().cloned().map(|source| self.changed(source)).collect(),
            distribution: self.distribution.clone(),
            kernel_config: self.kernel_config.clone(),
            jobs: self.jobs.unwrap_or_else(default_jobs).max(1),
            cold: self.cold,
            retries: self.retries,
            limits: self.limits.limits(),
            machine: MachineSetup::Qemu(Box::new(QemuOptions {
                program: self.qemu.clone(),
                accel: self.accel,
                append: self.append.clone(),
                programs: self.program.clone(),
                guest: None,
                dumps: self.dump_memory.clone(),
                gdb: None,
                one_port: false,
            })),
            obtain: obtain.setup(&self.build)?,
        })
    }
}

impl BootArgs {
    /// A policy with the changes that options ask for.
    fn changed(&self, source: PolicySource) -> PolicyRequest {
        PolicyRequest {
            source,
            modules: self.module.clone(),
            booleans: self.boolean.clone(),
            dontaudit: self.dontaudit == Switch::On,
        }
    }
}

impl LimitArgs {
    fn limits(self) -> Limits {
        Limits {
            boot: Duration::from_secs(self.boot_limit),
            silence: Duration::from_secs(self.silence_limit),
            cell: Duration::from_secs(self.cell_limit),
            run: self.run_limit.map(Duration::from_secs),
        }
    }
}

impl ObtainArgs {
    /// The part of the setup that is about kernels, which are built as `build` says.
    ///
    /// # Errors
    ///
    /// Returns an error if a fragment cannot be read.
    pub(super) fn setup(&self, build: &BuildArgs) -> Result<ObtainSetup, FragmentError> {
        let Self { dirty, refresh } = *self;
        let images = if refresh { ImageOptions::refreshing() } else { ImageOptions::default() };
        Ok(ObtainSetup { images, recipe: build.recipe()?, dirty })
    }
}

impl CaseArgs {
    /// The cases that a command is about.
    ///
    /// # Errors
    ///
    /// Returns an error for mistakes in them.
    pub(super) fn library(&self) -> Result<Library, Failure> {
        Ok(match &self.cases {
            Some(directory) => Library::directory(directory)?,
            None => Library::built_in()?,
        })
    }

    /// The cases, with the built-in known differences and those of these files.
    ///
    /// # Errors
    ///
    /// Returns an error for mistakes in them.
    pub(super) fn suite(&self, known: &[PathBuf]) -> Result<Suite, Failure> {
        let (library, directory) = (self.library()?, self.cases.clone());
        let known = Arc::new(KnownDifferences::read(known, &library)?);
        Ok(Suite { library, directory, known })
    }
}
