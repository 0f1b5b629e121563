//! Builds a miniature kernel tree with a real `make` and a real compiler.

use std::fs::{self, File};

use rstest::rstest;
use tempfile::TempDir;

use super::kconfig::Fragment;
use super::{BuildError, Builder, BuiltKernel, ImageForm, Recipe};
use crate::cache::{Cache, Room};
use crate::fake_tree::FakeTree;
use crate::interrupt::Interrupt;
use crate::kernel::fixture::{Shape, bz_image, vmlinux};
use crate::kernel::{Compression, Origin, find_packed, hash};
use crate::source::{Source, SourceError};

/// A tree, a cache, and a recipe to build it.
struct BuildFixture {
    directory: TempDir,
    tree: FakeTree,
    cache: Cache,
    recipe: Recipe,
    interrupt: Interrupt,
}

impl BuildFixture {
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

    fn build(&self, revision: &str) -> Result<BuiltKernel, BuildError> {
        let source = self.source();
        let commit = source.resolve(Some(revision), false)?;
        let builder = Builder::new(&self.recipe, &self.cache, &self.interrupt, &|_| {})?;
        builder.build(&source, &commit)
    }

    /// All files of the user's tree with their times, its worktrees and its refs.
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
    let fixture = BuildFixture::new();
    let before = fixture.state();
    let built = fixture.build("v6.1.192").unwrap();
    let image = built.kernel.image.as_ref().unwrap();
    assert_eq!(fs::read(&image.path).unwrap(), vmlinux(&Shape::default()));
    assert!(built.kernel.config.as_ref().unwrap().is_set("CONFIG_PVH"));
    let Origin::Tree { described, subject, .. } = &built.kernel.origin else { panic!("no tree") };
    assert_eq!((described.as_str(), subject.as_str()), ("v6.1.192", "Linux 6.1.192"));
    assert_eq!(fixture.state(), before);

    let made = fs::metadata(&built.log).unwrap().modified().unwrap();
    assert_eq!(fixture.build("HEAD").unwrap().kernel, built.kernel);
    assert_eq!(fs::metadata(&built.log).unwrap().modified().unwrap(), made);
}

#[test]
#[ignore = "needs git, make and gcc"]
fn a_damaged_kernel_is_built_again() {
    let fixture = BuildFixture::new();
    let kernel = fixture.build("HEAD").unwrap().kernel;
    for room in [Room::BUILDS, Room::KERNEL] {
        for entry in fs::read_dir(fixture.cache.root().join(room.name)).unwrap() {
            fs::write(entry.unwrap().path(), "damaged").unwrap();
        }
        assert_eq!(fixture.build("HEAD").unwrap().kernel, kernel);
        assert!(!fixture.cache.take_notes().is_empty(), "{}", room.name);
    }
}

#[test]
#[ignore = "needs git, make and gcc"]
fn a_boot_image_is_made_and_kept_only_for_machines_that_need_it() {
    let mut fixture = BuildFixture::new();
    let is_logged =
        |built: &BuiltKernel| fs::read_to_string(&built.log).unwrap().contains("bzImage");
    assert!(!is_logged(&fixture.build("HEAD").unwrap()));
    // The tree's only image is the packed one from now on.
    let packed = bz_image(Compression::Gzip, &vmlinux(&Shape::default()));
    fs::write(fixture.directory.path().join("image-a"), &packed).unwrap();
    fixture.recipe.image = ImageForm::BzImage;
    let built = fixture.build("HEAD").unwrap();
    assert!(is_logged(&built));
    let image = built.kernel.image.as_ref().unwrap();
    assert_eq!(image.sha256, hash::sha256(&packed));
    assert_eq!(fs::read(&image.path).unwrap(), vmlinux(&Shape::default()));
    let kept = find_packed(&fixture.cache, &image.sha256).unwrap();
    assert_eq!(fs::read(&kept).unwrap(), packed);
    // It was deleted, because the cache was full.
    fs::remove_file(&kept).unwrap();
    assert_eq!(fixture.build("HEAD").unwrap().kernel, built.kernel);
    assert_eq!(find_packed(&fixture.cache, &image.sha256), Some(kept));
}

#[test]
#[ignore = "needs git, make and gcc"]
fn another_recipe_is_another_build_and_the_same_image_is_the_same_kernel() {
    let mut fixture = BuildFixture::new();
    let first = fixture.build("HEAD").unwrap();
    fixture.recipe.variables = vec!["KCFLAGS=-g".parse().unwrap()];
    let second = fixture.build("HEAD").unwrap();
    assert_ne!(first.log, second.log);
    assert_eq!(first.kernel.identity(), second.kernel.identity());
}

