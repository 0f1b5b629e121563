//! Steps on file descriptors and paths.

use std::fmt;

use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::{FdName, ResultForm, Syscall, default_fd, joined};
use crate::named::named;

/// Arguments of `read(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Read {
    /// The descriptor to read from.
    #[serde(default = "default_fd")]
    pub fd: FdName,
    /// Size of the buffer in bytes, at most 4096.
    pub count: u32,
    /// The number of bytes varies: a result above zero is written `some`.
    #[serde(default)]
    pub some: bool,
    /// The result is the text that was read, quoted: `"2\n"`.
    #[serde(default)]
    pub text: bool,
}

/// Arguments of `write(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Write {
    /// The descriptor to write to.
    #[serde(default = "default_fd")]
    pub fd: FdName,
    /// The text, in one `write(2)`.
    pub text: String,
}

/// Arguments of `mmap(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mmap {
    /// The descriptor to map.
    #[serde(default = "default_fd")]
    pub fd: FdName,
    /// Length in pages of 4096 bytes; a perf buffer has one page more than a power of two.
    pub pages: u32,
    /// `MAP_PRIVATE` instead of `MAP_SHARED`.
    #[serde(default)]
    pub private: bool,
    /// Offset in the file in pages; by default 0, or 256 with `aux`.
    #[serde(default)]
    pub offset: Option<u32>,
    /// Map an AUX area: before the call, the caller stores its place in `aux_offset` and `aux_size`
    /// of the first page of the perf buffer with this name.
    pub aux: Option<String>,
    /// The `aux_offset` to store, in pages; by default that of the mapping.
    #[serde(default)]
    pub aux_offset: Option<u32>,
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
    /// Length in pages.
    pub pages: u32,
}

/// Arguments of `poll(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Poll {
    /// The descriptor to poll.
    #[serde(default = "default_fd")]
    pub fd: FdName,
}

/// Arguments of `close(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Close {
    /// The descriptor to close.
    #[serde(default = "default_fd")]
    pub fd: FdName,
}

/// Arguments of `open(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Open {
    /// The path. `{NAME}` in it becomes the pid of the process NAME.
    pub path: String,
    /// `true` for `O_RDWR`, `"only"` for `O_WRONLY`; without it, `O_RDONLY`.
    #[serde(default)]
    pub write: OpenAccess,
    /// Name for the returned file descriptor.
    #[serde(default = "default_fd", rename = "as")]
    pub bind: FdName,
}

/// The access mode of an `open`. A case writes it as the value of `write`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenAccess {
    /// `O_RDONLY`
    #[default]
    Read,
    /// `O_RDWR`
    ReadWrite,
    /// `O_WRONLY`
    Write,
}

impl Serialize for OpenAccess {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_u8(*self as u8);
        }
        match self {
            Self::Read => serializer.serialize_bool(false),
            Self::ReadWrite => serializer.serialize_bool(true),
            Self::Write => serializer.serialize_str("only"),
        }
    }
}

impl<'de> Deserialize<'de> for OpenAccess {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BoolOrOnly;

        impl Visitor<'_> for BoolOrOnly {
            type Value = OpenAccess;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or \"only\"")
            }

            fn visit_bool<E: de::Error>(self, write: bool) -> Result<OpenAccess, E> {
                Ok(if write { OpenAccess::ReadWrite } else { OpenAccess::Read })
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<OpenAccess, E> {
                match word {
                    "only" => Ok(OpenAccess::Write),
                    other => Err(E::invalid_value(Unexpected::Str(other), &self)),
                }
            }

            fn visit_u8<E: de::Error>(self, number: u8) -> Result<OpenAccess, E> {
                match number {
                    0 => Ok(OpenAccess::Read),
                    1 => Ok(OpenAccess::ReadWrite),
                    2 => Ok(OpenAccess::Write),
                    other => Err(E::invalid_value(Unexpected::Unsigned(other.into()), &self)),
                }
            }
        }

        // The wire format is not self-describing: there, it is always a number.
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(BoolOrOnly)
        } else {
            deserializer.deserialize_u8(BoolOrOnly)
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for OpenAccess {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OpenAccess".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["boolean", "string"],
            "enum": [false, true, "only"],
        })
    }
}

/// Arguments of `stat(2)`. The result is the file's type and permissions, and its owner:
/// `0644 uid=0 gid=0`, or `directory 0755 uid=0 gid=0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stat {
    /// The path. `{NAME}` in it becomes the pid of the process NAME.
    pub path: String,
}

/// Arguments of `mkdir(2)`. The agent removes the directory at the end of the cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mkdir {
    /// The path.
    pub path: String,
}

/// Arguments of `rmdir(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rmdir {
    /// The path.
    pub path: String,
}

/// Arguments of `mount(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mount {
    /// The type of the file system: `tmpfs`, `cgroup2`.
    pub fstype: String,
    /// The mount point; if the agent performs the step, it creates a missing directory.
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

