//! A module store, in which `semodule` builds a policy without touching the host's.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use super::cil;
use super::compile::{self, PolicyError};
use super::own_domain;
use super::request::Obtaining;
use super::tools::{COMPILERS, Tools};
use crate::cache::Cache;
use crate::debian::Archive;
use crate::foreign;
use crate::kernel::packing::Packing;
use crate::process;

/// The version of the binary format. Every kernel since 5.7 reads it.
const POLICY_VERSION: u32 = 33;

/// libsemanage's words about a `policy-version` that its libsepol does not write: it refuses the
/// configuration before it does anything.
const REFUSED_CONFIGURATION: &str = "Could not create semanage handle";

/// libsepol's words about rules that the chosen version of the binary format cannot express.
const TOO_OLD: [&str; 2] = ["cannot support", "not supported in policy version"];

/// A module store in a temporary directory, with the programs that work on it.
///
/// All paths that libsemanage gets are relative to the directory: its configuration file has no way
/// to quote one.
pub(super) struct Store<'a> {
    directory: TempDir,
    /// The type of the policy, as in `SELINUXTYPE`.
    kind: String,
    tools: Tools,
    configuration: Configuration,
    /// The name of the policy, for errors.
    name: &'a str,
    obtaining: Obtaining<'a>,
}

/// Settings of libsemanage that shape a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configuration {
    /// The version of the binary format; `None` for the newest that libsepol writes.
    pub(super) version: Option<u32>,
    /// Lines of `semanage.conf`.
    pub(super) lines: Vec<String>,
}

impl Default for Configuration {
    /// The version that every kernel reads, and libsemanage's defaults.
    fn default() -> Self {
        Self { version: Some(POLICY_VERSION), lines: Vec::new() }
    }
}

/// The lines of `semanage.conf`.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.version.map_or(Ok(()), |version| writeln!(f, "policy-version = {version}"))?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A module to install.
#[derive(Clone, Debug)]
pub(super) struct StoredModule<'a> {
    /// The file in the directory of the store.
    pub(super) file: &'a Path,
    pub(super) priority: u16,
}

/// A change of a store, in one transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Transaction<'a> {
    pub(super) install: Vec<StoredModule<'a>>,
    /// Names of modules to disable.
    pub(super) disable: Vec<String>,
    pub(super) without_dontaudit: bool,
}

impl<'a> Store<'a> {
    /// An empty store.
    ///
    /// # Errors
    ///
    /// The tools are missing, or the cache is full.
    pub(super) fn create(
        kind: &str,
        configuration: Configuration,
        tools: Tools,
        archive: &Archive<'_>,
        name: &'a str,
        obtaining: Obtaining<'a>,
    ) -> Result<Self, PolicyError> {
        let directory = obtaining.cache.temporary()?;
        tools.prepare(directory.path(), archive, &obtaining)?;
        let kind = kind.to_owned();
        let store = Self { directory, kind, tools, configuration, name, obtaining };
        for below in [Path::new("etc/selinux"), &store.active().join("modules")] {
            let path = store.path().join(below);
            fs::create_dir_all(&path).map_err(|error| store.failed("create", &path, error))?;
        }
        store.configure(&store.configuration)?;
        Ok(store)
    }

    /// The directory in which the tools run.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The file of a module during a transaction, as messages have it.
    pub(super) fn place(&self, module: &str, priority: u16) -> String {
        format!("./var/lib/selinux/{}/tmp/modules/{priority}/{module}/cil", self.kind)
    }

