//! Builds one commit of a tree, unless it was built before.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::diagnostic::{Diagnostic, LogReader};
use super::error::{BuildError, Failure};
use super::kconfig::Configure;
use super::make::{self, Make};
use super::objects::Objects;
use super::recipe::{Recipe, Variable};
use super::stamp::Stamp;
use super::toolchain::Toolchain;
use crate::cache::Cache;
use crate::host;
use crate::interrupt::Interrupt;
use crate::kernel::{self, Arch, Config, Kernel, KernelError, Origin, hash};
use crate::source::{Commit, Source, version_of_tree};

/// The room of the cache in which what was built is described, and its log is.
const ROOM: &str = "builds";

/// Of the description, so that another layout is not misread.
const FORMAT: u32 = 1;

/// Digits of a recipe's hash that name its build directory.
const SHORT: usize = 12;

/// The option of Debian's fourth level of `perf_event_paranoid`, in security/Kconfig.
const DEBIAN: &str = "config SECURITY_PERF_EVENTS_RESTRICT";

/// A build says how far it is once for so many objects.
const PULSE: usize = 100;

/// Builds kernels in one way.
pub struct Builder<'a> {
    recipe: &'a Recipe,
    toolchain: Toolchain,
    cache: &'a Cache,
    interrupt: &'a Interrupt,
    progress: &'a dyn Fn(&str),
}

/// A kernel that was built.
#[derive(Debug)]
pub struct Built {
    /// It, ready to boot.
    pub kernel: Kernel,
    /// What the compiler warned of, in all of it.
    pub warnings: BTreeSet<Diagnostic>,
    /// All that was said.
    pub log: PathBuf,
}

/// What the cache remembers of a build beside the kernel.
#[derive(Serialize, Deserialize)]
struct Described {
    format: u32,
    warnings: BTreeSet<Diagnostic>,
}

impl<'a> Builder<'a> {
    /// Looks for what kernels are built with.
    ///
    /// # Errors
    ///
    /// When the host lacks something.
    pub fn new(
        recipe: &'a Recipe,
        cache: &'a Cache,
        interrupt: &'a Interrupt,
        progress: &'a dyn Fn(&str),
    ) -> Result<Self, BuildError> {
        host::demand(&recipe.needs())?;
        let toolchain = Toolchain::of(recipe)?;
        Ok(Self { recipe, toolchain, cache, interrupt, progress })
    }

    /// The toolchain.
    pub fn toolchain(&self) -> &Toolchain {
        &self.toolchain
    }

    /// Builds a commit, or finds it built: the same files, built in the same way by the same tools, are the
    /// same kernel.
    ///
    /// # Errors
    ///
    /// [`BuildError::Failed`] when the commit is to blame, anything else when it is not.
    pub fn build(&self, source: &Source, commit: &Commit) -> Result<Built, BuildError> {
        let key = self.key(source, commit)?;
        let subject = source.subject(commit)?;
        let origin = Origin::Tree {
            tree: source.name().to_owned(),
            commit: commit.to_string(),
            described: source.describe(commit)?,
            subject: subject.clone(),
            fragments: self.recipe.fragments.iter().map(|it| it.name.clone()).collect(),
            variables: self.recipe.variables.iter().map(Variable::to_string).collect(),
            compiler: self.toolchain.compiler.clone(),
        };
        let log = self.cache.path(ROOM, &format!("{key}.log"));
        if let Some(described) = self.described(&key)
            && let Some(kernel) = kernel::kept(self.cache, &key, &origin)
        {
            return Ok(Built {
                kernel: Self::whose(source, commit, kernel)?,
                warnings: described.warnings,
                log,
            });
        }
        (self.progress)(&format!("building {} ({subject})", commit.short()));
        source.check_out(commit)?;
        let out = source.beside(&format!("build-{}", &self.recipe.sha256()[..SHORT]));
        let failed = |action, path: &Path, error| self.cache.error(action, path, error);
        fs::create_dir_all(&out).map_err(|error| failed("create", &out, error))?;
        self.cache.directory(ROOM, "")?;
        let mut file = File::create(&log).map_err(|error| failed("create", &log, error))?;
        let top = source.directory();
        let relative = make::relative(top);
        let mut reader = LogReader::new(&top.to_string_lossy(), &relative);
        let mut objects = Objects::of(&out);
        let ended = {
            let usual = objects.usual();
            let mut compiled = 0;
            let mut hear = |line: &str| {
                // The log is for people; a full disk is told by whoever needs the space.
                let _ = writeln!(file, "{line}");
                if reader.read(line) {
                    compiled += 1;
                    if compiled % PULSE == 0 {
                        (self.progress)(&pulse(commit, compiled, usual));
                    }
                }
            };
            let mut make = Make {
                recipe: self.recipe,
                toolchain: &self.toolchain,
                tree: source.directory(),
                out: &out,
                lock: source.lock(),
                interrupt: self.interrupt,
                hear: &mut hear,
            };
            self.make(&mut make, source, commit)
        };
        objects.take(&reader.compiled);
        objects.write(self.cache)?;
        if self.interrupt.is_raised() {
            return Err(BuildError::Interrupted(commit.clone()));
        }
        let config = match ended {
            Ok(config) => config,
            Err(BuildError::Failed(_)) if reader.full => return Err(BuildError::Full(out)),
            Err(BuildError::Failed(failure)) => {
                let first = reader.error().cloned();
                let failure = Failure { subject, first, log, ..*failure };
                return Err(BuildError::Failed(Box::new(failure)));
            }
            Err(error) => return Err(error),
        };
        let image = out.join(image(&config));
        let kernel = match kernel::keep(self.cache, &key, origin, &image, config) {
            Ok(kernel) => kernel,
            Err(KernelError::Image { source, .. }) => {
                let message = format!("what came out is no kernel: cannot {source}");
                let first = Some(Diagnostic { file: None, line: None, message });
                let failure = Failure { commit: commit.clone(), subject, first, log };
                return Err(BuildError::Failed(Box::new(failure)));
            }
            Err(error) => return Err(error.into()),
        };
        let warnings = objects.warnings();
        let described = Described { format: FORMAT, warnings };
        let name = format!("{key}.json");
        let text = serde_json::to_vec(&described)
            .map_err(|error| failed("write", &self.cache.path(ROOM, &name), error.into()))?;
        self.cache.publish_bytes(ROOM, &name, &text)?;
        Ok(Built {
            kernel: Self::whose(source, commit, kernel)?,
            warnings: described.warnings,
            log,
        })
    }

