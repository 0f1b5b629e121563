//! Completes a command line with the defaults of files.

use std::ffi::OsString;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::{ConfigFile, Entry, option};
use super::settable::SETTABLE;

/// An option that a file set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfiguredOption {
    /// The option with its values, as it would be typed.
    pub words: Vec<String>,
    /// The file.
    pub file: PathBuf,
    /// The line in the file, from 1.
    pub line: usize,
}

/// True if the words name a command with an option that a file may set.
#[must_use]
pub fn applies(words: &[OsString], root: &clap::Command) -> bool {
    command_of(words, root).is_some_and(|(_, command)| {
        SETTABLE.iter().any(|settable| option(command, settable.name).is_some())
    })
}

/// Adds the options that files set and nobody typed, behind the command's name. `words` begins with
/// the program. Of the files, the first that sets an option counts; in a file, the table of the
/// command counts before the rest.
#[must_use]
pub fn complete(
    words: Vec<OsString>,
    files: &[ConfigFile],
    root: &clap::Command,
) -> (Vec<OsString>, Vec<ConfiguredOption>) {
    let Some((place, command)) = command_of(&words, root) else { return (words, Vec::new()) };
    let typed = Typed { words: &words[place..], command };
    let mut configured = Vec::new();
    let mut set: Vec<&str> = Vec::new();
    for file in files {
        let own = |entry: &&Entry| entry.command.as_deref() == Some(command.get_name());
        let common = |entry: &&Entry| entry.command.is_none();
        let entries = file.entries.iter().filter(own).chain(file.entries.iter().filter(common));
        for entry in entries {
            if set.contains(&entry.option.as_str()) {
                continue;
            }
            let Some(argument) = option(command, &entry.option) else { continue };
            set.push(&entry.option);
            if typed.excludes(argument) {
                continue;
            }
            let word = |value: &String| match entry.is_flag {
                true => format!("--{}", entry.option),
                false => format!("--{}={value}", entry.option),
            };
            let words: Vec<_> = entry.values.iter().map(word).collect();
            if !words.is_empty() {
                configured.push(ConfiguredOption {
                    words,
                    file: file.path.clone(),
                    line: entry.line,
                });
            }
        }
    }
    let added = configured.iter().flat_map(|option| option.words.iter().map(OsString::from));
    let (before, behind) = words.split_at(place);
    let words = before.iter().cloned().chain(added).chain(behind.iter().cloned()).collect();
    (words, configured)
}

/// The command that the words name, and the place behind its name.
fn command_of<'a>(
    words: &[OsString],
    root: &'a clap::Command,
) -> Option<(usize, &'a clap::Command)> {
    let mut found: Option<(usize, &clap::Command)> = None;
    let mut is_value = false;
    for (at, word) in words.iter().enumerate().skip(1) {
        let word = word.to_str()?;
        if std::mem::take(&mut is_value) {
            continue;
        }
        if word.starts_with('-') {
            // The only option in front of a command that takes a value.
            is_value = found.is_none() && word == "--color";
            if found.is_some() {
                break;
            }
            continue;
        }
        let command = found.map_or(root, |(_, command)| command);
        match command.find_subcommand(word) {
            Some(command) => found = Some((at + 1, command)),
            None => break,
        }
    }
    found
}

/// The words that were typed behind the name of a command.
struct Typed<'a> {
    words: &'a [OsString],
    command: &'a clap::Command,
}

