//! Globs on the names of cells.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// The characters that make a glob of a name.
pub(crate) const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];

/// A set of globs on cell names; a name without wildcards is a prefix.
#[derive(Clone, Debug)]
pub struct CellNames {
    set: GlobSet,
}

/// An invalid glob.
#[derive(Debug, thiserror::Error)]
#[error("`{glob}` is not a glob on cell names")]
pub struct NotAGlob {
    glob: String,
    source: globset::Error,
}

impl CellNames {
    /// Parses globs.
    ///
    /// # Errors
    ///
    /// The first invalid glob.
    pub fn parse(names: &[String]) -> Result<Self, NotAGlob> {
        let mut set = GlobSetBuilder::new();
        for name in names {
            let glob = if name.contains(WILDCARDS) { name.clone() } else { format!("{name}*") };
            let error = |source| NotAGlob { glob: name.clone(), source };
            set.add(GlobBuilder::new(&glob).build().map_err(error)?);
        }
        let set = set.build().map_err(|source| NotAGlob { glob: names.join(" "), source })?;
        Ok(Self { set })
    }

    /// True if a glob matches the cell's name.
    #[must_use]
    pub fn contains(&self, cell: &str) -> bool {
        self.set.is_match(cell)
    }
}
