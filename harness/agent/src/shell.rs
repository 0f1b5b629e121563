//! A shell on the console of a guest.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use perfsec_wire::paths;

use crate::error::{ErrorContext, Result};
use crate::sys;

/// Directory of busybox's links.
const BIN: &str = "/bin";
/// The terminal of the console. `/dev/console` itself cannot be a controlling terminal.
const TERMINAL: &str = "/dev/ttyS0";
const HELP: &str = "\nperfsec: root shell in the guest; the policy is loaded, the mode is \
                    permissive. `exit` or Ctrl-D powers off.\n\n";

/// Runs a shell until it exits.
pub(crate) fn run() {
    if let Err(error) = try_run() {
        eprintln!("perfsec: {error}");
    }
}

/// Waits while somebody uses the system, which has logins of its own, until it ends this process.
pub(crate) fn leave_to_system() -> ! {
    loop {
        nix::unistd::pause();
    }
}

fn try_run() -> Result<()> {
    let doing = format!("run {}", paths::SHELL);
    // Links for the tools; without them the shell still has its built-in commands.
    let _ = Command::new(paths::SHELL).args(["--install", "-s", BIN]).status();
    let open = || OpenOptions::new().read(true).write(true).open(TERMINAL);
    let mut terminal = open().doing(format_args!("open {TERMINAL}"))?;
    let _ = std::io::Write::write_all(&mut terminal, HELP.as_bytes());
    let mut command = Command::new(paths::SHELL);
    command
        .arg("sh")
        .env_clear()
        .envs([("PATH", BIN), ("HOME", "/"), ("TERM", "linux"), ("PS1", "perfsec# ")])
        .stdin(Stdio::from(open().doing(&doing)?))
        .stdout(Stdio::from(open().doing(&doing)?))
        .stderr(Stdio::from(terminal));
    sys::before_exec(&mut command, || {
        nix::unistd::setsid()?;
        sys::take_terminal()?;
        Ok(())
    });
    command.status().doing(&doing).map(drop)
}
