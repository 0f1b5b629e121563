//! Users who are logged in on terminals of their own, and type commands.
//!
//! `login` makes a session as a person gets it: PAM sets the context, the login uid and the
//! environment, and labels the terminal. So a command has the context that the policy gives its
//! user, also in enforcing mode, in which the agent could not enter that context.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::unistd::ttyname;
use perfsec_wire::terminal::{MAX_OUTPUT, Typed, Typing};

use crate::error::{Error, ErrorContext, Result};
use crate::{selinux, sys};

/// The program that logs a user in.
const LOGIN: &str = "/bin/login";
/// Its context on the consoles of Debian's policies.
const LOGIN_CONTEXT: &str = "system_u:system_r:local_login_t:s0-s0:c0.c1023";
/// The label of a terminal that a server makes for a login. The policy has rules to give such a
/// terminal the label of the user's (`type_change`), and none for one with the default label, which
/// no user may read in enforcing mode.
const SERVER_TERMINAL: &[u8] = b"system_u:object_r:sshd_devpts_t:s0";
const ATTRIBUTE: &CStr = c"security.selinux";
/// The context of the next program that this process executes.
const NEXT_CONTEXT: &str = "/proc/self/attr/exec";
/// Time limit of a login. It takes seconds, and minutes on an emulated CPU that has a tenth of a
/// host's.
const LOGIN_LIMIT: Duration = Duration::from_secs(400);
/// Time between two attempts to reach the shell of a user who logs in. Until `login` has taken the
/// terminal over, it discards what was typed.
const LOGIN_RETRY: Duration = Duration::from_secs(1);
/// Time that an interrupted command may take to end.
const INTERRUPT_LIMIT: Duration = Duration::from_secs(10);
/// The character that interrupts a command, as typed by Ctrl-C.
const INTERRUPT: &[u8] = b"\x03";
/// A shell without a prompt, line editing or an echo, so that all it prints is a command's output.
const PLAIN_SHELL: &str = "stty -echo -onlcr; PS1= PS2= exec sh\n";

/// The users who are logged in.
#[derive(Default)]
pub(crate) struct Terminals {
    open: Vec<(String, Terminal)>,
    /// Number of marks so far, in all terminals.
    marks: u32,
}

/// A terminal with a shell that waits for a command.
struct Terminal {
    /// The side of the person.
    keyboard: File,
    login: Child,
    /// Output that was read and does not belong to the last command.
    pending: Vec<u8>,
}

/// The end of what a terminal printed until a mark.
struct Printed {
    /// The exit code in the mark; `None` if there was no mark in time.
    exit: Option<u8>,
    output: Vec<u8>,
    clipped: bool,
}

impl Terminals {
    /// Types a command and waits until it has ended.
    ///
    /// # Errors
    ///
    /// If the terminal fails. A user who cannot log in has typed nothing, and the output says why.
    pub(crate) fn perform(&mut self, typing: &Typing) -> Result<Typed> {
        let Typing { user, command, limit_ms } = typing;
        let at = match self.open.iter().position(|(name, _)| name == user) {
            Some(at) => at,
            None => match self.log_in(user) {
                Ok(terminal) => {
                    self.open.push((user.clone(), terminal));
                    self.open.len() - 1
                }
                // The system's own business: a login may be refused.
                Err(error) => return Ok(Typed { output: error.to_string(), ..Typed::default() }),
            },
        };
        let mark = self.next_mark();
        let terminal = &mut self.open[at].1;
        let doing = format!("type a command as {user}");
        let started = Instant::now();
        terminal.press(format!("{command}\n{}", typed_mark(&mark)).as_bytes()).doing(&doing)?;
        let limit = Duration::from_millis((*limit_ms).into());
        let mut printed = terminal.read_until(&mark, limit).doing(&doing)?;
        let took_ms = started.elapsed().as_millis() as u32;
        if printed.exit.is_none() {
            let _ = terminal.press(INTERRUPT);
            let _ = terminal.press(typed_mark(&mark).as_bytes());
            let rest = terminal.read_until(&mark, INTERRUPT_LIMIT).doing(&doing)?;
            if rest.exit.is_none() {
                // The user logs in anew for the next command.
                self.open.remove(at);
            }
            printed.output.extend(rest.output);
        }
        let Printed { exit, mut output, clipped } = printed;
        output.truncate(MAX_OUTPUT);
        let output = String::from_utf8_lossy(&output).replace("\r\n", "\n");
        Ok(Typed { exit, output, clipped, took_ms })
    }

