//! Builds one commit of a tree, unless it was built before.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::diagnostic::{Diagnostic, LogReader};
use super::error::{BuildError, BuildFailure};
use super::kconfig::Configurator;
use super::make::{self, Make};
use super::objects::Objects;
use super::recipe::{ImageForm, Recipe, Variable};
use super::stamp::Stamp;
use super::toolchain::Toolchain;
use crate::cache::{Cache, Room};
use crate::host;
use crate::interrupt::Interrupt;
use crate::kernel::{self, Arch, Config, Kernel, KernelError, Origin, hash};
use crate::source::{Commit, Source, version_of_tree};

/// Version of the build record's layout.
const FORMAT: u32 = 1;

/// Digits of a recipe's hash in the name of its build directory.
const SHORT: usize = 12;

/// Debian's option for `perf_event_paranoid` level 3, in security/Kconfig.
const DEBIAN: &str = "config SECURITY_PERF_EVENTS_RESTRICT";

/// Number of compiled objects between two progress messages.
const PULSE: usize = 100;

/// Builds kernels with one recipe.
pub struct Builder<'a> {
    recipe: &'a Recipe,
    toolchain: Toolchain,
    cache: &'a Cache,
    interrupt: &'a Interrupt,
    progress: &'a dyn Fn(&str),
}

/// A kernel that was built.
#[derive(Debug)]
pub struct BuiltKernel {
    /// The kernel, ready to boot.
    pub kernel: Kernel,
    /// The compiler's warnings for all objects of the kernel, including those of earlier builds.
    pub warnings: BTreeSet<Diagnostic>,
    /// Path of the build log.
    pub log: PathBuf,
}

/// The cached part of a [`BuiltKernel`], apart from the kernel itself.
#[derive(Serialize, Deserialize)]
struct BuildRecord {
    format: u32,
    warnings: BTreeSet<Diagnostic>,
}

impl<'a> Builder<'a> {
    /// Checks for the build's tools and detects the toolchain.
    ///
    /// # Errors
    ///
    /// The host lacks a tool.
    pub fn new(
        recipe: &'a Recipe,
        cache: &'a Cache,
        interrupt: &'a Interrupt,
        progress: &'a dyn Fn(&str),
    ) -> Result<Self, BuildError> {
        host::require(&recipe.needs())?;
        let toolchain = Toolchain::detect(recipe)?;
        Ok(Self { recipe, toolchain, cache, interrupt, progress })
    }

    /// The toolchain that the recipe selects on this host.
    pub fn toolchain(&self) -> &Toolchain {
        &self.toolchain
    }

    /// Builds a commit, or returns the cached kernel: the same files, recipe and tools give the
    /// same kernel.
    ///
    /// # Errors
    ///
    /// [`BuildError::Failed`] if the commit is to blame, another error if it is not.
    pub fn build(&self, source: &Source, commit: &Commit) -> Result<BuiltKernel, BuildError> {
        let key = self.key(source, commit)?;
        let subject = source.subject(commit)?;
        let origin = self.origin(source, commit, &subject)?;
        let log = self.cache.file(Room::LOGS, &format!("{key}.log"));
        if let Some(record) = self.load_record(&key)
            && let Some(kernel) = kernel::load_built(self.cache, &key, &origin)
            && self.has_image(&kernel)
        {
            return Ok(BuiltKernel {
                kernel: Self::set_distribution(source, commit, kernel)?,
                warnings: record.warnings,
                log,
            });
        }
        (self.progress)(&format!("building {} ({subject})", commit.short()));
        let out = self.directory(source);
        let (config, warnings) = self.work(source, commit, &subject, &out, &log, Self::make)?;
        let image = out.join(self.image(&config));
        let kernel = match kernel::store_built(self.cache, &key, origin, &image, config) {
            Ok(kernel) => kernel,
            Err(KernelError::Image { source, .. }) => {
                let message = format!("the image is not a kernel: cannot {source}");
                let first = Some(Diagnostic { file: None, line: None, message });
                let (commit, places) = (commit.clone(), Vec::new());
                let failure = BuildFailure { commit, subject, first, places, log };
                return Err(BuildError::Failed(Box::new(failure)));
            }
            Err(error) => return Err(error.into()),
        };
        let record = BuildRecord { format: FORMAT, warnings };
        self.store_record(&key, &record)?;
        Ok(BuiltKernel {
            kernel: Self::set_distribution(source, commit, kernel)?,
            warnings: record.warnings,
            log,
        })
    }

