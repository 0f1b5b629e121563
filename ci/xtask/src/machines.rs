//! `cargo xtask machines`: kernels and cells on machines that perfsec does not start, which QEMU
//! plays.

use std::path::{Path, PathBuf};
use std::time::Instant;

use xshell::{Shell, cmd};

use crate::error::{self, Error};
use crate::{setup, system};

/// Parts of the names of tests, in the program `machines` of the package `perfsec`: the agent on a
/// machine's only serial port, a kernel that is started by kexec, and a guest system that reaches
/// itself over ssh.
pub(crate) const TESTS: [&str; 4] = [
    "the_suite_passes_over_the_console_and_fits_a_serial_cable",
    "a_kernel_that_was_started_by_kexec_passes_and_the_machine_returns",
    "a_kernel_started_by_kexec_resets_the_machine_once_perfsec_is_killed",
    OVER_SSH,
];

const OVER_SSH: &str = "a_run_over_ssh";

/// The suite of the guest system.
const SUITE: &str = "trixie";
/// The packages with ssh that the guest system lacks.
const SSH: [&str; 3] = ["openssh-client", "openssh-server", "libwtmpdb0"];

/// Options of `machines`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The kernel, as for `perfsec run --kernel`.
    #[arg(long, value_name = "KERNEL", default_value = "debian:6.12")]
    kernel: String,
    /// Cells, separated by spaces, for the serial port and for kexec [default: the whole suite, and
    /// `open/cpu-kernel`].
    #[arg(long, value_name = "NAMES")]
    cells: Option<String>,
    /// Run only the tests with one of these words in their names, such as `kexec`.
    #[arg(value_name = "WORD")]
    words: Vec<String>,
}

/// Runs the tests, and prints the time of each.
pub(crate) fn machines(shell: &Shell, options: &Options) -> Result<(), Error> {
    let is_wanted = |name: &&str| {
        options.words.is_empty() || options.words.iter().any(|word| name.contains(word.as_str()))
    };
    let tests: Vec<_> = TESTS.into_iter().filter(is_wanted).collect();
    if tests.is_empty() {
        let what = format!("no test is named so; there are {}", TESTS.join(", "));
        return Err(Error::Output { program: "cargo xtask machines", what });
    }
    let perfsec = setup::build(shell)?;
    setup::install(shell, &perfsec, &["run", "debian", "policies", "guests"])?;
    let mut environment = vec![("PERFSEC_TEST_KERNEL", PathBuf::from(&options.kernel))];
    environment.extend(options.cells.iter().map(|cells| ("PERFSEC_TEST_CELLS", cells.into())));
    if tests.contains(&OVER_SSH) {
        error::run(cmd!(shell, "{perfsec} guest build debian:{SUITE}"))?;
        environment.push(("PERFSEC_TEST_PROGRAM", system::portable(shell)?));
        environment.push(("PERFSEC_TEST_SSH", ssh(shell, &perfsec)?));
    }
    let manifest = setup::MANIFEST;
    for name in tests {
        let run = cmd!(
            shell,
            "cargo test --manifest-path {manifest} --package perfsec --test machines --
             --ignored --nocapture --test-threads 1 {name}"
        );
        eprintln!("$ {run}");
        let began = Instant::now();
        error::run(run.envs(environment.iter().map(|(name, value)| (name, value))))?;
        eprintln!("{name}: passed in {:.0} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}

/// An archive with the files of the packages with ssh, which perfsec's own apt fetches: the host's
/// may be of another suite.
fn ssh(shell: &Shell, perfsec: &Path) -> Result<PathBuf, Error> {
    // It fetches the lists of the suite, if they are old.
    error::run(cmd!(shell, "{perfsec} kernel debian:{SUITE}").ignore_stdout())?;
    let listed = cmd!(shell, "{perfsec} cache").quiet().read()?;
    let cache = Path::new(listed.lines().next().unwrap_or_default());
    let configuration = cache.join("apt").join(SUITE).join("apt.conf");
    let target = Path::new(setup::MANIFEST).with_file_name("target");
    let archive = shell.current_dir().join(target).join("tmp/openssh.tar.gz");
    shell.create_dir(archive.with_file_name(""))?;
    let place = shell.create_temp_dir()?;
    let _inside = shell.push_dir(place.path());
    error::run(cmd!(shell, "apt-get -q download {SSH...}").env("APT_CONFIG", configuration))?;
    let root = place.path().join("root");
    for package in shell.read_dir(place.path())? {
        error::run(cmd!(shell, "dpkg-deb --extract {package} {root}"))?;
    }
    // Not the root itself: its mode would be the guest's.
    let names = shell.read_dir(&root)?;
    let names = names.iter().filter_map(|path| path.file_name());
    error::run(cmd!(shell, "tar --create --gzip --file {archive} --directory {root}").args(names))?;
    Ok(archive)
}
