//! Options that choose cells, which most commands share.

use std::path::PathBuf;

use clap::Args;
use perfsec_wire::Mode;

use super::heading::CELLS;
use crate::grant::Grant;
use crate::plan::Filter;

/// Options that choose cells.
#[derive(Clone, Debug, Default, Args)]
pub struct FilterArgs {
    /// Globs on cell names (`open/*/none_t/*`). A name without `*`, `?`, `[` or `{` selects every
    /// cell whose name begins with it. The controls of the selected cells run too.
    #[arg(value_name = "CELL")]
    pub names: Vec<String>,
    /// Select only these grants: `none`, `perfmon`, `perfmon+sys_admin`.
    #[arg(long, value_name = "GRANT", help_heading = CELLS)]
    pub grant: Vec<Grant>,
    /// Select only this mode: `permissive` or `enforcing`.
    #[arg(long, value_name = "MODE", help_heading = CELLS)]
    pub mode: Vec<Mode>,
}

/// The option that chooses the cases.
#[derive(Clone, Debug, Default, Args)]
pub struct CaseArgs {
    /// Use the cases in this directory instead of the built-in suite.
    #[arg(long, value_name = "DIR", help_heading = CELLS)]
    pub cases: Option<PathBuf>,
}

impl FilterArgs {
    /// The filter.
    #[must_use]
    pub fn filter(&self) -> Filter {
        Filter {
            names: self.names.clone(),
            grants: self.grant.clone(),
            modes: self.mode.clone(),
            shard: None,
        }
    }
}
