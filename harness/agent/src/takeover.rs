//! Replaces the kernel of a machine by the one under test, on the machine's own system: loads it
//! with perfsec's initramfs by `kexec_file_load(2)`, and starts it.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::sync;
use perfsec_wire::takeover;

use crate::error::{Error, ErrorContext, Result};
use crate::{knob, sys};

/// The time in which whoever ordered the start can leave the machine.
const GRACE: Duration = Duration::from_secs(1);

/// A kernel to be started instead of the one that runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Takeover {
    act: Act,
    /// The directory with the kernel, its initramfs and its parameters.
    directory: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
enum Act {
    /// Load it, which checks that it can be.
    Load,
    /// Load and start it.
    Start,
}

impl Takeover {
    /// The takeover that arguments ask for, if they do.
    pub(crate) fn of(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let (word, directory) = (arguments.next()?, PathBuf::from(arguments.next()?));
        let act = match word.as_str() {
            takeover::LOAD => Act::Load,
            takeover::START => Act::Start,
            _ => return None,
        };
        Some(Self { act, directory })
    }

    /// Does it; returns the exit code.
    pub(crate) fn run(&self) -> u8 {
        let done = load(&self.directory).and_then(|()| match self.act {
            Act::Load => Ok(()),
            Act::Start => start(),
        });
        match done {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("{error}");
                1
            }
        }
    }
}

fn load(directory: &Path) -> Result<()> {
    let open = |name| {
        let path = directory.join(name);
        File::open(&path).doing(format_args!("open {}", path.display()))
    };
    let (kernel, initramfs) = (open(takeover::KERNEL)?, open(takeover::INITRAMFS)?);
    let parameters = directory.join(takeover::PARAMETERS);
    let text = std::fs::read_to_string(&parameters);
    let text = text.doing(format_args!("read {}", parameters.display()))?;
    let parameters = CString::new(text.trim())
        .map_err(|_| Error::new("read the kernel's parameters", "they contain a zero byte"))?;
    sys::kexec_file_load(kernel.as_fd(), initramfs.as_fd(), &parameters)
        .map_err(|errno| Error::new("load the kernel by kexec", reason(errno)))
}

/// An error of `kexec_file_load(2)`, with its usual reason on a machine that is not misused.
fn reason(errno: Errno) -> String {
    let why = match errno {
        Errno::EPERM => {
            "needs root; kernel.kexec_load_disabled is 1, or lockdown wants a signed kernel"
        }
        Errno::ENOSYS => "the machine's own kernel lacks CONFIG_KEXEC_FILE",
        Errno::ENOEXEC => "not an image that the machine's own kernel can load (a bzImage)",
        Errno::EKEYREJECTED | Errno::ENOPKG | Errno::EBADMSG => {
            "the signature of the kernel is not accepted"
        }
        Errno::EADDRNOTAVAIL | Errno::ENOMEM => "the machine lacks memory",
        Errno::EBUSY => "another kernel is being loaded",
        _ => "",
    };
    match why {
        "" => errno.desc().to_owned(),
        why => format!("{} ({why})", errno.desc()),
    }
}

/// Starts the loaded kernel. The machine's disks are written and read-only by then, because its
/// services are not asked.
fn start() -> Result<()> {
    std::thread::sleep(GRACE);
    for key in ["s", "u"] {
        // Without CONFIG_MAGIC_SYSRQ the journals of the file systems have to do.
        let _ = knob::write("/proc/sysrq-trigger", key);
        sync();
    }
    reboot(RebootMode::RB_KEXEC).map(drop).doing("start the kernel by kexec")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&["kexec-load", "/run/a"], Some(Act::Load))]
    #[case(&["kexec-start", "/run/a"], Some(Act::Start))]
    #[case(&["kexec-start"], None)]
    #[case(&["guard", "/run/a"], None)]
    fn arguments_ask_for_a_takeover(#[case] words: &[&str], #[case] act: Option<Act>) {
        let found = Takeover::of(words.iter().map(|word| (*word).to_owned()));
        assert_eq!(found, act.map(|act| Takeover { act, directory: "/run/a".into() }));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/kernel"), "{error}");
    }
}
