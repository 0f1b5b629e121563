//! Steps that execute a program.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Syscall;
use crate::caps::CapSet;

/// `execve(2)` of a program with these privileges on its file. The program performs the remaining
/// steps. Its start is not observed, and the access vector cache is empty when it continues.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Execve {
    /// Permitted capabilities of the file.
    #[serde(default)]
    pub permitted: CapSet,
    /// Inheritable capabilities of the file.
    #[serde(default)]
    pub inheritable: CapSet,
    /// The file's effective bit.
    #[serde(default = "yes")]
    pub effective: bool,
    /// The user id, in the initial namespace, of the root of the namespace in which the
    /// capabilities are valid: an attribute of revision 3 instead of 2.
    #[serde(default)]
    pub rootid: Option<u32>,
    /// Owned by root with the set-user-id bit.
    #[serde(default)]
    pub setuid: bool,
    /// Executed from a file system mounted `nosuid`.
    #[serde(default)]
    pub nosuid: bool,
    /// The first argument, instead of the path.
    #[serde(default)]
    pub argv0: Option<String>,
    /// Length in bytes of a second argument, which consists of `x`; 0 for none.
    #[serde(default)]
    pub long_arg: u32,
    /// More arguments.
    #[serde(default)]
    pub args: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Execve {
    /// The path of the program with this name in a guest. Only the privileges of the file and its
    /// name decide it, so a record with the path is the same in every boot.
    #[must_use]
    pub fn path(&self, comm: &str) -> String {
        let root = if self.nosuid { "/nosuid" } else { "/tmp" };
        format!("{root}/{}/{comm}", self.folder())
    }

    /// The name of its directory.
    #[must_use]
    pub fn folder(&self) -> String {
        let set = |set: &CapSet| match set.to_string() {
            // A file name has at most 255 bytes.
            long if long.len() > 80 => format!("{:x}", set.0),
            names => names,
        };
        let mut folder = set(&self.permitted);
        if !self.inheritable.is_empty() {
            folder += &format!(",inheritable={}", set(&self.inheritable));
        }
        if !self.effective {
            folder += ",not-effective";
        }
        if let Some(rootid) = self.rootid {
            folder += &format!(",rootid={rootid}");
        }
        if self.setuid {
            folder += ",setuid";
        }
        folder
    }

    /// A program with these capabilities permitted and effective, and no other privileges.
    #[must_use]
    pub fn granted(permitted: CapSet) -> Self {
        Self {
            permitted,
            inheritable: CapSet::EMPTY,
            effective: true,
            rootid: None,
            setuid: false,
            nosuid: false,
            argv0: None,
            long_arg: 0,
            args: Vec::new(),
        }
    }
}

impl Syscall for Execve {
    fn name(&self) -> &'static str {
        "execve"
    }
}

impl fmt::Display for Execve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "permitted={}", self.permitted)?;
        if !self.inheritable.is_empty() {
            write!(f, ", inheritable={}", self.inheritable)?;
        }
        if !self.effective {
            f.write_str(", not effective")?;
        }
        if let Some(rootid) = self.rootid {
            write!(f, ", rootid={rootid}")?;
        }
        for (set, name) in [(self.setuid, "setuid"), (self.nosuid, "nosuid")] {
            if set {
                write!(f, ", {name}")?;
            }
        }
        if let Some(argv0) = &self.argv0 {
            write!(f, ", argv0={argv0:?}")?;
        }
        if self.long_arg > 0 {
            write!(f, ", long_arg={}", self.long_arg)?;
        }
        if !self.args.is_empty() {
            write!(f, ", args={:?}", self.args)?;
        }
        Ok(())
    }
}
