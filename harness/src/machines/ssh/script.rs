//! The command that starts a relay on a machine.

use perfsec_wire::here;

/// The line that the machine prints in front of the relay's reports; the files that a shell reads
/// when it starts may print others.
pub(super) const BEGINS: &str = "perfsec: the relay begins";

/// Beginning of a line that says why no cell can run there.
pub(super) const REFUSES: &str = "perfsec: refused: ";

/// The command for the user's shell, whichever that is: one line, and nothing but a word or text in
/// single quotes.
pub(super) fn command(agent: &[u8]) -> String {
    format!("exec /bin/sh -c '{}' sh '{}'", as_root(), receive(agent.len()))
}

/// Executes its first argument as root, on an architecture that the agent is for.
fn as_root() -> String {
    format!(
        "m=$(uname -m); \
         if test \"$m\" = x86_64; then :; else \
         echo \"{REFUSES}it is $m, and perfsec knows the syscalls of x86-64 only\" >&2; exit 1; fi; \
         if test \"$(id -u)\" = 0; then exec /bin/sh -c \"$1\"; fi; \
         if sudo -n true 2>/dev/null; then exec sudo -n /bin/sh -c \"$1\"; fi; \
         echo \"{REFUSES}that needs root: log in as root, or as a user for whom sudo -n asks for \
         no password\" >&2; exit 1"
    )
}

/// Receives the agent, in a private directory of a file system that takes programs, and becomes it.
fn receive(length: usize) -> String {
    let (agent, relay) = (here::AGENT, here::RELAY);
    // An empty file is a script that does nothing, unless the file system is mounted noexec.
    format!(
        "umask 077; \
         for p in \"${{TMPDIR:-/tmp}}\" /var/tmp /dev/shm \"$HOME\"; do \
         d=$(mktemp -d \"$p/perfsec-XXXXXXXX\" 2>/dev/null) || continue; \
         : >\"$d/{agent}\"; chmod 700 \"$d/{agent}\"; \
         if \"$d/{agent}\" 2>/dev/null; then \
         head -c {length} >\"$d/{agent}\"; \
         if test \"$(wc -c <\"$d/{agent}\")\" -eq {length}; then \
         echo \"{BEGINS}\"; exec \"$d/{agent}\" {relay} \"$d\"; fi; \
         rm -rf \"$d\"; \
         echo \"{REFUSES}$p has no room for the agent (TMPDIR chooses the place)\" >&2; exit 1; fi; \
         rm -rf \"$d\"; done; \
         echo \"{REFUSES}no directory takes programs: TMPDIR, /tmp, /var/tmp, /dev/shm and HOME are \
         mounted noexec or are not writable\" >&2; exit 1"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_takes_the_command_as_words() {
        let command = command(b"agent");
        assert_eq!(command.matches('\'').count(), 4, "{command}");
        // csh ends a quoted text at a newline, and replaces what follows an exclamation mark.
        assert!(!command.contains(['\n', '\\', '`', '!']), "{command}");
        assert!(command.contains("head -c 5 "), "{command}");
    }
}
