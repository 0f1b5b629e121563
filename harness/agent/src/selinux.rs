//! SELinux through selinuxfs.

use std::path::{Path, PathBuf};

use perfsec_wire::message::SelinuxFacts;
use perfsec_wire::paths;
use perfsec_wire::{BootMode, Mode, Refusal};

use crate::error::{Doing, Error, Result, returned};
use crate::kmsg::{Kmsg, Printed};
use crate::knob::{self, Knob};
use crate::undo::Undo;

/// Where selinuxfs is mounted.
pub(crate) const MOUNT: &str = "/sys/fs/selinux";

/// The classes whose permissions are facts: those that cases are about, and the one that guards the mode.
const CLASSES: [&str; 10] = [
    "bpf",
    "capability",
    "capability2",
    "fd",
    "file",
    "lockdown",
    "perf_event",
    "process",
    "process2",
    "security",
];

/// The mode switch of a kernel with SELinux.
pub(crate) struct Selinux {
    enforce: Knob,
}

/// The security modules that are active, or the reason why no cell can run.
///
/// # Errors
///
/// When SELinux is not among them, whatever the reason: not built in, `selinux=0`, another module.
pub(crate) fn modules(boot: BootMode) -> std::result::Result<Vec<String>, Refusal> {
    let lsm = knob::read("/sys/kernel/security/lsm").unwrap_or_default();
    let filesystems = knob::read("/proc/filesystems").unwrap_or_default();
    let modules: Vec<_> = lsm.split(',').map(str::to_owned).collect();
    let active = modules.iter().any(|module| module == "selinux");
    if boot == BootMode::NoSelinux {
        return match active {
            false => Ok(modules),
            true => Err(Refusal::Setup {
                doing: "do without SELinux: the kernel took it all the same".to_owned(),
                errno: 0,
            }),
        };
    }
    if active && filesystems.split_whitespace().any(|name| name == "selinuxfs") {
        Ok(modules)
    } else {
        Err(Refusal::NoSelinux { lsm })
    }
}

/// Loads a binary policy; the messages that SELinux printed meanwhile come back.
///
/// # Errors
///
/// With the errno and the messages when the kernel refuses it.
pub(crate) fn load(policy: &[u8], kmsg: &mut Kmsg) -> std::result::Result<Vec<String>, Refusal> {
    let written = write_load(policy);
    let messages = said(kmsg.drain().unwrap_or_default());
    match written {
        Ok(count) if count == policy.len() => Ok(messages),
        Ok(_) => Err(Refusal::PolicyRejected { errno: 0, messages }),
        Err(error) => {
            Err(Refusal::PolicyRejected { errno: error.raw_os_error().unwrap_or(0), messages })
        }
    }
}

/// The policies that the cells of a lane name, and the one that is loaded.
pub(crate) struct Policies {
    folder: PathBuf,
    loaded: Option<String>,
    /// A step of a cell loaded another, or tried to.
    disturbed: bool,
}

impl Policies {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), loaded: None, disturbed: false }
    }

    /// The binary policy with this name.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>> {
        std::fs::read(self.folder.join(name)).doing(format_args!("read the policy {name}"))
    }

    /// Notes that it is the one that is loaded.
    pub(crate) fn is_loaded(&mut self, name: &str) {
        self.loaded = Some(name.to_owned());
    }

    /// Makes sure that a policy is loaded before a cell. A load empties the access vector cache.
    pub(crate) fn want(&mut self, name: &str) -> Result<()> {
        if !self.disturbed && self.loaded.as_deref() == Some(name) {
            return Ok(());
        }
        returned(self.load(name)?).doing(format_args!("load the policy {name}"))?;
        self.loaded = Some(name.to_owned());
        self.disturbed = false;
        Ok(())
    }

    /// Loads a policy for a step; the result is 0 or `-errno`.
    pub(crate) fn load(&mut self, name: &str) -> Result<i64> {
        let policy = self.read(name)?;
        self.disturbed = true;
        match write_load(&policy) {
            Ok(_) => Ok(0),
            Err(error) => match error.raw_os_error() {
                Some(errno) => Ok(-i64::from(errno)),
                None => Err(error).doing(format_args!("load the policy {name}")),
            },
        }
    }
}