    fn cache(&self) -> &'a Cache {
        self.obtaining.cache
    }

    /// The directory of the store's current state, below that of the tools.
    pub(super) fn active(&self) -> PathBuf {
        Path::new("var/lib/selinux").join(&self.kind).join("active")
    }

    fn failed(&self, action: &'static str, path: &Path, error: io::Error) -> PolicyError {
        self.cache().error(action, path, error).into()
    }

    /// Writes libsemanage's configuration. Contexts of files are neither computed from this host's
    /// users nor checked: only the policy is wanted.
    fn configure(&self, configuration: &Configuration) -> Result<(), PolicyError> {
        let compilers = match self.tools {
            Tools::Host => String::new(),
            Tools::Debian(_) => format!("compiler-directory = {COMPILERS}\n"),
        };
        let text = format!(
            "module-store = direct\nexpand-check = 0\ndisable-genhomedircon = true\n\
             {configuration}{compilers}\
             [setfiles]\npath = /bin/true\nargs = x\n[end]\n\
             [sefcontext_compile]\npath = /bin/true\nargs = x\n[end]\n"
        );
        let path = self.path().join("etc/selinux/semanage.conf");
        fs::write(&path, text).map_err(|error| self.failed("write", &path, error))
    }

    /// Changes the store and builds its policy, whose bytes it returns. It is built for the version
    /// that every kernel reads if its rules can be expressed in that.
    ///
    /// # Errors
    ///
    /// semodule refuses the change, or the user interrupts it.
    pub(super) fn commit(&self, transaction: &Transaction<'_>) -> Result<Vec<u8>, PolicyError> {
        let mut outcome = self.semodule(transaction)?;
        let unknown_version = !outcome.success && outcome.says(&[REFUSED_CONFIGURATION]);
        if unknown_version || outcome.says(&TOO_OLD) {
            self.configure(&Configuration { version: None, ..self.configuration.clone() })?;
            outcome = self.semodule(transaction)?;
        }
        if !outcome.success {
            let (name, output) = (self.name.to_owned(), outcome.words);
            return Err(PolicyError::Semodule { name, output });
        }
        self.binary()
    }

    fn semodule(&self, transaction: &Transaction<'_>) -> Result<Outcome, PolicyError> {
        let policies = self.policies();
        match fs::remove_dir_all(&policies) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.failed("delete", &policies, error));
            }
            _ => {}
        }
        let mut command = self.tools.semodule(self.path());
        command.args(["-p", ".", "-N", "-s", &self.kind]);
        if transaction.without_dontaudit {
            command.arg("-D");
        }
        for module in &transaction.install {
            command.args(["-X", &module.priority.to_string(), "-i"]).arg(module.file);
        }
        for name in &transaction.disable {
            command.args(["-d", name]);
        }
        if transaction.install.is_empty() && transaction.disable.is_empty() {
            command.arg("-B");
        }
        let interrupt = self.obtaining.interrupt;
        let run = || process::output(command, Stdio::null(), interrupt);
        let output = own_domain::keep(run).map_err(PolicyError::NoSemodule)?;
        if interrupt.is_raised() {
            return Err(PolicyError::Interrupted { name: self.name.to_owned() });
        }
        Ok(Outcome::new(output.status.success(), &String::from_utf8_lossy(&output.stderr)))
    }

    /// The directory of the built policy.
    fn policies(&self) -> PathBuf {
        self.path().join("etc/selinux").join(&self.kind).join("policy")
    }

    fn binary(&self) -> Result<Vec<u8>, PolicyError> {
        let directory = self.policies();
        let failed = |error| self.failed("read", &directory, error);
        let mut files = fs::read_dir(&directory).map_err(failed)?;
        let file = files.next().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        compile::read(&file.map_err(failed)?.path())
    }

    /// Sets booleans in the next build.
    ///
    /// # Errors
    ///
    /// The policy does not have one of them, which libsemanage would ignore.
    pub(super) fn set_booleans(&self, values: &BTreeMap<String, bool>) -> Result<(), PolicyError> {
        let known = self.booleans()?;
        if let Some(unknown) = values.keys().find(|name| !known.contains(name)) {
            let known: Vec<_> = known.iter().map(String::as_str).collect();
            return Err(PolicyError::UnknownBoolean {
                boolean: unknown.clone(),
                name: self.name.to_owned(),
                close: crate::suggest::closest(unknown, &known),
            });
        }
        let line = |(name, value): (&String, &bool)| format!("{name}={}\n", u8::from(*value));
        let text: String = values.iter().map(line).collect();
        let path = self.path().join(self.active()).join("booleans.local");
        fs::write(&path, text).map_err(|error| self.failed("write", &path, error))
    }

    /// The booleans that the store's modules declare.
    fn booleans(&self) -> Result<Vec<String>, PolicyError> {
        let mut found = Vec::new();
        let modules = self.path().join(self.active()).join("modules");
        for priority in self.list(&modules)? {
            for module in self.list(&priority)? {
                let path = module.join("cil");
                let Ok(bytes) = foreign::read(&path, &foreign::POLICY) else { continue };
                let packing = Packing::detect(&bytes).unwrap_or(Packing::Plain);
                let text = packing
                    .open(bytes.as_slice())
                    .and_then(|plain| foreign::read_all(plain, &foreign::POLICY))
                    .map_err(|source| PolicyError::Read { path, source })?;
                found.extend(cil::booleans(&String::from_utf8_lossy(&text)));
            }
        }
        Ok(found)
    }

    /// The entries of a directory; none if it is a file.
    fn list(&self, directory: &Path) -> Result<Vec<PathBuf>, PolicyError> {
        let failed = |error| self.failed("read", directory, error);
        if !directory.is_dir() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(directory).map_err(failed)?;
        entries.map(|entry| entry.map(|it| it.path()).map_err(failed)).collect()
    }

    /// The store as a tar: its modules, and what an administrator set.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(super) fn save(&self) -> Result<Vec<u8>, PolicyError> {
        let active = self.path().join(self.active());
        let failed = |error| self.failed("read", &active, error);
        let mut archive = tar::Builder::new(Vec::new());
        for entry in fs::read_dir(&active).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let is_input = name == "modules" || name.ends_with(".local");
            match path.is_dir() {
                _ if !is_input => {}
                true => archive.append_dir_all(name, &path).map_err(failed)?,
                false => archive.append_path_with_name(&path, name).map_err(failed)?,
            }
        }
        archive.into_inner().map_err(failed)
    }

    /// Restores what [`save`](Self::save) returned.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(super) fn restore(&self, saved: &[u8]) -> Result<(), PolicyError> {
        let active = self.path().join(self.active());
        let mut archive = tar::Archive::new(saved);
        archive.unpack(&active).map_err(|error| self.failed("write", &active, error))
    }
}

/// The end of a transaction.
struct Outcome {
    success: bool,
    /// Its messages, without those that are about the setup of the store.
    words: String,
}

impl Outcome {
    fn new(success: bool, stderr: &str) -> Self {
        // From our configuration, and from a store without contexts of files.
        let ours = ["genhomedircon is disabled", "Error obtaining file context handle"];
        let lines = stderr.lines().filter(|line| !ours.iter().any(|words| line.contains(words)));
        let words = lines.map(str::trim_end).collect::<Vec<_>>().join("\n");
        Self { success, words }
    }

    fn says(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.words.contains(phrase))
    }
}
