//! Builds of a kernel tree in miniature, with a real `make` and a real compiler.

use std::fs;

use rstest::rstest;
use tempfile::TempDir;

use super::kconfig::Fragment;
use super::{BuildError, Builder, Built, Recipe};
use crate::cache::Cache;
use crate::fake_tree::FakeTree;
use crate::interrupt::Interrupt;
use crate::kernel::Origin;
use crate::kernel::fixture::{Shape, vmlinux};
use crate::source::{Source, SourceError};

/// A tree, and what is built of it.
struct Place {
    directory: TempDir,
    tree: FakeTree,
    cache: Cache,
    recipe: Recipe,
    interrupt: Interrupt,
}

impl Place {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let image = directory.path().join("image-a");
        fs::write(&image, vmlinux(&Shape::default())).unwrap();
        let tree = FakeTree::new(&directory.path().join("tree"), &image);
        let cache = Cache::at(&directory.path().join("cache")).unwrap();
        let fragment = Fragment::parse("test", "CONFIG_PVH=y\n").unwrap();
        Self {
            directory,
            tree,
            cache,
            recipe: Recipe::new(vec![fragment]),
            interrupt: Interrupt::default(),
        }
    }

    fn source(&self) -> Source {
        Source::open(self.tree.path(), "tree", &self.cache, &self.interrupt, &|_| {}).unwrap()
    }

    fn build(&self, revision: &str) -> Result<Built, BuildError> {
        let source = self.source();
        let commit = source.resolve(Some(revision), false)?;
        let builder = Builder::new(&self.recipe, &self.cache, &self.interrupt, &|_| {})?;
        builder.build(&source, &commit)
    }

    /// Everything in the user's tree, and all that git knows of it.
    fn state(&self) -> Vec<String> {
        let mut state =
            vec![self.tree.git(&["worktree", "list"]), self.tree.git(&["for-each-ref"])];
        let mut stack = vec![self.tree.path().to_owned()];
        while let Some(directory) = stack.pop() {
            for entry in fs::read_dir(directory).unwrap().flatten() {
                let data = entry.metadata().unwrap();
                state.push(format!("{} {:?}", entry.path().display(), data.modified().unwrap()));
                if data.is_dir() {
                    stack.push(entry.path());
                }
            }
        }
        state.sort();
        state
    }
}

#[test]
#[ignore = "needs git, make and gcc"]
fn a_commit_is_built_once_and_leaves_no_trace_in_the_tree() {
    let place = Place::new();
    let before = place.state();
    let built = place.build("v6.1.192").unwrap();
    assert_eq!(
        fs::read(&built.kernel.image.as_ref().unwrap().path).unwrap(),
        vmlinux(&Shape::default())
    );
    assert!(built.kernel.config.as_ref().unwrap().is_set("CONFIG_PVH"));
    let Origin::Tree { described, subject, .. } = &built.kernel.origin else { panic!("no tree") };
    assert_eq!((described.as_str(), subject.as_str()), ("v6.1.192", "Linux 6.1.192"));
    assert_eq!(place.state(), before);

    let made = fs::metadata(&built.log).unwrap().modified().unwrap();
    assert_eq!(place.build("HEAD").unwrap().kernel, built.kernel);
    assert_eq!(fs::metadata(&built.log).unwrap().modified().unwrap(), made);
}

#[test]
#[ignore = "needs git, make and gcc"]
fn another_way_to_build_is_another_build_and_the_same_image_is_the_same_kernel() {
    let mut place = Place::new();
    let first = place.build("HEAD").unwrap();
    place.recipe.variables = vec!["KCFLAGS=-g".parse().unwrap()];
    let second = place.build("HEAD").unwrap();
    assert_ne!(first.log, second.log);
    assert_eq!(first.kernel.identity(), second.kernel.identity());
}

