//! A compiled policy, and the policies of a lane.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::changes::PolicyChanges;
use super::compile::{self, PolicyError};
use super::debian::DebianPolicy;
use super::extended;
use super::files;
use super::generate::ROLE;
use super::header::{self, HandleUnknown, Header};
use super::ours::Source;
use super::recipe::{Additions, Language, Module, Recipe, Wanted};
use super::request::{ModuleFile, Obtaining, PolicyRequest, PolicySource};
use super::table::OBJECT;
use super::vector::{is_context, is_name};
use crate::host::OsRelease;
use crate::kernel::KernelVersion;

/// The policy of a run that requests none.
pub const DEFAULT: &str = "minimal";

/// The file of the policy that a kernel has loaded.
pub const LOADED: &str = "/sys/fs/selinux/policy";

/// A binary policy, ready to load.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The name or path that the user gave.
    pub name: String,
    /// SHA-256 of the binary, in hex.
    pub sha256: String,
    /// True if its contexts have a level.
    pub mls: bool,
    /// The version of its binary format.
    pub version: u32,
    /// The treatment of classes and permissions that it does not define.
    pub handle_unknown: HandleUnknown,
    /// The changes to it.
    pub changes: PolicyChanges,
    /// The bytes to write to `/sys/fs/selinux/load`.
    pub binary: Vec<u8>,
    recipe: Arc<Recipe>,
    additions: Additions,
    domains: OurDomains,
}

/// The way in which a policy has our domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OurDomains {
    /// It is one of ours, or written like one.
    Own,
    /// They were added to the policy of a machine.
    Added,
}

impl OurDomains {
    /// The user and the role of their contexts.
    fn user_and_role(self) -> String {
        match self {
            Self::Own => "u:r".to_owned(),
            Self::Added => format!("system_u:{ROLE}"),
        }
    }
}

impl Policy {
    /// Finds and compiles a policy: a built-in one by its name, one of Debian's, otherwise CIL
    /// source (`.cil`), a binary policy, a package, or a directory.
    ///
    /// # Errors
    ///
    /// If no policy has that name, if it cannot be fetched or read, or if it or a change does not
    /// compile.
    pub fn obtain(request: &PolicyRequest, obtaining: &Obtaining<'_>) -> Result<Self, PolicyError> {
        let name = request.source.to_string();
        let recipe = match &request.source {
            PolicySource::Debian { selector, flavour } => {
                let host = OsRelease::detect();
                let Obtaining { cache, images, interrupt, progress } = *obtaining;
                let archive = images.archive(&host, cache, interrupt, progress);
                Recipe::Debian(DebianPolicy::find(&archive, selector, *flavour)?)
            }
            PolicySource::Named(named) => recipe(named, obtaining)?,
            PolicySource::Guest { path, .. } | PolicySource::Loaded(path) => {
                Recipe::Binary(compile::read(path)?)
            }
            PolicySource::Extended(machine) => {
                let extension = extended::extension(machine)?;
                let (recipe, additions) = (extension.recipe.clone(), extension.additions.clone());
                let recipe = Arc::new(recipe);
                let made = Self::make(name, recipe, additions, Wanted::Linked, obtaining)?;
                extension.check(&made.binary)?;
                return Ok(Self { domains: OurDomains::Added, ..made });
            }
        };
        let modules = request.modules.iter().map(module);
        let additions = Additions {
            modules: modules.collect::<Result<_, _>>()?,
            booleans: request.booleans.iter().map(|it| (it.name.clone(), it.value)).collect(),
            without_dontaudit: !request.dontaudit,
        };
        Self::make(name, Arc::new(recipe), additions, Wanted::AsShipped, obtaining)
    }

    /// The policy together with a module in CIL.
    ///
    /// # Errors
    ///
    /// If the module does not compile, or if the policy is binary.
    pub fn with_module(
        &self,
        name: &str,
        module: &str,
        priority: u16,
        obtaining: &Obtaining<'_>,
    ) -> Result<Self, PolicyError> {
        let mut additions = self.additions.clone();
        let (language, text) = (Language::Cil, module.into());
        let (name_of_module, shown) = (name.to_owned(), format!("{name}.cil"));
        additions.modules.push(Module { name: name_of_module, shown, language, text, priority });
        let extended = format!("{}+{name}", self.name);
        let recipe = Arc::clone(&self.recipe);
        Self::make(extended, recipe, additions, Wanted::AsShipped, obtaining)
    }

    /// The policy in a version that a kernel reads. A distribution's policy is linked again if its
    /// own is too new.
    ///
    /// # Errors
    ///
    /// [`PolicyError::TooNew`], or those of [`obtain`](Self::obtain).
    pub fn for_kernel(
        self: &Arc<Self>,
        kernel: KernelVersion,
        obtaining: &Obtaining<'_>,
    ) -> Result<Arc<Self>, PolicyError> {
        let highest = header::highest_version(kernel);
        if self.version <= highest {
            return Ok(Arc::clone(self));
        }
        let mut version = self.version;
        if self.recipe.can_link() {
            let (recipe, additions) = (Arc::clone(&self.recipe), self.additions.clone());
            let linked =
                Self::make(self.name.clone(), recipe, additions, Wanted::Linked, obtaining)?;
            if linked.version <= highest {
                return Ok(Arc::new(linked));
            }
            version = linked.version;
        }
        Err(PolicyError::TooNew { name: self.name.clone(), version, kernel, highest })
    }