    /// Configures a commit as [`build`](Self::build) does, and compiles nothing but what Kconfig
    /// needs.
    ///
    /// # Errors
    ///
    /// Those of a build.
    pub fn configure(&self, source: &Source, commit: &Commit) -> Result<Config, BuildError> {
        let log = self.cache.file(Room::LOGS, &format!("{}.log", self.key(source, commit)?));
        let (subject, out) = (source.subject(commit)?, self.directory(source));
        self.work(source, commit, &subject, &out, &log, Self::configured).map(|(config, _)| config)
    }

    /// The build directory.
    fn directory(&self, source: &Source) -> PathBuf {
        match self.recipe.shared {
            Some(name) => source.beside(&format!("build-{name}")),
            None => source.beside(&format!("build-{}", &self.recipe.sha256()[..SHORT])),
        }
    }

    fn origin(
        &self,
        source: &Source,
        commit: &Commit,
        subject: &str,
    ) -> Result<Origin, BuildError> {
        Ok(Origin::Tree {
            tree: source.name().to_owned(),
            commit: commit.to_string(),
            described: source.describe(commit)?,
            subject: subject.to_owned(),
            fragments: self.recipe.fragments.iter().map(|it| it.name.clone()).collect(),
            variables: self.recipe.variables.iter().map(Variable::to_string).collect(),
            compiler: self.toolchain.compiler.clone(),
        })
    }

    /// Checks out a commit, runs `make` in `out` and writes the log. Returns the configuration, and
    /// the warnings for all objects.
    fn work(
        &self,
        source: &Source,
        commit: &Commit,
        subject: &str,
        out: &Path,
        log: &Path,
        steps: impl FnOnce(&Self, &mut Make<'_>, &Source, &Commit) -> Result<Config, BuildError>,
    ) -> Result<(Config, BTreeSet<Diagnostic>), BuildError> {
        source.check_out(commit)?;
        let failed = |action, path: &Path, error| self.cache.error(action, path, error);
        let mut objects = match Objects::load(out) {
            Some(objects) => objects,
            // Warnings of objects that are not compiled again would be lost.
            None => {
                fs::remove_dir_all(out).map_err(|error| failed("delete", out, error))?;
                Objects::none(out)
            }
        };
        fs::create_dir_all(out).map_err(|error| failed("create", out, error))?;
        self.cache.directory(Room::LOGS, "")?;
        let mut file = File::create(log).map_err(|error| failed("create", log, error))?;
        let tree = source.directory();
        let mut reader = LogReader::new(&tree.to_string_lossy(), &make::relative(tree));
        let result = {
            let known = objects.count();
            let mut compiled = 0;
            let mut hear = |line: &str| {
                // The log is only for the user; make reports a full disk itself.
                let _ = writeln!(file, "{line}");
                if reader.read(line) {
                    compiled += 1;
                    if compiled % PULSE == 0 {
                        (self.progress)(&progress_line(commit, compiled, known));
                    }
                }
            };
            let mut make = Make {
                recipe: self.recipe,
                toolchain: &self.toolchain,
                tree,
                out,
                lock: source.lock(),
                interrupt: self.interrupt,
                hear: &mut hear,
            };
            steps(self, &mut make, source, commit)
        };
        objects.update(&reader.compiled);
        objects.write(self.cache)?;
        if self.interrupt.is_raised() {
            return Err(BuildError::Interrupted(commit.clone()));
        }
        match result {
            Ok(config) => Ok((config, objects.warnings())),
            Err(BuildError::Failed(_)) if reader.full => Err(BuildError::Full(out.to_owned())),
            Err(BuildError::Failed(failure)) => {
                let (subject, log) = (subject.to_owned(), log.to_owned());
                let (first, places) = (reader.error().cloned(), reader.places);
                let failure = BuildFailure { subject, first, places, log, ..*failure };
                Err(BuildError::Failed(Box::new(failure)))
            }
            Err(error) => Err(error),
        }
    }

    /// Configures and compiles the checkout.
    fn make(
        &self,
        make: &mut Make<'_>,
        source: &Source,
        commit: &Commit,
    ) -> Result<Config, BuildError> {
        let config = self.configured(make, source, commit)?;
        let target = self.image(&config).rsplit('/').next().unwrap_or_default();
        if !make.run(make.command(target))? {
            return Err(blame(commit));
        }
        self.stamp(source, commit)?.write(make.out, self.cache)?;
        Ok(config)
    }

    /// Configures the checkout, unless it is configured already.
    fn configured(
        &self,
        make: &mut Make<'_>,
        source: &Source,
        commit: &Commit,
    ) -> Result<Config, BuildError> {
        let stamp = self.stamp(source, commit)?;
        if let Some(config) = stamp.config(make.out) {
            return Ok(config);
        }
        let version = version_of_tree(make.tree)?;
        let variables = make.variables();
        let (tree, out) = (make.tree, make.out);
        let configure = Configurator { tree, out, version, make: &variables };
        let config = configure.run(&self.recipe.fragments, &mut |command| {
            if make.run(command)? { Ok(()) } else { Err(blame(commit)) }
        })?;
        stamp.write(out, self.cache)?;
        Ok(config)
    }

    /// Path of the image in the build directory.
    fn image(&self, config: &Config) -> &'static str {
        match self.recipe.image {
            ImageForm::Soonest if config.is_set("CONFIG_PVH") => "vmlinux",
            ImageForm::Soonest | ImageForm::BzImage => Arch::X86_64.boot_image(),
        }
    }

