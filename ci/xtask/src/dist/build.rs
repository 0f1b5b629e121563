//! The program, its man pages and completions, and the list of crates in it.

use std::path::{Path, PathBuf};

use xshell::cmd;

use super::Release;
use crate::error::{self, Error};
use crate::tool;

/// The target: static, so that the program runs on any distribution.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the program, and what describes it in `man/` and `completions/` of the work directory.
/// Returns its path.
pub(super) fn program(release: &Release<'_>) -> Result<PathBuf, Error> {
    let Release { shell, source, work, .. } = release;
    let (tree, target) = (&source.tree, source.target());
    // Panics name files of crates by their path.
    let registry = cargo_home();
    let remap = format!(
        "--remap-path-prefix={}=/perfsec --remap-path-prefix={}=/cargo",
        tree.display(),
        registry.display()
    );
    let flags = format!("-C target-feature=+crt-static {remap}");
    let _directory = shell.push_dir(tree);
    error::run(
        cmd!(shell, "cargo build --locked --profile dist --target {TARGET} --package perfsec")
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTFLAGS", &flags)
            .env("PERFSEC_REMAP", &remap)
            .env("PERFSEC_COMMIT", &source.commit)
            .env("SOURCE_DATE_EPOCH", &source.epoch),
    )?;
    let program = work.join("perfsec");
    shell.copy_file(target.join(TARGET).join("dist/perfsec"), &program)?;
    let man = work.join("man");
    shell.create_dir(&man)?;
    error::run(cmd!(shell, "{program} man {man}").quiet())?;
    for entry in shell.read_dir(&man)? {
        // Debian's policy, 12.1: pages are compressed, without a time stamp.
        cmd!(shell, "gzip --best --no-name {entry}").quiet().run()?;
    }
    for name in ["bash", "zsh", "fish"] {
        let text = cmd!(shell, "{program} completions {name}").quiet().read()?;
        shell.write_file(work.join("completions").join(name), text + "\n")?;
    }
    Ok(program)
}

/// Writes the list of crates as CycloneDX, beside the other files.
pub(super) fn bill_of_materials(release: &Release<'_>) -> Result<(), Error> {
    let Release { shell, source, out, .. } = release;
    let tool = tool::obtain(shell, &tool::CARGO_CYCLONEDX)?;
    let manifest = source.tree.join("harness/Cargo.toml");
    let name = format!("perfsec-{}.cdx", source.version);
    // Without SOURCE_DATE_EPOCH, the list has a serial number and the time.
    error::run(
        cmd!(shell, "{tool} cyclonedx --quiet --format json --spec-version 1.5")
            .args(["--manifest-path".as_ref(), manifest.as_os_str()])
            .args(["--override-filename", &name, "--target", TARGET])
            .env("SOURCE_DATE_EPOCH", &source.epoch),
    )?;
    let mut made = Vec::new();
    for folder in ["cases", "harness", "harness/agent", "harness/subject", "harness/wire", "mutate"]
        .into_iter()
        .chain(["qemu", "ci/xtask"])
    {
        made.push(source.tree.join(folder).join(format!("{name}.json")));
    }
    let own = source.tree.join("harness").join(format!("{name}.json"));
    let text = shell.read_file(&own)?.replace(&source.tree.display().to_string(), "/perfsec");
    shell.write_file(out.join(format!("{name}.json")), text)?;
    made.iter().try_for_each(|file| shell.remove_path(file))?;
    Ok(())
}

/// Where cargo keeps the sources of crates.
fn cargo_home() -> PathBuf {
    let set = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    set.or_else(|| home.map(|home| home.join(".cargo"))).unwrap_or_else(|| Path::new("/").into())
}
