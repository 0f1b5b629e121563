//! The terminal, the signals and the cache of a command that runs cells.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::args::{MachineArgs, SystemArgs};
use super::signals::Signals;
use super::{Exit, Failure, unmatched};
use crate::asks::AllowAll;
use crate::cache::Cache;
use crate::case::{Circumstances, Setting};
use crate::engine::{Engine, Listener, Setup, Suite};
use crate::foreign::LocalFiles;
use crate::guest::{GuestImage, GuestName, Obtaining};
use crate::kernel::{Kernel, KernelVersion};
use crate::machines::here;
use crate::machines::site::{SiteName, SiteOptions, SitePool, Sites, States};
use crate::machines::ssh::{self, Destination, Reached};
use crate::mbox::MessageId;
use crate::plan::{Filter, PlannedCell};
use crate::policy::{self, PolicySource};
use crate::record::{Digest, Event};
use crate::report::Progress;
use crate::series::Series;
use crate::text::eprint_line;

/// A command that runs cells.
pub(super) struct Session {
    cache: Cache,
    signals: Signals,
    terminal: Terminal,
}

/// Shows progress on standard error.
struct Terminal(RefCell<Progress>);

impl Session {
    /// Opens the cache. A quiet session shows no progress.
    pub(super) fn open(quiet: bool) -> Result<Self, Failure> {
        let (signals, cache) = (Signals::default(), Cache::open()?);
        let progress = if quiet { Progress::quiet() } else { Progress::new() };
        let terminal = Terminal(RefCell::new(progress));
        cache.notice().iter().for_each(|notice| terminal.note(notice));
        Ok(Self { cache, signals, terminal })
    }

    /// True if run records outlive this command.
    pub(super) fn keeps_records(&self) -> bool {
        self.cache.require_writable().is_ok()
    }

    /// Hides verdicts while cells run: for commands that compare kernels, or run cells under a
    /// policy that they were not written for.
    pub(super) fn ignore_verdicts(&self) {
        self.terminal.0.borrow_mut().ignore_verdicts();
    }

    /// Hides lanes and verdicts while cells run: for commands that run hundreds of kernels, and
    /// print the outcome of each.
    pub(super) fn ignore_lanes(&self) {
        self.terminal.0.borrow_mut().ignore_lanes();
    }

    /// The series to which a message of an archive belongs.
    pub(super) fn fetch(&self, id: &MessageId) -> Result<Series, Failure> {
        self.signals.watch()?;
        let room = self.cache.temporary()?;
        self.terminal.say(&format!("fetching the series of {}", id.as_str()));
        self.stopped(Series::fetch(id, room.path(), &self.signals.interrupt))
    }

