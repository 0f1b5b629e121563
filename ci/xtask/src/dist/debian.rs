//! The Debian package. Its fields and files are in `harness/Cargo.toml`.

use xshell::cmd;

use super::Release;
use crate::error::{self, Error};
use crate::tool;

/// Writes `perfsec_VERSION-1_amd64.deb`.
pub(super) fn package(release: &Release<'_>) -> Result<(), Error> {
    let Release { shell, source, out, work } = release;
    let date = cmd!(shell, "date --utc --rfc-email").arg(format!("--date=@{}", source.epoch));
    let date = date.quiet().read()?;
    let log = format!(
        "perfsec ({}-1) unstable; urgency=medium\n\n  * Built from {}; see CHANGELOG.md.\n\n \
         -- The perfsec developers <perfsec@localhost.localdomain>  {date}\n",
        source.version, source.commit
    );
    shell.write_file(work.join("changelog"), log)?;
    let tool = tool::obtain(shell, &tool::CARGO_DEB)?;
    let manifest = source.tree.join("harness/Cargo.toml");
    error::run(
        cmd!(shell, "{tool} --quiet --no-build --no-strip --locked --manifest-path {manifest}")
            .args(["--output".as_ref(), out.as_os_str()])
            .env("CARGO_TARGET_DIR", source.target())
            .env("SOURCE_DATE_EPOCH", &source.epoch),
    )
}