#[test]
#[ignore = "needs git, make and gcc"]
fn the_failure_of_a_commit_that_does_not_compile_has_the_first_error() {
    let fixture = BuildFixture::new();
    let commit = fixture
        .tree
        .commit("core: break it", &[("kernel/core.c", "int core(void)\n{\n\treturn x;\n}\n")]);
    let Err(BuildError::Failed(failure)) = fixture.build("HEAD") else { panic!("it compiles") };
    assert_eq!(failure.commit.as_str(), commit);
    assert_eq!(failure.subject, "core: break it");
    let first = failure.first.unwrap();
    assert_eq!((first.file.as_deref(), first.line), (Some("kernel/core.c"), Some(3)));
    assert!(fs::read_to_string(failure.log).unwrap().contains("'x' undeclared"));
    // The next commit builds.
    fixture
        .tree
        .commit("core: mend it", &[("kernel/core.c", "int core(void)\n{\n\treturn 1;\n}\n")]);
    fixture.build("HEAD").unwrap();
}

#[test]
#[ignore = "needs git, make and gcc"]
fn a_commit_whose_image_is_not_a_kernel_does_not_build() {
    let fixture = BuildFixture::new();
    let text = fixture.directory.path().join("text");
    fs::write(&text, "no kernel").unwrap();
    fixture.tree.commit("image: a text", &[("image", &text.display().to_string())]);
    let Err(BuildError::Failed(failure)) = fixture.build("HEAD") else { panic!("it is a kernel") };
    let first = failure.first.unwrap().to_string();
    assert!(first.starts_with("the image is not a kernel"), "{first}");
}

#[test]
#[ignore = "needs git, make and gcc"]
fn a_makefile_without_a_version_is_the_fault_of_the_commit() {
    let fixture = BuildFixture::new();
    let commit = fixture.tree.commit("Makefile: no version", &[("Makefile", "all:\n")]);
    let error = fixture.build("HEAD").unwrap_err();
    let failure =
        error.into_build_failure(&commit.parse().unwrap(), "no version".to_owned()).unwrap();
    assert!(failure.to_string().contains("its Makefile has no VERSION"), "{failure}");
}

#[test]
#[ignore = "needs git, make and gcc"]
fn a_warning_is_reported_until_its_file_is_fixed() {
    let fixture = BuildFixture::new();
    let texts =
        |built: BuiltKernel| built.warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(fixture.build("HEAD").unwrap()), Vec::<String>::new());
    let unused = "int core(void)\n{\n\tint unused;\n\treturn 0;\n}\n";
    fixture.tree.commit("core: warn", &[("kernel/core.c", unused)]);
    let warned = texts(fixture.build("HEAD").unwrap());
    assert_eq!(warned.len(), 1);
    assert!(warned[0].starts_with("kernel/core.c:3: unused variable"), "{}", warned[0]);
    fixture.tree.commit("doc: say more", &[("Documentation/perf.rst", "perf\n====\n\nMore.\n")]);
    assert_eq!(texts(fixture.build("HEAD").unwrap()), warned);
}

#[rstest]
#[case::configuration(".config")]
#[case::stamp(".perfsec-configured")]
#[case::objects(".perfsec-objects.json")]
#[ignore = "needs git, make and gcc"]
fn a_damaged_file_in_the_build_directory_changes_no_kernel_and_loses_no_warning(
    #[case] file: &str,
) {
    let fixture = BuildFixture::new();
    let unused = "int core(void)\n{\n\tint unused;\n\treturn 0;\n}\n";
    fixture.tree.commit("core: warn", &[("kernel/core.c", unused)]);
    let first = fixture.build("HEAD").unwrap();
    let source = fixture.cache.root().join(Room::SOURCE.name);
    let tree = fs::read_dir(source).unwrap().next().unwrap().unwrap().path();
    let entries = fs::read_dir(tree).unwrap().map(|entry| entry.unwrap().path());
    let path = entries.map(|path| path.join(file)).find(|path| path.exists()).unwrap();
    let length = fs::metadata(&path).unwrap().len();
    File::options().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
    fixture.tree.commit("doc: say more", &[("Documentation/perf.rst", "perf\n====\n\nMore.\n")]);
    let second = fixture.build("HEAD").unwrap();
    assert_eq!(second.kernel.config, first.kernel.config);
    assert_eq!(second.warnings, first.warnings);
}

