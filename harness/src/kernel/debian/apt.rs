//! An apt of our own: the host's program, mirrors and keys, but no state that the host sees.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::super::arch::Arch;
use super::mirror::Mirrors;
use super::suite::Part;
use crate::cache::{Cache, CacheError};

/// The architecture of the packages.
const ARCH: Arch = Arch::X86_64;

/// The keys that Debian's archive is signed with.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt's own helper; it reads an index in whatever way apt chose to compress it.
const HELPER: &str = "/usr/lib/apt/apt-helper";

/// How every program says `ENOSPC` where messages are not translated.
const NO_SPACE: &str = "No space left on device";

/// What can go wrong with apt.
#[derive(Debug, thiserror::Error)]
pub enum AptError {
    /// The host is no Debian.
    #[error(
        "run {program}: it is not installed; Debian's kernels are fetched with apt, \
         so on this host give --kernel FILE, or a source tree of your own"
    )]
    Missing {
        /// Which program.
        program: String,
    },
    /// It cannot be started.
    #[error("run {program}")]
    Start {
        /// Which program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It was started and failed.
    #[error("run {command}: {words}")]
    Failed {
        /// The command line.
        command: String,
        /// Its own words.
        words: String,
    },
    /// There are no keys to verify signatures with.
    #[error("verify Debian's signatures: {KEYRING} is not there; install debian-archive-keyring")]
    NoKeyring,
    /// The host's apt has no Debian archive.
    #[error(
        "find a Debian mirror: apt on this host has none configured \
         (see /etc/apt/sources.list and /etc/apt/sources.list.d)"
    )]
    NoMirror,
    /// Our own files.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// An isolated apt that knows one suite and what is beside it.
#[derive(Debug)]
pub(super) struct Apt {
    cache_root: PathBuf,
    dir: PathBuf,
    conf: PathBuf,
}

impl Apt {
    /// Prepares the state in `dir`, which is kept between runs.
    pub(super) fn prepare(
        cache: &Cache,
        dir: &Path,
        mirrors: &Mirrors,
        parts: &[Part],
    ) -> Result<Self, AptError> {
        if !Path::new(KEYRING).is_file() {
            return Err(AptError::NoKeyring);
        }
        for below in ["lists/partial", "archives/partial"] {
            let dir = dir.join(below);
            fs::create_dir_all(&dir).map_err(|error| cache.error("create", &dir, error))?;
        }
        let sources: String = parts
            .iter()
            .filter_map(|part| {
                let site = if part.security { mirrors.security.as_ref()? } else { &mirrors.main };
                Some(format!(
                    "deb [arch={} signed-by={KEYRING}] {site} {} main\n",
                    ARCH.debian(),
                    part.name
                ))
            })
            .collect();
        let host = run(Command::new("apt-config").arg("dump"))?;
        let conf = dir.join("apt.conf");
        let files = [
            (dir.join("sources.list"), sources),
            (dir.join("status"), String::new()),
            (conf.clone(), configuration(dir, &host)),
        ];
        for (path, text) in files {
            fs::write(&path, text).map_err(|error| cache.error("write", &path, error))?;
        }
        let (cache_root, dir) = (cache.root().to_path_buf(), dir.to_path_buf());
        Ok(Self { cache_root, dir, conf })
    }

    /// Fetches the package lists. An error may concern only some of them.
    pub(super) fn update(&self) -> Result<(), AptError> {
        self.run("apt-get", |command| {
            command.args(["-q", "-o", "APT::Update::Error-Mode=any", "update"])
        })
        .map(drop)
    }

    /// The package lists that are there: the suite as the archive was asked for it, and the file.
    pub(super) fn lists(&self) -> Result<Vec<(String, PathBuf)>, AptError> {
        let format = "$(RELEASE)|$(FILENAME)";
        let lines = self.run("apt-get", |command| {
            command.args(["indextargets", "--format", format, "Created-By: Packages"])
        })?;
        let pair = |line: &str| {
            line.split_once('|').map(|(suite, file)| (suite.to_owned(), PathBuf::from(file)))
        };
        Ok(lines.lines().filter_map(pair).collect())
    }

    /// Hands out each paragraph of a package list. A list is fifty megabytes of text, of which a
    /// few hundred lines matter, so it is never in memory as a whole.
    pub(super) fn read_list(
        &self,
        file: &Path,
        mut each: impl FnMut(&str),
    ) -> Result<(), AptError> {
        let start = |source| AptError::Start { program: HELPER.to_owned(), source };
        let mut child = Command::new(HELPER)
            .env("APT_CONFIG", &self.conf)
            .arg("cat-file")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(start)?;
        if let Some(output) = child.stdout.take() {
            let mut output = BufReader::with_capacity(1 << 16, output);
            let (mut paragraph, mut length) = (String::new(), 1);
            while length > 0 {
                length = output.read_line(&mut paragraph).map_err(start)?;
                if length <= 1 {
                    each(&paragraph);
                    paragraph.clear();
                }
            }
        }
        let status = child.wait().map_err(start)?;
        if status.success() {
            return Ok(());
        }
        let command = format!("{HELPER} cat-file {}", file.display());
        Err(AptError::Failed { command, words: status.to_string() })
    }

    /// Downloads one package into `dir` and returns the file.
    pub(super) fn download(
        &self,
        package: &str,
        version: &str,
        dir: &Path,
    ) -> Result<Option<PathBuf>, AptError> {
        let wanted = format!("{package}={version}");
        self.run("apt-get", |command| command.args(["-q", "download", &wanted]).current_dir(dir))?;
        let files = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        Ok(files.into_iter().find(|file| file.extension().is_some_and(|ending| ending == "deb")))
    }