#[test]
#[ignore = "needs git, make and gcc"]
fn a_commit_that_does_not_compile_is_told_with_its_first_error() {
    let place = Place::new();
    let commit = place
        .tree
        .commit("core: break it", &[("kernel/core.c", "int core(void)\n{\n\treturn x;\n}\n")]);
    let Err(BuildError::Failed(failure)) = place.build("HEAD") else { panic!("it compiles") };
    assert_eq!(failure.commit.as_str(), commit);
    assert_eq!(failure.subject, "core: break it");
    let first = failure.first.unwrap();
    assert_eq!((first.file.as_deref(), first.line), (Some("kernel/core.c"), Some(3)));
    assert!(fs::read_to_string(failure.log).unwrap().contains("'x' undeclared"));
    // What follows is built all the same.
    place.tree.commit("core: mend it", &[("kernel/core.c", "int core(void)\n{\n\treturn 1;\n}\n")]);
    place.build("HEAD").unwrap();
}

#[test]
#[ignore = "needs git, make and gcc"]
fn a_commit_of_which_no_kernel_comes_does_not_build() {
    let place = Place::new();
    let text = place.directory.path().join("text");
    fs::write(&text, "no kernel").unwrap();
    place.tree.commit("image: a text", &[("image", &text.display().to_string())]);
    let Err(BuildError::Failed(failure)) = place.build("HEAD") else { panic!("it is a kernel") };
    let first = failure.first.unwrap().to_string();
    assert!(first.starts_with("what came out is no kernel"), "{first}");
}

#[test]
#[ignore = "needs git, make and gcc"]
fn what_a_commit_takes_from_a_tree_is_the_fault_of_the_commit() {
    let place = Place::new();
    let commit = place.tree.commit("Makefile: no version", &[("Makefile", "all:\n")]);
    let error = place.build("HEAD").unwrap_err();
    let failure = error.of_commit(&commit.parse().unwrap(), "no version".to_owned()).unwrap();
    assert!(failure.to_string().contains("its Makefile has no VERSION"), "{failure}");
}

#[test]
#[ignore = "needs git, make and gcc"]
fn a_warning_is_that_of_the_file_until_it_is_mended() {
    let place = Place::new();
    let texts = |built: Built| built.warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(place.build("HEAD").unwrap()), Vec::<String>::new());
    let unused = "int core(void)\n{\n\tint unused;\n\treturn 0;\n}\n";
    place.tree.commit("core: warn", &[("kernel/core.c", unused)]);
    let warned = texts(place.build("HEAD").unwrap());
    assert_eq!(warned.len(), 1);
    assert!(warned[0].starts_with("kernel/core.c:3: unused variable"), "{}", warned[0]);
    place.tree.commit("doc: say more", &[("Documentation/perf.rst", "perf\n====\n\nMore.\n")]);
    assert_eq!(texts(place.build("HEAD").unwrap()), warned);
}

#[test]
#[ignore = "needs git, make and gcc"]
fn an_interrupt_ends_a_build_and_the_next_one_goes_on() {
    let mut place = Place::new();
    place.interrupt.raise();
    let source =
        Source::open(place.tree.path(), "tree", &place.cache, &Interrupt::default(), &|_| {});
    let commit = source.as_ref().unwrap().resolve(Some("HEAD"), false).unwrap();
    let builder = Builder::new(&place.recipe, &place.cache, &place.interrupt, &|_| {}).unwrap();
    let error = builder.build(source.as_ref().unwrap(), &commit).unwrap_err();
    assert!(matches!(error, BuildError::Interrupted(_)), "{error}");
    drop(source);
    place.interrupt = Interrupt::default();
    place.build("HEAD").unwrap();
}

#[test]
fn a_tree_with_changes_is_built_only_when_that_is_meant() {
    let place = Place::new();
    place.tree.write(&[("kernel/core.c", "int core(void)\n{\n\treturn 2;\n}\n")]);
    let source = place.source();
    let error = source.resolve(None, false).unwrap_err();
    assert!(matches!(error, SourceError::Dirty { .. }), "{error}");
    assert!(error.to_string().contains("1 file"), "{error}");
    let (head, dirty) =
        (source.resolve(Some("HEAD"), false).unwrap(), source.resolve(None, true).unwrap());
    assert_eq!(source.changed(&head, &dirty).unwrap(), ["kernel/core.c"]);
    assert_eq!(source.resolve(None, true).unwrap(), dirty);
}

