//! `perfsec kernel`

use std::fs;

use super::args::KernelArgs;
use super::{Exit, Failure};
use crate::cache::Cache;
use crate::kernel::{self, Options};

pub(super) fn kernel(args: &KernelArgs) -> Result<Exit, Failure> {
    let cache = Cache::open()?;
    let specs = match args.kernels.as_slice() {
        [] => vec![kernel::default_spec()?],
        given => given.to_vec(),
    };
    if args.shipped.is_some() && specs.len() > 1 {
        return Err(Failure::input("--shipped writes one kernel: name only one"));
    }
    let options = if args.refresh { Options::refreshing() } else { Options::default() };
    let say = |text: &str| anstream::eprintln!("{text}");
    for spec in &specs {
        let kernel = kernel::obtain(spec, &cache, options, &say)?;
        super::print(&format!("{}\n", kernel.image.display()))?;
    }
    if let (Some(path), Some(spec)) = (&args.shipped, specs.first()) {
        let image = kernel::shipped(spec, &cache, options, &say)?;
        fs::write(path, image)
            .map_err(|error| Failure::host(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(Exit::Success)
}
