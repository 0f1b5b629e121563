//! Configures a kernel tree with its own `tinyconfig` and merge_config.sh, and checks the result.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::check::{MergedRequests, PlacedRequest};
use super::definition::Tree;
use super::error::{DroppedOption, KconfigError};
use super::fragment::{Author, Fragment, TreeMark};
use super::lack::Lack;
use super::reason::Reason;
use crate::foreign;
use crate::kernel::{Arch, Config, KernelVersion};

/// Subdirectory of the build directory, used as `O=` for configuring: the build's `.config` is
/// replaced only if everything succeeded and something changed. Hidden, so that it never has the
/// name of a directory in the kernel tree.
const ROOM: &str = ".perfsec-kconfig";

/// Name of the configuration in both directories.
const RESULT: &str = ".config";

/// Configures one tree for one build directory.
#[derive(Clone, Debug)]
pub struct Configurator<'a> {
    /// The source tree, never built in place.
    pub tree: &'a Path,
    /// The directory for `O=`: an absolute path that exists.
    pub out: &'a Path,
    /// The tree's version.
    pub version: KernelVersion,
    /// Variables for every `make`, such as `CC=ccache gcc`: Kconfig runs the compiler.
    pub make: &'a [String],
}

impl Configurator<'_> {
    /// Writes `.config` in the build directory, and returns it.
    ///
    /// `run` executes one command and fails if the command does. An unchanged `.config` keeps its
    /// modification time, so that the following build is incremental.
    ///
    /// # Errors
    ///
    /// An error of `run`, a file that cannot be written, or the options that do not have the
    /// requested value, with reasons. The old `.config` stays in place then.
    pub fn run<E: From<KconfigError>>(
        &self,
        fragments: &[Fragment],
        run: &mut dyn FnMut(Command) -> Result<(), E>,
    ) -> Result<Config, E> {
        let fit = [self.tree, self.out].into_iter().try_for_each(check_folder);
        fit.map_err(E::from)?;
        let room = self.out.join(ROOM);
        let files = self.write(&room, fragments)?;
        let merged = room.join("merged.config");

        run(self.make(&room, &["tinyconfig".as_ref()]))?;
        run(self.merge(&room, &files, &merged))?;
        let all = joined("KCONFIG_ALLCONFIG=", &merged);
        run(self.make(&room, &[&all, "allnoconfig".as_ref()]))?;

        let result = room.join(RESULT);
        let text =
            foreign::read_text(&result, &foreign::CONFIG).map_err(failed("read", &result))?;
        let config = Config::parse(&text);
        let dropped = self.dropped(fragments, &config)?;
        if !dropped.is_empty() {
            return Err(KconfigError::Dropped { version: self.version, dropped }.into());
        }
        self.install(&result, &text)?;
        Ok(config)
    }

    /// Writes only the requests of the fragments for merge_config.sh, which would copy comments
    /// too and mistake an option's name in a comment for its value.
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
            // Otherwise tinyconfig is for 32 bits.
            .arg(format!("ARCH={}", Arch::X86_64))
            .args(self.make)
            .args(targets)
            .env_remove("KCONFIG_CONFIG");
        command
    }

    /// The kernel's script, without its own call of make, which would lack our arguments.
    fn merge(&self, room: &Path, files: &[PathBuf], merged: &Path) -> Command {
        let mut command = Command::new(self.tree.join("scripts/kconfig/merge_config.sh"));
        command
            .arg("-m")
            .arg(room.join(RESULT))
            .args(files)
            .env("KCONFIG_CONFIG", merged)
            // It creates temporary files in the current directory.
            .current_dir(room);
        command
    }

    fn dropped(
        &self,
        fragments: &[Fragment],
        config: &Config,
    ) -> Result<Vec<DroppedOption>, KconfigError> {
        let requests = MergedRequests::merge(fragments);
        if requests.unmet(config).is_empty() {
            return Ok(Vec::new());
        }
        let tree = Tree::read(self.tree).map_err(failed("read", &self.tree.join("Kconfig")))?;
        Ok(dropped(&requests, &tree, config, self.version))
    }

    /// Moves the result to the build directory, unless it is the same.
    fn install(&self, result: &Path, text: &str) -> Result<(), KconfigError> {
        let path = self.out.join(RESULT);
        let former = foreign::read(&path, &foreign::CONFIG);
        if former.is_ok_and(|former| former == text.as_bytes()) {
            return Ok(());
        }
        fs::rename(result, &path).map_err(failed("write", &path))
    }
}

