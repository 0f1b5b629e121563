//! `perfsec kernel`

use std::fs;

use super::args::{KernelArgs, KernelBuildArgs, KernelCommand};
use super::signals::Signals;
use super::{Exit, Failure};
use crate::cache::Cache;
use crate::engine::{KernelSpec, ObtainSetup, obtain};
use crate::kbuild::{Recipe, TreeLocation};
use crate::kernel::{self, ImageOptions, Kernel};
use crate::text::{Text, eprint_line};

pub(super) fn kernel(args: &KernelArgs) -> Result<Exit, Failure> {
    if let Some(KernelCommand::Build(args)) = &args.command {
        return build(args);
    }
    let cache = Cache::open()?;
    let specs = match args.kernels.as_slice() {
        [] => vec![KernelSpec::of_host()?],
        given => given.to_vec(),
    };
    if args.shipped.is_some() && specs.len() > 1 {
        return Err(Failure::input("--shipped writes one kernel: name one"));
    }
    let signals = Signals::default();
    signals.watch()?;
    let images = if args.refresh { ImageOptions::refreshing() } else { ImageOptions::default() };
    let setup = ObtainSetup { images, recipe: Recipe::default_recipe()?, dirty: false };
    for spec in &specs {
        print(spec, &cache, &setup, &signals)?;
    }
    if let (Some(path), Some(spec)) = (&args.shipped, specs.first()) {
        let KernelSpec::Image(spec) = spec else {
            return Err(Failure::input("--shipped is for packaged kernels, not for tree:"));
        };
        let image = kernel::shipped_image(spec, &cache, images, &signals.interrupt, &say);
        let image = signals.stopped(image)?;
        fs::write(path, image)
            .map_err(|error| Failure::host(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(Exit::Success)
}

fn build(args: &KernelBuildArgs) -> Result<Exit, Failure> {
    let mut tree = args.tree.clone();
    if args.rev.is_some() {
        if let TreeLocation::Debian(_) = tree.location {
            return Err(Failure::input("--rev needs a git repository: a package has no revisions"));
        }
        if let Some(revision) = tree.revision {
            let why = format!("--rev and @{revision}: name the revision once");
            return Err(Failure::input(match &tree.location {
                TreeLocation::Path(path) if path.exists() => why,
                _ => format!("{why}; there is no tree {}", args.tree),
            }));
        }
        tree.revision.clone_from(&args.rev);
    }
    let cache = Cache::open()?;
    let recipe = args.build.recipe()?;
    let signals = Signals::default();
    signals.watch()?;
    let (images, dirty) = (ImageOptions::default(), args.dirty);
    print(&KernelSpec::Tree(tree), &cache, &ObtainSetup { images, recipe, dirty }, &signals)?;
    Ok(Exit::Success)
}

/// Obtains a kernel and prints the path of its image.
fn print(
    spec: &KernelSpec,
    cache: &Cache,
    setup: &ObtainSetup,
    signals: &Signals,
) -> Result<(), Failure> {
    let obtained = obtain(spec, cache, setup, &signals.interrupt, &say);
    let Kernel { image, .. } = signals.stopped(obtained)?;
    cache.take_notes().iter().for_each(|note| say(note));
    let path = image.map(|image| image.path).unwrap_or_default();
    if path.starts_with(cache.root()) {
        // Otherwise the kernel is gone before anybody can use the path.
        cache.require_writable()?;
    }
    super::print(&Text::of_line(path.display()))
}

fn say(text: &str) {
    eprint_line!("{text}");
}
