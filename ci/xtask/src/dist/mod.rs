//! `cargo xtask dist`: builds what a release consists of, reproducibly.

mod archive;
mod build;
mod check;
mod debian;
mod image;
mod rpm;
mod source;

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::error::{self, Error};
use crate::setup;
use source::Source;

/// Options of `dist`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The directory for the files, which is emptied first.
    // `target/dist` is where cargo keeps what the profile `dist` builds.
    #[arg(long, value_name = "DIR", default_value = "target/packages")]
    out: PathBuf,
    /// Build everything again in a copy of the repository at another path, and compare.
    #[arg(long)]
    twice: bool,
    /// Look at the packages with lintian and rpmlint, and install them in a root of their own.
    #[arg(long)]
    check: bool,
    /// Leave the container image out.
    #[arg(long)]
    no_image: bool,
}

/// The kinds of files of a release. Everything is made from the source and this machine's tools.
struct Release<'a> {
    shell: &'a Shell,
    source: Source,
    /// The directory of the files that a release consists of.
    out: PathBuf,
    /// The directory of what they are made from.
    work: PathBuf,
}

/// Builds a release.
pub(crate) fn dist(shell: &Shell, options: &Options) -> Result<(), Error> {
    let tree = Path::new(setup::MANIFEST).parent().unwrap_or(Path::new(".")).canonicalize();
    let tree =
        tree.map_err(|source| Error::File { doing: "find", path: setup::MANIFEST.into(), source })?;
    let out = std::path::absolute(&options.out).map_err(|source| Error::File {
        doing: "find",
        path: options.out.clone(),
        source,
    })?;
    install(shell, options)?;
    let source = Source::of(shell, &tree)?;
    if source.is_changed() {
        eprintln!("note: the tree has uncommitted changes, which the commit does not name");
    }
    make(shell, source, &out, options)?;
    if options.check {
        check::packages(shell, &out)?;
    }
    if options.twice {
        let copy = shell.create_temp_dir()?;
        let copy = copy.path().join("perfsec");
        eprintln!("== the same again, in a copy of the repository");
        cmd!(shell, "git clone --quiet --no-local {tree} {copy}").quiet().run()?;
        let again = copy.join("target/packages");
        make(shell, Source::of(shell, &copy)?, &again, options)?;
        check::same(&out, &again)?;
    }
    Ok(())
}

fn make(shell: &Shell, source: Source, out: &Path, options: &Options) -> Result<(), Error> {
    shell.remove_path(out)?;
    shell.create_dir(out)?;
    let work = source.target().join("dist-work");
    shell.remove_path(&work)?;
    shell.create_dir(&work)?;
    let release = Release { shell, source, out: out.to_owned(), work };
    let program = build::program(&release)?;
    build::bill_of_materials(&release)?;
    archive::archive(&release, &program)?;
    debian::package(&release)?;
    rpm::package(&release)?;
    if !options.no_image {
        image::image(&release, &program)?;
    }
    check::sums(shell, out)
}

/// Installs the programs that a release is made with, or prints the command that does.
fn install(shell: &Shell, options: &Options) -> Result<(), Error> {
    let mut missing = Vec::new();
    let mut need = |wanted: bool, program: &str, package: &'static str| {
        if wanted && cmd!(shell, "which {program}").quiet().ignore_stdout().run().is_err() {
            missing.push(package);
        }
    };
    let image = !options.no_image;
    need(image, "mmdebstrap", "mmdebstrap");
    need(image, "umoci", "umoci");
    need(image && options.check, "runc", "runc");
    need(options.check, "lintian", "lintian");
    need(options.check, "rpmlint", "rpmlint");
    need(options.check, "mmdebstrap", "mmdebstrap");
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("installing what packages are made and checked with: {}", missing.join(" "));
    error::run(cmd!(shell, "apt-get install --yes --no-install-recommends {missing...}"))
}
