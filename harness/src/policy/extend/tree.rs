//! The files of a policy that is to be extended: one module, or a tree of policy source.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ExtendError;
use super::rewrite::{Insertions, Rewrite};
use super::wanted::{DomainName, Wanted};
use super::{cil, flask};
use crate::foreign;

const SECURITY_CLASSES: &str = "policy/flask/security_classes";
const ACCESS_VECTORS: &str = "policy/flask/access_vectors";
/// A file of the base module that every tree has.
const RULES: &str = "policy/modules/kernel/domain.te";

/// The files of a policy, extended.
#[derive(Clone, Debug)]
pub struct PolicyFiles {
    /// Those that change.
    pub rewrites: Vec<Rewrite>,
    /// Domains whose types these files do not declare, or not by their names.
    pub undeclared: Vec<DomainName>,
}

impl PolicyFiles {
    /// Extends a module in CIL, or a tree of policy source. Nothing is written.
    ///
    /// # Errors
    ///
    /// If it is neither, cannot be read, or lacks what it must have.
    pub fn extend(path: &Path, wanted: &Wanted) -> Result<Self, ExtendError> {
        let data = fs::metadata(path);
        let data = data.map_err(|source| ExtendError::Read { path: path.to_owned(), source })?;
        let mut files =
            if data.is_dir() { Self::tree(path, wanted)? } else { Self::module(path, wanted)? };
        files.rewrites.retain(|rewrite| !rewrite.is_empty());
        Ok(files)
    }

    fn module(path: &Path, wanted: &Wanted) -> Result<Self, ExtendError> {
        let text = String::from_utf8(read(path)?);
        let text = text.map_err(|_| ExtendError::NotCil { path: path.to_owned() })?;
        let undeclared = wanted.domains.iter().filter(|it| !cil::declares(&text, it));
        let undeclared = undeclared.cloned().collect();
        Ok(Self { rewrites: vec![Rewrite::of_module(path, text, wanted)?], undeclared })
    }

    fn tree(path: &Path, wanted: &Wanted) -> Result<Self, ExtendError> {
        for missing in [SECURITY_CLASSES, ACCESS_VECTORS] {
            if !path.join(missing).is_file() {
                return Err(ExtendError::NotATree { path: path.to_owned(), missing });
            }
        }
        let file = |name: &str| {
            let path = path.join(name);
            let before = read_text(&path)?;
            Ok::<_, ExtendError>((path, before))
        };
        let rewrite = |name: &str, path: PathBuf, before: String, after: String| Rewrite {
            path,
            name: name.to_owned(),
            before,
            after,
        };
        let (vectors, before) = file(ACCESS_VECTORS)?;
        let lack = flask::declared(&before).lack(&wanted.classes());
        let no_class = |class| ExtendError::NoClass { path: vectors.clone(), class };
        let after = flask::access_vectors(&before, &lack.map_err(no_class)?);
        let vectors = rewrite(ACCESS_VECTORS, vectors, before, after);
        let (classes, before) = file(SECURITY_CLASSES)?;
        let [perf_event, ..] = wanted.classes();
        let after = flask::security_classes(&before, &[perf_event]);
        let mut rewrites = vec![vectors, rewrite(SECURITY_CLASSES, classes, before, after)];
        let mut undeclared = Vec::new();
        if !wanted.domains.is_empty() {
            if !path.join(RULES).is_file() {
                return Err(ExtendError::NoRules { path: path.to_owned(), file: RULES });
            }
            let (rules, before) = file(RULES)?;
            let mut insertions = Insertions::default();
            for domain in &wanted.domains {
                insertions.add(before.len(), block(&before, domain));
            }
            let after = insertions.apply(&before);
            rewrites.push(rewrite(RULES, rules, before, after));
            let types = Types::of(&path.join("policy/modules"))?;
            undeclared.extend(wanted.domains.iter().filter(|it| !types.has(it)).cloned());
        }
        Ok(Self { rewrites, undeclared })
    }
}

/// Rules that let a domain use perf; nothing if the source has them. The base module may name the
/// types of other modules only in an optional block.
fn block(source: &str, domain: &DomainName) -> String {
    let rules = Wanted::rules().map(|(class, permissions)| match permissions {
        [one] => format!("allow {domain} self:{class} {one};"),
        many => format!("allow {domain} self:{class} {{ {} }};", many.join(" ")),
    });
    if rules.iter().all(|rule| source.lines().any(|line| line.trim() == rule)) {
        return String::new();
    }
    let newline = if source.is_empty() || source.ends_with('\n') { "" } else { "\n" };
    let [first, second] = rules;
    format!(
        "{newline}\noptional_policy(`\n\tgen_require(`\n\t\ttype {domain};\n\t')\n\n\t{first}\n\
         \t{second}\n')\n"
    )
}

/// The sources of all modules.
struct Types(Vec<String>);

impl Types {
    /// Reads those below a directory, each in the directory of its layer.
    fn of(modules: &Path) -> Result<Self, ExtendError> {
        let mut sources = Vec::new();
        for layer in list(modules)?.into_iter().filter(|path| path.is_dir()) {
            let files = list(&layer)?.into_iter();
            for file in files.filter(|path| path.extension().is_some_and(|end| end == "te")) {
                sources.push(read_text(&file)?);
            }
        }
        Ok(Self(sources))
    }

    /// True if one declares the type by its name. Others are declared by templates.
    fn has(&self, domain: &DomainName) -> bool {
        let is_declaration = |line: &str| {
            let declared = line.trim_start().strip_prefix("type ");
            let declared =
                declared.and_then(|rest| rest.trim_start().strip_prefix(domain.as_str()));
            declared.is_some_and(|rest| rest.starts_with([';', ',', ' ']))
        };
        // A requirement is indented.
        self.0
            .iter()
            .flat_map(|text| text.lines())
            .any(|line| !line.starts_with('\t') && is_declaration(line))
    }
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, ExtendError> {
    let unread = |source| ExtendError::Read { path: directory.to_owned(), source };
    let entries = fs::read_dir(directory).map_err(unread)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<Result<_, _>>().map_err(unread)
}

fn read(path: &Path) -> Result<Vec<u8>, ExtendError> {
    let bytes = foreign::read(path, &foreign::POLICY);
    bytes.map_err(|source| ExtendError::Read { path: path.to_owned(), source })
}

fn read_text(path: &Path) -> Result<String, ExtendError> {
    let text = foreign::read_text(path, &foreign::POLICY);
    text.map_err(|source| ExtendError::Read { path: path.to_owned(), source })
}
