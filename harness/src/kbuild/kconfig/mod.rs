//! Configures a kernel tree from fragments, and explains every request that was not met.

mod built_in;
mod check;
mod configure;
mod definition;
mod error;
mod expression;
mod fragment;
mod lack;
mod lines;
mod reader;
mod reason;

#[cfg(test)]
mod fixture;

pub use check::{MergedRequests, PlacedRequest};
pub use configure::Configurator;
pub use definition::Tree;
pub use error::{DroppedOption, KconfigError};
pub use fragment::{
    Author, DEFAULT, Fragment, FragmentError, METAL, Request, RequestedValue, TreeMark,
};
pub use lack::Lack;
pub use reason::Reason;
