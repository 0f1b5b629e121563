//! perfsec's own checkout of a kernel tree.
//!
//! It borrows the objects of the user's repository (alternates) and shares nothing else, so that
//! checking out, applying patches and bisecting leave no worktree, ref, lock or object in the
//! user's repository. It stays in the cache at the same path, which makes the next build
//! incremental.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::commit::Commit;
use super::error::{ApplyError, SourceError, quoted};
use super::git::{Git, GitError, strip_marks};
use super::given::TreeInput;
use super::top;
use super::unpack::unpack;
use crate::cache::{Cache, Lock, Room};
use crate::counted::counted;
use crate::foreign;
use crate::interrupt::Interrupt;
use crate::kernel::hash;

/// Digits in the name of a checkout in the cache, which is a hash of the tree's location.
const NAME: usize = 16;

/// The commit of an archive; exists once the import is complete.
const IMPORT: &str = "refs/perfsec/import";

/// Date of perfsec's own commits. It is constant, so that the same content is the same commit.
const EPOCH: &str = "@1 +0000";

/// A kernel tree with its checkout, locked by one perfsec.
#[derive(Debug)]
pub struct Source {
    /// As given by the user.
    path: PathBuf,
    name: String,
    given: TreeInput,
    /// Directory of the checkout, the builds and temporary files.
    root: PathBuf,
    checkout: PathBuf,
    /// Root of the cache.
    cache: PathBuf,
    git: Git,
    interrupt: Interrupt,
    lock: Lock,
}

impl Source {
    /// Opens the tree at `path`: a git repository, a worktree, a directory, a tarball, or a Debian
    /// package `linux-source-*`. `name` is its name in records. `say` gets a line before slow
    /// steps.
    ///
    /// # Errors
    ///
    /// The path is not a kernel tree or cannot be read.
    pub fn open(
        path: &Path,
        name: &str,
        cache: &Cache,
        interrupt: &Interrupt,
        say: &dyn Fn(&str),
    ) -> Result<Self, SourceError> {
        let given = TreeInput::detect(path, interrupt)?;
        let identity = match &given {
            TreeInput::Repository { common, .. } => format!("git {}", common.display()),
            TreeInput::Directory(path) => format!("directory {}", path.display()),
            TreeInput::Archive(file) => {
                let failed = |source| SourceError::Read { path: path.to_owned(), source };
                format!("archive {}", hash::sha256_path(file).map_err(failed)?)
            }
        };
        let key = &hash::sha256(identity.as_bytes())[..NAME];
        let lock = cache.lock(&format!("{}-{key}", Room::SOURCE.name), interrupt, || {
            say("waiting for another perfsec that works on the same tree");
        })?;
        let root = cache.directory(Room::SOURCE, key)?;
        let checkout = root.join("linux");
        let git = Git::own(&checkout, &lock, interrupt);
        let source = Self {
            path: path.to_owned(),
            name: name.to_owned(),
            given,
            root,
            checkout,
            cache: cache.root().to_owned(),
            git,
            interrupt: interrupt.clone(),
            lock,
        };
        source.prepare(cache, say)?;
        Ok(source)
    }

    /// The path as given by the user.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tree's name in records.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Directory of the checkout.
    pub fn directory(&self) -> &Path {
        &self.checkout
    }

    /// A path next to the checkout, for files made from the tree.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The lock of the checkout and of everything next to it.
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// git in the checkout.
    pub(crate) fn git(&self) -> &Git {
        &self.git
    }

    /// The commit of a revision. Without a revision, the current state of the tree: HEAD if nothing
    /// was changed, or with `dirty` a commit of the tracked files with their changes.
    ///
    /// # Errors
    ///
    /// The commit does not exist or is not a kernel's, or the tree has uncommitted changes.
    pub fn resolve(&self, revision: Option<&str>, dirty: bool) -> Result<Commit, SourceError> {
        let commit = match (&self.given, revision) {
            (TreeInput::Repository { directory, .. }, Some(revision)) => {
                self.find(directory, revision)?
            }
            (TreeInput::Repository { directory, .. }, None) => {
                self.current_commit(directory, dirty)?
            }
            (TreeInput::Directory(directory), None) => {
                if let Some(file) = top::missing_file(directory) {
                    let why = format!("it has no {file}{}", top::hint(directory));
                    return Err(SourceError::NotATree { path: self.path.clone(), why });
                }
                self.snapshot(directory)?
            }
            (TreeInput::Archive(_), None) => {
                self.parse_commit(&self.git.ask(&["rev-parse", "--verify", IMPORT])?)?
            }
            (TreeInput::Directory(file) | TreeInput::Archive(file), Some(revision)) => {
                return Err(SourceError::NoRevision {
                    revision: revision.to_owned(),
                    path: self.path.clone(),
                    said: format!(
                        "it is not a git repository, so it has no revisions{}",
                        top::hint(file)
                    ),
                });
            }
        };
        let existing =
            self.read(&[&["ls-tree", "--name-only", commit.as_str()], &top::FILES[..]].concat())?;
        match top::FILES.iter().find(|file| !existing.lines().any(|line| line == **file)) {
            None => Ok(commit),
            Some(file) => {
                let which = match revision {
                    Some(_) => format!("its revision {}", commit.short()),
                    None => "it".to_owned(),
                };
                let why = format!("{which} has no {file}");
                Err(SourceError::NotATree { path: self.path.clone(), why })
            }
        }
    }