/// `sel_write_load()` takes the whole policy in one write or not at all.
fn write_load(policy: &[u8]) -> std::io::Result<usize> {
    let mut file = std::fs::OpenOptions::new().write(true).open(Path::new(MOUNT).join("load"))?;
    std::io::Write::write(&mut file, policy)
}

/// Where the policies of a guest are.
pub(crate) fn folder() -> &'static Path {
    Path::new(paths::POLICIES)
}

/// Sets a boolean and commits it; the commit empties the access vector cache.
pub(crate) fn set_boolean(name: &str, value: bool) -> Result<()> {
    let text = if value { "1" } else { "0" };
    knob::write(Path::new(MOUNT).join("booleans").join(name), text)?;
    knob::write(Path::new(MOUNT).join("commit_pending_bools"), "1")
}

fn said(printed: Vec<Printed>) -> Vec<String> {
    let texts = printed.into_iter().map(|printed| printed.message.text);
    texts.filter(|text| text.starts_with("SELinux")).collect()
}

impl Selinux {
    /// Opens the switch and makes the kernel permissive.
    pub(crate) fn open(undo: &mut Undo) -> Result<Self> {
        let path = Path::new(MOUNT).join("enforce");
        undo.file(&path);
        let this = Self { enforce: Knob::open(path)? };
        // Without the option selinuxfs has no way to write the mode (`#define sel_write_enforce NULL`).
        let doing = "make the kernel permissive, which needs CONFIG_SECURITY_SELINUX_DEVELOP=y";
        this.enforce.set("0").map_err(|error| Error { doing: doing.to_owned(), ..error })?;
        Ok(this)
    }

    /// Sets the mode of a cell whose subject waits. The write of 1 over 0 flushes the AVC
    /// (`sel_write_enforce()` calls `avc_ss_reset()`), which also forgets the silent grant of
    /// sys_admin that the subject's start-up left behind.
    pub(crate) fn arm(&self, mode: Mode) -> Result<Mode> {
        self.enforce.write("1")?;
        if mode == Mode::Permissive {
            self.enforce.write("0")?;
        }
        self.mode()
    }

    /// Back to permissive, in which every subject is started: a distribution's policy may refuse
    /// it the descriptors of the agent.
    pub(crate) fn relax(&self) -> Result<()> {
        self.enforce.write("0")
    }

    fn mode(&self) -> Result<Mode> {
        match self.enforce.read()?.as_str() {
            "0" => Ok(Mode::Permissive),
            "1" => Ok(Mode::Enforcing),
            other => Err(Error::new("read the mode", format_args!("it is `{other}`"))),
        }
    }

    /// What selinuxfs says of the policy.
    pub(crate) fn facts(&self) -> Result<SelinuxFacts> {
        let number = |name: &str| -> Result<u32> {
            let text = knob::read(Path::new(MOUNT).join(name))?;
            text.parse().map_err(|_| Error::new(format_args!("read {name}"), text))
        };
        let permissions = |class: &str| -> Option<(String, Vec<String>)> {
            let folder: PathBuf = [MOUNT, "class", class, "perms"].iter().collect();
            let mut names: Vec<_> = std::fs::read_dir(folder)
                .ok()?
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect();
            names.sort();
            Some((class.to_owned(), names))
        };
        Ok(SelinuxFacts {
            enforcing: self.mode()? == Mode::Enforcing,
            policyvers: number("policyvers")?,
            mls: number("mls")? != 0,
            deny_unknown: number("deny_unknown")? != 0,
            reject_unknown: number("reject_unknown")? != 0,
            classes: CLASSES.iter().filter_map(|class| permissions(class)).collect(),
        })
    }
}
