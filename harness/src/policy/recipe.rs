//! The input of a policy's compilation, and its results in the cache.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::changes::{AddedModule, PolicyChanges};
use super::compile::{self, CilFile, PolicyError};
use super::debian::DebianPolicy;
use super::files::PolicyFiles;
use super::request::Obtaining;
use super::store::{Configuration, Store, StoredModule, Transaction};
use super::tools::Tools;
use crate::cache::Room;
use crate::debian::Archive;
use crate::host::OsRelease;

/// Version of the cached stores and policies. Increment it when the same input would give others.
const FORMAT: u32 = 1;

/// The input of a policy's compilation.
#[derive(Clone, Debug)]
pub(super) enum Recipe {
    /// CIL source, which `secilc` compiles.
    Cil(Vec<CilFile>),
    /// Modules in Debian's archive, which the suite's `semodule` links.
    Debian(DebianPolicy),
    /// Modules, or a linked policy, on this host.
    Files(PolicyFiles),
    /// A binary policy.
    Binary(Vec<u8>),
}

/// The version of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The distribution's own linked policy, if there is one.
    AsShipped,
    /// A policy that this perfsec links, for the oldest version that its rules allow.
    Linked,
}

/// Changes to a policy, with the text of modules.
#[derive(Clone, Debug, Default)]
pub(super) struct Additions {
    pub(super) modules: Vec<Module>,
    pub(super) booleans: BTreeMap<String, bool>,
    pub(super) without_dontaudit: bool,
}

/// A module to add.
#[derive(Clone, Debug)]
pub(super) struct Module {
    pub(super) name: String,
    /// The name by which errors call it.
    pub(super) shown: String,
    pub(super) language: Language,
    pub(super) text: Vec<u8>,
    pub(super) priority: u16,
}

/// The language of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// Source.
    Cil,
    /// Compiled by `checkmodule`.
    Pp,
}

impl Language {
    /// The suffix of its files, by which `semodule` knows it.
    fn suffix(self) -> &'static str {
        match self {
            Self::Cil => "cil",
            Self::Pp => "pp",
        }
    }
}

impl Additions {
    fn is_empty(&self) -> bool {
        self.modules.is_empty() && self.booleans.is_empty() && !self.without_dontaudit
    }

    /// semodule's words, with the files that the user gave instead of those in the store.
    fn with_file_names(&self, words: &str, store: &Store<'_>) -> String {
        self.modules.iter().fold(words.to_owned(), |words, module| {
            words.replace(&store.place(&module.name, module.priority), &module.shown)
        })
    }

    /// True if they are CIL source, which can be compiled with other source.
    fn are_source(&self) -> bool {
        let source = |module: &Module| module.language == Language::Cil;
        self.modules.iter().all(source) && self.booleans.is_empty() && !self.without_dontaudit
    }

    /// Adds them to a hash, so that no two have the same bytes.
    fn hash(&self, key: &mut Sha256) {
        for module in &self.modules {
            key.update(format!("module {} {} ", module.name, module.priority));
            key.update(format!("{} {} ", module.language.suffix(), module.text.len()));
            key.update(&module.text);
        }
        for (name, value) in &self.booleans {
            key.update(format!("boolean {name} {value} "));
        }
        key.update(format!("dontaudit {}", !self.without_dontaudit));
    }
}

impl Recipe {
    /// Compiles the policy with these additions, or returns the cached result of an earlier
    /// compilation.
    ///
    /// # Errors
    ///
    /// A compiler is missing or refuses the input, or the policy is binary and is to be changed.
    pub(super) fn compile(
        &self,
        name: &str,
        additions: &Additions,
        wanted: Wanted,
        obtaining: &Obtaining<'_>,
    ) -> Result<Vec<u8>, PolicyError> {
        let binary = || PolicyError::Binary { name: name.to_owned() };
        match self {
            Self::Binary(bytes) if additions.is_empty() => Ok(bytes.clone()),
            Self::Binary(_) => Err(binary()),
            Self::Cil(files) if additions.are_source() => {
                let mut files = files.clone();
                for module in &additions.modules {
                    files.push((module.shown.clone(), module.text.clone()));
                }
                compile::compile(name, &files, obtaining.cache)
            }
            // secilc sets no booleans and reads no policy packages.
            Self::Cil(files) => {
                let text = files.iter().flat_map(|(_, text)| [text.as_slice(), b"\n"]).flatten();
                let base = [("base.cil".to_owned(), text.copied().collect())];
                let files = PolicyFiles::of_modules("perfsec", base.into());
                Linking { name, additions, obtaining }.link_files(&files)
            }
            Self::Debian(policy) => {
                let key = policy.key().to_owned();
                let linking = Linking { name, additions, obtaining };
                let origin = Origin { key: &key, configuration: &Configuration::default() };
                linking.link(policy.kind(), origin, policy.tools(), &|archive| {
                    policy.files(archive, obtaining).map(Cow::Owned)
                })
            }
            Self::Files(files) => match files.binary() {
                Some(bytes) if additions.is_empty() && wanted == Wanted::AsShipped => {
                    Ok(bytes.to_vec())
                }
                _ if !files.has_modules() => Err(binary()),
                _ => Linking { name, additions, obtaining }.link_files(files),
            },
        }
    }