impl Typed<'_> {
    /// True if this option was typed, or one that excludes it.
    fn excludes(&self, argument: &clap::Arg) -> bool {
        let excludes = |other: &clap::Arg, one: &clap::Arg| {
            let others = self.command.get_arg_conflicts_with(other);
            others.iter().any(|other| other.get_id() == one.get_id())
        };
        self.command.get_arguments().filter(|other| self.has(other)).any(|other| {
            other.get_id() == argument.get_id()
                || excludes(other, argument)
                || excludes(argument, other)
        })
    }

    fn has(&self, argument: &clap::Arg) -> bool {
        let words = self.words.iter().filter_map(|word| word.to_str());
        let mut words = words.take_while(|word| *word != "--");
        words.any(|word| match word.strip_prefix("--") {
            Some(long) => argument.get_long() == Some(long.split('=').next().unwrap_or(long)),
            // Also in `-qj4`. A letter of a value costs a default, which is then to be typed.
            None => word.strip_prefix('-').is_some_and(|letters| {
                argument.get_short().is_some_and(|short| letters.contains(short))
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory as _;
    use rstest::rstest;

    use super::*;

    fn root() -> clap::Command {
        let mut root = crate::cli::Cli::command();
        root.build();
        root
    }

    fn file(path: &str, text: &str) -> ConfigFile {
        ConfigFile::read(Path::new(path), text, &root()).unwrap()
    }

    /// The words of a command line that is completed by a project's file and a user's.
    fn completed(typed: &str, project: &str, user: &str) -> String {
        let files = [file("/project/perfsec.toml", project), file("/user/perfsec.toml", user)];
        let words = typed.split_whitespace().map(OsString::from).collect();
        let (words, _) = complete(words, &files, &root());
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[rstest]
    #[case("perfsec run", "perfsec run --jobs=2 --policy=debian:trixie")]
    #[case(
        "perfsec run open/cpu-kernel",
        "perfsec run --jobs=2 --policy=debian:trixie open/cpu-kernel"
    )]
    #[case(
        "perfsec --color never run",
        "perfsec --color never run --jobs=2 --policy=debian:trixie"
    )]
    #[case("perfsec run -j4", "perfsec run --policy=debian:trixie -j4")]
    #[case("perfsec run --jobs 4", "perfsec run --policy=debian:trixie --jobs 4")]
    #[case("perfsec run --policy=minimal", "perfsec run --jobs=2 --policy=minimal")]
    #[case("perfsec run -- --jobs", "perfsec run --jobs=2 --policy=debian:trixie -- --jobs")]
    #[case("perfsec steps", "perfsec steps")]
    #[case("perfsec", "perfsec")]
    #[case("perfsec nonsense", "perfsec nonsense")]
    fn what_is_typed_counts_before_the_project_and_that_before_the_user(
        #[case] typed: &str,
        #[case] expected: &str,
    ) {
        let user = "policy = 'debian:trixie'\njobs = 7";
        assert_eq!(completed(typed, "jobs = 2", user), expected);
    }

    #[test]
    fn the_table_of_the_command_counts_before_the_rest_of_its_file() {
        let project = "retries = 1\n[compare]\nretries = 3";
        assert_eq!(
            completed("perfsec compare a b", project, ""),
            "perfsec compare --retries=3 a b"
        );
        assert_eq!(completed("perfsec run", project, ""), "perfsec run --retries=1");
    }

    #[test]
    fn false_in_the_project_takes_back_true_of_the_user() {
        assert_eq!(completed("perfsec run", "cold = false", "cold = true"), "perfsec run");
        assert_eq!(completed("perfsec run", "", "cold = true"), "perfsec run --cold");
    }

    #[test]
    fn an_option_that_excludes_the_default_is_typed_alone() {
        let typed = "perfsec run --resume last.jsonl";
        assert_eq!(completed(typed, "grant = 'perfmon'", ""), typed);
    }

    #[test]
    fn paths_are_relative_to_their_file() {
        let project = "kernel = ['debian:6.1', 'tree:../linux', './bzImage']\nknown = 'known.toml'";
        let expected = "perfsec run --kernel=debian:6.1 --kernel=tree:/project/../linux \
                        --kernel=/project/./bzImage --known=/project/known.toml";
        assert_eq!(completed("perfsec run", project, ""), expected);
    }

    #[test]
    fn a_configured_option_names_its_place() {
        let files = [file("/project/perfsec.toml", "\njobs = 2")];
        let words = ["perfsec", "run"].map(OsString::from).to_vec();
        let (_, configured) = complete(words, &files, &root());
        let words = vec!["--jobs=2".to_owned()];
        let place = PathBuf::from("/project/perfsec.toml");
        assert_eq!(configured, [ConfiguredOption { words, file: place, line: 2 }]);
    }

    #[test]
    fn every_option_that_can_be_set_exists() {
        let root = root();
        for settable in SETTABLE {
            let has = |command: &clap::Command| option(command, settable.name).is_some();
            assert!(root.get_subcommands().any(has), "{}", settable.name);
        }
    }
}