    fn log_in(&mut self, user: &str) -> Result<Terminal> {
        let doing = format!("log in as {user}");
        let mut terminal = Terminal::open(user).doing(&doing)?;
        let deadline = Instant::now() + LOGIN_LIMIT;
        let mut printed = Vec::new();
        while Instant::now() < deadline && terminal.is_open() {
            let mark = self.next_mark();
            let keys = format!("{PLAIN_SHELL}{}", typed_mark(&mark));
            // It fails while `login` takes the terminal over.
            let _ = terminal.press(keys.as_bytes());
            let seen = terminal.read_until(&mark, LOGIN_RETRY).doing(&doing)?;
            if seen.exit.is_some() {
                // What was typed before may still be printed.
                let mark = self.next_mark();
                terminal.press(typed_mark(&mark).as_bytes()).doing(&doing)?;
                terminal.read_until(&mark, LOGIN_LIMIT).doing(&doing)?;
                return Ok(terminal);
            }
            printed.extend(seen.output);
        }
        let said = String::from_utf8_lossy(&printed).replace(|it: char| it.is_control(), " ");
        Err(Error::new(doing, format!("no shell; the terminal says {:?}", said.trim())))
    }

    /// A text that no command prints.
    fn next_mark(&mut self) -> String {
        self.marks += 1;
        format!("@perfsec-{}-{}-", std::process::id(), self.marks)
    }
}

/// The command that prints a mark with the exit code of the one before. It does not contain the
/// mark itself: the terminal may echo it.
fn typed_mark(mark: &str) -> String {
    let (first, rest) = mark.split_at(1);
    format!("echo '{first}''{rest}'$?@\n")
}

impl Terminal {
    /// Opens a terminal and starts a login.
    fn open(user: &str) -> io::Result<Self> {
        let pair = openpty(None, None)?;
        let side = || pair.slave.try_clone().map(Stdio::from);
        let mut command = Command::new(LOGIN);
        command.args(["-f", user]).env_clear().env("TERM", "dumb").current_dir("/");
        command.stdin(side()?).stdout(side()?).stderr(side()?);
        let has_selinux = Path::new(selinux::MOUNT).join("enforce").exists();
        if has_selinux {
            sys::set_attribute(&ttyname(&pair.slave)?, ATTRIBUTE, SERVER_TERMINAL)?;
        }
        sys::before_exec(&mut command, move || {
            nix::unistd::setsid()?;
            sys::take_terminal()?;
            if has_selinux {
                fs::write(NEXT_CONTEXT, LOGIN_CONTEXT)?;
            }
            Ok(())
        });
        let login = command.spawn()?;
        Ok(Self { keyboard: File::from(pair.master), login, pending: Vec::new() })
    }

    fn is_open(&mut self) -> bool {
        matches!(self.login.try_wait(), Ok(None))
    }

    fn press(&mut self, keys: &[u8]) -> io::Result<()> {
        self.keyboard.write_all(keys)
    }