#[test]
fn a_tree_whose_tracked_files_are_unchanged_is_its_commit() {
    let place = Place::new();
    let ignored = place.tree.path().join(".git/info/exclude");
    fs::create_dir_all(ignored.parent().unwrap()).unwrap();
    fs::write(ignored, "/ignored\n").unwrap();
    place.tree.write(&[("ignored", "")]);
    let source = place.source();
    let head = source.resolve(Some("HEAD"), false).unwrap();
    let said = std::cell::RefCell::new(Vec::new());
    let choose =
        |dirty| source.choose(None, dirty, &|line| said.borrow_mut().push(line.to_owned()));
    assert_eq!(choose(false).unwrap(), head);
    assert_eq!(said.take(), Vec::<String>::new());
    place.tree.write(&[("nohup.out", ""), ("new/file", "")]);
    // Written anew, and not changed.
    place.tree.write(&[("kernel/core.c", "int core(void)\n{\n\treturn 0;\n}\n")]);
    for dirty in [false, true] {
        assert_eq!(choose(dirty).unwrap(), head);
        assert!(said.take().concat().starts_with("2 untracked files are left out"));
    }
    // In the index it was something else.
    place.tree.write(&[("Documentation/perf.rst", "other\n")]);
    place.tree.git(&["add", "--update"]);
    place.tree.write(&[("Documentation/perf.rst", "perf\n====\n")]);
    assert_eq!(source.resolve(None, true).unwrap(), head);
}

#[test]
fn uncommitted_changes_are_those_of_tracked_files_and_files_that_were_added() {
    let place = Place::new();
    place.tree.write(&[("added", "1\n"), ("meant", ""), ("untracked", "")]);
    place.tree.git(&["add", "added"]);
    place.tree.git(&["add", "--intent-to-add", "meant"]);
    place.tree.write(&[("added", "2\n"), ("meant", "3\n"), ("kernel/core.c", "int core;\n")]);
    fs::remove_file(place.tree.path().join("Documentation/perf.rst")).unwrap();
    // git renews the times of objects that it would otherwise write again.
    let state = || -> Vec<String> {
        let lines = place.state().into_iter();
        lines
            .map(|line| match line.split_once(" SystemTime") {
                Some((path, _)) if path.contains("/.git/objects/") => path.to_owned(),
                _ => line,
            })
            .collect()
    };
    let before = state();
    let source = place.source();
    let head = source.resolve(Some("HEAD"), false).unwrap();
    let dirty = source.resolve(None, true).unwrap();
    let changed = ["Documentation/perf.rst", "added", "kernel/core.c", "meant"];
    assert_eq!(source.changed(&head, &dirty).unwrap(), changed);
    assert_eq!(source.file(&dirty, "added").unwrap().as_deref(), Some("2"));
    assert_eq!(source.file(&dirty, "meant").unwrap().as_deref(), Some("3"));
    assert_eq!(state(), before);
    source.check_out(&dirty).unwrap();
    assert!(!source.directory().join("untracked").exists());
}

#[rstest]
#[case::whole_index(&[])]
#[case::sparse_index(&["--sparse-index"])]
fn what_a_sparse_checkout_leaves_out_is_not_deleted(#[case] how: &[&str]) {
    let place = Place::new();
    place.tree.git(&[&["sparse-checkout", "set", "--cone"], how, &["scripts/kconfig"]].concat());
    assert!(!place.tree.path().join("kernel").exists());
    let source = place.source();
    let head = source.resolve(Some("HEAD"), false).unwrap();
    assert_eq!(source.resolve(None, true).unwrap(), head);
    place.tree.write(&[("Kconfig", "config OTHER\n")]);
    let dirty = source.resolve(None, true).unwrap();
    assert_eq!(source.changed(&head, &dirty).unwrap(), ["Kconfig"]);
}

#[test]
fn an_index_in_two_files_is_read_and_stays_as_it_is() {
    let place = Place::new();
    place.tree.git(&["update-index", "--split-index"]);
    place.tree.git(&["config", "core.splitIndex", "true"]);
    place.tree.write(&[("Kconfig", "config OTHER\n")]);
    let shared = || {
        let entries = fs::read_dir(place.tree.path().join(".git")).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().contains("index")).count()
    };
    let before = shared();
    let source = place.source();
    let head = source.resolve(Some("HEAD"), false).unwrap();
    let dirty = source.resolve(None, true).unwrap();
    assert_eq!(source.changed(&head, &dirty).unwrap(), ["Kconfig"]);
    assert_eq!(shared(), before);
}

