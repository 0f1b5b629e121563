//! The engine: obtains kernels, plans lanes, and runs cells on machines.

use std::path::PathBuf;
use std::sync::Arc;

use perfsec_wire::{BootMode, Message};

use super::board::Manner;
use super::obtain::obtain;
use super::{EarlierLane, EngineError, Execution, KernelSpec, LanePlan, Setup, Suite, execute};
use crate::cache::{Cache, Room};
use crate::interrupt::Interrupt;
use crate::kbuild::{self, Builder, BuiltKernel, Recipe, TreeSpec};
use crate::kernel::{Config, Kernel};
use crate::machines::{End, Load, Pool};
use crate::plan::{self, PlannedCell};
use crate::policy::{self, Obtaining, Policies, Policy, PolicyError};
use crate::record::{Event, RecordError, Selection, Writer};
use crate::source::{Commit, Source, SourceError};

/// Receives what a person wants to see while the engine works.
pub trait Listener {
    /// Shows what the engine does now: fetch, build or wait. The next one may replace it.
    fn say(&self, text: &str);

    /// Shows something that stays on the screen.
    fn note(&self, text: &str);

    /// Shows an event of a run.
    fn event(&self, event: &Event);
}

/// Obtains kernels and runs cells on them. Policies are compiled and the machines are found.
pub struct Engine<'a> {
    setup: Setup,
    cache: Cache,
    policies: Vec<Arc<Policy>>,
    kernel_config: Option<Config>,
    pool: Arc<dyn Pool>,
    interrupt: Interrupt,
    listener: &'a dyn Listener,
}

impl<'a> Engine<'a> {
    /// Compiles the policies and looks for the machines.
    ///
    /// # Errors
    ///
    /// Returns an error if a policy does not compile or the machines' program does not run.
    pub fn open(
        setup: Setup,
        cache: Cache,
        interrupt: Interrupt,
        listener: &'a dyn Listener,
    ) -> Result<Self, EngineError> {
        let pool = setup.machine.clone().open(&cache)?;
        let say = |text: &str| listener.say(text);
        let images = setup.obtain.images;
        let obtaining = Obtaining { cache: &cache, images, interrupt: &interrupt, progress: &say };
        policy::require_distinct(&setup.policies)?;
        let policies = setup.policies.iter();
        let policies = policies.map(|wanted| Policy::obtain(wanted, &obtaining).map(Arc::new));
        let policies = policies.collect::<Result<_, _>>()?;
        let kernel_config = setup.kernel_config.as_deref().map(Config::load).transpose()?;
        let engine = Self { setup, cache, policies, kernel_config, pool, interrupt, listener };
        engine.note_damage();
        Ok(engine)
    }

    /// The set-up of this engine.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The cache that everything is kept in.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The policies under which kernels run.
    #[must_use]
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// This engine's cache, archive and user, to obtain other policies. `say` shows progress.
    pub fn obtaining<'b>(&'b self, say: &'b dyn Fn(&str)) -> Obtaining<'b> {
        Obtaining {
            cache: &self.cache,
            images: self.setup.obtain.images,
            interrupt: &self.interrupt,
            progress: say,
        }
    }

    /// The machines that boot kernels.
    #[must_use]
    pub fn pool(&self) -> &dyn Pool {
        &*self.pool
    }

