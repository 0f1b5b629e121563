//! Plain values that say how kernels are obtained, booted and run.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

use super::Limits;
use crate::kbuild::Recipe;
use crate::kbuild::kconfig::FragmentError;
use crate::kernel;
use crate::machines::MachineSetup;
use crate::policy;

/// How an [`Engine`](super::Engine) obtains, boots and runs kernels.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Policies, each a name or a file, as [`Policy::obtain`](policy::Policy::obtain) takes it.
    /// Every kernel runs under each of them.
    pub policies: Vec<String>,
    /// The distribution whose patches the kernels carry, if their banner does not name it.
    pub distribution: Option<String>,
    /// The `.config` of the kernels whose configuration is unknown.
    pub kernel_config: Option<PathBuf>,
    /// How many lanes run at the same time.
    pub jobs: usize,
    /// How long a guest may be silent.
    pub limits: Limits,
    /// The machines that boot kernels.
    pub machine: MachineSetup,
    /// How kernels are looked up and built.
    pub obtain: ObtainSetup,
}

/// How kernels are looked up and built.
#[derive(Clone, Debug)]
pub struct ObtainSetup {
    /// How existing kernels are looked up.
    pub images: kernel::ImageOptions,
    /// How trees are built.
    pub recipe: Recipe,
    /// True to build a tree with its uncommitted changes.
    pub dirty: bool,
}

impl Setup {
    /// The setup of a command without options.
    ///
    /// # Errors
    ///
    /// Returns an error if the default configuration fragments cannot be read.
    pub fn by_default() -> Result<Self, FragmentError> {
        Ok(Self {
            policies: vec![policy::DEFAULT.to_owned()],
            distribution: None,
            kernel_config: None,
            jobs: default_jobs(),
            limits: Limits::default(),
            machine: MachineSetup::default(),
            obtain: ObtainSetup::by_default()?,
        })
    }
}

impl ObtainSetup {
    /// The newest known kernels, trees without uncommitted changes, and the default configuration.
    ///
    /// # Errors
    ///
    /// Returns an error if the default configuration fragments cannot be read.
    pub fn by_default() -> Result<Self, FragmentError> {
        let recipe = Recipe::default_recipe()?;
        Ok(Self { images: kernel::ImageOptions::default(), recipe, dirty: false })
    }
}

/// One lane per CPU: a guest has one CPU, and neither the emulator's own threads nor perfsec need
/// much beside it.
#[must_use]
pub fn default_jobs() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
