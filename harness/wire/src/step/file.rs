//! Steps on file descriptors and paths.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FdName, default_fd, joined};
use crate::named::named;

/// Arguments of `read(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Read {
    /// What to read from.
    #[serde(default = "default_fd")]
    pub fd: FdName,
    /// Size of the buffer in bytes, at most 4096.
    pub count: u32,
    /// How much comes varies: a result above zero is written `some`.
    #[serde(default)]
    pub some: bool,
}

/// Arguments of `write(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Write {
    /// What to write to.
    #[serde(default = "default_fd")]
    pub fd: FdName,
    /// What to write, in one piece.
    pub text: String,
}

/// Arguments of `mmap(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mmap {
    /// What to map.
    #[serde(default = "default_fd")]
    pub fd: FdName,
    /// Length in pages of 4096 bytes; a perf buffer is one page more than a power of two.
    pub pages: u32,
    /// `MAP_PRIVATE` instead of `MAP_SHARED`.
    #[serde(default)]
    pub private: bool,
    /// The buffer, by the name of its mapping, whose AUX area this is: it begins 1 MiB into the file,
    /// and the caller wrote to `aux_offset` and `aux_size` of the buffer's first page where it is.
    pub aux: Option<String>,
    /// Name for the mapping.
    #[serde(default = "default_map", rename = "as")]
    pub bind: String,
}

fn default_map() -> String {
    "map".to_owned()
}

/// Arguments of `munmap(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Munmap {
    /// The mapping.
    #[serde(default = "default_map")]
    pub map: String,
    /// Its length in pages.
    pub pages: u32,
}

/// Arguments of `poll(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Poll {
    /// What to ask for input.
    #[serde(default = "default_fd")]
    pub fd: FdName,
}

/// Arguments of `close(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Close {
    /// What to close.
    #[serde(default = "default_fd")]
    pub fd: FdName,
}

/// Arguments of `open(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Open {
    /// The path; `{NAME}` in it stands for the number of the process NAME.
    pub path: String,
    /// `O_RDWR` instead of `O_RDONLY`.
    #[serde(default)]
    pub write: bool,
    /// Name for the file descriptor that it returns.
    #[serde(default = "default_fd", rename = "as")]
    pub bind: FdName,
}

/// Arguments of `mount(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mount {
    /// The type of the file system: `tmpfs`, `cgroup2`.
    pub fstype: String,
    /// Where; a directory that is missing is made when the agent performs the step.
    pub target: String,
    /// Flags by name without `MS_`.
    #[serde(default)]
    pub flags: Vec<MountFlag>,
}

named! {
    /// A flag of `mount(2)`.
    MountFlag is "mount flag" {
        /// Set-user-id bits and file capabilities have no effect.
        Nosuid = "NOSUID",
        /// No devices.
        Nodev = "NODEV",
        /// Nothing can be executed.
        Noexec = "NOEXEC",
    }
}

/// Arguments of `sendmsg(2)` that matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sendmsg {
    /// The socket: a process has the one that joins it to the subject as `subject`.
    pub fd: FdName,
    /// The descriptor to send.
    pub send: FdName,
}

/// Arguments of `recvmsg(2)` that matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Recvmsg {
    /// The socket: the subject has the one that joins it to a process under the name of the process.
    pub fd: FdName,
    /// Name for the file descriptor that comes.
    #[serde(default = "default_fd", rename = "as")]
    pub bind: FdName,
}

/// Arguments of `setexeccon(3)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Setexeccon {
    /// The open file `/proc/self/attr/exec` of the caller.
    #[serde(default = "default_exec")]
    pub fd: FdName,
    /// Type of the context; the rest of it is the subject's own.
    pub domain: String,
}

fn default_exec() -> FdName {
    "exec".to_owned()
}

impl fmt::Display for Mmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sharing = if self.private { "MAP_PRIVATE" } else { "MAP_SHARED" };
        let plural = if self.pages == 1 { "" } else { "s" };
        write!(f, "{}, {} page{plural}, {sharing}", self.fd, self.pages)?;
        self.aux.as_ref().map_or(Ok(()), |buffer| write!(f, ", AUX of {buffer}"))
    }
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = if self.write { "O_RDWR" } else { "O_RDONLY" };
        write!(f, "{:?}, {access}", self.path)
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}", self.fstype, self.target)?;
        if !self.flags.is_empty() {
            f.write_str(", ")?;
            joined(f, &self.flags)?;
        }
        Ok(())
    }
}
