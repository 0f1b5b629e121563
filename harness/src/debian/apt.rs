//! Runs the host's apt with its mirrors and keys, but with state and configuration in the cache.

use std::fs;
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::command::{AptError, run};
use super::mirror::Mirrors;
use super::suite::SuitePart;
use crate::cache::{Cache, CacheError};
use crate::foreign::{self, Line};
use crate::host::DEBIAN_KEYRING;
use crate::kernel::Arch;

/// The architecture of the packages.
const ARCH: Arch = Arch::X86_64;

/// apt's helper, which decompresses a package list in any format that apt stores.
const HELPER: &str = "/usr/lib/apt/apt-helper";

/// `strerror(ENOSPC)` in the C locale.
const NO_SPACE: &str = "No space left on device";

/// An isolated apt for one suite with its `-updates` and `-security`.
#[derive(Debug)]
pub(super) struct Apt {
    cache_root: PathBuf,
    dir: PathBuf,
    conf: PathBuf,
}

impl Apt {
    /// Prepares apt's state in `dir`, which persists between runs.
    pub(super) fn prepare(
        cache: &Cache,
        dir: &Path,
        mirrors: &Mirrors,
        parts: &[SuitePart],
    ) -> Result<Self, AptError> {
        require_keyring()?;
        for below in ["lists/partial", "archives/partial"] {
            let dir = dir.join(below);
            fs::create_dir_all(&dir).map_err(|error| cache.error("create", &dir, error))?;
        }
        let host = run(Command::new("apt-config").arg("dump"))?;
        let conf = dir.join("apt.conf");
        let files = [
            (dir.join("sources.list"), sources_list(mirrors, parts)),
            (dir.join("status"), String::new()),
            (conf.clone(), configuration(dir, &host)),
        ];
        for (path, text) in files {
            replace(cache, &path, &text)?;
        }
        let (cache_root, dir) = (cache.root().to_path_buf(), dir.to_path_buf());
        Ok(Self { cache_root, dir, conf })
    }

    /// Fetches the package lists. On error, some of them may be up to date.
    pub(super) fn update(&self) -> Result<(), AptError> {
        self.run("apt-get", |command| {
            command.args(["-q", "-o", "APT::Update::Error-Mode=any", "update"])
        })
        .map(drop)
    }

    /// The fetched package lists: the name of the suite in the archive, and the file.
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

    /// Calls `each` with every paragraph of a package list. A list is fifty megabytes of text and
    /// only a few hundred lines matter, so it is never in memory as a whole.
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
            let (mut paragraph, mut line) = (String::new(), Vec::new());
            loop {
                let longest = foreign::OUTPUT_LINE.length();
                let end = foreign::read_line(&mut output, &mut line, longest).map_err(start)?;
                if end == Line::Long || paragraph.len() > longest {
                    return Err(start(foreign::OUTPUT_LINE.exceeded()));
                }
                if line.len() > 1 {
                    paragraph.push_str(&String::from_utf8_lossy(&line));
                    continue;
                }
                each(&paragraph);
                paragraph.clear();
                if end == Line::End {
                    break;
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
                // apt's partial downloads are useless now and take up space.
                let _ = fs::remove_dir_all(self.dir.join("lists/partial"));
                CacheError::Full { dir: self.cache_root.clone() }.into()
            }
            other => other,
        })
    }
}

/// Replaces a file as a whole. An apt that downloads another package of the suite may be about to
/// read it, and knows no package at all from an empty list of sources.
fn replace(cache: &Cache, path: &Path, text: &str) -> Result<(), CacheError> {
    let mut file = cache.temporary_file()?;
    let written = file.write_all(text.as_bytes());
    written
        .and_then(|()| Ok(file.persist(path)?))
        .map(drop)
        .map_err(|error| cache.error("write", path, error))
}

/// Checks that the host has the keys that sign Debian's archive.
pub(super) fn require_keyring() -> Result<(), AptError> {
    match Path::new(DEBIAN_KEYRING).is_file() {
        true => Ok(()),
        false => Err(AptError::NoKeyring),
    }
}

/// Lines of a sources list.
pub(super) fn sources_list(mirrors: &Mirrors, parts: &[SuitePart]) -> String {
    let lines = parts.iter().filter_map(|part| {
        let site = if part.security { mirrors.security.as_ref()? } else { &mirrors.main };
        let (arch, name) = (ARCH.debian(), &part.name);
        Some(format!("deb [arch={arch} signed-by={DEBIAN_KEYRING}] {site} {name} main\n"))
    });
    lines.collect()
}

/// The network settings in the host's configuration (proxies, certificates, expired snapshot
/// mirrors) and nothing else: the host's hooks would change its own state, and its index targets
/// would fetch more than perfsec reads.
pub(super) fn network_settings(host: &str) -> String {
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
    inherited.map(|line| format!("{line}\n")).collect()
}

/// The configuration of the isolated apt.
fn configuration(dir: &Path, host: &str) -> String {
    let dir = dir.display();
    let own = [
        format!("Dir::State \"{dir}\";"),
        format!("Dir::State::lists \"{dir}/lists\";"),
        format!("Dir::State::status \"{dir}/status\";"),
        format!("Dir::Cache \"{dir}\";"),
        format!("Dir::Cache::archives \"{dir}/archives\";"),
        // Without its binary cache apt needs a second more per download, but saves 50 MB per suite.
        "Dir::Cache::pkgcache \"\";".to_owned(),
        "Dir::Cache::srcpkgcache \"\";".to_owned(),
        format!("Dir::Etc::sourcelist \"{dir}/sources.list\";"),
        // The architecture of the kernel under test, which may differ from the host's.
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
        // As root, apt would switch to a user who cannot write to root's cache directory.
        "APT::Sandbox::User \"root\";",
        "Acquire::AllowInsecureRepositories \"false\";",
        "Acquire::AllowWeakRepositories \"false\";",
        "Acquire::AllowDowngradeToInsecureRepositories \"false\";",
        "Acquire::GzipIndexes \"true\";",
        "Acquire::Languages \"none\";",
        "Acquire::PDiffs \"false\";",
        "Acquire::Retries \"2\";",
    ];
    let lines = own.into_iter().chain(fixed.map(str::to_owned));
    network_settings(host) + &lines.map(|line| line + "\n").collect::<String>()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_that_is_replaced_is_never_seen_in_part() {
        let dir = TempDir::new().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        let path = dir.path().join("sources.list");
        let text = "deb mirror suite main\n".repeat(100);
        replace(&cache, &path, &text).unwrap();
        thread::scope(|scope| {
            let writer =
                scope.spawn(|| (0..500).for_each(|_| replace(&cache, &path, &text).unwrap()));
            while !writer.is_finished() {
                assert_eq!(fs::read_to_string(&path).unwrap(), text);
            }
        });
    }

    #[test]
    fn only_network_settings_are_inherited_from_the_host() {
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
}
