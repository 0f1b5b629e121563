//! Drives `git`, with nothing of the user's settings where they could change what comes out.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::Lock;
use crate::host::{self, MissingTools, Need, find_program};
use crate::interrupt::Interrupt;
use crate::printable::printable;
use crate::process;

/// How much of what git says is shown, in characters.
const SAID: usize = 4000;

/// Variables with which whoever calls perfsec (a hook, `git bisect run`) would send git elsewhere.
const FOREIGN: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CEILING_DIRECTORIES",
];

/// Whoever commits in perfsec's own repository, always at the author's time: the same patches on the same
/// base are the same commits.
const NAME: &str = "perfsec";
const ADDRESS: &str = "perfsec@localhost";

/// Why git did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// It is not on this host.
    #[error(transparent)]
    Missing(#[from] MissingTools),
    /// It cannot be started.
    #[error("run git in {}", .directory.display())]
    Start {
        /// Where.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It failed.
    #[error("run `git {words}` in {}: {said}", .directory.display())]
    Failed {
        /// What it was asked for.
        words: String,
        /// Where.
        directory: PathBuf,
        /// Its own words.
        said: String,
    },
    /// No space is left.
    #[error("write to {}: no space left", .0.display())]
    Full(PathBuf),
    /// The user stopped it.
    #[error("go on: interrupted")]
    Interrupted,
}

/// git in one directory.
#[derive(Clone, Debug)]
pub(crate) struct Git {
    directory: PathBuf,
    environment: Vec<(&'static str, PathBuf)>,
    settings: &'static [&'static str],
    interrupt: Interrupt,
    /// Of what it works on, if it changes anything.
    lock: Option<Lock>,
}

/// In perfsec's own repository: no hooks, no conversions, no housekeeping, no signatures.
const OWN: &[&str] = &[
    "-c",
    "core.autocrlf=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "gc.auto=0",
    "-c",
    "commit.gpgSign=false",
    "-c",
    "advice.detachedHead=false",
    "-c",
    "core.quotePath=false",
    // Else the user's, from their usual places.
    "-c",
    "core.excludesFile=/dev/null",
    "-c",
    "core.attributesFile=/dev/null",
];

/// In the user's: nothing is written, not even to the index by `status`; nothing is started that stays.
const USERS: &[&str] = &[
    "--no-optional-locks",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    // Half of a split one would be written beside the user's.
    "-c",
    "core.splitIndex=false",
];

impl Git {
    /// git in the user's repository. It is only asked there.
    pub(crate) fn read_only(directory: &Path, interrupt: &Interrupt) -> Self {
        Self {
            directory: directory.to_owned(),
            environment: Vec::new(),
            settings: USERS,
            interrupt: interrupt.clone(),
            lock: None,
        }
    }

    /// git in a repository of perfsec's own, which this lock keeps others from.
    pub(crate) fn own(directory: &Path, lock: &Lock, interrupt: &Interrupt) -> Self {
        Self {
            directory: directory.to_owned(),
            environment: vec![
                ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
                ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ],
            settings: OWN,
            interrupt: interrupt.clone(),
            lock: Some(lock.clone()),
        }
    }

    /// The same with another environment variable.
    pub(crate) fn with(mut self, name: &'static str, value: &Path) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// What it writes to standard output, without the ends of the last lines.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<String, GitError> {
        let stdin = self.lock.as_ref().map_or_else(|| Ok(Stdio::null()), Lock::stdin);
        let output = stdin
            .and_then(|stdin| process::output(self.command(words), stdin, &self.interrupt))
            .map_err(|source| self.not_started(source))?;
        if self.interrupt.is_raised() {
            return Err(GitError::Interrupted);
        }
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned());
        }
        let text = |bytes: &[u8]| printable(String::from_utf8_lossy(bytes).trim());
        // `git am` says on standard output which patch it is about.
        let words_of_git = [text(&output.stderr), text(&output.stdout)].join("\n");
        let said = match words_of_git.trim() {
            "" => output.status.to_string(),
            said => said.chars().take(SAID).collect(),
        };
        if said.contains("No space left on device") {
            return Err(GitError::Full(self.directory.clone()));
        }
        let directory = self.directory.clone();
        Err(GitError::Failed { words: words.join(" "), directory, said })
    }

    /// The same, or none when it answers no.
    pub(crate) fn try_ask(&self, words: &[&str]) -> Result<Option<String>, GitError> {
        match self.ask(words) {
            Ok(text) => Ok(Some(text)),
            Err(GitError::Failed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn not_started(&self, source: io::Error) -> GitError {
        // A directory that is gone ends alike.
        if find_program("git").is_err()
            && let Err(missing) = host::require(&[Need::KernelBuild])
        {
            return missing.into();
        }
        GitError::Start { directory: self.directory.clone(), source }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(self.settings).args(words).current_dir(&self.directory);
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            // What a partial clone lacks would be written into it.
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_AUTHOR_NAME", NAME)
            .env("GIT_AUTHOR_EMAIL", ADDRESS)
            .env("GIT_COMMITTER_NAME", NAME)
            .env("GIT_COMMITTER_EMAIL", ADDRESS)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What git says, without what it begins each line with.
pub(super) fn words(said: &str) -> String {
    let lines = said.lines().map(|line| {
        ["fatal: ", "error: "].iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}
