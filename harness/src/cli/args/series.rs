//! Options of `series`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::super::exit;
use super::{CaseArgs, FilterArgs, MachineArgs, MailArgs};
use crate::build::TreeSpec;
use crate::report::mail::Mailbox;

/// Options of `series`.
#[derive(Clone, Debug, Args)]
#[command(after_help = exit::SERIES, mut_arg("kernel", |kernel| kernel.hide(true)))]
pub struct SeriesArgs {
    /// The series: a mailbox (as `b4 am` or `git format-patch --stdout` writes it, or a whole thread of an
    /// archive), a directory of patches, or a range of revisions of the tree (`v6.18..topic`).
    #[arg(value_name = "SERIES")]
    pub series: String,
    /// Which cells.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The revision before the first patch [default: the beginning of a range, else the base-commit that
    /// the series names, else the tree as it is].
    #[arg(long, value_name = "REV")]
    pub base: Option<String>,
    /// The kernel tree: a git repository, a directory, a tarball, a Debian package `linux-source-*`, or
    /// `debian:VERSION` for one of Debian's archive.
    #[arg(long, value_name = "TREE", default_value = ".")]
    pub tree: TreeSpec,
    /// The changes that the author means, a file; others are what is wrong with the series. A patch that adds a
    /// file `perfsec-expect.toml` to the tree states more of them.
    #[arg(long, value_name = "FILE")]
    pub expect: Option<PathBuf>,
    /// Run every kernel, even one that an earlier check ran.
    #[arg(long)]
    pub again: bool,
    /// The form of the report.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: SeriesFormat,
    /// Write the report here instead of to standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Who writes a mail, `NAME <ADDRESS>`, and vouches for a series with which all is well
    /// [default: git's user.name and user.email].
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<Mailbox>,
    /// Which cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// How.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The message to a mailing list; it answers the cover letter, else the first patch.
    #[command(flatten)]
    pub mail: MailArgs,
}

/// A form of the report on a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SeriesFormat {
    /// Plain text for a mailing list.
    Text,
    /// One JSON document.
    Json,
}
