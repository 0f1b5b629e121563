//! The policy that a machine has loaded, extended by our domains.
//!
//! The machine's own `semodule` links its modules together with one of ours, in a store of
//! perfsec's. Before, the loaded policy is compared with the one that was linked from the machine's
//! store last: no rule of the machine may get lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::cil::Classes;
use super::compile::{self, PolicyError};
use super::files;
use super::generate;
use super::header::Header;
use super::recipe::{Additions, Language, Module, Recipe};
use super::request::DEFAULT_PRIORITY;
use super::store::Configuration;
use super::table::Table;
use super::vector::context_parts;
use crate::foreign;

/// The name of the module.
const MODULE: &str = "perfsec_domains";

/// The policy that the kernel has loaded, and its classes.
const LOADED: &str = "sys/fs/selinux/policy";
const CLASSES: &str = "sys/fs/selinux/class";

/// libselinux's type of a policy if the configuration names none (`SELINUXDEFAULT`).
const DEFAULT_KIND: &str = "targeted";

/// Keys of `semanage.conf` that shape a policy (`semanage.conf(5)`).
const SHAPING: [&str; 4] =
    ["handle-unknown", "optimize-policy", "multiple-decls", "target-platform"];

/// A machine: the root of its file system, and the context of a process that adds the domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// `/`, but in tests.
    pub root: PathBuf,
    /// The context that the agent has there.
    pub agent: String,
}

impl Machine {
    /// This one.
    ///
    /// # Errors
    ///
    /// If the context of this process cannot be read.
    pub fn this() -> std::io::Result<Self> {
        let path = Path::new("/proc/self/attr/current");
        let agent = foreign::read_text(path, &foreign::SYSTEM_FILE)?;
        Ok(Self { root: "/".into(), agent: agent.trim_end_matches(['\0', '\n']).to_owned() })
    }
}

/// A reason why our domains cannot be added to the policy that a machine has loaded.
#[derive(Debug, thiserror::Error)]
pub enum ExtendError {
    /// The machine has no module store.
    #[error("{store} has no modules, which the policy is linked from", store = .store.display())]
    NoStore {
        /// The store.
        store: PathBuf,
    },
    /// The loaded policy was linked from other modules.
    #[error(
        "the loaded policy is not the one that was linked from {store} last: {difference}; one \
         that is linked from there would replace its rules by others (`semodule --reload` loads \
         what the store has)",
        store = .store.display()
    )]
    OtherPolicy {
        /// The store.
        store: PathBuf,
        /// The first difference: a sentence.
        difference: String,
    },
    /// The store links a policy with other properties.
    #[error("semodule writes a policy of {linked}, and the loaded one is of {loaded}")]
    OtherForm {
        /// The properties of the one that was linked.
        linked: String,
        /// The properties of the loaded one.
        loaded: String,
    },
    /// The classes of the loaded policy cannot be read.
    #[error("read the classes of the loaded policy")]
    Classes(#[source] std::io::Error),
}

/// The modules of a machine, and the one to add.
pub(super) struct Extension {
    pub(super) recipe: Recipe,
    pub(super) additions: Additions,
    /// The properties of the loaded policy.
    header: Header,
}

/// Reads what a machine has loaded, and what its store would link.
///
/// # Errors
///
/// If they differ, or cannot be read.
pub(super) fn extension(machine: &Machine) -> Result<Extension, PolicyError> {
    let at = |path: &str| machine.root.join(path);
    let kind = kind(&text(&at("etc/selinux/config"))?);
    let loaded = compile::read(&at(LOADED))?;
    let header =
        Header::read(&loaded).ok_or_else(|| PolicyError::NotAPolicy { path: at(LOADED) })?;
    let store = at("var/lib/selinux").join(&kind);
    let files = files::of_directory(&at("etc/selinux").join(&kind))?;
    if !files.has_store() {
        return Err(ExtendError::NoStore { store }.into());
    }
    if let Some(difference) = difference(&loaded, &header, &at("etc/selinux").join(&kind), &store)?
    {
        return Err(ExtendError::OtherPolicy { store, difference }.into());
    }
    let settings = text(&at("etc/selinux/semanage.conf"))?;
    let lines = shaping(&settings).map(str::to_owned).collect();
    let configuration = Configuration { version: Some(header.version), lines };
    let classes = classes(&at(CLASSES)).map_err(ExtendError::Classes)?;
    let [_, _, agent, _] = context_parts(&machine.agent);
    let text = generate::module(&Table::of(super::DEFAULT)?, &classes, agent).into_bytes();
    let module = Module {
        name: MODULE.to_owned(),
        shown: format!("the module {MODULE}"),
        language: Language::Cil,
        text,
        priority: DEFAULT_PRIORITY,
    };
    let additions = Additions {
        modules: vec![module],
        booleans: BTreeMap::new(),
        // `semodule --disable_dontaudit` leaves it.
        without_dontaudit: store.join("active/disable_dontaudit").exists(),
    };
    Ok(Extension { recipe: Recipe::Files(files.linked_with(configuration)), additions, header })
}

