//! SELinux through selinuxfs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use perfsec_wire::message::SelinuxFacts;
use perfsec_wire::paths;
use perfsec_wire::{BootMode, Mode, Refusal};

use crate::error::{Error, ErrorContext, Result, check_result};
use crate::here::journal;
use crate::kmsg::{Kmsg, LogMessage};
use crate::knob::{self, Knob};

/// Mount point of selinuxfs.
pub(crate) const MOUNT: &str = "/sys/fs/selinux";

/// The longest time that another reader of the loaded policy is waited for.
const BUSY_LIMIT: Duration = Duration::from_secs(10);

/// Classes whose permissions are facts: those that cases are about, and `security`, which guards
/// the mode.
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

/// The switches of a kernel with a policy.
pub(crate) struct Selinux {
    /// The mode.
    enforce: Knob,
    /// The context that a program executed by the agent or by a child enters.
    exec: Knob,
}

/// The active security modules.
///
/// # Errors
///
/// If SELinux is missing but the boot mode needs it, or the reverse.
pub(crate) fn modules(boot: BootMode) -> std::result::Result<Vec<String>, Refusal> {
    let lsm = knob::read("/sys/kernel/security/lsm").unwrap_or_default();
    let filesystems = knob::read("/proc/filesystems").unwrap_or_default();
    let modules: Vec<_> = lsm.split(',').map(str::to_owned).collect();
    let active = modules.iter().any(|module| module == "selinux");
    if boot == BootMode::NoSelinux {
        return match active {
            false => Ok(modules),
            true => Err(Refusal::Setup {
                doing: "boot without SELinux: the kernel enabled it".to_owned(),
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

/// Loads a binary policy; returns the messages that SELinux printed meanwhile.
///
/// # Errors
///
/// The errno and the messages, if the kernel rejects the policy.
pub(crate) fn load(policy: &[u8], kmsg: &mut Kmsg) -> std::result::Result<Vec<String>, Refusal> {
    let written = write_load(policy);
    let messages = selinux_messages(kmsg.drain().unwrap_or_default());
    match written {
        Ok(count) if count == policy.len() => Ok(messages),
        Ok(_) => Err(Refusal::PolicyRejected { errno: 0, messages }),
        Err(error) => {
            Err(Refusal::PolicyRejected { errno: error.raw_os_error().unwrap_or(0), messages })
        }
    }
}

/// The policies that the cells of a lane name, and which of them is loaded.
pub(crate) struct Policies {
    folder: PathBuf,
    loaded: Option<String>,
    /// A step of a cell loaded another policy, or tried to.
    changed: bool,
}

impl Policies {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), loaded: None, changed: false }
    }

    /// The binary policy with this name.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>> {
        std::fs::read(self.folder.join(name)).doing(format_args!("read the policy {name}"))
    }

    /// Notes that this policy is loaded.
    pub(crate) fn note_loaded(&mut self, name: &str) {
        self.loaded = Some(name.to_owned());
    }

    /// Loads a policy for a cell, unless it is loaded. A load empties the access vector cache.
    pub(crate) fn ensure(&mut self, name: &str) -> Result<()> {
        if !self.changed && self.loaded.as_deref() == Some(name) {
            return Ok(());
        }
        check_result(self.load(name)?).doing(format_args!("load the policy {name}"))?;
        self.loaded = Some(name.to_owned());
        self.changed = false;
        Ok(())
    }

    /// Loads a policy for a step; returns 0 or `-errno`.
    pub(crate) fn load(&mut self, name: &str) -> Result<i64> {
        let policy = self.read(name)?;
        self.changed = true;
        match write_load(&policy) {
            Ok(_) => Ok(0),
            Err(error) => match error.raw_os_error() {
                Some(errno) => Ok(-i64::from(errno)),
                None => Err(error).doing(format_args!("load the policy {name}")),
            },
        }
    }
}

/// `sel_write_load()` accepts the whole policy in one write, or not at all.
pub(crate) fn write_load(policy: &[u8]) -> std::io::Result<usize> {
    journal::note_policy().map_err(std::io::Error::other)?;
    let mut file = std::fs::OpenOptions::new().write(true).open(Path::new(MOUNT).join("load"))?;
    std::io::Write::write(&mut file, policy)
}

/// The loaded policy. Only one process may have it open (`sel_open_policy()`).
pub(crate) fn loaded_policy() -> Result<Vec<u8>> {
    let path = Path::new(MOUNT).join("policy");
    let deadline = Instant::now() + BUSY_LIMIT;
    loop {
        match std::fs::read(&path) {
            Err(error)
                if error.kind() == std::io::ErrorKind::ResourceBusy
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            read => return read.doing("read the loaded policy"),
        }
    }
}

/// The committed values of all booleans.
pub(crate) fn booleans() -> Result<BTreeMap<String, bool>> {
    let doing = "read the policy's booleans";
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(Path::new(MOUNT).join("booleans")).doing(doing)? {
        let name = entry.doing(doing)?.file_name().to_string_lossy().into_owned();
        let value = boolean(&name)?;
        all.insert(name, value);
    }
    Ok(all)
}

/// Directory of the policies in a guest.
pub(crate) fn folder() -> &'static Path {
    Path::new(paths::POLICIES)
}

