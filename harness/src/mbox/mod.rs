//! Mail as it comes in files: mailboxes cut into messages, addresses and message ids.

mod address;
mod id;
mod split;

pub use address::{Mailbox, NotAMailbox};
pub use id::{MessageId, NotAMessageId};
pub(crate) use split::{mboxrd, messages};