    fn run(
        &self,
        program: &str,
        arguments: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<String, AptError> {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.conf);
        run(arguments(&mut command)).map_err(|error| match error {
            AptError::Failed { words, .. } if words.contains(NO_SPACE) => {
                // What apt had begun is of no use and takes the room that is lacking.
                let _ = fs::remove_dir_all(self.dir.join("lists/partial"));
                CacheError::Full { dir: self.cache_root.clone() }.into()
            }
            other => other,
        })
    }
}

/// Runs a command and returns what it prints.
pub(super) fn run(command: &mut Command) -> Result<String, AptError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", "C").stdin(Stdio::null()).output();
    let output = output.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => AptError::Missing { program: program.clone() },
        _ => AptError::Start { program, source },
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut line = vec![command.get_program().to_string_lossy()];
    line.extend(command.get_args().map(|argument| argument.to_string_lossy()));
    Err(AptError::Failed { command: line.join(" "), words: words(&output) })
}

/// What apt says about a failure: its errors, else its warnings, else its last line.
fn words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let of = |mark: &str| {
        let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(mark)).collect();
        Some(lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join("; "))
            .filter(|words| !words.is_empty())
    };
    of("E:")
        .or_else(|| of("W:"))
        .or_else(|| text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned))
        .unwrap_or_else(|| output.status.to_string())
}

/// The configuration of our apt. Of the host's it takes how to reach the network (proxies,
/// certificates, snapshot mirrors that are past their date) and nothing else: its hooks would run
/// on the host's state, and its index targets would fetch more than we read.
fn configuration(dir: &Path, host: &str) -> String {
    const NOT_OURS: [&str; 6] = [
        "Acquire::Allow",
        "Acquire::Changelogs",
        "Acquire::CompressionTypes",
        "Acquire::GzipIndexes",
        "Acquire::IndexTargets",
        "Acquire::Languages",
    ];
    let inherited = host.lines().filter(|line| {
        line.starts_with("Acquire::") && !NOT_OURS.iter().any(|start| line.starts_with(start))
    });
    let dir = dir.display();
    let own = [
        format!("Dir::State \"{dir}\";"),
        format!("Dir::State::lists \"{dir}/lists\";"),
        format!("Dir::State::status \"{dir}/status\";"),
        format!("Dir::Cache \"{dir}\";"),
        format!("Dir::Cache::archives \"{dir}/archives\";"),
        // Building apt's own index anew costs a second per download; keeping it, 50 MB per suite.
        "Dir::Cache::pkgcache \"\";".to_owned(),
        "Dir::Cache::srcpkgcache \"\";".to_owned(),
        format!("Dir::Etc::sourcelist \"{dir}/sources.list\";"),
        // The architecture of the kernels, whatever that of the host is.
        format!("APT::Architecture \"{}\";", ARCH.debian()),
        format!("APT::Architectures {{ \"{}\"; }};", ARCH.debian()),
    ];
    let fixed = [
        "Dir::Etc::sourceparts \"/dev/null\";",
        "Dir::Etc::main \"/dev/null\";",
        "Dir::Etc::parts \"/dev/null\";",
        "Dir::Etc::preferences \"/dev/null\";",
        "Dir::Etc::preferencesparts \"/dev/null\";",
        "Dir::Etc::trusted \"/dev/null\";",
        "Dir::Etc::trustedparts \"/dev/null\";",
        // As root apt would become a user who cannot write in root's cache directory.
        "APT::Sandbox::User \"root\";",
        "Acquire::AllowInsecureRepositories \"false\";",
        "Acquire::AllowWeakRepositories \"false\";",
        "Acquire::AllowDowngradeToInsecureRepositories \"false\";",
        "Acquire::GzipIndexes \"true\";",
        "Acquire::Languages \"none\";",
        "Acquire::PDiffs \"false\";",
        "Acquire::Retries \"2\";",
    ];
    let lines = inherited.map(str::to_owned).chain(own).chain(fixed.map(str::to_owned));
    lines.map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use rstest::rstest;

    use super::*;

    #[test]
    fn of_the_host_only_its_way_to_the_network_is_taken() {
        let host = "APT::Update::Post-Invoke:: \"rm -f x\";\n\
            Acquire::http::Proxy \"http://proxy.example:3128\";\n\
            Acquire::Check-Valid-Until \"false\";\n\
            Acquire::AllowInsecureRepositories \"1\";\n\
            Acquire::IndexTargets::deb::DEP-11::MetaKey \"x\";\n";
        let text = configuration(Path::new("/cache/debian"), host);
        assert!(text.contains("proxy.example") && text.contains("Check-Valid-Until"), "{text}");
        assert!(!text.contains("Post-Invoke") && !text.contains("DEP-11"), "{text}");
        assert!(!text.contains("InsecureRepositories \"1\""), "{text}");
        assert!(text.contains("Dir::State \"/cache/debian\";"), "{text}");
    }

    #[rstest]
    #[case("Reading...\nW: careful\nE: first\nE: second\n", "first; second")]
    #[case("W: careful\n", "careful")]
    #[case("gone wrong\n\n", "gone wrong")]
    #[case("", "exit status: 1")]
    fn a_failure_is_told_in_the_words_of_apt(#[case] stderr: &str, #[case] told: &str) {
        let stderr = stderr.as_bytes().to_vec();
        let output = Output { status: ExitStatus::from_raw(1 << 8), stdout: Vec::new(), stderr };
        assert_eq!(words(&output), told);
    }

    #[test]
    fn a_host_without_apt_is_told_to_give_a_file() {
        let error = run(&mut Command::new("perfsec-no-such-apt")).unwrap_err();
        assert!(error.to_string().contains("--kernel FILE"), "{error}");
    }
}
