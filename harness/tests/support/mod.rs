//! Runs the built perfsec with a cache directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use perfsec::cli::EXIT_CODES;
use tempfile::TempDir;

/// The policy `minimal` in one text, for tests to damage.
pub(crate) fn minimal() -> String {
    let text = perfsec::policy::source_text("minimal").expect("the table of domains is valid");
    text.expect("minimal is there")
}

/// Where the record of a run is, and what its reports have to be.
pub(crate) fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report").join(name)
}

/// Compares a text with the file that has what it must be; `PERFSEC_BLESS=1` writes the file.
#[track_caller]
pub(crate) fn golden(name: &str, text: &str) {
    let path = place(name);
    if std::env::var_os("PERFSEC_BLESS").is_some() {
        fs::write(&path, text).expect("the golden file is written");
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    if let Some(at) = std::iter::zip(wanted.lines(), text.lines()).position(|(a, b)| a != b) {
        let line = |of: &str| of.lines().nth(at).unwrap_or_default().to_owned();
        let (wanted, got) = (line(&wanted), line(text));
        panic!("{name}:{}:\n- {wanted}\n+ {got}\nPERFSEC_BLESS=1 writes it anew", at + 1);
    }
    assert!(wanted == text, "{name} ends otherwise: PERFSEC_BLESS=1 writes it anew");
}

/// A place for the input and the cache of one test.
pub(crate) struct Place {
    directory: TempDir,
}

/// How perfsec ended, in text.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file and returns its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("below the place")).expect("a directory");
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    /// perfsec with this place as its working directory, with a cache and a user's defaults in it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.environment(Command::new(env!("CARGO_BIN_EXE_perfsec")));
        command.args(arguments);
        command
    }

    /// Another program, which starts perfsec, in the same environment.
    pub(crate) fn environment(&self, mut command: Command) -> Command {
        command.current_dir(self.path());
        command.env("PERFSEC_CACHE_DIR", self.path().join("cache"));
        command.env("XDG_CONFIG_HOME", self.path().join("config"));
        command
    }

    /// Runs it to its end with a text on standard input.
    pub(crate) fn fed(&self, arguments: &[&str], text: &str) -> Ended {
        let input = self.file("input", text);
        let input = fs::File::open(input).expect("the input");
        let output = self.command(arguments).stdin(input).output().expect("perfsec starts");
        Ended::of(output)
    }

    /// Runs it to its end; nothing may be left half-made.
    pub(crate) fn perfsec(&self, arguments: &[&str]) -> Ended {
        let ended = Ended::of(self.command(arguments).output().expect("perfsec starts"));
        if let Ok(left) = fs::read_dir(self.path().join("cache/tmp")) {
            assert_eq!(left.count(), 0, "left behind by {arguments:?}");
        }
        ended.is_documented(arguments);
        ended
    }
}

impl Ended {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// The exit code is among those that the command's help lists.
    #[track_caller]
    fn is_documented(&self, arguments: &[&str]) {
        let two = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        let is = |name: &str| EXIT_CODES.iter().find(|codes| codes.command == name);
        let Some(codes) = is(&two).or_else(|| is(arguments.first()?)) else { return };
        let listed = codes.rows.iter().any(|(exit, _)| Some(exit.code().into()) == self.code);
        assert!(listed, "{arguments:?}: exit code {:?} is not documented", self.code);
    }

    /// One error on standard error, with this exit code and in these words.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &str) {
        let text = &self.stderr;
        assert_eq!(self.code, Some(code), "{text}");
        assert!(text.contains(words), "not `{words}` but:\n{text}");
        assert_eq!(text.matches("error:").count(), 1, "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }

    #[track_caller]
    pub(crate) fn succeeds(&self) {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("error:"), "{}", self.stderr);
    }
}

/// The kernel that ignored tests boot.
pub(crate) fn kernel() -> String {
    std::env::var("PERFSEC_TEST_KERNEL").expect("PERFSEC_TEST_KERNEL names a kernel image")
}
