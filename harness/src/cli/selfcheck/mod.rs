//! `perfsec selfcheck`

mod mutants;
mod patches;

use super::args::SelfcheckArgs;
use super::{Exit, Failure};
use crate::engine::KernelSpec;
use crate::kbuild::{TreeLocation, TreeSpec};
use crate::kernel::ImageSpec;

pub(super) fn selfcheck(args: &SelfcheckArgs) -> Result<Exit, Failure> {
    if args.mutants.generate { mutants::check(args) } else { patches::check(args) }
}

/// The tree that the options name, else the source of the default kernel.
fn tree(args: &SelfcheckArgs) -> Result<TreeSpec, Failure> {
    match args.machine.kernel.as_slice() {
        [KernelSpec::Tree(tree)] => Ok(tree.clone()),
        [] => match KernelSpec::of_host()? {
            KernelSpec::Tree(tree) => Ok(tree),
            KernelSpec::Image(ImageSpec::Debian(selector)) => {
                Ok(TreeSpec { location: TreeLocation::Debian(selector), revision: None })
            }
            KernelSpec::Image(_) => Err(Failure::input("name a tree: --kernel tree:PATH")),
        },
        _ => Err(Failure::input(
            "mutations are built: name one tree, such as --kernel tree:. or tree:debian:6.1",
        )),
    }
}
