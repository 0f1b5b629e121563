//! Options of `series` and `b4-check`.

use std::path::PathBuf;

use clap::builder::UnknownArgumentValueParser;
use clap::{Arg, Args, ValueEnum};

use super::super::codes::ExitCodes;
use super::heading::{KERNELS, REPORT, VERDICTS};
use super::{BootArgs, CaseArgs, FilterArgs, MailArgs, ObtainArgs};
use crate::kbuild::TreeSpec;
use crate::mbox::Mailbox;

/// Options of `series`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("series"), arg(not_a_kernel()))]
pub struct SeriesArgs {
    /// The series: a mailbox (written by `b4 am` or `git format-patch --stdout`, or a whole thread
    /// from an archive), a directory of patches, a range of revisions (`v6.18..topic`), or the
    /// Message-ID of a mail or a link to it, whose series `b4 am` fetches.
    #[arg(value_name = "SERIES")]
    pub series: String,
    /// The cells.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Run every kernel, even one that an earlier check ran.
    #[arg(long)]
    pub again: bool,
    /// The cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// The revision before the first patch [default: the start of a range; else the base-commit of
    /// the series; else what is checked out].
    #[arg(long, value_name = "REV", help_heading = KERNELS)]
    pub base: Option<String>,
    /// The kernel tree: a git repository, a directory, a tarball, a Debian package
    /// `linux-source-*`, or `debian:VERSION` for a package from Debian's archive.
    #[arg(long, value_name = "TREE", default_value = ".", help_heading = KERNELS)]
    pub tree: TreeSpec,
    /// How the tree is obtained.
    #[command(flatten)]
    pub obtain: ObtainArgs,
    /// A file that states the intended changes; every other change is a fault of the series. A
    /// patch that adds a file `perfsec-expect.toml` to the tree states more of them.
    #[arg(long, value_name = "FILE", help_heading = VERDICTS)]
    pub expect: Option<PathBuf>,
    /// How the kernels are built and booted.
    #[command(flatten)]
    pub boot: BootArgs,
    /// The format of the report.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = REPORT)]
    pub format: SeriesFormat,
    /// Write the report to this file instead of standard output.
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    pub out: Option<PathBuf>,
    /// The author of the mail and of the Tested-by line, `NAME <ADDRESS>` [default: git's
    /// user.name and user.email].
    #[arg(long, value_name = "ADDRESS", help_heading = REPORT)]
    pub from: Option<Mailbox>,
    /// The message to a mailing list; it answers the cover letter, else the first patch.
    #[command(flatten)]
    pub mail: MailArgs,
}

/// `--kernel`, which all other commands take: here it suggests `--tree`, because the kernels of a
/// series are built.
fn not_a_kernel() -> Arg {
    let instead = UnknownArgumentValueParser::suggest_arg("--tree")
        .and_suggest("the kernels of a series are built: name their tree with --tree");
    Arg::new("kernel").long("kernel").hide(true).value_parser(instead)
}

/// The format of the report on a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SeriesFormat {
    /// Plain text for a mailing list.
    Text,
    /// One JSON document.
    Json,
}

/// Options of `b4-check`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("b4-check"))]
pub struct B4CheckArgs {
    /// Answer about the whole series, to whose cover letter or first patch the mail belongs
    /// (`b4.review-series-check-cmd`), instead of the patch in the mail.
    #[arg(long)]
    pub series: bool,
}
