//! Options of a message to a mailing list.

use std::path::PathBuf;

use clap::Args;

use super::heading::MAIL;
use crate::mbox::{Mailbox, MessageId};

/// Options of `--mail`.
#[derive(Clone, Debug, Args)]
pub struct MailArgs {
    /// Write the report as a message for `git send-email`. perfsec does not send it.
    #[arg(long, conflicts_with = "format", help_heading = MAIL)]
    pub mail: bool,
    /// Add a recipient. Can be given several times.
    #[arg(long, value_name = "ADDRESS", requires = "mail", help_heading = MAIL)]
    pub to: Vec<Mailbox>,
    /// Add a recipient of a copy. Can be given several times.
    #[arg(long, value_name = "ADDRESS", requires = "mail", help_heading = MAIL)]
    pub cc: Vec<Mailbox>,
    /// The subject [default: `Re:` and the subject being answered; otherwise `[REGRESSION]` or
    /// `[STATUS]` and the verdict].
    #[arg(long, value_name = "TEXT", requires = "mail", help_heading = MAIL)]
    pub subject: Option<String>,
    /// Answer the message with this id, or at this link of an archive.
    #[arg(long, value_name = "MSGID", requires = "mail", help_heading = MAIL)]
    pub in_reply_to: Option<MessageId>,
    /// The subject of the message being answered.
    #[arg(long, value_name = "TEXT", requires = "in_reply_to", help_heading = MAIL)]
    pub subject_of: Option<String>,
    /// Answer the message in this file (.eml or mbox), and send to everybody who received it. If
    /// the file has several messages, `--in-reply-to` selects one.
    #[arg(
        long,
        value_name = "FILE",
        requires = "mail",
        conflicts_with = "subject_of",
        help_heading = MAIL
    )]
    pub reply_to_mbox: Option<PathBuf>,
}
