//! SELinux policies: found by name or file, compiled by the real compiler, kept by content.

mod compile;
mod header;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use compile::PolicyError;

use crate::cache::Cache;

/// The policy when none is asked for.
pub const DEFAULT: &str = "minimal";

/// A binary policy, ready to be loaded.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What the user calls it: a name or a path.
    pub name: String,
    /// SHA-256 of the binary, in hex.
    pub sha256: String,
    /// Whether its contexts have a level.
    pub mls: bool,
    /// What is written to `/sys/fs/selinux/load`.
    pub binary: Vec<u8>,
}

impl Policy {
    /// Finds and compiles a policy: one of ours by its name, else a file, either CIL source
    /// (`.cil`) or a binary policy.
    ///
    /// # Errors
    ///
    /// When there is none by that name, when it cannot be read, or what the compiler says.
    pub fn obtain(wanted: &str, cache: &Cache) -> Result<Self, PolicyError> {
        let path = Path::new(wanted);
        let binary = if let Some(files) = perfsec_cases::policy(wanted) {
            let files: Vec<_> =
                files.into_iter().map(|(path, text)| (path, text.as_bytes())).collect();
            compile::compile(wanted, &files, cache)?
        } else if path.extension().is_some_and(|extension| extension == "cil") {
            compile::compile(wanted, &[(wanted, &compile::read(path)?)], cache)?
        } else if path.exists() {
            compile::read(path)?
        } else {
            let known = perfsec_cases::policy_names();
            return Err(PolicyError::Unknown {
                name: wanted.to_owned(),
                close: crate::suggest::closest(wanted, &known),
                known: known.join(", "),
            });
        };
        let mls = header::mls(&binary)
            .ok_or_else(|| PolicyError::NotAPolicy { path: path.to_owned() })?;
        let sha256 = crate::hex(&Sha256::digest(&binary));
        Ok(Self { name: wanted.to_owned(), sha256, mls, binary })
    }

    /// The same policy and a module in CIL, compiled together.
    ///
    /// # Errors
    ///
    /// Those of [`obtain`](Self::obtain); and a binary policy cannot be extended.
    pub fn with_module(
        &self,
        name: &str,
        module: &str,
        cache: &Cache,
    ) -> Result<Self, PolicyError> {
        let path = Path::new(&self.name);
        let ours = perfsec_cases::policy(&self.name);
        let mut files: Vec<(String, Vec<u8>)> = match ours {
            Some(files) => {
                files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect()
            }
            None if path.extension().is_some_and(|extension| extension == "cil") => {
                vec![(self.name.clone(), compile::read(path)?)]
            }
            None => return Err(PolicyError::Binary { name: self.name.clone() }),
        };
        files.push((format!("{name}.cil"), module.into()));
        let extended = format!("{}+{name}", self.name);
        let files: Vec<_> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_slice())).collect();
        let binary = compile::compile(&extended, &files, cache)?;
        let sha256 = crate::hex(&Sha256::digest(&binary));
        Ok(Self { name: extended, sha256, mls: self.mls, binary })
    }

    /// Its name where the agent finds it.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.name.replace('/', "_")
    }

    /// The context of a subject: a type of the policy with these categories.
    ///
    /// Under a policy without MLS there are no categories, so all cells of a domain have the same
    /// context, and no cell sees what another left in the AVC only because the agent flushes it
    /// when it sets the mode.
    #[must_use]
    pub fn context(&self, domain: &str, categories: &str) -> String {
        if self.mls { format!("u:r:{domain}:s0:{categories}") } else { format!("u:r:{domain}") }
    }
}

/// The policies of a lane: the run's own, and those that its cells ask for by name.
#[derive(Clone, Debug)]
pub struct Policies {
    /// The one under which every cell runs that asks for no other.
    pub own: Arc<Policy>,
    others: Vec<Arc<Policy>>,
}

impl Policies {
    /// Adds those named to the run's own.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::obtain`].
    pub fn obtain<'a>(
        own: Arc<Policy>,
        names: impl Iterator<Item = &'a str>,
        cache: &Cache,
    ) -> Result<Self, PolicyError> {
        let mut this = Self { own, others: Vec::new() };
        for name in names {
            if this.iter().all(|known| known.name != name) {
                this.others.push(Arc::new(Policy::obtain(name, cache)?));
            }
        }
        Ok(this)
    }

    /// The one that a cell runs under.
    #[must_use]
    pub fn of(&self, name: Option<&str>) -> &Policy {
        let found = name.and_then(|name| self.iter().find(|policy| policy.name == name));
        found.unwrap_or(&self.own)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        std::iter::once(&self.own).chain(&self.others).map(|policy| &**policy)
    }
}

impl From<Arc<Policy>> for Policies {
    fn from(own: Arc<Policy>) -> Self {
        Self { own, others: Vec::new() }
    }
}

/// The compiler's program.
#[must_use]
pub fn compiler() -> PathBuf {
    PathBuf::from("secilc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_has_categories_where_there_are_levels() {
        let with = |mls| {
            let policy =
                Policy { name: String::new(), sha256: String::new(), mls, binary: Vec::new() };
            policy.context("all_t", "c0,c20,c40")
        };
        assert_eq!(with(true), "u:r:all_t:s0:c0,c20,c40");
        assert_eq!(with(false), "u:r:all_t");
    }

    #[test]
    #[ignore = "needs secilc"]
    fn every_policy_of_ours_compiles() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        for name in perfsec_cases::policy_names() {
            let policy = Policy::obtain(name, &cache).unwrap();
            assert_eq!(policy.mls, name != "non-mls", "{name}");
        }
    }
}
