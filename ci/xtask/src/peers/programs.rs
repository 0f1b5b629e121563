//! The third-party programs, fetched to a directory below `target/`.

use std::fs;
use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::error::Error;
use crate::setup;

/// The Python packages that read perfsec's reports, cases and templates.
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../peers.txt");

/// The Python packages that check the templates for labs.
const LABS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../labs/requirements.txt");

/// A Python package that contains axe, without the browser that it depends on. The package of axe
/// itself would need npm.
const AXE: &str = "axe-playwright-python==0.1.8";

/// The directories of third-party programs.
pub(crate) struct Peers {
    /// Programs from Python packages.
    bin: PathBuf,
    /// `tools/testing/kunit` from a kernel's source.
    kunit: PathBuf,
    /// The directory of everything that is fetched.
    room: PathBuf,
}

impl Peers {
    /// Fetches what is missing, to a directory below `target/`.
    pub(crate) fn obtain(shell: &Shell) -> Result<Self, Error> {
        let room = Path::new(setup::MANIFEST).with_file_name("target/peers");
        shell.create_dir(&room)?;
        let room = shell.current_dir().join(room);
        let bin = python(shell, &room.join("python"), REQUIREMENTS)?;
        Ok(Self { bin, kunit: kunit(shell, &room)?, room })
    }

    /// The programs of the packages that check the templates for labs.
    pub(super) fn labs(&self, shell: &Shell) -> Result<PathBuf, Error> {
        python(shell, &self.room.join("labs"), LABS)
    }

    /// The script of axe, which checks pages for accessibility.
    pub(super) fn axe(&self, shell: &Shell) -> Result<PathBuf, Error> {
        let place = self.room.join(AXE);
        let script = place.join("axe_playwright_python/axe.min.js");
        if !script.is_file() {
            eprintln!("fetching the Python package {AXE}");
            shell.create_dir(&place)?;
            let work = shell.create_temp_dir()?;
            let _directory = shell.push_dir(work.path());
            let (pip, python) = (self.bin.join("pip"), self.bin.join("python3"));
            cmd!(shell, "{pip} download --quiet --disable-pip-version-check --no-deps {AXE}")
                .quiet()
                .run()?;
            let wheel = shell.read_dir(".")?.pop().unwrap_or_default();
            cmd!(shell, "{python} -m zipfile --extract {wheel} {place}").quiet().run()?;
        }
        Ok(script)
    }

    /// The files of packages of the distribution, below one directory: unlike an installation, this
    /// needs no root and starts no service.
    pub(super) fn unpacked(&self, shell: &Shell, packages: &[&str]) -> Result<PathBuf, Error> {
        let place = self.room.join(packages[0]);
        let mark = place.join("unpacked.txt");
        let wanted = packages.join("\n");
        if fs::read_to_string(&mark).ok().as_ref() != Some(&wanted) {
            eprintln!("fetching Debian packages: {} and what it needs", packages[0]);
            shell.remove_path(&place)?;
            shell.create_dir(&place)?;
            let work = shell.create_temp_dir()?;
            let _directory = shell.push_dir(work.path());
            cmd!(shell, "apt-get --quiet=2 download {packages...}").quiet().run()?;
            for package in shell.read_dir(".")? {
                cmd!(shell, "dpkg-deb --extract {package} {place}").quiet().run()?;
            }
            shell.write_file(&mark, wanted)?;
        }
        Ok(place)
    }

    /// The environment variables through which tests find them.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        vec![
            ("PATH", format!("{}:{path}", self.bin.display())),
            ("PERFSEC_PYTHON", self.bin.join("python3").display().to_string()),
            ("PERFSEC_KUNIT", self.kunit.display().to_string()),
        ]
    }
}

/// Creates a virtual environment with the packages, unless it exists, and returns its programs.
fn python(shell: &Shell, place: &Path, requirements: &str) -> Result<PathBuf, Error> {
    let wanted = shell.read_file(requirements)?;
    let mark = place.join("installed.txt");
    if fs::read_to_string(&mark).ok().as_ref() != Some(&wanted) {
        eprintln!("fetching the Python packages of {requirements}");
        cmd!(shell, "python3 -m venv --clear {place}").quiet().run()?;
        let pip = place.join("bin/pip");
        cmd!(
            shell,
            "{pip} install --quiet --disable-pip-version-check --requirement {requirements}"
        )
        .quiet()
        .run()?;
        shell.write_file(&mark, wanted)?;
    }
    Ok(place.join("bin"))
}

/// Fetches the kernel's own parser of test results from the distribution's source package.
fn kunit(shell: &Shell, room: &Path) -> Result<PathBuf, Error> {
    let place = room.join("kunit");
    if place.join("kunit_parser.py").is_file() {
        return Ok(place);
    }
    let names =
        cmd!(shell, "apt-cache --names-only search ^linux-source-[0-9.]+$").quiet().read()?;
    let names = names.lines().filter_map(|line| line.split_whitespace().next());
    let name = names.max_by_key(|name| version(name)).ok_or_else(|| Error::Output {
        program: "apt-cache",
        what: "no package linux-source-VERSION".to_owned(),
    })?;
    eprintln!("fetching the kernel's parser of test results: {name}");
    let work = shell.create_temp_dir()?;
    let _directory = shell.push_dir(work.path());
    cmd!(shell, "apt-get --quiet=2 download {name}").quiet().run()?;
    let package = shell.read_dir(".")?.pop().unwrap_or_default();
    cmd!(shell, "dpkg-deb --extract {package} .").quiet().run()?;
    cmd!(shell, "tar --extract --file usr/src/{name}.tar.xz {name}/tools/testing/kunit")
        .quiet()
        .run()?;
    shell.remove_path(&place)?;
    cmd!(shell, "cp --recursive {name}/tools/testing/kunit {place}").quiet().run()?;
    Ok(place)
}

/// The version numbers in a package's name.
fn version(name: &str) -> Vec<u32> {
    let numbers = name.split(['-', '.']).filter_map(|part| part.parse().ok());
    numbers.collect()
}
