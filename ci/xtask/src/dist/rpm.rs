//! The RPM package. Its fields and files are in `harness/Cargo.toml`.

use xshell::cmd;

use super::Release;
use crate::error::{self, Error};
use crate::tool;

/// Writes `perfsec-VERSION-1.x86_64.rpm`.
pub(super) fn package(release: &Release<'_>) -> Result<(), Error> {
    let Release { shell, source, out, .. } = release;
    let tool = tool::obtain(shell, &tool::CARGO_GENERATE_RPM)?;
    let _directory = shell.push_dir(&source.tree);
    error::run(
        cmd!(shell, "{tool} --package harness --auto-req disabled --payload-compress zstd")
            .args(["--output".as_ref(), out.as_os_str()])
            .env("CARGO_TARGET_DIR", source.target())
            .env("SOURCE_DATE_EPOCH", &source.epoch),
    )
}
