//! Runs `git`, without the user's settings where they could change the result.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::Lock;
use crate::host::{self, MissingTools, Need, find_program};
use crate::interrupt::Interrupt;
use crate::process;

/// Longest message of git that is kept, in characters.
const LONGEST: usize = 4000;

/// Variables that would redirect git if a hook or `git bisect run` calls perfsec.
const REMOVED: &[&str] = &[
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

/// Author and committer in perfsec's own repository. The committer date is the author date, so that
/// the same patches on the same base are the same commits.
const NAME: &str = "perfsec";
const ADDRESS: &str = "perfsec@localhost";

/// A failure of git.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// git is not installed.
    #[error(transparent)]
    Missing(#[from] MissingTools),
    /// git cannot be started.
    #[error("run git in {}", .directory.display())]
    Start {
        /// Its working directory.
        directory: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// git failed.
    #[error("run `git {words}` in {}: {said}", .directory.display())]
    Failed {
        /// The arguments.
        words: String,
        /// Its working directory.
        directory: PathBuf,
        /// Its message.
        said: String,
    },
    /// The disk is full.
    #[error("write to {}: no space left", .0.display())]
    Full(PathBuf),
    /// The user interrupted it.
    #[error("finish: interrupted")]
    Interrupted,
}

/// git in one directory.
#[derive(Clone, Debug)]
pub(crate) struct Git {
    directory: PathBuf,
    environment: Vec<(&'static str, PathBuf)>,
    settings: &'static [&'static str],
    interrupt: Interrupt,
    /// The lock of the repository, if git may change it.
    lock: Option<Lock>,
}

/// Settings in perfsec's own repository: no hooks, conversions, garbage collection or signatures.
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
    // Otherwise git reads the user's default files.
    "-c",
    "core.excludesFile=/dev/null",
    "-c",
    "core.attributesFile=/dev/null",
];

/// Settings in the user's repository: nothing is written, not even the index by `status`, and no
/// daemon is started.
const USERS: &[&str] = &[
    "--no-optional-locks",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    // A split index would be written next to the user's.
    "-c",
    "core.splitIndex=false",
];

impl Git {
    /// git in the user's repository, only for queries.
    pub(crate) fn read_only(directory: &Path, interrupt: &Interrupt) -> Self {
        Self {
            directory: directory.to_owned(),
            environment: Vec::new(),
            settings: USERS,
            interrupt: interrupt.clone(),
            lock: None,
        }
    }

    /// git in perfsec's own repository, which `lock` protects.
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

    /// Adds an environment variable.
    pub(crate) fn with(mut self, name: &'static str, value: &Path) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Runs git and returns its standard output, without trailing newlines.
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
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        // `git am` names the patch on standard output.
        let words_of_git = [text(&output.stderr), text(&output.stdout)].join("\n");
        let said = match words_of_git.trim() {
            "" => output.status.to_string(),
            said => said.chars().take(LONGEST).collect(),
        };
        if said.contains("No space left on device") {
            return Err(GitError::Full(self.directory.clone()));
        }
        let directory = self.directory.clone();
        Err(GitError::Failed { words: words.join(" "), directory, said })
    }

    /// The same, but `None` if git fails.
    pub(crate) fn try_ask(&self, words: &[&str]) -> Result<Option<String>, GitError> {
        match self.ask(words) {
            Ok(text) => Ok(Some(text)),
            Err(GitError::Failed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn not_started(&self, source: io::Error) -> GitError {
        // A missing working directory gives the same error.
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
        for name in REMOVED {
            command.env_remove(name);
        }
        command
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            // A lazy fetch would write objects into the user's partial clone.
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_AUTHOR_NAME", NAME)
            .env("GIT_AUTHOR_EMAIL", ADDRESS)
            .env("GIT_COMMITTER_NAME", NAME)
            .env("GIT_COMMITTER_EMAIL", ADDRESS)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Strips `fatal: ` and `error: ` from each line of a message.
pub(super) fn strip_marks(said: &str) -> String {
    let lines = said.lines().map(|line| {
        ["fatal: ", "error: "].iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}