#[test]
fn changes_of_a_submodule_are_none_of_the_kernel_s() {
    let place = Place::new();
    let other = FakeTree::new(&place.directory.path().join("other"), std::path::Path::new("/none"));
    let url = other.path().display().to_string();
    let add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url, "sub"];
    place.tree.git(&add);
    place.tree.commit("add a submodule", &[]);
    place.tree.write(&[("sub/Kconfig", ""), ("sub/new", "")]);
    let source = place.source();
    let head = source.resolve(Some("HEAD"), false).unwrap();
    for dirty in [false, true] {
        assert_eq!(source.resolve(None, dirty).unwrap(), head);
    }
}

#[test]
fn a_cache_in_a_directory_is_no_part_of_it() {
    let place = Place::new();
    fs::remove_dir_all(place.tree.path().join(".git")).unwrap();
    let cache = Cache::at(&place.tree.path().join("a cache")).unwrap();
    let source =
        Source::open(place.tree.path(), "tree", &cache, &place.interrupt, &|_| {}).unwrap();
    let first = source.resolve(None, false).unwrap();
    assert!(!source.files(&first).unwrap().contains("cache"));
    assert_eq!(source.resolve(None, false).unwrap(), first);
}

#[test]
fn a_revision_that_does_not_exist_is_named() {
    let source_of = Place::new();
    for revision in ["v9.9", "--all", "HEAD~5", ""] {
        let error = source_of.source().resolve(Some(revision), false).unwrap_err();
        assert!(matches!(error, SourceError::NoRevision { .. }), "{revision}: {error}");
    }
}

#[test]
fn what_is_no_kernel_tree_is_refused() {
    let place = Place::new();
    let open = |path: &std::path::Path| {
        Source::open(path, "x", &place.cache, &place.interrupt, &|_| {})
            .and_then(|source| source.resolve(None, false))
    };
    let empty = place.directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let text = place.directory.path().join("text");
    fs::write(&text, "no tree").unwrap();
    for path in [&empty, &text, &place.directory.path().join("missing")] {
        assert!(open(path).is_err(), "{}", path.display());
    }
    place.tree.git(&["rm", "--quiet", "-r", "scripts"]);
    place.tree.git(&["commit", "--quiet", "-m", "no scripts"]);
    let error = open(place.tree.path()).unwrap_err();
    assert!(matches!(error, SourceError::NotATree { .. }), "{error}");
}

#[test]
fn a_directory_without_git_is_taken_as_it_is_and_has_no_revisions() {
    let place = Place::new();
    fs::remove_dir_all(place.tree.path().join(".git")).unwrap();
    let source = place.source();
    let first = source.resolve(None, false).unwrap();
    assert_eq!(source.resolve(None, false).unwrap(), first);
    place.tree.write(&[("kernel/core.c", "int core(void);\n")]);
    let second = source.resolve(None, false).unwrap();
    assert_eq!(source.changed(&first, &second).unwrap(), ["kernel/core.c"]);
    assert!(source.resolve(Some("HEAD"), false).is_err());
}

#[test]
fn a_patch_is_applied_and_one_that_does_not_apply_leaves_the_tree_as_it_was() {
    let place = Place::new();
    let base = place.source().resolve(Some("HEAD"), false).unwrap();
    place.tree.commit("core: one", &[("kernel/core.c", "int core(void)\n{\n\treturn 1;\n}\n")]);
    let patch = place.tree.git(&["format-patch", "--stdout", "-1"]);
    let source = place.source();
    source.check_out(&base).unwrap();
    let applied = source.apply(patch.as_bytes()).unwrap().unwrap();
    assert_eq!(source.changed(&base, &applied).unwrap(), ["kernel/core.c"]);
    let refused = source.apply(patch.as_bytes()).unwrap().unwrap_err();
    assert_eq!(refused.hunks, [("kernel/core.c".to_owned(), 1)]);
    assert!(!source.directory().join(".git/rebase-apply").exists());
    source.check_out(&base).unwrap();
    // The same patch on the same base is the same commit: what was seen of it is found again.
    assert_eq!(source.apply(patch.as_bytes()).unwrap().unwrap(), applied);
}
