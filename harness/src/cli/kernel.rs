//! `perfsec kernel`

use std::fs;

use super::args::{KernelArgs, KernelBuildArgs, KernelCommand};
use super::signals::Signals;
use super::{Exit, Failure};
use crate::cache::Cache;
use crate::kbuild::{Recipe, TreeLocation};
use crate::kernel::{self, Kernel};
use crate::obtain::{self, KernelSpec, Options};

pub(super) fn kernel(args: &KernelArgs) -> Result<Exit, Failure> {
    if let Some(KernelCommand::Build(args)) = &args.command {
        return build(args);
    }
    let cache = Cache::open()?;
    let specs = match args.kernels.as_slice() {
        [] => vec![obtain::default_spec()?],
        given => given.to_vec(),
    };
    if args.shipped.is_some() && specs.len() > 1 {
        return Err(Failure::input("--shipped writes one kernel: name one"));
    }
    let signals = Signals::watch()?;
    let images = if args.refresh {
        kernel::ImageOptions::refreshing()
    } else {
        kernel::ImageOptions::default()
    };
    let recipe = Recipe::default_recipe()?;
    let interrupt = signals.interrupt.clone();
    let options = Options { images, recipe, dirty: false, interrupt: interrupt.clone() };
    for spec in &specs {
        print(spec, &cache, &options, &signals)?;
    }
    if let (Some(path), Some(spec)) = (&args.shipped, specs.first()) {
        let KernelSpec::Image(spec) = spec else {
            return Err(Failure::input("--shipped is for packaged kernels, not for tree:"));
        };
        let image = kernel::shipped_image(spec, &cache, images, &interrupt, &say);
        let image = signals.stopped(image.map_err(Failure::from))?;
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
    let signals = Signals::watch()?;
    let recipe = args.build.recipe()?;
    let (images, dirty) = (kernel::ImageOptions::default(), args.dirty);
    let options = Options { images, recipe, dirty, interrupt: signals.interrupt.clone() };
    print(&KernelSpec::Tree(tree), &cache, &options, &signals)?;
    Ok(Exit::Success)
}

/// Obtains a kernel and prints the path of its image.
fn print(
    spec: &KernelSpec,
    cache: &Cache,
    options: &Options,
    signals: &Signals,
) -> Result<(), Failure> {
    let obtained = obtain::obtain(spec, cache, options, &say).map_err(Failure::from);
    let Kernel { image, .. } = signals.stopped(obtained)?;
    let path = image.map(|image| image.path).unwrap_or_default();
    super::print(&format!("{}\n", path.display()))
}

fn say(text: &str) {
    anstream::eprintln!("{text}");
}
