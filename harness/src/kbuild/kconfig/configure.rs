//! Configures a kernel tree: the kernel's own `tinyconfig` and merge_config.sh, and then the check.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::check::{Asked, Requests};
use super::definition::Tree;
use super::error::{Dropped, KconfigError};
use super::fragment::Fragment;
use super::reason::Reason;
use crate::kernel::{Arch, Config, KernelVersion};
use crate::printable::printable_line;

/// The folder below that of the build in which the configuration is made: it has its own `O=`, so that
/// the build's `.config` is touched only when all is well and something has changed. Hidden, so that
/// no folder of the kernel is ever called the same.
const ROOM: &str = ".perfsec-kconfig";

/// What a configuration is called, in either.
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
        let merged = room.join("merged.config");

        run(self.make(&room, &["tinyconfig".as_ref()]))?;
        run(self.merge(&room, &files, &merged))?;
        let all = joined("KCONFIG_ALLCONFIG=", &merged);
        run(self.make(&room, &[&all, "allnoconfig".as_ref()]))?;

        let result = room.join(RESULT);
        let text = fs::read_to_string(&result).map_err(failed("read", &result))?;
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
            let path = room.join(format!("{index:02}.config"));
            let text: String =
                fragment.requests.iter().map(|request| format!("{request}\n")).collect();
            fs::write(&path, text).map_err(failed("write", &path))?;
            Ok(path)
        };
        fragments.iter().enumerate().map(write).collect()
    }

    fn make(&self, room: &Path, targets: &[&OsStr]) -> Command {
        let mut command = Command::new("make");
        command
            .arg("-C")
            .arg(self.tree)
            .arg(joined("O=", room))
            // Else tinyconfig is a 32-bit one.
            .arg(format!("ARCH={}", Arch::X86_64))
            .args(self.make)
            .args(targets)
            .env_remove("KCONFIG_CONFIG");
        command
    }

    /// The kernel's script, without its own call of make: that one would not know our arguments.
    fn merge(&self, room: &Path, files: &[PathBuf], merged: &Path) -> Command {
        let mut command = Command::new(self.tree.join("scripts/kconfig/merge_config.sh"));
        command
            .arg("-m")
            .arg(room.join(RESULT))
            .args(files)
            .env("KCONFIG_CONFIG", merged)
            // Its own files are made in the folder where it is called.
            .current_dir(room);
        command
    }

    fn dropped(
        &self,
        fragments: &[Fragment],
        config: &Config,
    ) -> Result<Vec<Dropped>, KconfigError> {
        let requests = Requests::of(fragments);
        if requests.unmet(config).is_empty() {
            return Ok(Vec::new());
        }
        let tree = Tree::read(self.tree).map_err(failed("read", &self.tree.join("Kconfig")))?;
        Ok(dropped(&requests, &tree, config, self.version))
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
    requests: &Requests<'_>,
    tree: &Tree,
    config: &Config,
    version: KernelVersion,
) -> Vec<Dropped> {
    let tell = |asked: Asked<'_>| {
        let Asked { fragment, index, request } = asked;
        let reason = Reason::of(request, requests, tree, config);
        let excused = match &reason {
            Reason::NoSuchOption { .. } => {
                fragment.generated || request.mark.is_some_and(|mark| mark.excuses(version))
            }
            Reason::NoPrompt { .. } | Reason::Renamed { .. } => fragment.generated,
            // A later fragment that asks for another answer of a choice takes this one back.
            Reason::Choice { winner } => {
                requests.get(winner).is_some_and(|other| other.index > index)
            }
            _ => false,
        };
        (!excused).then(|| Dropped {
            line: request.to_string(),
            place: asked.place(),
            value: config.get(&format!("CONFIG_{}", request.symbol)).map(str::to_owned),
            defined: tree.definitions(&request.symbol).first().map(|own| own.place.to_string()),
            reason,
        })
    };
    requests.unmet(config).into_iter().filter_map(tell).collect()
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

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KconfigError {
    let path = path.to_owned();
    move |source| KconfigError::File { what, path, source }
}