    /// True if the image of a kernel is in the cache in the form that is wanted.
    fn has_image(&self, kernel: &Kernel) -> bool {
        let sha256 = kernel.sha256().unwrap_or_default();
        self.recipe.image == ImageForm::Soonest || kernel::find_packed(self.cache, sha256).is_some()
    }

    fn stamp(&self, source: &Source, commit: &Commit) -> Result<Stamp, BuildError> {
        Stamp::compute(source, commit, self.recipe, &self.toolchain)
    }

    fn key(&self, source: &Source, commit: &Commit) -> Result<String, BuildError> {
        let tree = source.tree(commit)?;
        let (recipe, tools) = (self.recipe.sha256(), &self.toolchain);
        let what = format!("{tree}\n{recipe}\n{}\n{}\n", tools.compiler, tools.linker);
        Ok(hash::sha256(what.as_bytes()))
    }

    /// Sets the distribution of a kernel. Debian's patches, which some cases depend on, are
    /// recognised by an option.
    fn set_distribution(
        source: &Source,
        commit: &Commit,
        kernel: Kernel,
    ) -> Result<Kernel, BuildError> {
        let options = source.file(commit, "security/Kconfig")?.unwrap_or_default();
        let debian = options.lines().any(|line| line.trim() == DEBIAN);
        Ok(Kernel { distribution: debian.then(|| "debian".to_owned()), ..kernel })
    }

    fn load_record(&self, key: &str) -> Option<BuildRecord> {
        let record: BuildRecord = self.cache.read_json(Room::BUILDS, &format!("{key}.json"))?;
        (record.format == FORMAT).then_some(record)
    }

    fn store_record(&self, key: &str, record: &BuildRecord) -> Result<(), BuildError> {
        self.cache.publish_json(Room::BUILDS, &format!("{key}.json"), record)?;
        Ok(())
    }
}

/// A failure that names only the commit; the caller fills in the rest.
fn blame(commit: &Commit) -> BuildError {
    BuildError::Failed(Box::new(BuildFailure {
        commit: commit.clone(),
        subject: String::new(),
        first: None,
        places: Vec::new(),
        log: PathBuf::new(),
    }))
}

fn progress_line(commit: &Commit, compiled: usize, known: Option<usize>) -> String {
    let of = known.map_or(String::new(), |known| format!(" of at most {known}"));
    format!("building {}: {compiled}{of} files compiled", commit.short())
}
