//! The templates for labs, checked with the labs' own programs where those can be had.

use std::path::Path;

use xshell::{Shell, cmd};

use super::programs::Peers;
use super::{KERNEL, run};
use crate::error::Error;
use crate::system::{self, GUEST};

/// The scripts that stand in for a lab.
const LABS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../labs");

/// openQA's packages, and what they need but do not depend on.
const OPENQA: [&str; 4] = [
    "os-autoinst",
    "openqa-worker",
    "libmojo-ioloop-readwriteprocess-perl",
    "libjson-validator-perl",
];

/// Checks the templates in the current directory, a copy that is written to. Expects `PERFSEC` and
/// `CELLS` in the environment.
pub(super) fn labs(shell: &Shell, perfsec: &Path, peers: &Peers) -> Result<(), Error> {
    let bin = peers.labs(shell)?;
    let python = bin.join("python3");
    kernelci(shell, perfsec, &bin)?;
    lava(shell, perfsec, peers, &python)?;
    // Prints the request instead of sending it.
    let farm =
        cmd!(shell, "./testing-farm.sh {KERNEL} https://example.org/perfsec.tar.gz --dry-run")
            .env("PATH", format!("{}:{}", bin.display(), shell.var("PATH")?))
            .env("TESTING_FARM_API_TOKEN", "none")
            .env("REPOSITORY", "https://example.org/perfsec.git");
    run(farm)?;
    // CKI's kpet is in no registry, so only the task is run.
    run(cmd!(shell, "cki/runtest.sh").env("KERNEL", KERNEL))?;
    openqa(shell, peers)?;
    labgrid(shell, perfsec, &bin)
}

/// The test passes on a machine that labgrid's QEMU driver starts, and labgrid knows the drivers of
/// the board.
fn labgrid(shell: &Shell, perfsec: &Path, bin: &Path) -> Result<(), Error> {
    let python = bin.join("python3");
    run(cmd!(shell, "{python} {LABS}/environment.py labgrid/board.yaml"))?;
    let room = shell.create_temp_dir()?;
    let (kernel, root) = (room.path().join("vmlinuz"), room.path().join("initramfs.img"));
    let program = system::portable(shell)?;
    run(cmd!(shell, "{perfsec} kernel {KERNEL} --shipped {kernel}"))?;
    run(cmd!(shell, "{perfsec} guest pack {GUEST} {root} --program {program}"))?;
    let pytest = bin.join("pytest");
    let test = cmd!(shell, "{pytest} -p no:cacheprovider --lg-env labgrid/qemu.yaml labgrid")
        .env("LG_KERNEL", kernel)
        .env("LG_INITRD", root)
        .env("CELLS", "open/cpu-kernel")
        // perfsec is in the machine.
        .env_remove("PERFSEC");
    run(test)
}

/// The pull-lab runs a job, and submits tests that KCIDB's schema accepts.
fn kernelci(shell: &Shell, perfsec: &Path, bin: &Path) -> Result<(), Error> {
    let image = cmd!(shell, "{perfsec} kernel {KERNEL}").quiet().read()?;
    let lab = cmd!(shell, "python3 {LABS}/kernelci.py {image} ./kernelci.py perfsec")
        .args(["--api", "{api}", "--once", "--results", "kernelci"])
        .env("KCI_DEV", bin.join("kci-dev"));
    run(lab)
}

/// The job follows LAVA's schema, and its steps run: with a program in the place of LAVA's that
/// writes the results down.
fn lava(shell: &Shell, perfsec: &Path, peers: &Peers, python: &Path) -> Result<(), Error> {
    let common = peers.unpacked(shell, &["lava-common"])?;
    let schema = common.join("usr/share/lava-common/lava-schema.py");
    let modules = common.join("usr/lib/python3/dist-packages");
    run(cmd!(shell, "{python} {schema} job --strict lava.yaml").env("PYTHONPATH", modules))?;

    let room = shell.create_temp_dir()?;
    let room = room.path();
    let release = room.join("perfsec-0");
    shell.create_dir(release.join("ci"))?;
    shell.copy_file(perfsec, &release)?;
    shell.copy_file("gate.sh", release.join("ci"))?;
    let archive = room.join("perfsec.tar.gz");
    cmd!(shell, "tar --create --gzip --file {archive} --directory {room} perfsec-0")
        .quiet()
        .run()?;
    let cells = shell.var("CELLS")?;
    let parameters = [
        format!("KERNEL={KERNEL}"),
        format!("ARCHIVE=file://{}", archive.display()),
        format!("CELLS={cells}"),
    ];
    let script = cmd!(shell, "{python} {LABS}/lava.py lava.yaml {parameters...}").read()?;
    let (file, results) = (room.join("run.sh"), room.join("results.txt"));
    shell.write_file(&file, script)?;
    run(cmd!(shell, "shellcheck {file}"))?;
    let path = format!("{LABS}/lava:{}", shell.var("PATH")?);
    {
        let _directory = shell.push_dir(room);
        run(cmd!(shell, "sh {file}").env("PATH", path).env("RESULTS_OF_LAVA", &results))?;
    }
    let results = shell.read_file(&results)?;
    let passed = results.lines().filter(|line| line.ends_with(" pass")).count();
    if passed < 2 || passed != results.lines().count() {
        let what = format!("these test cases should have passed:\n{results}");
        return Err(Error::Output { program: "lava.yaml", what });
    }
    Ok(())
}

/// The test compiles with os-autoinst's modules, the job group follows openQA's schema, and openQA
/// reads the results of a run.
fn openqa(shell: &Shell, peers: &Peers) -> Result<(), Error> {
    let only = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"];
    let only = only.map(|kind| format!("--no-{kind}"));
    let closure =
        cmd!(shell, "apt-cache depends --recurse {only...} {OPENQA...}").quiet().read()?;
    let mut packages = vec!["openqa"];
    packages.extend(closure.lines().filter(|name| {
        let library = name.starts_with("lib") && name.ends_with("-perl");
        library || ["os-autoinst", "openqa-common"].contains(name)
    }));
    packages.sort_unstable_by_key(|name| (*name != "openqa", *name));
    packages.dedup();
    let root = peers.unpacked(shell, &packages)?;
    let schema = root.join("usr/share/openqa/public/schema/JobTemplates-01.yaml");
    run(cmd!(shell, "check-jsonschema --schemafile {schema} openqa/templates.yaml"))?;

    let mut modules = vec![
        root.join("usr/lib/os-autoinst"),
        root.join("usr/share/openqa/lib"),
        root.join("usr/share/perl5"),
    ];
    for libraries in shell.read_dir(root.join("usr/lib/x86_64-linux-gnu/perl5"))? {
        modules.push(libraries);
    }
    let modules: Vec<_> = modules.iter().map(|path| path.display().to_string()).collect();
    let modules = modules.join(":");
    run(cmd!(shell, "perl -c openqa/perfsec.pm").env("PERL5LIB", &modules))?;
    let junit = "perfsec-results/junit.xml";
    let reader = cmd!(shell, "perl {LABS}/openqa.pl {junit}").env("PERL5LIB", &modules);
    run(reader)
}
