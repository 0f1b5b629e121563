//! The Debian package. Its fields and files are in `harness/Cargo.toml`.

use xshell::cmd;

use super::Release;
use crate::error::{self, Error};
use crate::tool;

/// The head of the file `copyright`, before the text of the MIT licence. Debian's policy, 12.5:
/// the other one's text is in every system.
const COPYRIGHT: &str = "perfsec: who may use perf, and what does the audit log say about it?\n\n\
    Copyright 2026 The perfsec developers\n\n\
    License: MIT or Apache-2.0, at your option. In Debian systems, the text of the Apache\n\
    License, version 2.0, is in /usr/share/common-licenses/Apache-2.0. The MIT licence:\n\n";

/// Writes `perfsec_VERSION-1_amd64.deb`.
pub(super) fn package(release: &Release<'_>) -> Result<(), Error> {
    let Release { shell, source, out, work } = release;
    let date = cmd!(shell, "date --utc --rfc-email").arg(format!("--date=@{}", source.epoch));
    let date = date.quiet().read()?;
    let log = format!(
        "perfsec ({}-1) unstable; urgency=medium\n\n  * Built from {}; see CHANGELOG.md.\n\n \
         -- The perfsec developers <maintainers@perfsec.example>  {date}\n",
        source.version, source.commit
    );
    shell.write_file(work.join("changelog"), log)?;
    let mit = shell.read_file(source.tree.join("LICENSE-MIT"))?;
    shell.write_file(work.join("copyright"), format!("{COPYRIGHT}{mit}"))?;
    // Debian's policy, 12.7: the name of the upstream's changes.
    let upstream = work.join("upstream");
    shell.copy_file(source.tree.join("CHANGELOG.md"), &upstream)?;
    cmd!(shell, "gzip --best --no-name {upstream}").quiet().run()?;
    let tool = tool::obtain(shell, &tool::CARGO_DEB)?;
    let manifest = source.tree.join("harness/Cargo.toml");
    error::run(
        cmd!(shell, "{tool} --quiet --no-build --no-strip --locked --manifest-path {manifest}")
            .args(["--output".as_ref(), out.as_os_str()])
            .env("CARGO_TARGET_DIR", source.target())
            .env("SOURCE_DATE_EPOCH", &source.epoch),
    )
}