    /// Configures and compiles what is checked out. A failure has only the commit in it: what else there is to
    /// say is in the log.
    fn make(
        &self,
        make: &mut Make<'_>,
        source: &Source,
        commit: &Commit,
    ) -> Result<Config, BuildError> {
        let blame = || {
            BuildError::Failed(Box::new(Failure {
                commit: commit.clone(),
                subject: String::new(),
                first: None,
                log: PathBuf::new(),
            }))
        };
        let stamp = Stamp::of(source, commit, self.recipe, &self.toolchain)?;
        let config = match stamp.config(make.out) {
            Some(config) => config,
            None => {
                let version = version_of_tree(make.tree)?;
                let variables = make.variables();
                let (tree, out) = (make.tree, make.out);
                let configure = Configure { tree, out, version, make: &variables };
                let config = configure.run(&self.recipe.fragments, &mut |command| {
                    if make.run(command)? { Ok(()) } else { Err(blame()) }
                })?;
                stamp.write(out, self.cache)?;
                config
            }
        };
        let target = image(&config).rsplit('/').next().unwrap_or_default();
        if make.run(make.command(target))? { Ok(config) } else { Err(blame()) }
    }

    fn key(&self, source: &Source, commit: &Commit) -> Result<String, BuildError> {
        let tree = source.tree(commit)?;
        let (recipe, tools) = (self.recipe.sha256(), &self.toolchain);
        let what = format!("{tree}\n{recipe}\n{}\n{}\n", tools.compiler, tools.linker);
        Ok(hash::of_bytes(what.as_bytes()))
    }

    /// The kernel with whose patches it carries. Debian's, which perfsec's cases know of, brings an option.
    fn whose(source: &Source, commit: &Commit, kernel: Kernel) -> Result<Kernel, BuildError> {
        let options = source.file(commit, "security/Kconfig")?.unwrap_or_default();
        let debian = options.lines().any(|line| line.trim() == DEBIAN);
        Ok(Kernel { distribution: debian.then(|| "debian".to_owned()), ..kernel })
    }

    fn described(&self, key: &str) -> Option<Described> {
        let text = fs::read(self.cache.path(ROOM, &format!("{key}.json"))).ok()?;
        serde_json::from_slice::<Described>(&text).ok().filter(|it| it.format == FORMAT)
    }
}

/// What boots, below the build directory. What is uncompressed and enters through its PVH note needs no
/// packing, which takes a third of the time of a small build.
fn image(config: &Config) -> &'static str {
    if config.is_set("CONFIG_PVH") { "vmlinux" } else { Arch::X86_64.boot_image() }
}

fn pulse(commit: &Commit, compiled: usize, usual: Option<usize>) -> String {
    let of = usual.map_or(String::new(), |usual| format!(" of at most {usual}"));
    format!("building {}: {compiled}{of} files compiled", commit.short())
}
