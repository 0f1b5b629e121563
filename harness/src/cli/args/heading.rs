//! The headings of `--help`. Every option names its own: `next_help_heading` of a flattened struct
//! would also apply to the options that follow it.

/// Which cells run, from which cases, how often and in which order.
pub(super) const CELLS: &str = "Cells";
/// What a cell is judged by, besides its case.
pub(super) const VERDICTS: &str = "Verdicts";
/// Which kernels, and the trees and packages that they come from.
pub(super) const KERNELS: &str = "Kernels";
/// How a kernel is booted.
pub(super) const BOOTING: &str = "Booting";
/// How a kernel is built.
pub(super) const BUILDING: &str = "Building";
/// What is written about a run, and where.
pub(super) const REPORT: &str = "Report";
/// The message to a mailing list.
pub(super) const MAIL: &str = "Mail";
