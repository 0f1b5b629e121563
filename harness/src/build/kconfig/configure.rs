//! Configures a kernel tree: the kernel's own `tinyconfig` and merge_config.sh, and then the check.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::check::{Unmet, unmet};
use super::definition::Tree;
use super::error::{Dropped, KconfigError};
use super::fragment::Fragment;
use super::reason::Reason;
use crate::kernel::{Config, KernelVersion};
use crate::printable::printable_line;

/// Where the steps leave their files, below the folder of the build. Hidden, so that no folder of the
/// kernel is ever called the same.
const ROOM: &str = ".perfsec-kconfig";

/// The merged configuration as it is called in the folder of the build.
const RESULT: &str = ".config";

/// A tree, and the folder in which it is built.
#[derive(Clone, Debug)]
pub struct Configure<'a> {
    /// The kernel's source, never built in place.
    pub tree: &'a Path,
    /// The folder for `O=`, an absolute path; it exists.
    pub out: &'a Path,
    /// The tree's version.
    pub version: KernelVersion,
    /// What every `make` of this build is given, such as `CC=ccache gcc`: Kconfig asks the compiler.
    pub make: &'a [String],
}

impl Configure<'_> {
    /// Writes `.config` in the folder of the build, and reads it back.
    ///
    /// `run` executes one command and says whether it ended well. A `.config` that stays the same
    /// keeps its time, so that the build that follows is as small as it can be.
    ///
    /// # Errors
    ///
    /// Those of `run`; a file that cannot be written; and every option that did not come out as it was
    /// asked for, with the reason. Then the former `.config` is still in place.
    pub fn run<E: From<KconfigError>>(
        &self,
        fragments: &[Fragment],
        run: &mut dyn FnMut(Command) -> Result<(), E>,
    ) -> Result<Config, E> {
        let fit = [self.tree, self.out].into_iter().try_for_each(takes_folder);
        fit.map_err(E::from)?;
        let room = self.out.join(ROOM);
        let files = self.write(&room, fragments)?;
        let [base, merged, result] = ["base", "merged", "config"].map(|name| room.join(name));

        run(self.make(&["tinyconfig".as_ref()], &base))?;
        run(self.merge(&base, &files, &merged))?;
        let all = joined("KCONFIG_ALLCONFIG=", &merged);
        run(self.make(&[&all, "allnoconfig".as_ref()], &result))?;

        let text = read(&result)?;
        let config = Config::parse(&text);
        let dropped = self.dropped(fragments, &config)?;
        if !dropped.is_empty() {
            return Err(KconfigError::Dropped { version: self.version, dropped }.into());
        }
        self.put(&result, &text)?;
        Ok(config)
    }

    /// Writes the fragments for merge_config.sh, which copies their comments from one to the next and
    /// takes an option's name there for its value: only the requests are written.
    fn write(&self, room: &Path, fragments: &[Fragment]) -> Result<Vec<PathBuf>, KconfigError> {
        fs::create_dir_all(room).map_err(failed("create", room))?;
        let write = |(index, fragment): (usize, &Fragment)| {
            let path = room.join(format!("{index:02}"));
            let text: String =
                fragment.requests.iter().map(|request| format!("{request}\n")).collect();
            fs::write(&path, text).map_err(failed("write", &path))?;
            Ok(path)
        };
        fragments.iter().enumerate().map(write).collect()
    }

    /// One `make` that leaves its configuration in a file of ours.
    fn make(&self, targets: &[&OsStr], result: &Path) -> Command {
        let mut command = Command::new("make");
        command
            .arg("-C")
            .arg(self.tree)
            .arg(joined("O=", self.out))
            // Else tinyconfig is a 32-bit one.
            .arg("ARCH=x86_64")
            .args(self.make)
            .args(targets)
            .env("KCONFIG_CONFIG", result);
        command
    }

    /// The kernel's script, without its own call of make: that one would not know our arguments.
    fn merge(&self, base: &Path, files: &[PathBuf], merged: &Path) -> Command {
        let mut command = Command::new(self.tree.join("scripts/kconfig/merge_config.sh"));
        command
            .arg("-m")
            .arg(base)
            .args(files)
            .env("KCONFIG_CONFIG", merged)
            // Its own files are made in the folder where it is called.
            .current_dir(self.out.join(ROOM));
        command
    }

    fn dropped(
        &self,
        fragments: &[Fragment],
        config: &Config,
    ) -> Result<Vec<Dropped>, KconfigError> {
        let unmet = unmet(fragments, config);
        if unmet.is_empty() {
            return Ok(Vec::new());
        }
        let tree = Tree::read(self.tree).map_err(failed("read", &self.tree.join("Kconfig")))?;
        Ok(dropped(&unmet, &tree, config, self.version))
    }

    /// Puts the result where the build looks for it, unless the same is there already.
    fn put(&self, result: &Path, text: &str) -> Result<(), KconfigError> {
        let path = self.out.join(RESULT);
        if fs::read(&path).is_ok_and(|former| former == text.as_bytes()) {
            return Ok(());
        }
        fs::rename(result, &path).map_err(failed("write", &path))
    }
}

/// What was not met and is to be told, with the reasons.
fn dropped(
    unmet: &[Unmet<'_>],
    tree: &Tree,
    config: &Config,
    version: KernelVersion,
) -> Vec<Dropped> {
    let tell = |Unmet { fragment, request }: &Unmet<'_>| {
        let reason = Reason::of(request, tree, config);
        let excused = match &reason {
            Reason::NoSuchOption { .. } => {
                fragment.generated || request.mark.is_some_and(|mark| mark.excuses(version))
            }
            Reason::NoPrompt { .. } | Reason::Renamed { .. } => fragment.generated,
            _ => false,
        };
        (!excused).then(|| Dropped {
            line: request.to_string(),
            place: format!("{}:{}", fragment.name, request.line),
            value: config.get(&format!("CONFIG_{}", request.symbol)).map(str::to_owned),
            defined: tree.definitions(&request.symbol).first().map(|own| own.place.to_string()),
            reason,
        })
    };
    unmet.iter().filter_map(tell).collect()
}

/// The kernel's Makefile and script take some folders apart.
fn takes_folder(path: &Path) -> Result<(), KconfigError> {
    let text = path.to_string_lossy();
    let what = match () {
        () if text.contains(char::is_whitespace) => "a space",
        () if text.contains(':') => "a colon",
        () => return Ok(()),
    };
    Err(KconfigError::Folder { path: printable_line(&text).into(), what })
}

fn read(path: &Path) -> Result<String, KconfigError> {
    fs::read_to_string(path).map_err(failed("read", path))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KconfigError {
    let path = path.to_owned();
    move |source| KconfigError::File { what, path, source }
}

fn joined(name: &str, path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(name);
    argument.push(path);
    argument
}
