//! The RPM package. Its fields and files are in `harness/Cargo.toml`.

use xshell::cmd;

use super::Release;
use crate::error::{self, Error};
use crate::tool;

/// Files of the source that are part of it.
const FILES: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Writes `perfsec-VERSION-1.x86_64.rpm`.
pub(super) fn package(release: &Release<'_>) -> Result<(), Error> {
    let Release { shell, source, out, work } = release;
    // The package has the time of each file, or that of the commit if it is earlier. Copies are
    // later than any commit; the files themselves have the time of somebody's checkout.
    for name in FILES {
        shell.copy_file(source.tree.join(name), work)?;
    }
    let tool = tool::obtain(shell, &tool::CARGO_GENERATE_RPM)?;
    let _directory = shell.push_dir(&source.tree);
    error::run(
        cmd!(shell, "{tool} --package harness --auto-req disabled --payload-compress zstd")
            .args(["--output".as_ref(), out.as_os_str()])
            .env("CARGO_TARGET_DIR", source.target())
            .env("SOURCE_DATE_EPOCH", &source.epoch),
    )
}