fn joined(name: &str, path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(name);
    argument.push(path);
    argument
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rstest::rstest;

    use super::super::fixture::{tree, write};
    use super::*;

    fn version() -> KernelVersion {
        KernelVersion::new(6, 1, 192)
    }

    fn fragments(all: &[(&str, &str)]) -> Vec<Fragment> {
        all.iter().map(|(name, text)| Fragment::parse(name, text).unwrap()).collect()
    }

    /// What is told of a fragment in a tree of one file, when this came out.
    fn told(kconfig: &str, fragment: &str, config: &str) -> Vec<String> {
        told_of(kconfig, &[("own", fragment)], config)
    }

    fn told_of(kconfig: &str, all: &[(&str, &str)], config: &str) -> Vec<String> {
        let (_folder, tree) = tree(&[("Kconfig", kconfig)]);
        let fragments = fragments(all);
        let config = Config::parse(config);
        let dropped = dropped(&Requests::of(&fragments), &tree, &config, version());
        dropped.iter().map(Dropped::to_string).collect()
    }

    #[rstest]
    #[case("CONFIG_GONE=y", 1)]
    #[case("# optional: a patch\nCONFIG_GONE=y", 0)]
    #[case("# since 6.4\nCONFIG_GONE=y", 0)]
    #[case("# since 5.10\nCONFIG_GONE=y", 1)]
    #[case("# until 5.18\nCONFIG_GONE=y", 0)]
    // What the tree has must come out, whatever the mark.
    #[case("# since 6.4\nCONFIG_A=y", 1)]
    #[case("# optional\nCONFIG_A=y", 1)]
    fn a_mark_excuses_only_what_the_tree_lacks(#[case] fragment: &str, #[case] told: usize) {
        assert_eq!(self::told("config A\n\tbool \"a\"\n", fragment, "").len(), told, "{fragment}");
    }

    #[test]
    fn of_a_whole_configuration_only_what_could_be_asked_for_is_told() {
        let head = "#\n# Automatically generated file; DO NOT EDIT.\n";
        let kconfig = "config A\n\tbool\nconfig B\n\tbool \"b\"\n\tdepends on A\n";
        let all = "CONFIG_A=y\nCONFIG_B=y\nCONFIG_GONE=y\n";
        assert_eq!(told(kconfig, all, "").len(), 3);
        assert_eq!(
            told(kconfig, &format!("{head}{all}"), ""),
            ["CONFIG_B=y (own:4) is not set: it needs A, which was dropped too (Kconfig:3)"]
        );
    }

    #[test]
    fn a_later_fragment_takes_another_answer_of_a_choice() {
        let kconfig = "choice\n\tprompt \"c\"\nconfig LZ4\n\tbool \"lz4\"\nconfig GZIP\n\tbool \
            \"gzip\"\nendchoice\n";
        let [lz4, gzip] = [("one", "CONFIG_LZ4=y\n"), ("two", "CONFIG_GZIP=y\n")];
        assert_eq!(told_of(kconfig, &[lz4, gzip], "CONFIG_GZIP=y\n"), [""; 0]);
        assert_eq!(told_of(kconfig, &[gzip, lz4], "CONFIG_GZIP=y\n").len(), 1);
    }

    #[test]
    fn the_fragment_is_told_that_turns_off_what_another_needs() {
        let kconfig = "config A\n\tbool \"a\"\nconfig B\n\tbool \"b\"\n\tdepends on A\n";
        let all = [("one", "CONFIG_A=y\nCONFIG_B=y\n"), ("two", "# CONFIG_A is not set\n")];
        assert_eq!(
            told_of(kconfig, &all, ""),
            ["CONFIG_B=y (one:2) is not set: it needs A, which two:1 turns off (Kconfig:3)"]
        );
    }

    /// A kernel tree whose make and script do what `make` says, as far as configuring goes.
    struct Sham {
        _folder: tempfile::TempDir,
        tree: PathBuf,
        out: PathBuf,
    }

    impl Sham {
        /// The script joins its files; a `make` of the last step copies what was merged, without
        /// the options that `drops` names.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let [tree, out] = ["tree", "out"].map(|name| folder.path().join(name));
            write(&tree.join("Kconfig"), "config A\n\tbool \"a\"\n\tdepends on B\n");
            let script = tree.join("scripts/kconfig/merge_config.sh");
            write(&script, "#!/bin/sh\nshift\ncat \"$@\" > \"$KCONFIG_CONFIG\"\n");
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
            write(
                &tree.join("Makefile"),
                "tinyconfig:\n\techo CONFIG_BASE=y > $(O)/.config\n\
                 allnoconfig:\n\tgrep -v '$(DROPS)' $(KCONFIG_ALLCONFIG) > $(O)/.config\n",
            );
            fs::create_dir(&out).unwrap();
            Self { _folder: folder, tree, out }
        }

        fn run(&self, fragments: &[Fragment], drops: &str) -> Result<Config, KconfigError> {
            let make = [format!("DROPS={drops}"), "--silent".to_owned()];
            let configure =
                Configure { tree: &self.tree, out: &self.out, version: version(), make: &make };
            configure.run(fragments, &mut |mut command| {
                assert!(command.status().unwrap().success(), "{command:?}");
                Ok(())
            })
        }

        fn result(&self) -> PathBuf {
            self.out.join(RESULT)
        }
    }

    #[test]
    fn what_was_asked_for_is_merged_in_its_order_over_the_base() {
        let sham = Sham::new();
        let all = fragments(&[("one", "CONFIG_A=y\n"), ("two", "# a\nCONFIG_C=\"d e\"\n")]);
        let config = sham.run(&all, "nothing").unwrap();
        assert_eq!(config.get("CONFIG_C"), Some("d e"));
        let text = fs::read_to_string(sham.result()).unwrap();
        assert_eq!(text, "CONFIG_BASE=y\nCONFIG_A=y\nCONFIG_C=\"d e\"\n");
    }

    #[test]
    fn a_configuration_that_stays_the_same_keeps_its_time() {
        let sham = Sham::new();
        let time = || fs::metadata(sham.result()).unwrap().modified().unwrap();
        let all = fragments(&[("own", "CONFIG_A=y\n")]);
        sham.run(&all, "nothing").unwrap();
        let past = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        fs::File::options().write(true).open(sham.result()).unwrap().set_modified(past).unwrap();
        sham.run(&all, "nothing").unwrap();
        assert_eq!(time(), past);
        sham.run(&fragments(&[("own", "# CONFIG_A is not set\n")]), "nothing").unwrap();
        assert!(time() > past);
    }

    #[test]
    fn a_dropped_option_is_an_error_and_leaves_the_former_configuration() {
        let sham = Sham::new();
        sham.run(&fragments(&[("own", "CONFIG_C=y\n")]), "nothing").unwrap();
        let former = fs::read(sham.result()).unwrap();
        let error = sham.run(&fragments(&[("own", "CONFIG_A=y\n")]), "CONFIG_A").unwrap_err();
        assert_eq!(
            error.to_string(),
            "configure Linux 6.1.192: 1 option did not come out as asked for\n  \
             CONFIG_A=y (own:1) is not set: it needs B, which this tree does not have (Kconfig:1)"
        );
        assert_eq!(fs::read(sham.result()).unwrap(), former);
    }

    #[test]
    fn a_command_that_fails_ends_it() {
        let sham = Sham::new();
        let configure =
            Configure { tree: &sham.tree, out: &sham.out, version: version(), make: &[] };
        let mut run = 0;
        let error = configure.run(&[], &mut |_| {
            run += 1;
            let source = io::Error::other("stop");
            Err(KconfigError::File { what: "run", path: "make".into(), source })
        });
        assert!(matches!(error, Err(KconfigError::File { what: "run", .. })));
        assert_eq!(run, 1);
    }

    #[rstest]
    #[case("/a b/out", "a space")]
    #[case("/a:b/out", "a colon")]
    fn a_folder_that_make_takes_apart_is_refused_before_anything_runs(
        #[case] out: &str,
        #[case] what: &str,
    ) {
        let make = [];
        let configure = Configure {
            tree: Path::new("/tree"),
            out: Path::new(out),
            version: version(),
            make: &make,
        };
        let error = configure.run::<KconfigError>(&[], &mut |_| panic!("a command"));
        assert!(error.unwrap_err().to_string().contains(what));
    }

    #[test]
    #[ignore = "needs the package registry, 2 GB, make and gcc"]
    fn a_real_tree_takes_every_fragment_of_ours() {
        let source = super::super::fixture::real_tree();
        let tree = source.directory();
        let folder = tempfile::tempdir().unwrap();
        let configure = Configure {
            tree,
            out: folder.path(),
            version: crate::source::version_of_tree(tree).unwrap(),
            make: &["--silent".to_owned()],
        };
        let others: [&[&str]; 6] =
            [&[], &["debug"], &["distro-like"], &["no-audit"], &["no-develop"], &["no-selinux"]];
        let mut wrong = Vec::new();
        for others in others {
            let all: Vec<_> = super::super::DEFAULT
                .iter()
                .chain(others)
                .map(|name| Fragment::named_or_file(name).unwrap())
                .collect();
            let done = configure.run(&all, &mut |mut command| {
                assert!(command.output().unwrap().status.success(), "{command:?}");
                Ok::<(), KconfigError>(())
            });
            if let Err(error) = done {
                wrong.push(format!("{others:?}: {error}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
