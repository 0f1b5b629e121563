//! The container image: Debian with QEMU, `secilc` and perfsec, as an OCI archive.

use std::path::Path;

use xshell::cmd;

use super::Release;
use crate::error::{self, Error};

/// The release of Debian in the image.
const SUITE: &str = "trixie";
/// The packages that perfsec needs to run cells: `perfsec doctor --for run --for debian`.
const PACKAGES: &str = "ca-certificates,qemu-system-x86,secilc";

/// Writes `perfsec-VERSION.oci.tar`.
pub(super) fn image(release: &Release<'_>, program: &Path) -> Result<(), Error> {
    let Release { shell, source, out, work } = release;
    let (root, layout) = (work.join("root.tar"), work.join("image"));
    let epoch = &source.epoch;
    // It sets the times of all files, and sorts them.
    let hook = format!("copy-in {} /usr/bin", program.display());
    error::run(
        cmd!(shell, "mmdebstrap --quiet --variant=minbase --include={PACKAGES}")
            .args([
                "--dpkgopt=path-exclude=/usr/share/doc/*",
                "--dpkgopt=path-exclude=/usr/share/man/*",
            ])
            .args(["--dpkgopt=path-exclude=/usr/share/locale/*", "--customize-hook", &hook])
            .args(["--customize-hook=rm -rf \"$1\"/var/cache/* \"$1\"/var/log/*"])
            .args([SUITE.as_ref(), root.as_os_str()])
            .env("SOURCE_DATE_EPOCH", epoch),
    )?;
    let created = cmd!(shell, "date --utc --date=@{epoch} +%Y-%m-%dT%H:%M:%SZ").quiet().read()?;
    let tag = format!("{}:{}", layout.display(), source.version);
    let umoci = |arguments: &[&str]| error::run(cmd!(shell, "umoci").args(arguments).quiet());
    umoci(&["init", "--layout", &layout.display().to_string()])?;
    umoci(&["new", "--image", &tag])?;
    let history = ["--history.created", &created, "--history.created_by", "cargo xtask dist"];
    let layer = root.display().to_string();
    umoci(&[&["raw", "add-layer", "--image", &tag][..], &history, &[&layer]].concat())?;
    let config = [
        "--config.entrypoint",
        "/usr/bin/perfsec",
        "--config.workingdir",
        "/work",
        "--config.label",
        "org.opencontainers.image.title=perfsec",
        "--created",
        &created,
        "--no-history",
    ];
    let revision = format!("org.opencontainers.image.revision={}", source.commit);
    let label = ["--config.label", &revision];
    umoci(&[&["config", "--image", &tag][..], &config, &label].concat())?;
    umoci(&["gc", "--layout", &layout.display().to_string()])?;
    let file = out.join(format!("perfsec-{}.oci.tar", source.version));
    error::run(
        cmd!(shell, "tar --create --sort=name --format=gnu --mtime=@{epoch}")
            .args(["--owner=0", "--group=0", "--numeric-owner", "--mode=go=rX,u+rw", "--directory"])
            .args([layout.as_os_str(), "--file".as_ref(), file.as_os_str(), ".".as_ref()]),
    )
}