    /// An engine. From now on a signal stops its work cleanly.
    pub(super) fn engine(&self, setup: Setup) -> Result<Engine<'_>, Failure> {
        self.signals.watch()?;
        let (cache, interrupt) = (self.cache.clone(), self.signals.interrupt.clone());
        self.stopped(Engine::open(setup, cache, interrupt, &self.terminal))
    }

    /// An engine and the kernels that the options name.
    pub(super) fn boot(&self, args: &MachineArgs) -> Result<(Engine<'_>, Vec<Kernel>), Failure> {
        self.boot_with(args, &SystemArgs::default())
    }

    /// The same with a guest system, if one is named.
    pub(super) fn boot_with(
        &self,
        args: &MachineArgs,
        system: &SystemArgs,
    ) -> Result<(Engine<'_>, Vec<Kernel>), Failure> {
        let setup = self.setup(args, system)?;
        self.boot_setup(args, setup)
    }

    /// The same with guests that gdb attaches to.
    pub(super) fn boot_debugged(
        &self,
        args: &MachineArgs,
        system: &SystemArgs,
        socket: PathBuf,
    ) -> Result<(Engine<'_>, Vec<Kernel>), Failure> {
        let setup = self.setup(args, system)?.with_debugger(socket);
        self.boot_setup(args, setup)
    }

    fn setup(&self, args: &MachineArgs, system: &SystemArgs) -> Result<Setup, Failure> {
        let setup = args.setup()?;
        match &system.guest {
            Some(name) => Ok(setup.with_guest(self.image(name)?)),
            None => Ok(setup),
        }
    }

    fn boot_setup(
        &self,
        args: &MachineArgs,
        setup: Setup,
    ) -> Result<(Engine<'_>, Vec<Kernel>), Failure> {
        let engine = self.engine(setup)?;
        let kernels = self.stopped(engine.kernels(&args.kernel))?;
        Ok((engine, kernels))
    }

    /// An engine whose machines run a guest system, with its image, and the kernels that the
    /// options name.
    pub(super) fn boot_system(
        &self,
        args: &MachineArgs,
        name: &GuestName,
    ) -> Result<(Engine<'_>, Vec<Kernel>, GuestImage), Failure> {
        let image = self.image(name)?;
        let engine = self.engine(args.setup()?.with_guest(image.clone()))?;
        let kernels = self.stopped(engine.kernels(&args.kernel))?;
        Ok((engine, kernels, image))
    }

    /// The image of a guest system, which is built if it is missing.
    fn image(&self, name: &GuestName) -> Result<GuestImage, Failure> {
        self.signals.watch()?;
        let obtaining = Obtaining {
            cache: &self.cache,
            refresh: false,
            interrupt: &self.signals.interrupt,
            progress: &|text| self.terminal.note(text),
        };
        self.stopped(GuestImage::obtain(name, &obtaining))
    }

    /// An engine for this machine, and the kernel that it runs. With `add_module`, our domains are
    /// added to its policy.
    pub(super) fn here(
        &self,
        args: &MachineArgs,
        add_module: bool,
    ) -> Result<(Engine<'_>, Vec<Kernel>), Failure> {
        here::check()?;
        let pool = here::pool(Kernel::running(&LocalFiles)?);
        let policy = match add_module {
            true => PolicySource::Extended(policy::Machine::this().map_err(Failure::host)?),
            false => PolicySource::Loaded(policy::LOADED.into()),
        };
        let engine = self.engine(args.setup()?.live(pool, policy))?;
        let kernels = self.stopped(engine.kernels(&[]))?;
        Ok((engine, kernels))
    }

    /// An engine for a machine that ssh reaches, and the kernel that it runs.
    pub(super) fn over_ssh(
        &self,
        args: &MachineArgs,
        destination: &Destination,
    ) -> Result<(Engine<'_>, Vec<Kernel>), Failure> {
        self.signals.watch()?;
        let setup = args.setup()?;
        self.terminal.say(&format!("connecting to {destination}"));
        let limit = setup.limits.whole_boot();
        let reached = ssh::reach(destination, limit, &self.signals.interrupt);
        let Reached { pool, policy } = self.stopped(reached)?;
        let place = self.cache.temporary()?;
        let file = place.path().join("policy");
        fs::write(&file, policy).map_err(Failure::host)?;
        let engine = self.engine(setup.live(pool, PolicySource::Loaded(file)))?;
        let kernels = self.stopped(engine.kernels(&[]))?;
        Ok((engine, kernels))
    }

    /// An engine for a machine of the user's site, and the kernels that the options name. The
    /// machine is leased from here on.
    pub(super) fn on_site(
        &self,
        args: &MachineArgs,
        name: &SiteName,
    ) -> Result<(Engine<'_>, Vec<Kernel>), Failure> {
        let sites = Sites::of_user()?;
        let site = sites.find(name)?.clone();
        let states = States::of_user().map_err(Failure::host)?;
        self.signals.watch()?;
        let options = SiteOptions {
            append: args.boot.append.clone(),
            programs: args.boot.program.clone(),
            interrupt: self.signals.interrupt.clone(),
        };
        let pool = SitePool::new(site, states, &self.cache, options);
        self.stopped(pool.lease())?;
        let mut setup = args.setup()?.on_one(Arc::new(pool));
        setup.obtain.recipe = args.boot.build.metal_recipe()?;
        self.boot_setup(args, setup)
    }

    /// The result of something that a signal may have stopped.
    pub(super) fn stopped<T>(&self, result: Result<T, impl Into<Failure>>) -> Result<T, Failure> {
        self.signals.stopped(result)
    }

    /// Exit code for the signal that came, if one did.
    pub(super) fn interrupted(&self) -> Option<Exit> {
        self.signals.exit()
    }

    /// Exit code after a run.
    pub(super) fn exit(&self, run: &Digest) -> Exit {
        self.interrupted().unwrap_or_else(|| Exit::of_run(run))
    }
}

impl Listener for Terminal {
    fn say(&self, text: &str) {
        self.0.borrow().say(text);
    }

    fn note(&self, text: &str) {
        self.0.borrow().note(text);
    }

    fn event(&self, event: &Event) {
        self.0.borrow_mut().event(event);
    }
}

/// The cells that a filter selects in these contexts of a policy that is not ours.
pub(super) fn in_domains(
    suite: &Suite,
    contexts: &[String],
    filter: &Filter,
) -> Result<Vec<PlannedCell>, Failure> {
    let kernel = Circumstances::hypothetical(KernelVersion::new(0, 0, 0), None);
    // The names are the same whatever a policy answers.
    let setting = Setting { answers: Some(&AllowAll), ..Setting::from(kernel) };
    Ok(filter.select(&suite.library.in_domains(contexts, &setting))?)
}

/// The cells that a filter selects; it must select one. Warns of names that select none.
pub(super) fn select(filter: &Filter, suite: &Suite) -> Result<Vec<PlannedCell>, Failure> {
    let cells = unmatched::select(filter, &suite.library)?;
    warn_of_unmet(filter, &cells)?;
    Ok(cells)
}

/// Warns of names that select no cell.
pub(super) fn warn_of_unmet(filter: &Filter, cells: &[PlannedCell]) -> Result<(), Failure> {
    for name in filter.unmatched_names(cells)? {
        eprint_line!("warning: no cell is selected by `{name}`");
    }
    Ok(())
}