    fn make(
        name: String,
        recipe: Arc<Recipe>,
        additions: Additions,
        wanted: Wanted,
        obtaining: &Obtaining<'_>,
    ) -> Result<Self, PolicyError> {
        let binary = recipe.compile(&name, &additions, wanted, obtaining)?;
        let not_a_policy = || PolicyError::NotAPolicy { path: name.clone().into() };
        let Header { version, mls, handle_unknown } =
            Header::read(&binary).ok_or_else(not_a_policy)?;
        let sha256 = crate::hex(&Sha256::digest(&binary));
        let changes = recipe.changes(&additions);
        Ok(Self {
            name,
            sha256,
            mls,
            version,
            handle_unknown,
            changes,
            binary,
            recipe,
            additions,
            domains: OurDomains::Own,
        })
    }

    /// A policy without rules, for tests that load none.
    #[cfg(test)]
    pub(crate) fn empty(name: &str, mls: bool) -> Self {
        Self {
            name: name.to_owned(),
            sha256: String::new(),
            mls,
            version: 33,
            handle_unknown: HandleUnknown::Allow,
            changes: PolicyChanges::default(),
            binary: Vec::new(),
            recipe: Arc::new(Recipe::Binary(Vec::new())),
            additions: Additions::default(),
            domains: OurDomains::Own,
        }
    }

    /// True if it is a machine's own policy, to which our domains were added.
    #[must_use]
    pub fn has_added_domains(&self) -> bool {
        self.domains == OurDomains::Added
    }

    /// The name of its file in the guest.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.name.replace('/', "_")
    }

    /// The context of a file: in a policy of ours the lowest one with [`OBJECT`], otherwise one of
    /// the agent's own files.
    #[must_use]
    pub fn file_context(&self) -> String {
        let context = match self.domains {
            OurDomains::Own => format!("u:r:{OBJECT}"),
            OurDomains::Added => "system_u:object_r:tmpfs_t".to_owned(),
        };
        if self.mls { format!("{context}:s0") } else { context }
    }

    /// The context of a subject in this domain: in one of our own, which is a type, with these
    /// categories. A domain of another policy is a whole context.
    ///
    /// A policy without MLS has no categories, so all cells of a domain have the same context. They
    /// do not see each other's AVC entries because the agent flushes the AVC when it sets the mode.
    #[must_use]
    pub fn context(&self, domain: &str, categories: &str) -> String {
        if is_context(domain) {
            return domain.to_owned();
        }
        let context = format!("{}:{domain}", self.domains.user_and_role());
        if self.mls { format!("{context}:s0:{categories}") } else { context }
    }
}

/// The recipe of a built-in policy or a file.
fn recipe(named: &str, obtaining: &Obtaining<'_>) -> Result<Recipe, PolicyError> {
    let path = Path::new(named);
    if let Some(ours) = Source::built_in(named)? {
        Ok(Recipe::Cil(ours.files()))
    } else if path.extension().is_some_and(|extension| extension == "cil") {
        Ok(Recipe::Cil(vec![(named.to_owned(), compile::read(path)?)]))
    } else if path.exists() {
        Ok(match files::read(path, obtaining.interrupt)? {
            Some(files) => Recipe::Files(files),
            None => Recipe::Binary(compile::read(path)?),
        })
    } else {
        let known = perfsec_cases::policy_names();
        Err(PolicyError::Unknown {
            name: named.to_owned(),
            close: crate::suggest::closest(named, &known),
            known: known.join(", "),
        })
    }
}

/// Reads a module.
fn module(file: &ModuleFile) -> Result<Module, PolicyError> {
    let path = &file.path;
    let language = match path.extension().and_then(|extension| extension.to_str()) {
        Some("cil") => Language::Cil,
        Some("pp") => Language::Pp,
        _ => return Err(PolicyError::ModuleName { path: path.clone() }),
    };
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = name.filter(|name| is_name(name));
    let name = name.ok_or_else(|| PolicyError::ModuleName { path: path.clone() })?;
    let (shown, text) = (path.display().to_string(), compile::read(path)?);
    Ok(Module { name, shown, language, text, priority: file.priority })
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
        obtaining: &Obtaining<'_>,
    ) -> Result<Self, PolicyError> {
        let mut this = Self { own, others: Vec::new() };
        for name in names {
            if this.iter().all(|known| known.name != name) {
                let request = PolicyRequest::unchanged(name.parse()?);
                this.others.push(Arc::new(Policy::obtain(&request, obtaining)?));
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
    use crate::cache::Cache;

    #[test]
    fn a_context_has_categories_if_the_policy_has_levels() {
        let with = |mls| Policy::empty("minimal", mls).context("all_t", "c0,c20,c40");
        assert_eq!(with(true), "u:r:all_t:s0:c0,c20,c40");
        assert_eq!(with(false), "u:r:all_t");
    }

    #[test]
    #[ignore = "needs secilc"]
    fn every_built_in_policy_compiles() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        for name in perfsec_cases::policy_names() {
            let request = PolicyRequest::unchanged(name.parse().unwrap());
            let policy = Policy::obtain(&request, &Obtaining::quietly(&cache)).unwrap();
            assert_eq!(policy.mls, name != "non-mls", "{name}");
        }
    }
}
