//! Reports for mailing lists: a plain text, and a message with it as its body.
//!
//! perfsec writes the message and never sends it.

mod bisection;
mod deaths;
mod failures;
#[cfg(test)]
mod fixture;
mod kernels;
mod labels;
mod message;
mod original;
mod others;
mod page;
mod plain;
mod regzbot;
mod reproduce;
mod series;
mod table;
mod text;
mod verdict;

pub use crate::mbox::{Mailbox, MessageId, NotAMailbox, NotAMessageId};
pub use message::{Letter, Thread};
pub use original::{Original, OriginalError};
pub use regzbot::{Regzbot, RegzbotError};
pub use series::{patch_text, text as series_text};
pub use text::text;
pub use verdict::{earns_tested_by, passes};
