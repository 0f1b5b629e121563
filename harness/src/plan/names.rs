//! Globs on the names of cells.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// A set of globs on cell names; a name without a glob's characters selects what begins with it.
#[derive(Clone, Debug)]
pub struct CellNames {
    set: GlobSet,
}

/// A text that is no glob.
#[derive(Debug, thiserror::Error)]
#[error("`{glob}` is no glob on cell names")]
pub struct NotAGlob {
    glob: String,
    source: globset::Error,
}

impl CellNames {
    /// Reads globs.
    ///
    /// # Errors
    ///
    /// The first that is none.
    pub fn parse(names: &[String]) -> Result<Self, NotAGlob> {
        let mut set = GlobSetBuilder::new();
        for name in names {
            let is_glob = name.contains(['*', '?', '[', '{']);
            let glob = if is_glob { name.clone() } else { format!("{name}*") };
            let error = |source| NotAGlob { glob: name.clone(), source };
            set.add(GlobBuilder::new(&glob).build().map_err(error)?);
        }
        let set = set.build().map_err(|source| NotAGlob { glob: names.join(" "), source })?;
        Ok(Self { set })
    }

    /// Whether a cell's name is among them.
    #[must_use]
    pub fn contains(&self, cell: &str) -> bool {
        self.set.is_match(cell)
    }
}