    /// The commits reachable from `to` but not from `from`, oldest first.
    ///
    /// # Errors
    ///
    /// git fails.
    pub fn between(&self, from: &Commit, to: &Commit) -> Result<Vec<Commit>, SourceError> {
        let range = format!("{from}..{to}");
        let list = self.git.ask(&["rev-list", "--reverse", "--topo-order", &range])?;
        Ok(list.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Checks out a commit. Files that do not change keep their time, which `make` depends on.
    ///
    /// # Errors
    ///
    /// git fails.
    pub fn check_out(&self, commit: &Commit) -> Result<(), SourceError> {
        self.read(&["checkout", "--quiet", "--force", "--detach", commit.as_str()])?;
        self.git.ask(&["clean", "--quiet", "--force", "--force", "-d", "-x"])?;
        Ok(())
    }

    /// Applies a patch in a mail to the checkout and commits it.
    ///
    /// # Errors
    ///
    /// git fails for another reason than the patch.
    pub fn apply(&self, mail: &[u8]) -> Result<Result<Commit, ApplyError>, SourceError> {
        let file = self.root.join("patch");
        fs::write(&file, mail)
            .map_err(|source| SourceError::Read { path: file.clone(), source })?;
        let am = [
            "am",
            "--quiet",
            "--no-3way",
            // A line in the mail that begins with `From ` must not end it.
            "--patch-format=mboxrd",
            "--committer-date-is-author-date",
            "--whitespace=nowarn",
        ];
        let name = file.to_string_lossy();
        let applied = self.git.ask(&[&am[..], &["--", &name]].concat());
        match applied {
            Ok(_) => Ok(Ok(self.head()?)),
            Err(GitError::Failed { said, .. }) => {
                self.git.try_ask(&["am", "--abort"])?;
                Ok(Err(ApplyError::parse(&said)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Commits new texts of files, by their paths, on top of a commit. The checkout stays as it is:
    /// the next one changes only files that differ, which `make` depends on.
    ///
    /// # Errors
    ///
    /// git fails, or a file cannot be written.
    pub fn commit_files(
        &self,
        base: &Commit,
        files: &[(&str, &str)],
        message: &str,
    ) -> Result<Commit, SourceError> {
        let index = self.root.join("files-index");
        self.remove(&self.root.join("files-index.lock"));
        let git = self.git.clone().with("GIT_INDEX_FILE", &index);
        git.ask(&["read-tree", base.as_str()])?;
        let text = self.root.join("text");
        let mut added = vec!["update-index".to_owned(), "--add".to_owned()];
        for (path, content) in files {
            fs::write(&text, content)
                .map_err(|source| SourceError::Read { path: text.clone(), source })?;
            let blob = git.ask(&["hash-object", "-w", "--no-filters", &text.to_string_lossy()])?;
            added.extend(["--cacheinfo".to_owned(), format!("100644,{blob},{path}")]);
        }
        git.ask(&added.iter().map(String::as_str).collect::<Vec<_>>())?;
        let tree = git.ask(&["write-tree"])?;
        self.commit_tree(&tree, Some(base), message)
    }

    /// The ID of a commit's tree, equal for commits with the same files.
    ///
    /// # Errors
    ///
    /// git fails.
    pub fn tree(&self, commit: &Commit) -> Result<String, SourceError> {
        self.read(&["rev-parse", "--verify", &format!("{commit}^{{tree}}")])
    }

    /// The first line of a commit's message.
    ///
    /// # Errors
    ///
    /// git fails.
    pub fn subject(&self, commit: &Commit) -> Result<String, SourceError> {
        self.read(&["log", "-1", "--format=%s", commit.as_str()])
    }

    /// The output of `git describe` for a commit, or its short ID.
    ///
    /// # Errors
    ///
    /// git fails.
    pub fn describe(&self, commit: &Commit) -> Result<String, SourceError> {
        let TreeInput::Repository { directory, .. } = &self.given else {
            return Ok(commit.short().to_owned());
        };
        // The tags are in the user's repository, which lacks commits of perfsec's own.
        let git = Git::read_only(directory, &self.interrupt);
        let described = git.try_ask(&["describe", "--tags", "--abbrev=12", commit.as_str()])?;
        Ok(described.unwrap_or_else(|| commit.short().to_owned()))
    }

    /// The text of a file in a commit, if it exists.
    ///
    /// # Errors
    ///
    /// git fails.
    pub fn file(&self, commit: &Commit, path: &str) -> Result<Option<String>, SourceError> {
        Ok(self.git.try_ask(&["cat-file", "blob", &format!("{commit}:{path}")])?)
    }

    /// All files of a commit, one per line: `<mode> <type> <object>`, a tab, and the path.
    ///
    /// # Errors
    ///
    /// git fails.
    pub fn files(&self, commit: &Commit) -> Result<String, SourceError> {
        self.read(&["ls-tree", "-r", commit.as_str()])
    }

    /// The files in which two commits differ.
    ///
    /// # Errors
    ///
    /// git fails.
    pub fn changed(&self, from: &Commit, to: &Commit) -> Result<Vec<String>, SourceError> {
        let names = ["diff", "--name-only", "--no-renames", from.as_str(), to.as_str()];
        Ok(self.read(&names)?.lines().map(str::to_owned).collect())
    }

    /// Runs git in the checkout for a command that may need objects which a partial clone lacks.
    fn read(&self, what: &[&str]) -> Result<String, SourceError> {
        self.git.ask(what).or_else(|error| match (&error, &self.given) {
            (GitError::Failed { said, .. }, TreeInput::Repository { directory, .. }) => {
                let user = Git::read_only(directory, &self.interrupt);
                let promised = [
                    "config",
                    "--get-regexp",
                    r"^(remote\..*\.promisor|extensions\.partialclone)$",
                ];
                match user.try_ask(&promised)? {
                    // Only the first line: git may print one per file.
                    Some(_) => Err(SourceError::Partial {
                        path: self.path.clone(),
                        said: strip_marks(said).lines().next().unwrap_or_default().to_owned(),
                    }),
                    None => Err(error.into()),
                }
            }
            _ => Err(error.into()),
        })
    }

    fn head(&self) -> Result<Commit, SourceError> {
        self.parse_commit(&self.git.ask(&["rev-parse", "--verify", "HEAD"])?)
    }

    fn parse_commit(&self, name: &str) -> Result<Commit, SourceError> {
        name.parse().map_err(|error: super::NotACommit| SourceError::NotATree {
            path: self.path.clone(),
            why: error.to_string(),
        })
    }

    fn find(&self, directory: &Path, revision: &str) -> Result<Commit, SourceError> {
        let user = Git::read_only(directory, &self.interrupt);
        let wanted = format!("{revision}^{{commit}}");
        match user.ask(&["rev-parse", "--verify", "--end-of-options", &wanted]) {
            Ok(name) => self.parse_commit(&name),
            Err(GitError::Failed { said, .. }) => Err(SourceError::NoRevision {
                revision: revision.to_owned(),
                path: self.path.clone(),
                said: self.explain_missing(&user, revision, &said)?,
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// The reason why a revision does not exist: git's message if it has one, else our own.
    fn explain_missing(
        &self,
        user: &Git,
        revision: &str,
        said: &str,
    ) -> Result<String, SourceError> {
        let said = strip_marks(said);
        let said: Vec<_> =
            said.lines().filter(|line| *line != "Needed a single revision").collect();
        if !said.is_empty() {
            return Ok(said.join("\n"));
        }
        if revision.starts_with("HEAD")
            && user.try_ask(&["rev-parse", "--verify", "--quiet", "HEAD"])?.is_none()
            && let Some(branch) = user.try_ask(&["symbolic-ref", "--short", "HEAD"])?
        {
            return Ok(format!("its HEAD is the branch {branch}, which has no commit yet"));
        }
        Ok(match user.ask(&["rev-parse", "--is-shallow-repository"])?.as_str() {
            "true" => format!(
                "this shallow clone does not have it; `git -C {} fetch --unshallow` fetches the \
                 whole history",
                quoted(&self.path)
            ),
            _ => "no such revision".to_owned(),
        })
    }

    /// The commit of a repository's current state. Untracked files do not count as changes and are
    /// left out: only their author knows if the kernel needs them. Submodules are ignored.
    fn current_commit(&self, directory: &Path, dirty: bool) -> Result<Commit, SourceError> {
        let head = self.find(directory, "HEAD")?;
        let user = Git::read_only(directory, &self.interrupt);
        if user.ask(&["rev-parse", "--is-bare-repository"])? == "true" {
            return Ok(head);
        }
        let status = user.ask(&[
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--ignore-submodules=all",
        ])?;
        match status.lines().count() {
            0 => Ok(head),
            _ if dirty => self.with_changes(&user, &head),
            changed => {
                let changed = format!("changes of {} are", counted(changed, "file"));
                Err(SourceError::Dirty { path: self.path.clone(), changed })
            }
        }
    }

    /// Like [`resolve`](Self::resolve). Without a revision, `say` gets a warning about untracked
    /// files.
    ///
    /// # Errors
    ///
    /// See `resolve`.
    pub fn choose(
        &self,
        revision: Option<&str>,
        dirty: bool,
        say: &dyn Fn(&str),
    ) -> Result<Commit, SourceError> {
        let commit = self.resolve(revision, dirty)?;
        if revision.is_none() {
            self.untracked_warning()?.iter().for_each(|warning| say(warning));
        }
        Ok(commit)
    }

    fn untracked_warning(&self) -> Result<Option<String>, SourceError> {
        let TreeInput::Repository { directory, .. } = &self.given else { return Ok(None) };
        let user = Git::read_only(directory, &self.interrupt);
        if user.ask(&["rev-parse", "--is-bare-repository"])? == "true" {
            return Ok(None);
        }
        let untracked = user.ask(&["ls-files", "--others", "--exclude-standard"])?;
        Ok(match untracked.lines().count() {
            0 => None,
            1 => {
                Some("1 untracked file is left out; `git add` it if the kernel needs it".to_owned())
            }
            count => Some(format!(
                "{count} untracked files are left out; `git add` what the kernel needs"
            )),
        })
    }

    /// Commits the work tree's version of all files in the user's index. Runs git with the user's
    /// settings, but with an index and an object directory of our own.
    fn with_changes(&self, user: &Git, head: &Commit) -> Result<Commit, SourceError> {
        let index = self.root.join("changes-index");
        let theirs = user.ask(&["rev-parse", "--path-format=absolute", "--git-path", "index"])?;
        let objects =
            user.ask(&["rev-parse", "--path-format=absolute", "--git-path", "objects"])?;
        self.remove(&self.root.join("changes-index.lock"));
        copy(Path::new(&theirs), &index)
            .map_err(|source| SourceError::Read { path: theirs.into(), source })?;
        let git = user
            .clone()
            .with("GIT_INDEX_FILE", &index)
            .with("GIT_OBJECT_DIRECTORY", &self.checkout.join(".git/objects"))
            .with("GIT_ALTERNATE_OBJECT_DIRECTORIES", Path::new(&objects));
        // `--sparse`: files outside a sparse checkout do not count as deleted, and are added if
        // they exist.
        git.ask(&["add", "--update", "--sparse"])?;
        let tree = git.ask(&["write-tree"])?;
        if tree == self.tree(head)? {
            return Ok(head.clone());
        }
        self.commit_tree(&tree, Some(head), "uncommitted changes")
    }

    /// Commits a directory without git.
    fn snapshot(&self, directory: &Path) -> Result<Commit, SourceError> {
        let git = Git::own(directory, &self.lock, &self.interrupt)
            .with("GIT_DIR", &self.checkout.join(".git"))
            .with("GIT_WORK_TREE", directory)
            // The index speeds up the next snapshot: only changed files are read.
            .with("GIT_INDEX_FILE", &self.root.join("snapshot-index"));
        self.remove(&self.root.join("snapshot-index.lock"));
        // The cache may be inside the directory and must not be part of the snapshot.
        let cache = self.cache.strip_prefix(directory).ok();
        let without = cache.map(|cache| format!(":(exclude,literal){}", cache.display()));
        let add = ["add", "--all", "."].into_iter().chain(without.as_deref());
        git.ask(&add.collect::<Vec<_>>())?;
        let tree = git.ask(&["write-tree"])?;
        self.commit_tree(&tree, None, "a directory without git")
    }

    fn commit_tree(
        &self,
        tree: &str,
        parent: Option<&Commit>,
        message: &str,
    ) -> Result<Commit, SourceError> {
        let git = self.git.clone();
        let git = git
            .with("GIT_AUTHOR_DATE", Path::new(EPOCH))
            .with("GIT_COMMITTER_DATE", Path::new(EPOCH));
        let mut commit = vec!["commit-tree", tree, "-m", message];
        if let Some(parent) = parent {
            commit.extend(["-p", parent.as_str()]);
        }
        self.parse_commit(&git.ask(&commit)?)
    }

    /// Creates the repository, or removes what a killed perfsec left behind in it.
    fn prepare(&self, cache: &Cache, say: &dyn Fn(&str)) -> Result<(), SourceError> {
        let inside = self.checkout.join(".git");
        let there = inside.join("HEAD").is_file();
        if let TreeInput::Archive(file) = &self.given {
            let imported = || self.git.try_ask(&["rev-parse", "--verify", "--quiet", IMPORT]);
            if !there || imported()?.is_none() {
                return self.import(file, cache, say);
            }
        }
        if !there {
            let format = match &self.given {
                TreeInput::Repository { directory, .. } => {
                    let user = Git::read_only(directory, &self.interrupt);
                    user.ask(&["rev-parse", "--show-object-format"])?
                }
                TreeInput::Directory(_) | TreeInput::Archive(_) => "sha1".to_owned(),
            };
            self.initialise(cache, &format)?;
        }
        for left in ["index.lock", "HEAD.lock", "rebase-apply", "BISECT_LOG", "BISECT_START"] {
            self.remove(&inside.join(left));
        }
        if let TreeInput::Repository { directory, .. } = &self.given {
            let user = Git::read_only(directory, &self.interrupt);
            let path =
                |what: &str| user.ask(&["rev-parse", "--path-format=absolute", "--git-path", what]);
            let write = |name: &str, text: &[u8]| {
                let path = inside.join(name);
                let made = path.parent().map_or(Ok(()), fs::create_dir_all);
                made.and_then(|()| fs::write(&path, text))
                    .map_err(|error| cache.error("write", &path, error))
            };
            write("objects/info/alternates", format!("{}\n", path("objects")?).as_bytes())?;
            // A shallow clone lists here the commits whose parents it lacks.
            match foreign::read(Path::new(&path("shallow")?), &foreign::OUTPUT) {
                Ok(text) => write("shallow", &text)?,
                Err(_) => self.remove(&inside.join("shallow")),
            }
        }
        Ok(())
    }

    fn initialise(&self, cache: &Cache, format: &str) -> Result<(), SourceError> {
        fs::create_dir_all(&self.checkout)
            .map_err(|error| cache.error("create", &self.checkout, error))?;
        let format = format!("--object-format={format}");
        // Without a template: no hooks.
        self.git.ask(&["init", "--quiet", "--template=", &format, "."])?;
        Ok(())
    }

    /// Unpacks an archive and commits it.
    fn import(&self, file: &Path, cache: &Cache, say: &dyn Fn(&str)) -> Result<(), SourceError> {
        say(&format!("unpacking {}", self.name));
        let failed = |action, error| cache.error(action, &self.checkout, error);
        if self.checkout.exists() {
            fs::remove_dir_all(&self.checkout).map_err(|error| failed("remove", error))?;
        }
        fs::create_dir_all(&self.checkout).map_err(|error| failed("create", error))?;
        let version = unpack(file, &self.checkout, &self.interrupt);
        if self.interrupt.is_raised() {
            return Err(GitError::Interrupted.into());
        }
        let version = version?;
        self.initialise(cache, "sha1")?;
        // `--force`: some files of a kernel match its own .gitignore.
        self.git.ask(&["add", "--all", "--force", "."])?;
        let tree = self.git.ask(&["write-tree"])?;
        let commit = self.commit_tree(&tree, None, &format!("Linux {version}"))?;
        self.git.ask(&["update-ref", IMPORT, commit.as_str()])?;
        Ok(())
    }

    /// Removes a file or directory. Failures are ignored: git will report them with a better
    /// message.
    fn remove(&self, path: &Path) {
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

/// Copies an index with its modification time, which git needs to detect racily clean files.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let time = fs::metadata(from)?.modified()?;
    fs::copy(from, to)?;
    File::options().write(true).open(to)?.set_modified(time)
}
