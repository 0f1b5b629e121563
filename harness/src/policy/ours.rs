//! The source of our own policies: CIL files, and the rules of their domains.

use super::cil::{self, Classes};
use super::compile::CilFile;
use super::generate;
use super::table::{Table, TableError};

/// The source of one of our policies.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Its files: path and text.
    files: Vec<(&'static str, &'static str)>,
    pub(super) table: Table,
    /// The classes that it defines.
    pub(super) classes: Classes,
    /// True if the kernel allows the classes and permissions that it does not define.
    pub(super) allows_unknown: bool,
    /// True if contexts have a level.
    pub(super) has_levels: bool,
}

/// The whole CIL source of one of our policies, in one text; `None` if none has this name.
///
/// # Errors
///
/// Mistakes in the table of domains, which the project's tests rule out.
pub fn source_text(policy: &str) -> Result<Option<String>, TableError> {
    let files = Source::built_in(policy)?.map(|source| source.files());
    let text = |files: Vec<CilFile>| {
        files.iter().map(|(_, text)| String::from_utf8_lossy(text)).collect::<Vec<_>>().join("\n")
    };
    Ok(files.map(text))
}

impl Source {
    /// The policy with this name; `None` if none of ours has it.
    ///
    /// # Errors
    ///
    /// Mistakes in the table of domains, which the project's tests rule out.
    pub(super) fn built_in(policy: &str) -> Result<Option<Self>, TableError> {
        let Some(files) = perfsec_cases::policy(policy) else { return Ok(None) };
        let statements: Vec<_> = files.iter().flat_map(|(_, text)| cil::statements(text)).collect();
        let table = Table::of(policy)?;
        let classes = cil::classes(&statements);
        let allows_unknown = cil::allows_unknown(&statements);
        let has_levels = cil::has_levels(&statements);
        Ok(Some(Self { files, table, classes, allows_unknown, has_levels }))
    }

    /// All files to compile.
    pub(super) fn files(&self) -> Vec<CilFile> {
        let written = self.files.iter().map(|(path, text)| ((*path).to_owned(), (*text).into()));
        let rules = generate::rules(&self.table, &self.classes);
        written.chain([("the rules of domains.toml".to_owned(), rules.into_bytes())]).collect()
    }
}
