//! Options of `series`.

use std::path::PathBuf;

use clap::builder::UnknownArgumentValueParser;
use clap::{Arg, Args, ValueEnum};

use super::super::exit;
use super::{BootArgs, CaseArgs, FilterArgs, MailArgs, ObtainArgs};
use crate::kbuild::TreeSpec;
use crate::report::mail::Mailbox;

/// Options of `series`.
#[derive(Clone, Debug, Args)]
#[command(after_help = exit::SERIES, arg(not_a_kernel()))]
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
    /// How the tree is obtained.
    #[command(flatten)]
    pub obtain: ObtainArgs,
    /// How.
    #[command(flatten)]
    pub boot: BootArgs,
    /// The message to a mailing list; it answers the cover letter, else the first patch.
    #[command(flatten)]
    pub mail: MailArgs,
}

/// What every other command takes and this one cannot: its kernels are built.
fn not_a_kernel() -> Arg {
    let instead = UnknownArgumentValueParser::suggest_arg("--tree")
        .and_suggest("the kernels of a series are built: name their tree with --tree");
    Arg::new("kernel").long("kernel").hide(true).value_parser(instead)
}

/// A form of the report on a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SeriesFormat {
    /// Plain text for a mailing list.
    Text,
    /// One JSON document.
    Json,
}