/// The committed value of a boolean; a pending one follows it in the file.
pub(crate) fn boolean(name: &str) -> Result<bool> {
    Ok(knob::read(Path::new(MOUNT).join("booleans").join(name))?.starts_with('1'))
}

/// Sets and commits a boolean. The commit empties the access vector cache.
pub(crate) fn set_boolean(name: &str, value: bool) -> Result<()> {
    let text = if value { "1" } else { "0" };
    knob::write(Path::new(MOUNT).join("booleans").join(name), text)?;
    knob::write(Path::new(MOUNT).join("commit_pending_bools"), "1")
}

fn selinux_messages(log: Vec<LogMessage>) -> Vec<String> {
    let texts = log.into_iter().map(|line| line.message.text);
    texts.filter(|text| text.starts_with("SELinux")).collect()
}

impl Selinux {
    /// Opens the switches and makes the kernel permissive.
    pub(crate) fn open() -> Result<Self> {
        let enforce = Knob::open(Path::new(MOUNT).join("enforce"))?;
        let this = Self { enforce, exec: Knob::open("/proc/self/attr/exec")? };
        // Without the option the mode cannot be written (`#define sel_write_enforce NULL`).
        let doing = "make the kernel permissive, which needs CONFIG_SECURITY_SELINUX_DEVELOP=y";
        this.enforce.set("0").map_err(|error| Error { doing: doing.to_owned(), ..error })?;
        Ok(this)
    }

    /// Sets the mode of a cell whose subject is stopped; returns the mode read back. Writing 1
    /// over 0 flushes the AVC (`sel_write_enforce()` calls `avc_ss_reset()`), which also drops the
    /// silent grant of sys_admin that the subject's start left there.
    pub(crate) fn arm(&self, mode: Mode) -> Result<Mode> {
        self.enforce.write("1")?;
        if mode == Mode::Permissive {
            self.enforce.write("0")?;
        }
        self.mode()
    }

    /// Makes the next child enter a context when it executes a program. The child inherits the
    /// attribute (`selinux_cred_prepare()`); if it wrote its own, procfs would have to make the
    /// directories of a new process.
    pub(crate) fn enter_at_exec(&self, context: &str) -> Result<()> {
        self.exec
            .write(context)
            .map_err(|error| Error { doing: format!("enter {context}"), ..error })
    }

    /// Makes the kernel permissive again. Every subject starts like that: a distribution's policy
    /// may deny it the agent's descriptors.
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

    /// The policy's properties, from selinuxfs.
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
