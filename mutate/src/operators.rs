//! One module per family of operators. Each looks at one node and proposes changes of it.

pub(crate) mod audit;
pub(crate) mod calls;
pub(crate) mod checks;
pub(crate) mod conditions;
pub(crate) mod constants;
pub(crate) mod flags;
pub(crate) mod identity;
pub(crate) mod names;
pub(crate) mod order;
