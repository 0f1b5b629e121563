//! Looks at the files of a release.

use std::fs;
use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::error::{self, Error};

/// The list of hashes.
const SUMS: &str = "SHA256SUMS";

/// Largest size of the program, in bytes: what a CI job downloads and unpacks each time.
const LARGEST: u64 = 25 << 20;

/// Remarks of lintian that do not apply, each with the reason.
const LINTIAN: [(&str, &str); 5] = [
    ("empty-field", "the program is static and depends on nothing"),
    ("initial-upload-closes-no-bugs", "it is not uploaded to Debian"),
    ("shared-library-lacks-prerequisites", "a static program whose addresses are random"),
    ("statically-linked-binary", "one file runs on every distribution"),
    ("uses-dpkg-database-directly", "the script in it that cleans the root of a guest system"),
];

/// Remarks of rpmlint that do not apply.
const RPMLINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../rpmlint.toml");

/// Writes the hash of each file.
pub(super) fn sums(shell: &Shell, out: &Path) -> Result<(), Error> {
    let _directory = shell.push_dir(out);
    let names: Vec<_> = files(out)?
        .iter()
        .filter_map(|file| file.file_name()?.to_str().map(str::to_owned))
        .collect();
    let text = cmd!(shell, "sha256sum {names...}").quiet().read()?;
    println!("{text}");
    shell.write_file(SUMS, text + "\n")?;
    Ok(())
}

/// Compares two releases, byte for byte.
pub(super) fn same(first: &Path, second: &Path) -> Result<(), Error> {
    let read = |directory: &Path| {
        let path = directory.join(SUMS);
        fs::read_to_string(&path).map_err(|source| Error::File { doing: "read", path, source })
    };
    let (first, second) = (read(first)?, read(second)?);
    let other: Vec<_> =
        first.lines().filter(|line| !second.lines().any(|it| it == *line)).collect();
    if other.is_empty() {
        println!("two builds are the same, byte for byte");
        return Ok(());
    }
    Err(Error::Output {
        program: "the second build",
        what: format!("these files differ:\n{}", other.join("\n")),
    })
}

/// Checks the packages with the distributions' own tools, and the size of the program.
pub(super) fn packages(shell: &Shell, out: &Path) -> Result<(), Error> {
    for file in files(out)? {
        match file.extension().and_then(|it| it.to_str()) {
            Some("deb") => {
                let tags = LINTIAN.map(|(tag, _)| tag).join(",");
                error::run(cmd!(
                    shell,
                    "lintian --fail-on error,warning --suppress-tags {tags} {file}"
                ))?;
                install(shell, &file)?;
            }
            Some("rpm") => error::run(cmd!(shell, "rpmlint --config {RPMLINT} {file}"))?,
            Some("tar") => run(shell, &file)?,
            _ => {}
        }
    }
    Ok(())
}

/// Installs the package in a root of its own, with all that it depends on and recommends, and runs
/// the program.
fn install(shell: &Shell, package: &Path) -> Result<(), Error> {
    let room = shell.create_temp_dir()?;
    let copy = room.path().join("perfsec.deb");
    shell.copy_file(package, &copy)?;
    let hook =
        "chroot \"$1\" perfsec --version --verbose && chroot \"$1\" perfsec doctor --for run";
    error::run(
        // Of all packages there, only this one's recommendations are wanted.
        cmd!(shell, "mmdebstrap --quiet --variant=apt --include={copy}")
            .arg("--include=qemu-system-x86,secilc")
            .args(["--hook-dir=/usr/share/mmdebstrap/hooks/file-mirror-automount"])
            .args(["--customize-hook", hook, "trixie", "/dev/null"]),
    )?;
    let size = cmd!(shell, "dpkg-deb --fsys-tarfile {copy}").quiet().output()?.stdout.len() as u64;
    if size > LARGEST {
        return Err(Error::Output {
            program: "dpkg-deb",
            what: format!("the package unpacks to {size} bytes (at most {LARGEST} expected)"),
        });
    }
    Ok(())
}

/// Runs the image with a runtime.
fn run(shell: &Shell, image: &Path) -> Result<(), Error> {
    let room = shell.create_temp_dir()?;
    let (layout, bundle) = (room.path().join("image"), room.path().join("bundle"));
    shell.create_dir(&layout)?;
    cmd!(shell, "tar --extract --directory {layout} --file {image}").quiet().run()?;
    let tag = cmd!(shell, "umoci list --layout {layout}").quiet().read()?;
    let tag = format!("{}:{tag}", layout.display());
    cmd!(shell, "umoci unpack --image {tag} {bundle}").quiet().run()?;
    let _directory = shell.push_dir(&bundle);
    let config = shell.read_file("config.json")?;
    let mut config: serde_json::Value = serde_json::from_str(&config).map_err(|error| {
        Error::Output { program: "umoci unpack", what: format!("config.json: {error}") }
    })?;
    config["process"]["args"] = serde_json::json!(["/usr/bin/perfsec", "--version", "--verbose"]);
    config["process"]["terminal"] = false.into();
    shell.write_file("config.json", config.to_string())?;
    error::run(cmd!(shell, "runc run perfsec-dist-check"))
}

/// The files of a release, sorted, without the list of hashes.
fn files(out: &Path) -> Result<Vec<PathBuf>, Error> {
    let wrong = |source| Error::File { doing: "list", path: out.to_owned(), source };
    let entries = fs::read_dir(out).map_err(wrong)?;
    let mut files = Vec::new();
    for entry in entries {
        files.push(entry.map_err(wrong)?.path());
    }
    files.retain(|file| file.file_name().is_some_and(|name| name != SUMS));
    files.sort();
    Ok(files)
}
