//! A compiled policy, and the policies of a lane.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::compile::{self, CilFile, PolicyError};
use super::header;
use super::ours::Source;
use crate::cache::Cache;

/// The policy of a run that requests none.
pub const DEFAULT: &str = "minimal";

/// A binary policy, ready to load.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The name or path that the user gave.
    pub name: String,
    /// SHA-256 of the binary, in hex.
    pub sha256: String,
    /// True if its contexts have a level.
    pub mls: bool,
    /// The bytes to write to `/sys/fs/selinux/load`.
    pub binary: Vec<u8>,
}

impl Policy {
    /// Finds and compiles a policy: a built-in one by its name, otherwise a file with CIL source
    /// (`.cil`) or a binary policy.
    ///
    /// # Errors
    ///
    /// If no policy has that name, if it cannot be read, or if it does not compile.
    pub fn obtain(wanted: &str, cache: &Cache) -> Result<Self, PolicyError> {
        let path = Path::new(wanted);
        let binary = if let Some(files) = source(wanted)? {
            compile::compile(wanted, &files, cache)?
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
        let mls = header::has_levels(&binary)
            .ok_or_else(|| PolicyError::NotAPolicy { path: path.to_owned() })?;
        let sha256 = crate::hex(&Sha256::digest(&binary));
        Ok(Self { name: wanted.to_owned(), sha256, mls, binary })
    }

    /// Compiles the policy together with a module in CIL.
    ///
    /// # Errors
    ///
    /// As [`obtain`](Self::obtain), and if the policy is binary.
    pub fn with_module(
        &self,
        name: &str,
        module: &str,
        cache: &Cache,
    ) -> Result<Self, PolicyError> {
        let binary = || PolicyError::Binary { name: self.name.clone() };
        let mut files = source(&self.name)?.ok_or_else(binary)?;
        files.push((format!("{name}.cil"), module.into()));
        let extended = format!("{}+{name}", self.name);
        let binary = compile::compile(&extended, &files, cache)?;
        let sha256 = crate::hex(&Sha256::digest(&binary));
        Ok(Self { name: extended, sha256, mls: self.mls, binary })
    }

    /// The name of its file in the guest.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.name.replace('/', "_")
    }

    /// The lowest context with this type, as the kernel, the agent and files have it.
    #[must_use]
    pub fn context_without_categories(&self, name: &str) -> String {
        if self.mls { format!("u:r:{name}:s0") } else { format!("u:r:{name}") }
    }

    /// The context of a subject with this type and these categories.
    ///
    /// A policy without MLS has no categories, so all cells of a domain have the same context. They
    /// do not see each other's AVC entries because the agent flushes the AVC when it sets the mode.
    #[must_use]
    pub fn context(&self, domain: &str, categories: &str) -> String {
        if self.mls { format!("u:r:{domain}:s0:{categories}") } else { format!("u:r:{domain}") }
    }
}

/// The CIL source of a policy; `None` if it has none.
fn source(policy: &str) -> Result<Option<Vec<CilFile>>, PolicyError> {
    let path = Path::new(policy);
    if let Some(ours) = Source::built_in(policy)? {
        Ok(Some(ours.files()))
    } else if path.extension().is_some_and(|extension| extension == "cil") {
        Ok(Some(vec![(policy.to_owned(), compile::read(path)?)]))
    } else {
        Ok(None)
    }
}

/// The policies of a lane: the run's own, and those that its cells name.
#[derive(Clone, Debug)]
pub struct Policies {
    /// The policy of all cells that name no other.
    pub own: Arc<Policy>,
    others: Vec<Arc<Policy>>,
}

impl Policies {
    /// Obtains the named policies in addition to the run's own.
    ///
    /// # Errors
    ///
    /// As [`Policy::obtain`].
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

    /// The policy of a cell that names this one, or none.
    #[must_use]
    pub fn get(&self, name: Option<&str>) -> &Policy {
        let found = name.and_then(|name| self.iter().find(|policy| policy.name == name));
        found.unwrap_or(&self.own)
    }

    /// All policies, the run's own first.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        std::iter::once(&self.own).chain(&self.others).map(|policy| &**policy)
    }
}

impl From<Arc<Policy>> for Policies {
    fn from(own: Arc<Policy>) -> Self {
        Self { own, others: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_has_categories_if_the_policy_has_levels() {
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
    fn every_built_in_policy_compiles() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        for name in perfsec_cases::policy_names() {
            let policy = Policy::obtain(name, &cache).unwrap();
            assert_eq!(policy.mls, name != "non-mls", "{name}");
        }
    }
}