/// The unmet requests that no mark excuses, with their reasons.
fn dropped(
    requests: &MergedRequests<'_>,
    tree: &Tree,
    config: &Config,
    version: KernelVersion,
) -> Vec<DroppedOption> {
    let report = |asked: PlacedRequest<'_>| {
        let PlacedRequest { fragment, index, request } = asked;
        let reason = Reason::find(request, requests, tree, config);
        let excused = match &reason {
            _ if fragment.author == Author::Mixture => true,
            Reason::NoSuchOption { .. } => {
                fragment.author == Author::Build
                    || request.mark.is_some_and(|mark| mark.excuses(version))
            }
            // An option that is BROKEN in an old tree works from the release of its mark on.
            Reason::Needs(lacks) if lacks.iter().any(Lack::is_broken) => {
                matches!(request.mark, Some(mark @ TreeMark::Since(_)) if mark.excuses(version))
            }
            Reason::NoPrompt { .. } | Reason::Renamed { .. } => fragment.author == Author::Build,
            // A later fragment that selects another member of the choice overrides this request.
            Reason::Choice { winner } => {
                requests.get(winner).is_some_and(|other| other.index > index)
            }
            _ => false,
        };
        (!excused).then(|| DroppedOption {
            line: request.to_string(),
            location: asked.location(),
            value: config.get(&format!("CONFIG_{}", request.symbol)).map(str::to_owned),
            defined: tree.definitions(&request.symbol).first().map(|own| own.location.to_string()),
            reason,
        })
    };
    requests.unmet(config).into_iter().filter_map(report).collect()
}