/// Arguments of `sendmsg(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sendmsg {
    /// The socket: in a process, `subject` is the one that is connected to the subject.
    pub fd: FdName,
    /// The descriptor to send.
    pub send: FdName,
}

/// Arguments of `recvmsg(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Recvmsg {
    /// The socket: in the subject, the one connected to a process has the name of the process.
    pub fd: FdName,
    /// Name for the received file descriptor.
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
    /// Type of the context; the rest of the context is the subject's.
    pub domain: String,
}

fn default_exec() -> FdName {
    "exec".to_owned()
}

impl Syscall for Read {
    fn name(&self) -> &'static str {
        "read"
    }

    fn needs(&self) -> Vec<&str> {
        vec![&self.fd]
    }

    fn result_form(&self) -> ResultForm<'_> {
        match (self.text, self.some) {
            (true, _) => ResultForm::Text,
            (false, true) => ResultForm::Length,
            (false, false) => ResultForm::Number,
        }
    }
}

impl Syscall for Write {
    fn name(&self) -> &'static str {
        "write"
    }

    fn needs(&self) -> Vec<&str> {
        vec![&self.fd]
    }
}

impl Syscall for Mmap {
    fn name(&self) -> &'static str {
        "mmap"
    }

    fn needs(&self) -> Vec<&str> {
        std::iter::once(&self.fd).chain(&self.aux).map(String::as_str).collect()
    }

    fn binds(&self) -> Option<&str> {
        Some(&self.bind)
    }

    fn result_form(&self) -> ResultForm<'_> {
        ResultForm::Word("addr")
    }
}

impl Syscall for Munmap {
    fn name(&self) -> &'static str {
        "munmap"
    }

    fn needs(&self) -> Vec<&str> {
        vec![&self.map]
    }
}

impl Syscall for Poll {
    fn name(&self) -> &'static str {
        "poll"
    }

    fn needs(&self) -> Vec<&str> {
        vec![&self.fd]
    }
}

impl Syscall for Close {
    fn name(&self) -> &'static str {
        "close"
    }

    fn needs(&self) -> Vec<&str> {
        vec![&self.fd]
    }
}

impl Syscall for Open {
    fn name(&self) -> &'static str {
        "open"
    }

    fn binds(&self) -> Option<&str> {
        Some(&self.bind)
    }
}

impl Syscall for Stat {
    fn name(&self) -> &'static str {
        "stat"
    }

    fn result_form(&self) -> ResultForm<'_> {
        ResultForm::Text
    }
}

impl Syscall for Mkdir {
    fn name(&self) -> &'static str {
        "mkdir"
    }
}

impl Syscall for Rmdir {
    fn name(&self) -> &'static str {
        "rmdir"
    }
}

impl Syscall for Mount {
    fn name(&self) -> &'static str {
        "mount"
    }
}

impl Syscall for Sendmsg {
    fn name(&self) -> &'static str {
        "sendmsg"
    }

    fn needs(&self) -> Vec<&str> {
        vec![&self.fd, &self.send]
    }
}

impl Syscall for Recvmsg {
    fn name(&self) -> &'static str {
        "recvmsg"
    }

    fn needs(&self) -> Vec<&str> {
        vec![&self.fd]
    }

    fn binds(&self) -> Option<&str> {
        Some(&self.bind)
    }

    fn result_form(&self) -> ResultForm<'_> {
        ResultForm::Received(&self.bind)
    }
}

impl Syscall for Setexeccon {
    fn name(&self) -> &'static str {
        "setexeccon"
    }

    fn needs(&self) -> Vec<&str> {
        vec![&self.fd]
    }

    fn result_form(&self) -> ResultForm<'_> {
        ResultForm::Zero
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.fd, self.count)
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}", self.fd, self.text)
    }
}

impl fmt::Display for Mmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sharing = if self.private { "MAP_PRIVATE" } else { "MAP_SHARED" };
        let plural = if self.pages == 1 { "" } else { "s" };
        write!(f, "{}, {} page{plural}, {sharing}", self.fd, self.pages)?;
        if let Some(offset) = self.offset {
            write!(f, ", offset={offset}")?;
        }
        if let Some(buffer) = &self.aux {
            write!(f, ", AUX of {buffer}")?;
        }
        if let Some(offset) = self.aux_offset {
            write!(f, ", aux_offset={offset}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Munmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} pages", self.map, self.pages)
    }
}

impl fmt::Display for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fd)
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fd)
    }
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.write {
            OpenAccess::Read => "O_RDONLY",
            OpenAccess::ReadWrite => "O_RDWR",
            OpenAccess::Write => "O_WRONLY",
        };
        write!(f, "{:?}, {access}", self.path)
    }
}

impl fmt::Display for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.path)
    }
}

impl fmt::Display for Mkdir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, 0700", self.path)
    }
}

impl fmt::Display for Rmdir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.path)
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

impl fmt::Display for Sendmsg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.fd, self.send)
    }
}

impl fmt::Display for Recvmsg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fd)
    }
}

impl fmt::Display for Setexeccon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.fd, self.domain)
    }
}