#[test]
#[ignore = "needs git, make and gcc"]
fn an_interrupt_ends_a_build_and_the_next_one_succeeds() {
    let mut fixture = BuildFixture::new();
    fixture.interrupt.raise();
    let source =
        Source::open(fixture.tree.path(), "tree", &fixture.cache, &Interrupt::default(), &|_| {});
    let commit = source.as_ref().unwrap().resolve(Some("HEAD"), false).unwrap();
    let builder =
        Builder::new(&fixture.recipe, &fixture.cache, &fixture.interrupt, &|_| {}).unwrap();
    let error = builder.build(source.as_ref().unwrap(), &commit).unwrap_err();
    assert!(matches!(error, BuildError::Interrupted(_)), "{error}");
    drop(source);
    fixture.interrupt = Interrupt::default();
    fixture.build("HEAD").unwrap();
}

#[test]
fn a_tree_with_uncommitted_changes_needs_dirty() {
    let fixture = BuildFixture::new();
    fixture.tree.write(&[("kernel/core.c", "int core(void)\n{\n\treturn 2;\n}\n")]);
    let source = fixture.source();
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
    let fixture = BuildFixture::new();
    let ignored = fixture.tree.path().join(".git/info/exclude");
    fs::create_dir_all(ignored.parent().unwrap()).unwrap();
    fs::write(ignored, "/ignored\n").unwrap();
    fixture.tree.write(&[("ignored", "")]);
    let source = fixture.source();
    let head = source.resolve(Some("HEAD"), false).unwrap();
    let said = std::cell::RefCell::new(Vec::new());
    let choose =
        |dirty| source.choose(None, dirty, &|line| said.borrow_mut().push(line.to_owned()));
    assert_eq!(choose(false).unwrap(), head);
    assert_eq!(said.take(), Vec::<String>::new());
    fixture.tree.write(&[("nohup.out", ""), ("new/file", "")]);
    // Rewritten with the same content.
    fixture.tree.write(&[("kernel/core.c", "int core(void)\n{\n\treturn 0;\n}\n")]);
    for dirty in [false, true] {
        assert_eq!(choose(dirty).unwrap(), head);
        assert!(said.take().concat().starts_with("2 untracked files are left out"));
    }
    // Different in the index, but not in the work tree.
    fixture.tree.write(&[("Documentation/perf.rst", "other\n")]);
    fixture.tree.git(&["add", "--update"]);
    fixture.tree.write(&[("Documentation/perf.rst", "perf\n====\n")]);
    assert_eq!(source.resolve(None, true).unwrap(), head);
}

#[test]
fn uncommitted_changes_are_those_of_tracked_and_of_added_files() {
    let fixture = BuildFixture::new();
    fixture.tree.write(&[("added", "1\n"), ("meant", ""), ("untracked", "")]);
    fixture.tree.git(&["add", "added"]);
    fixture.tree.git(&["add", "--intent-to-add", "meant"]);
    fixture.tree.write(&[("added", "2\n"), ("meant", "3\n"), ("kernel/core.c", "int core;\n")]);
    fs::remove_file(fixture.tree.path().join("Documentation/perf.rst")).unwrap();
    // git updates the times of existing objects instead of writing them again.
    let state = || -> Vec<String> {
        let lines = fixture.state().into_iter();
        lines
            .map(|line| match line.split_once(" SystemTime") {
                Some((path, _)) if path.contains("/.git/objects/") => path.to_owned(),
                _ => line,
            })
            .collect()
    };
    let before = state();
    let source = fixture.source();
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
fn files_outside_a_sparse_checkout_do_not_count_as_deleted(#[case] how: &[&str]) {
    let fixture = BuildFixture::new();
    fixture.tree.git(&[&["sparse-checkout", "set", "--cone"], how, &["scripts/kconfig"]].concat());
    assert!(!fixture.tree.path().join("kernel").exists());
    let source = fixture.source();
    let head = source.resolve(Some("HEAD"), false).unwrap();
    assert_eq!(source.resolve(None, true).unwrap(), head);
    fixture.tree.write(&[("Kconfig", "config OTHER\n")]);
    let dirty = source.resolve(None, true).unwrap();
    assert_eq!(source.changed(&head, &dirty).unwrap(), ["Kconfig"]);
}

#[test]
fn a_split_index_is_read_and_not_changed() {
    let fixture = BuildFixture::new();
    fixture.tree.git(&["update-index", "--split-index"]);
    fixture.tree.git(&["config", "core.splitIndex", "true"]);
    fixture.tree.write(&[("Kconfig", "config OTHER\n")]);
    let shared = || {
        let entries = fs::read_dir(fixture.tree.path().join(".git")).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().contains("index")).count()
    };
    let before = shared();
    let source = fixture.source();
    let head = source.resolve(Some("HEAD"), false).unwrap();
    let dirty = source.resolve(None, true).unwrap();
    assert_eq!(source.changed(&head, &dirty).unwrap(), ["Kconfig"]);
    assert_eq!(shared(), before);
}

