//! A lab that builds one commit in any configuration.

use crate::engine::{Batch, Engine, EngineError, EngineLab, Lab, RecordedRun};
use crate::kbuild::kconfig::Fragment;
use crate::kbuild::{BuildError, BuiltKernel, Recipe};
use crate::kernel::{Config, Kernel};
use crate::source::{Commit, Source};

/// Builds one commit in configurations, and runs cells. Tests replace it.
pub trait ConfigLab {
    /// The configuration that Kconfig makes of a wish: options whose dependencies are not met are
    /// left out, and others are added. Compiles nothing.
    ///
    /// # Errors
    ///
    /// [`BuildError::is_commits_fault`] tells whether the tree is to blame.
    fn configure(&mut self, wanted: &Config) -> Result<Config, BuildError>;

    /// Builds the commit in a configuration that [`configure`](Self::configure) returned.
    ///
    /// # Errors
    ///
    /// The same as of [`configure`](Self::configure).
    fn build(&mut self, config: &Config) -> Result<BuiltKernel, BuildError>;

    /// Runs cells on a kernel.
    ///
    /// # Errors
    ///
    /// Returns an error if something other than the kernel is to blame.
    fn run(&mut self, kernel: &Kernel, batch: &Batch) -> Result<RecordedRun, EngineError>;

    /// Shows something that stays on the screen.
    fn note(&self, text: &str);

    /// True once the user wants the work to stop.
    fn stopped(&self) -> bool;
}

/// One commit of a tree, with the engine that builds and boots it.
pub struct ConfiguredTree<'a> {
    engine: &'a Engine<'a>,
    lab: EngineLab<'a>,
    source: &'a Source,
    commit: &'a Commit,
    /// Variables and jobs of each build, and the fragments that are merged over each configuration.
    recipe: Recipe,
}

impl<'a> ConfiguredTree<'a> {
    /// All configurations are built in one directory, in which make compiles only what changes
    /// between two of them.
    pub fn new(
        engine: &'a Engine<'a>,
        lab: EngineLab<'a>,
        source: &'a Source,
        commit: &'a Commit,
        recipe: Recipe,
    ) -> Self {
        let recipe = Recipe { shared: Some("configurations"), ..recipe };
        Self { engine, lab, source, commit, recipe }
    }

    fn recipe(&self, config: &Config) -> Recipe {
        let mut recipe = self.recipe.clone();
        recipe.fragments.insert(0, Fragment::mixture("bisected", config));
        recipe
    }
}

impl ConfigLab for ConfiguredTree<'_> {
    fn configure(&mut self, wanted: &Config) -> Result<Config, BuildError> {
        let recipe = self.recipe(wanted);
        let (source, commit) = (self.source, self.commit);
        self.engine.with_builder(&recipe, |builder| builder.configure(source, commit))
    }

    fn build(&mut self, config: &Config) -> Result<BuiltKernel, BuildError> {
        let recipe = self.recipe(config);
        let (source, commit) = (self.source, self.commit);
        self.engine.with_builder(&recipe, |builder| builder.build(source, commit))
    }

    fn run(&mut self, kernel: &Kernel, batch: &Batch) -> Result<RecordedRun, EngineError> {
        self.lab.run(std::slice::from_ref(kernel), batch)
    }

    fn note(&self, text: &str) {
        self.engine.note(text);
    }

    fn stopped(&self) -> bool {
        self.engine.stopped()
    }
}