impl Extension {
    /// Checks that a policy that was linked can take the place of the loaded one.
    pub(super) fn check(&self, linked: &[u8]) -> Result<(), PolicyError> {
        match Header::read(linked) {
            Some(header) if header == self.header => Ok(()),
            other => {
                let linked = other.map_or_else(|| "no known form".to_owned(), |it| it.to_string());
                let loaded = self.header.to_string();
                Err(ExtendError::OtherForm { linked, loaded }.into())
            }
        }
    }
}

/// A configuration file; empty if it is missing.
fn text(path: &Path) -> Result<String, PolicyError> {
    match foreign::read_text(path, &foreign::SYSTEM_FILE) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|source| PolicyError::Read { path: path.to_owned(), source }),
    }
}

/// The type of the policy that a configuration names.
fn kind(configuration: &str) -> String {
    let lines = configuration.lines().map(str::trim_start);
    let named = lines.filter_map(|line| line.strip_prefix("SELINUXTYPE=")).next_back();
    named.map_or(DEFAULT_KIND, str::trim).to_owned()
}

/// The lines of `semanage.conf` that shape a policy.
fn shaping(settings: &str) -> impl Iterator<Item = &str> {
    settings
        .lines()
        .map(str::trim)
        .filter(|line| line.split_once('=').is_some_and(|(key, _)| SHAPING.contains(&key.trim())))
}

/// The classes of the loaded policy, with their permissions.
fn classes(folder: &Path) -> std::io::Result<Classes> {
    let names = |folder: &Path| -> std::io::Result<Vec<String>> {
        let entries = fs::read_dir(folder)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    let mut classes = Classes::new();
    for class in names(folder)? {
        let permissions = names(&folder.join(&class).join("perms"))?;
        classes.insert(class, permissions.into_iter().collect());
    }
    Ok(classes)
}

/// The difference between the policy that the kernel has loaded and the one that was linked from the
/// store last, as a sentence. `installed` is the directory of the policy's type.
fn difference(
    loaded: &[u8],
    header: &Header,
    installed: &Path,
    store: &Path,
) -> Result<Option<String>, PolicyError> {
    let name = format!("policy.{}", header.version);
    let path = installed.join("policy").join(&name);
    if !path.exists() {
        return Ok(Some(format!("{} does not exist", path.display())));
    }
    let linked = compile::read(&path)?;
    // libsemanage copies it to the directory.
    let of_store = store.join("active/policy.kern");
    if of_store.exists() && compile::read(&of_store)? != linked {
        return Ok(Some(format!("{} is another one", path.display())));
    }
    let same = content(loaded) == content(&linked);
    Ok((!same).then(|| format!("it differs from {}", path.display())))
}

/// The content of a binary policy, whatever the order of its parts, and whatever the values of
/// booleans: the kernel writes the policy that it has loaded with the same parts in another order,
/// and booleans, and the conditions on them, as they are now: 1 or 0.
fn content(binary: &[u8]) -> (usize, [usize; 254]) {
    let mut counts = [0; 254];
    for count in binary.iter().filter_map(|byte| usize::from(*byte).checked_sub(2)) {
        counts[count] += 1;
    }
    (binary.len(), counts)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("SELINUX=enforcing\nSELINUXTYPE=default\n", "default")]
    #[case("# SELINUXTYPE=mls\nSELINUXTYPE=strict \n", "strict")]
    #[case("", "targeted")]
    fn the_type_of_the_policy_is_configured(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(kind(text), expected);
    }

    #[test]
    fn settings_that_shape_the_policy_are_kept() {
        let settings = "module-store = direct\n# handle-unknown = deny\nhandle-unknown=allow\n\
                        expand-check=1\n optimize-policy = true\n[setfiles]\npath = /sbin/setfiles\n";
        assert!(shaping(settings).eq(["handle-unknown=allow", "optimize-policy = true"]));
    }

    #[rstest]
    #[case::other_order(b"\x07\x01abc\x01", true)]
    #[case::other_booleans(b"abc\x07\x00\x01", true)]
    #[case::longer(b"abc\x07\x01\x01\x01", false)]
    #[case::other_rule(b"abd\x07\x01\x01", false)]
    fn a_policy_has_the_same_content_in_any_order(#[case] loaded: &[u8], #[case] same: bool) {
        assert_eq!(content(loaded) == content(b"abc\x07\x01\x01"), same);
    }
}