    /// Raised once the user wants the engine to stop.
    pub(super) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// True once the user wants the engine to stop.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.interrupt.is_raised()
    }

    /// Shows what is done now.
    pub fn say(&self, text: &str) {
        self.listener.say(text);
    }

    /// Shows something that stays on the screen.
    pub fn note(&self, text: &str) {
        self.listener.note(text);
    }

    /// Obtains the kernels that are named, or else the default kernel of this host; of machines
    /// that run one already, that one.
    ///
    /// # Errors
    ///
    /// Returns an error if a kernel cannot be fetched or built.
    pub fn kernels(&self, specs: &[KernelSpec]) -> Result<Vec<Kernel>, EngineError> {
        if let Some(kernel) = self.pool.kernel() {
            return Ok(vec![kernel.clone()]);
        }
        let default = match specs {
            [] => vec![KernelSpec::of_host()?],
            _ => Vec::new(),
        };
        let (setup, say) = (&self.setup.obtain, |text: &str| self.say(text));
        let kernels = specs
            .iter()
            .chain(&default)
            .map(|spec| obtain(spec, &self.cache, setup, &self.interrupt, &say));
        let kernels = kernels.collect();
        self.note_damage();
        kernels
    }

    /// Opens a kernel tree, fetching it first if it is Debian's.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such tree.
    pub fn tree(&self, spec: &TreeSpec) -> Result<Source, SourceError> {
        let images = self.setup.obtain.images;
        kbuild::open(spec, &self.cache, images, &self.interrupt, &|text| self.say(text))
    }

    /// Builds a commit of a tree.
    ///
    /// # Errors
    ///
    /// Returns an error if the commit does not build, or if something else is missing.
    pub fn build(
        &self,
        source: &Source,
        commit: &Commit,
    ) -> Result<BuiltKernel, kbuild::BuildError> {
        self.with_builder(&self.setup.obtain.recipe, |builder| builder.build(source, commit))
    }

    /// Lets a builder of some recipe work.
    ///
    /// # Errors
    ///
    /// Returns the builder's error, or an error if the host lacks a tool of the recipe.
    pub fn with_builder<T>(
        &self,
        recipe: &Recipe,
        work: impl FnOnce(&Builder<'_>) -> Result<T, kbuild::BuildError>,
    ) -> Result<T, kbuild::BuildError> {
        let say = |text: &str| self.say(text);
        let done = work(&Builder::new(recipe, &self.cache, &self.interrupt, &say)?);
        self.note_damage();
        done
    }

    /// Plans one lane for each kernel, policy and boot mode that the cells need.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no kernel, if a policy that a case names does not compile, or
    /// if the machine's program does not start.
    pub fn plan(
        &self,
        kernels: &[Kernel],
        policies: &[Arc<Policy>],
        cells: &[PlannedCell],
        suite: &Suite,
    ) -> Result<Vec<LanePlan>, EngineError> {
        let first = kernels.first().ok_or(EngineError::NoKernel)?;
        self.pool.prepare(first, &|text| self.say(text))?;
        let boots = plan::group_by_boot(cells).into_iter();
        let classes = policy::classes().map_err(PolicyError::from)?;
        let boots = boots.map(|(boot, mut cells)| {
            // First: the last cell of an order answers for records that any of them lost.
            let mut all = plan::answers(boot, &cells, &classes);
            let number = all.len();
            cells.iter_mut().for_each(|cell| cell.control = cell.control.map(|it| it + number));
            all.append(&mut cells);
            (boot, Arc::new(all))
        });
        let boots: Vec<_> = boots.collect();
        let say = |text: &str| self.say(text);
        let obtaining = self.obtaining(&say);
        let mut lanes = Vec::new();
        for kernel in kernels {
            for policy in policies {
                let policy = policy.for_kernel(kernel.version, &obtaining)?;
                for (boot, cells) in &boots {
                    let policies = self.policies_beside(&policy, suite, &obtaining)?;
                    let cells = Arc::clone(cells);
                    let lane = self.lane((kernel, *boot), policies, cells, suite);
                    lanes.push(LanePlan { lane: lanes.len(), ..lane });
                }
            }
        }
        self.note_damage();
        Ok(lanes)
    }

    /// A policy, and those that cases load. Machines that have loaded one by themselves load none.
    pub(super) fn policies_beside(
        &self,
        policy: &Arc<Policy>,
        suite: &Suite,
        obtaining: &Obtaining<'_>,
    ) -> Result<Policies, PolicyError> {
        match self.pool.has_system() {
            true => Ok(Arc::clone(policy).into()),
            // Of all cases: a snapshot serves a run of any of them.
            false => Policies::obtain(Arc::clone(policy), suite.library.policies(), obtaining),
        }
    }

    /// The first lane of a run: this kernel under a policy, with these cells.
    pub(super) fn lane(
        &self,
        (kernel, boot): (&Kernel, BootMode),
        policies: Policies,
        cells: Arc<Vec<PlannedCell>>,
        suite: &Suite,
    ) -> LanePlan {
        LanePlan {
            lane: 0,
            kernel: self.completed(kernel.clone()),
            boot,
            policies,
            server: None,
            cells,
            known: Arc::clone(&suite.known),
            pool: Arc::clone(&self.pool),
            coverage: None,
            earlier: EarlierLane::default(),
            until_broken: None,
        }
    }

    /// Runs lanes with a new run record. Every event goes into the record, to the listener and to
    /// `sink`.
    ///
    /// # Errors
    ///
    /// Returns an error if the record cannot be created. What stops the run later is in the
    /// [`Execution`].
    pub fn execute(
        &self,
        plans: &[LanePlan],
        asked: Selection,
        sink: &mut dyn FnMut(&Event) -> Result<(), RecordError>,
    ) -> Result<Execution, EngineError> {
        let path = self.new_record();
        let mut record = Writer::create(&path)?;
        let Setup { limits, jobs, cold, retries, .. } = self.setup;
        let manner = Manner { limits, cold, retries };
        let (digest, failure) = execute(plans, asked, manner, jobs, &self.interrupt, |event| {
            self.listener.event(event);
            record.write(event)?;
            Ok(sink(event)?)
        });
        self.note_damage();
        Ok(Execution { digest, record: path, failure })
    }

    /// Boots a kernel into a shell on the user's terminal and waits until the user leaves it: a
    /// static busybox, or without one the logins of the guest system.
    /// Messages of the agent are passed to `listener`.
    ///
    /// # Errors
    ///
    /// Returns an error if the machine fails.
    pub fn shell(
        &self,
        kernel: &Kernel,
        policy: &Arc<Policy>,
        shell: Option<Vec<u8>>,
        listener: Box<dyn Fn(Message) + Send>,
    ) -> Result<End, EngineError> {
        self.pool.prepare(kernel, &|text| self.say(text))?;
        let say = |text: &str| self.say(text);
        let policy = policy.for_kernel(kernel.version, &self.obtaining(&say))?;
        let policies = policy.into();
        let load = match self.pool.has_system() {
            true => Load::of_system(BootMode::Selinux, &policies),
            false => Load::new(BootMode::Selinux, &policies),
        };
        Ok(self.pool.shell(kernel, &load, shell, listener)?)
    }

    /// Tells the user about entries of the cache that were made again.
    fn note_damage(&self) {
        self.cache.take_notes().iter().for_each(|note| self.note(note));
    }

    /// The kernel with what the user said about it.
    pub(super) fn completed(&self, kernel: Kernel) -> Kernel {
        Kernel {
            distribution: self.setup.distribution.clone().or(kernel.distribution),
            config: kernel.config.or_else(|| self.kernel_config.clone()),
            ..kernel
        }
    }

    /// The path of a new run record.
    fn new_record(&self) -> PathBuf {
        let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ");
        self.cache.file(Room::RUNS, &format!("{stamp}-{}.jsonl", std::process::id()))
    }
}