    /// True if [`Wanted::Linked`] may give an older version.
    pub(super) fn can_link(&self) -> bool {
        matches!(self, Self::Files(files) if files.has_modules())
    }

    /// The additions as a record lists them.
    pub(super) fn changes(&self, additions: &Additions) -> PolicyChanges {
        let is_source = matches!(self, Self::Cil(_)) && additions.are_source();
        let module = |module: &Module| AddedModule {
            name: module.name.clone(),
            priority: (!is_source).then_some(module.priority),
            sha256: crate::hex(&Sha256::digest(&module.text)),
        };
        PolicyChanges {
            modules: additions.modules.iter().map(module).collect(),
            booleans: additions.booleans.clone(),
            without_dontaudit: additions.without_dontaudit,
        }
    }
}

/// Links modules with additions.
struct Linking<'a> {
    name: &'a str,
    additions: &'a Additions,
    obtaining: &'a Obtaining<'a>,
}

/// The modules to link, before they are read.
#[derive(Clone, Copy)]
struct Origin<'a> {
    /// Their identity.
    key: &'a str,
    configuration: &'a Configuration,
}

/// Reads the modules, unless the cache has a store with them.
type ReadFiles<'a> = dyn Fn(&Archive<'_>) -> Result<Cow<'a, PolicyFiles>, PolicyError> + 'a;

impl Linking<'_> {
    fn link_files(&self, files: &PolicyFiles) -> Result<Vec<u8>, PolicyError> {
        let origin = Origin { key: &files.key(), configuration: &files.configuration };
        self.link(&files.kind, origin, &Tools::Host, &|_| Ok(Cow::Borrowed(files)))
    }

    fn link(
        &self,
        kind: &str,
        Origin { key, configuration }: Origin<'_>,
        tools: &Tools,
        read: &ReadFiles<'_>,
    ) -> Result<Vec<u8>, PolicyError> {
        let Self { name, additions, obtaining } = *self;
        let cache = obtaining.cache;
        let base = Sha256::new().chain_update(format!("store {FORMAT} {key} {}", tools.key()));
        let mut key = base.clone();
        additions.hash(&mut key);
        let (base, key) = (crate::hex(&base.finalize()), crate::hex(&key.finalize()));
        if let Some(binary) = cache.read(Room::POLICIES, &key) {
            return Ok(binary);
        }
        let progress = obtaining.progress;
        let _lock = cache.lock(&format!("policy-{base}"), obtaining.interrupt, || {
            progress(&format!("waiting for another perfsec that builds the policy {name}"));
        })?;
        if let Some(binary) = cache.read(Room::POLICIES, &key) {
            return Ok(binary);
        }
        let host = OsRelease::detect();
        let archive = obtaining.images.archive(&host, cache, obtaining.interrupt, progress);
        let create = || {
            let (configuration, tools) = (configuration.clone(), tools.clone());
            Store::create(kind, configuration, tools, &archive, name, *obtaining)
        };
        let saved = format!("{base}.tar");
        let (store, unchanged) = match cache.read(Room::POLICIES, &saved) {
            Some(tar) => {
                let store = create()?;
                store.restore(&tar)?;
                (store, None)
            }
            None => {
                let files = read(&archive)?;
                let store = create()?;
                progress(&format!("building the policy {name} (about half a minute)"));
                let binary = files.install(&store, !additions.is_empty(), obtaining)?;
                cache.publish(Room::POLICIES, &saved, &store.save()?)?;
                (store, binary)
            }
        };
        let binary = match unchanged {
            Some(binary) if additions.is_empty() => binary,
            _ => {
                progress(&format!("building the policy {name} with its changes"));
                add(&store, additions, obtaining)?
            }
        };
        cache.publish(Room::POLICIES, &key, &binary)?;
        Ok(binary)
    }
}

/// Adds modules and settings to a store, and returns the policy.
fn add(
    store: &Store<'_>,
    additions: &Additions,
    obtaining: &Obtaining<'_>,
) -> Result<Vec<u8>, PolicyError> {
    let mut files = Vec::new();
    for module in &additions.modules {
        // semodule names a module by its file.
        let file = PathBuf::from(format!("{}.{}", module.name, module.language.suffix()));
        let path = store.path().join(&file);
        fs::write(&path, &module.text)
            .map_err(|error| obtaining.cache.error("write", &path, error))?;
        files.push((file, module.priority));
    }
    let install =
        files.iter().map(|(file, priority)| StoredModule { file, priority: *priority }).collect();
    if !additions.booleans.is_empty() {
        store.set_booleans(&additions.booleans)?;
    }
    let without_dontaudit = additions.without_dontaudit;
    let transaction = Transaction { install, without_dontaudit, ..Default::default() };
    store.commit(&transaction).map_err(|error| match error {
        PolicyError::Semodule { name, output } => {
            PolicyError::Semodule { name, output: additions.with_file_names(&output, store) }
        }
        other => other,
    })
}
