//! `cargo xtask system`: real programs on a distribution around the kernel under test.

use std::path::{Path, PathBuf};
use std::time::Instant;

use xshell::{Cmd, Shell, cmd};

use crate::error::{self, Error};
use crate::setup;

/// Test programs of the package `perfsec` that need a guest system, with a part of the names of
/// those tests in each.
pub(crate) const TESTS: [(&str, &str); 4] = [
    ("howto", "users_are_logged_in_and_type_commands"),
    ("howto", "promises_that_are_not_kept_are_on_the_page"),
    ("machines", "leaves_the_machine_as_it_was"),
    ("witness", "the_records_of_auditd_are_those_of_the_agent"),
];

/// Cells about programs, and about the review in which CAP_PERFMON was introduced.
const CELLS: [&str; 2] = ["perf/*", "thread/*"];

/// The guest system of the project's own tests.
pub(crate) const GUEST: &str = "debian:trixie";

/// Options of `system`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The guest system, as for `perfsec run --guest`. It is built if it is not in the cache.
    #[arg(long, value_name = "SYSTEM", default_value = GUEST)]
    guest: String,
    /// Kernels, as for `perfsec run --kernel`. The tests run on the first.
    #[arg(long, value_name = "KERNEL", default_values = ["debian:6.12", "debian:6.1"])]
    kernel: Vec<String>,
    /// Run only the tests, and no cells besides.
    #[arg(long)]
    tests_only: bool,
}

/// Runs the cells on every kernel and the tests on the first, and prints the time of each.
pub(crate) fn system(shell: &Shell, options: &Options) -> Result<(), Error> {
    let perfsec = setup::build(shell)?;
    setup::install(shell, &perfsec, &["run", "debian", "guests"])?;
    let (guest, manifest) = (&options.guest, setup::MANIFEST);
    let timed = |command: Cmd<'_>| {
        eprintln!("$ {command}");
        let began = Instant::now();
        error::run(command)?;
        eprintln!("passed in {:.0} s", began.elapsed().as_secs_f64());
        Ok::<_, Error>(())
    };
    timed(cmd!(shell, "{perfsec} guest build {guest}"))?;
    if !options.tests_only {
        for kernel in &options.kernel {
            timed(cells(shell, &perfsec, guest, kernel))?;
            timed(cmd!(shell, "{perfsec} howto --guest {guest} --kernel {kernel}"))?;
        }
    }
    let program = portable(shell)?;
    let kernel = options.kernel.first().map_or("debian:6.12", String::as_str);
    for (name, tests) in TESTS {
        let run = cmd!(
            shell,
            "cargo test --manifest-path {manifest} --package perfsec --test {name} --
             --ignored --nocapture --test-threads 1 {tests}"
        );
        let run = run.env("PERFSEC_TEST_GUEST", guest).env("PERFSEC_TEST_KERNEL", kernel);
        timed(run.env("PERFSEC_TEST_PROGRAM", &program))?;
    }
    Ok(())
}

/// The part that fits among the other tests: the cells on one kernel.
pub(crate) fn part<'a>(shell: &'a Shell, perfsec: &Path, kernel: &str) -> Cmd<'a> {
    cells(shell, perfsec, GUEST, kernel)
}

fn cells<'a>(shell: &'a Shell, perfsec: &Path, guest: &str, kernel: &str) -> Cmd<'a> {
    cmd!(shell, "{perfsec} run --quiet --guest {guest} --kernel {kernel} {CELLS...}")
}

/// Builds a perfsec that runs in any guest system: static, and without what only a debugger reads.
pub(crate) fn portable(shell: &Shell) -> Result<PathBuf, Error> {
    let manifest = setup::MANIFEST;
    // Optimised, as a program in a guest has at most 64 MiB.
    let build = cmd!(
        shell,
        "cargo rustc --release --manifest-path {manifest} --package perfsec --bin perfsec --"
    );
    error::run(build.args(["-C", "target-feature=+crt-static"]))?;
    let target = Path::new(manifest).with_file_name("target");
    let program = shell.current_dir().join(&target).join("tmp/perfsec");
    let built = target.join("release/perfsec");
    shell.create_dir(target.join("tmp"))?;
    error::run(cmd!(shell, "strip -o {program} {built}"))?;
    Ok(program)
}
