//! The archive: the program with man pages, completions, licences and the change log.

use std::path::Path;

use xshell::cmd;

use super::Release;
use crate::error::{self, Error};

/// Files of the tree in the archive.
const FILES: [&str; 4] = ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// Writes `perfsec-VERSION-x86_64-linux.tar.gz`.
pub(super) fn archive(release: &Release<'_>, program: &Path) -> Result<(), Error> {
    let Release { shell, source, out, work } = release;
    let name = format!("perfsec-{}-x86_64-linux", source.version);
    let room = work.join(&name);
    shell.create_dir(&room)?;
    shell.copy_file(program, &room)?;
    for file in FILES {
        shell.copy_file(source.tree.join(file), &room)?;
    }
    // Jobs of GitHub and GitLab run one of these, jobs of labs the other.
    shell.create_dir(room.join("ci"))?;
    for script in ["ci/run.sh", "ci/templates/gate.sh"] {
        shell.copy_file(source.tree.join(script), room.join("ci"))?;
    }
    cmd!(shell, "cp --recursive {work}/man {work}/completions {room}").quiet().run()?;
    let (file, epoch) = (out.join(format!("{name}.tar.gz")), &source.epoch);
    error::run(
        cmd!(shell, "tar --create --sort=name --format=gnu --mtime=@{epoch}")
            .args(["--owner=0", "--group=0", "--numeric-owner", "--mode=go=rX,u+rw,a-s"])
            .args(["--use-compress-program=gzip --best --no-name", "--directory"])
            .args([work.as_os_str(), "--file".as_ref(), file.as_os_str(), name.as_ref()]),
    )
}
