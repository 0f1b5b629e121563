//! The project's own tasks. Each also works on a fresh machine: it installs what it needs first.

mod bench;
mod browser;
mod deny;
mod dist;
mod error;
mod expectations;
mod fuzz;
mod machines;
mod pages;
mod peers;
mod setup;
mod soak;
mod suite;
mod system;
mod test;
mod tool;

use std::process::ExitCode;

use clap::Parser;
use xshell::{Shell, cmd};

use error::Error;

/// Tasks of the perfsec project.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Build perfsec, install what it needs on this host, and run it. By default it runs the whole
    /// suite on the newest stock kernel of the host's distribution.
    Run {
        /// Arguments for `perfsec run`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
        arguments: Vec<String>,
    },
    /// Install what is missing, then run every check and test of the project, including those on
    /// real kernels.
    Test,
    /// Check reports and CI templates with the third-party programs that read them.
    Peers,
    /// Write a page with pictures of perfsec at work to target/pages.
    Pages(pages::Options),
    /// Run the whole suite on several kernels and print one table.
    Suite(suite::Options),
    /// Run real programs on a distribution around the kernel: the cells about perf and bpftrace, and
    /// the tests with the system's own audit daemon.
    System(system::Options),
    /// Run cells on machines that QEMU plays: over their only serial port, after a real kexec, and
    /// over ssh.
    Machines(machines::Options),
    /// Run 100,000 cells in one process: no cell may differ from its repetitions, and perfsec must
    /// not grow.
    Soak(soak::Options),
    /// Check the licences, sources and advisories of the crates that perfsec uses.
    Deny(deny::Options),
    /// Feed damaged input to everything that perfsec reads from others.
    Fuzz(fuzz::Options),
    /// Write what every cell must see on every kernel to one file.
    Expectations(expectations::Options),
    /// Build what a release consists of: archive, packages, container image, hashes.
    Dist(dist::Options),
    /// Compare the time of a run with a stock boot of the same kernel. With --tree, compare the
    /// time from a patch to a verdict with `make` alone.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let result = Shell::new().map_err(Error::from).and_then(|shell| match Task::parse() {
        Task::Run { arguments } => run(&shell, &arguments),
        Task::Test => test::test(&shell),
        Task::Peers => peers::peers(&shell),
        Task::Pages(options) => pages::pages(&shell, &options),
        Task::Suite(options) => suite::suite(&shell, &options),
        Task::System(options) => system::system(&shell, &options),
        Task::Machines(options) => machines::machines(&shell, &options),
        Task::Soak(options) => soak::soak(&shell, &options),
        Task::Deny(options) => deny::deny(&shell, &options),
        Task::Fuzz(options) => fuzz::fuzz(&shell, &options),
        Task::Expectations(options) => expectations::expectations(&shell, &options),
        Task::Dist(options) => dist::dist(&shell, &options),
        Task::Bench(options) => bench::bench(&shell, &options),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(text) = error.message() {
                eprintln!("error: {text}");
            }
            error.code()
        }
    }
}

fn run(shell: &Shell, arguments: &[String]) -> Result<(), Error> {
    let perfsec = setup::build(shell)?;
    let mut kernels = arguments.iter().skip_while(|word| !word.starts_with("--kernel")).peekable();
    let debian = kernels.peek().is_none() || kernels.any(|word| word.contains("debian:"));
    let needs: &[&str] = if debian { &["run", "debian"] } else { &["run"] };
    setup::install(shell, &perfsec, needs)?;
    error::pass_on(cmd!(shell, "{perfsec} run {arguments...}"))
}
