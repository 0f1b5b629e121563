//! The headings of `--help`. Every option names its own: `next_help_heading` of a flattened struct
//! would also apply to the options that follow it.

/// Options that select cells and cases, their number and order.
pub(super) const CELLS: &str = "Cells";
/// Options that change verdicts.
pub(super) const VERDICTS: &str = "Verdicts";
/// Options that name kernels, trees and packages.
pub(super) const KERNELS: &str = "Kernels";
/// Options of a boot.
pub(super) const BOOTING: &str = "Booting";
/// Options of a build.
pub(super) const BUILDING: &str = "Building";
/// Options of reports and their files.
pub(super) const REPORT: &str = "Report";
/// Options of a message to a mailing list.
pub(super) const MAIL: &str = "Mail";