/// Refuses paths that the kernel's Makefile or script would split.
fn check_folder(path: &Path) -> Result<(), KconfigError> {
    let text = path.to_string_lossy();
    let what = match () {
        () if text.contains(char::is_whitespace) => "a space",
        () if text.contains(':') => "a colon",
        () => return Ok(()),
    };
    Err(KconfigError::Folder { path: path.to_owned(), what })
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

    /// The report about one fragment in a tree of one file with this resulting configuration.
    fn report(kconfig: &str, fragment: &str, config: &str) -> Vec<String> {
        report_all(kconfig, &[("own", fragment)], config)
    }

    fn report_all(kconfig: &str, all: &[(&str, &str)], config: &str) -> Vec<String> {
        let (_folder, tree) = tree(&[("Kconfig", kconfig)]);
        let fragments = fragments(all);
        let config = Config::parse(config);
        let dropped = dropped(&MergedRequests::merge(&fragments), &tree, &config, version());
        dropped.iter().map(DroppedOption::to_string).collect()
    }

    #[rstest]
    #[case("CONFIG_GONE=y", 1)]
    #[case("# optional: a patch\nCONFIG_GONE=y", 0)]
    #[case("# since 6.4\nCONFIG_GONE=y", 0)]
    #[case("# since 5.10\nCONFIG_GONE=y", 1)]
    #[case("# until 5.18\nCONFIG_GONE=y", 0)]
    // A mark does not excuse an option that the tree has.
    #[case("# since 6.4\nCONFIG_A=y", 1)]
    #[case("# optional\nCONFIG_A=y", 1)]
    fn a_mark_excuses_only_options_that_the_tree_lacks(
        #[case] fragment: &str,
        #[case] reported: usize,
    ) {
        let report = report("config A\n\tbool \"a\"\n", fragment, "");
        assert_eq!(report.len(), reported, "{fragment}");
    }

    #[rstest]
    #[case("CONFIG_A=y", "BROKEN || COMPILE_TEST", 1)]
    #[case("# since 6.4\nCONFIG_A=y", "BROKEN || COMPILE_TEST", 0)]
    #[case("# since 6.4\nCONFIG_A=y", "BROKEN", 0)]
    #[case("# since 5.10\nCONFIG_A=y", "BROKEN || COMPILE_TEST", 1)]
    #[case("# optional\nCONFIG_A=y", "BROKEN", 1)]
    #[case("# since 6.4\nCONFIG_A=y", "COMPILE_TEST", 1)]
    fn a_mark_of_a_release_excuses_an_option_that_was_broken_before(
        #[case] fragment: &str,
        #[case] depends: &str,
        #[case] reported: usize,
    ) {
        let kconfig = format!(
            "config A\n\tbool \"a\"\n\tdepends on {depends}\nconfig BROKEN\n\tbool\n\
             config COMPILE_TEST\n\tbool \"c\"\n"
        );
        let report = report(&kconfig, fragment, "");
        assert_eq!(report.len(), reported, "{report:?}");
    }

    #[test]
    fn of_a_generated_configuration_only_options_with_a_prompt_are_reported() {
        let head = "#\n# Automatically generated file; DO NOT EDIT.\n";
        let kconfig = "config A\n\tbool\nconfig B\n\tbool \"b\"\n\tdepends on A\n";
        let all = "CONFIG_A=y\nCONFIG_B=y\nCONFIG_GONE=y\n";
        assert_eq!(report(kconfig, all, "").len(), 3);
        assert_eq!(
            report(kconfig, &format!("{head}{all}"), ""),
            ["CONFIG_B=y (own:4) is not set: it needs A, which was dropped too (Kconfig:3)"]
        );
    }

    #[test]
    fn of_a_mixture_nothing_is_reported() {
        let (_folder, tree) = tree(&[("Kconfig", "config A\n\tbool \"a\"\n\tdepends on B\n")]);
        let all = [Fragment::mixture("m", &Config::parse("CONFIG_A=y\nCONFIG_GONE=y\n"))];
        let requests = MergedRequests::merge(&all);
        assert!(dropped(&requests, &tree, &Config::default(), version()).is_empty());
    }

    #[test]
    fn a_later_fragment_may_select_another_member_of_a_choice() {
        let kconfig = "choice\n\tprompt \"c\"\nconfig LZ4\n\tbool \"lz4\"\nconfig GZIP\n\tbool \
            \"gzip\"\nendchoice\n";
        let [lz4, gzip] = [("one", "CONFIG_LZ4=y\n"), ("two", "CONFIG_GZIP=y\n")];
        assert_eq!(report_all(kconfig, &[lz4, gzip], "CONFIG_GZIP=y\n"), [""; 0]);
        assert_eq!(report_all(kconfig, &[gzip, lz4], "CONFIG_GZIP=y\n").len(), 1);
    }

    #[test]
    fn the_report_names_the_fragment_that_turns_off_a_dependency() {
        let kconfig = "config A\n\tbool \"a\"\nconfig B\n\tbool \"b\"\n\tdepends on A\n";
        let all = [("one", "CONFIG_A=y\nCONFIG_B=y\n"), ("two", "# CONFIG_A is not set\n")];
        assert_eq!(
            report_all(kconfig, &all, ""),
            ["CONFIG_B=y (one:2) is not set: it needs A, which two:1 turns off (Kconfig:3)"]
        );
    }

    /// A kernel tree with a Makefile and a script that can only configure.
    struct FakeMake {
        _folder: tempfile::TempDir,
        tree: PathBuf,
        out: PathBuf,
    }

    impl FakeMake {
        /// The script concatenates its files; the last `make` copies the result without the
        /// options that `drops` names.
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
                Configurator { tree: &self.tree, out: &self.out, version: version(), make: &make };
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
    fn requests_are_merged_in_order_over_the_base() {
        let fake = FakeMake::new();
        let all = fragments(&[("one", "CONFIG_A=y\n"), ("two", "# a\nCONFIG_C=\"d e\"\n")]);
        let config = fake.run(&all, "nothing").unwrap();
        assert_eq!(config.get("CONFIG_C"), Some("d e"));
        let text = fs::read_to_string(fake.result()).unwrap();
        assert_eq!(text, "CONFIG_BASE=y\nCONFIG_A=y\nCONFIG_C=\"d e\"\n");
    }

    #[test]
    fn an_unchanged_configuration_keeps_its_time() {
        let fake = FakeMake::new();
        let time = || fs::metadata(fake.result()).unwrap().modified().unwrap();
        let all = fragments(&[("own", "CONFIG_A=y\n")]);
        fake.run(&all, "nothing").unwrap();
        let past = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        fs::File::options().write(true).open(fake.result()).unwrap().set_modified(past).unwrap();
        fake.run(&all, "nothing").unwrap();
        assert_eq!(time(), past);
        fake.run(&fragments(&[("own", "# CONFIG_A is not set\n")]), "nothing").unwrap();
        assert!(time() > past);
    }

    #[test]
    fn a_dropped_option_is_an_error_and_the_old_configuration_stays() {
        let fake = FakeMake::new();
        fake.run(&fragments(&[("own", "CONFIG_C=y\n")]), "nothing").unwrap();
        let former = fs::read(fake.result()).unwrap();
        let error = fake.run(&fragments(&[("own", "CONFIG_A=y\n")]), "CONFIG_A").unwrap_err();
        assert_eq!(
            error.to_string(),
            "configure Linux 6.1.192: 1 option does not have the requested value\n  \
             CONFIG_A=y (own:1) is not set: it needs B, which this tree does not have (Kconfig:1)"
        );
        assert_eq!(fs::read(fake.result()).unwrap(), former);
    }

    #[test]
    fn a_failing_command_ends_configuring() {
        let fake = FakeMake::new();
        let configure =
            Configurator { tree: &fake.tree, out: &fake.out, version: version(), make: &[] };
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
    fn a_folder_that_make_would_split_is_refused_before_anything_runs(
        #[case] out: &str,
        #[case] what: &str,
    ) {
        let make = [];
        let configure = Configurator {
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
    fn a_real_tree_accepts_all_our_fragments() {
        let source = super::super::fixture::real_tree();
        let tree = source.directory();
        let folder = tempfile::tempdir().unwrap();
        let configure = Configurator {
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
                .map(|name| Fragment::load(name).unwrap())
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