    /// Reads what is printed until the mark comes, the time is over, or the session ends.
    fn read_until(&mut self, mark: &str, limit: Duration) -> io::Result<Printed> {
        let deadline = Instant::now() + limit;
        let mut printed = Printed { exit: None, output: Vec::new(), clipped: false };
        loop {
            if let Some((begin, end, exit)) = find(&self.pending, mark.as_bytes()) {
                printed.take(&self.pending[..begin]);
                printed.exit = Some(exit);
                self.pending.drain(..end);
                return Ok(printed);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.is_open() {
                printed.take(&std::mem::take(&mut self.pending));
                return Ok(printed);
            }
            // A command that prints without end must not fill the memory.
            if self.pending.len() > 2 * MAX_OUTPUT {
                let rest = self.pending.split_off(MAX_OUTPUT);
                printed.take(&std::mem::replace(&mut self.pending, rest));
            }
            self.read(left)?;
        }
    }

    fn read(&mut self, limit: Duration) -> io::Result<()> {
        let limit = limit.min(Duration::from_secs(1));
        let wait = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.keyboard.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, wait) {
            Ok(0) | Err(Errno::EINTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 4096];
        match self.keyboard.read(&mut bytes) {
            Ok(count) => self.pending.extend(&bytes[..count]),
            // Nobody has the other side open, as while `login` takes it over.
            Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // One that has ended already is not there.
        let _ = self.login.kill();
        let _ = self.login.wait();
    }
}

impl Printed {
    fn take(&mut self, bytes: &[u8]) {
        let room = MAX_OUTPUT.saturating_sub(self.output.len());
        self.clipped |= bytes.len() > room;
        self.output.extend(&bytes[..bytes.len().min(room)]);
    }
}

/// The place of a whole mark, and the exit code in it.
fn find(printed: &[u8], mark: &[u8]) -> Option<(usize, usize, u8)> {
    let begin = printed.windows(mark.len()).position(|window| window == mark)?;
    let rest = &printed[begin + mark.len()..];
    let length = rest.iter().position(|byte| *byte == b'@')?;
    let exit = std::str::from_utf8(&rest[..length]).ok()?.parse().ok()?;
    let end = begin + mark.len() + length + 1;
    let newline = printed[end..].iter().position(|byte| *byte == b'\n')?;
    Some((begin, end + newline + 1, exit))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const MARK: &str = "@perfsec-7-1-";

    #[rstest]
    #[case::whole(b"out\n@perfsec-7-1-3@\nnext", Some((4, 20, 3)))]
    #[case::no_newline_before(b"out@perfsec-7-1-0@\r\n", Some((3, 20, 0)))]
    #[case::incomplete(b"@perfsec-7-1-3", None)]
    #[case::newline_to_come(b"@perfsec-7-1-3@", None)]
    #[case::echoed(b"echo '@''perfsec-7-1-'$?@\n", None)]
    #[case::other(b"@perfsec-7-2-3@\n", None)]
    fn a_mark_is_found_once_it_is_whole(
        #[case] printed: &[u8],
        #[case] found: Option<(usize, usize, u8)>,
    ) {
        assert_eq!(find(printed, MARK.as_bytes()), found);
    }

    #[test]
    #[ignore = "needs root, and a system with login"]
    fn commands_are_typed_after_a_login() {
        let mut terminals = Terminals::default();
        let mut type_one = |command: &str, limit_ms| {
            let typing = Typing { user: "root".to_owned(), command: command.to_owned(), limit_ms };
            terminals.perform(&typing).unwrap()
        };
        let typed = type_one("cd /tmp; tty >/dev/null && id -u; false", 60_000);
        assert_eq!((typed.exit, typed.output.as_str()), (Some(1), "0\n"));
        let typed = type_one("pwd; sleep 60", 2_000);
        assert_eq!((typed.exit, typed.output.lines().next()), (None, Some("/tmp")));
        let typed = type_one("cat <<'END'\n$x\nEND\nexit 7", 5_000);
        assert_eq!((typed.exit, typed.output.as_str()), (None, "$x\n"));
        assert_eq!(type_one("pwd", 60_000).exit, Some(0));
    }

    #[test]
    fn a_typed_mark_does_not_contain_the_mark() {
        let typed = typed_mark(MARK);
        assert_eq!(typed, "echo '@''perfsec-7-1-'$?@\n");
        assert!(!typed.contains(MARK));
    }

    #[test]
    fn the_beginning_of_a_long_output_is_kept() {
        let mut printed = Printed { exit: None, output: Vec::new(), clipped: false };
        printed.take(&vec![b'a'; MAX_OUTPUT]);
        assert!(!printed.clipped);
        printed.take(b"b");
        assert_eq!((printed.output.len(), printed.clipped), (MAX_OUTPUT, true));
    }
}