#[test]
fn changes_in_a_submodule_are_ignored() {
    let fixture = BuildFixture::new();
    let other =
        FakeTree::new(&fixture.directory.path().join("other"), std::path::Path::new("/none"));
    let url = other.path().display().to_string();
    let add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url, "sub"];
    fixture.tree.git(&add);
    fixture.tree.commit("add a submodule", &[]);
    fixture.tree.write(&[("sub/Kconfig", ""), ("sub/new", "")]);
    let source = fixture.source();
    let head = source.resolve(Some("HEAD"), false).unwrap();
    for dirty in [false, true] {
        assert_eq!(source.resolve(None, dirty).unwrap(), head);
    }
}

#[test]
fn a_cache_inside_a_directory_is_not_part_of_the_tree() {
    let fixture = BuildFixture::new();
    fs::remove_dir_all(fixture.tree.path().join(".git")).unwrap();
    let cache = Cache::at(&fixture.tree.path().join("a cache")).unwrap();
    let source =
        Source::open(fixture.tree.path(), "tree", &cache, &fixture.interrupt, &|_| {}).unwrap();
    let first = source.resolve(None, false).unwrap();
    assert!(!source.files(&first).unwrap().contains("cache"));
    assert_eq!(source.resolve(None, false).unwrap(), first);
}

#[test]
fn a_revision_that_does_not_exist_is_an_error() {
    let source_of = BuildFixture::new();
    for revision in ["v9.9", "--all", "HEAD~5", ""] {
        let error = source_of.source().resolve(Some(revision), false).unwrap_err();
        assert!(matches!(error, SourceError::NoRevision { .. }), "{revision}: {error}");
    }
}

#[test]
fn other_directories_and_files_are_refused() {
    let fixture = BuildFixture::new();
    let open = |path: &std::path::Path| {
        Source::open(path, "x", &fixture.cache, &fixture.interrupt, &|_| {})
            .and_then(|source| source.resolve(None, false))
    };
    let empty = fixture.directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let text = fixture.directory.path().join("text");
    fs::write(&text, "no tree").unwrap();
    for path in [&empty, &text, &fixture.directory.path().join("missing")] {
        assert!(open(path).is_err(), "{}", path.display());
    }
    fixture.tree.git(&["rm", "--quiet", "-r", "scripts"]);
    fixture.tree.git(&["commit", "--quiet", "-m", "no scripts"]);
    let error = open(fixture.tree.path()).unwrap_err();
    assert!(matches!(error, SourceError::NotATree { .. }), "{error}");
}

#[test]
fn a_directory_without_git_has_no_revisions() {
    let fixture = BuildFixture::new();
    fs::remove_dir_all(fixture.tree.path().join(".git")).unwrap();
    let source = fixture.source();
    let first = source.resolve(None, false).unwrap();
    assert_eq!(source.resolve(None, false).unwrap(), first);
    fixture.tree.write(&[("kernel/core.c", "int core(void);\n")]);
    let second = source.resolve(None, false).unwrap();
    assert_eq!(source.changed(&first, &second).unwrap(), ["kernel/core.c"]);
    assert!(source.resolve(Some("HEAD"), false).is_err());
}

#[test]
fn a_patch_that_does_not_apply_leaves_the_tree_unchanged() {
    let fixture = BuildFixture::new();
    let base = fixture.source().resolve(Some("HEAD"), false).unwrap();
    fixture.tree.commit("core: one", &[("kernel/core.c", "int core(void)\n{\n\treturn 1;\n}\n")]);
    let patch = fixture.tree.git(&["format-patch", "--stdout", "-1"]);
    let source = fixture.source();
    source.check_out(&base).unwrap();
    let applied = source.apply(patch.as_bytes()).unwrap().unwrap();
    assert_eq!(source.changed(&base, &applied).unwrap(), ["kernel/core.c"]);
    let refused = source.apply(patch.as_bytes()).unwrap().unwrap_err();
    assert_eq!(refused.hunks, [("kernel/core.c".to_owned(), 1)]);
    assert!(!source.directory().join(".git/rebase-apply").exists());
    source.check_out(&base).unwrap();
    // The same patch on the same base is the same commit, so cached results are found again.
    assert_eq!(source.apply(patch.as_bytes()).unwrap().unwrap(), applied);
}
