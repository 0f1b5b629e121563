//! A miniature kernel tree in git, which builds in no time.
//!
//! It has the files that perfsec requires of a tree and one object for a real compiler. Its
//! "kernel" is the file whose path is in `image`. So a commit can fail to build, cause a warning,
//! or change the kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MAKEFILE: &str = r#"VERSION = 6
PATCHLEVEL = 1
SUBLEVEL = 192
EXTRAVERSION =
here := $(CURDIR)
tinyconfig:
	@echo 'CONFIG_TINY=y' > $(O)/.config
allnoconfig:
	@cp $(KCONFIG_ALLCONFIG) $(O)/.config
vmlinux: $(O)/kernel/core.o
	@cp "$$(cat $(here)/image)" $(O)/vmlinux
bzImage: $(O)/kernel/core.o
	@echo '  BUILD   arch/x86/boot/bzImage'
	@mkdir -p $(O)/arch/x86/boot
	@cp "$$(cat $(here)/image)" $(O)/arch/x86/boot/bzImage
$(O)/kernel/core.o: $(here)/kernel/core.c
	@mkdir -p $(O)/kernel
	@echo '  CC      kernel/core.o'
	@$(CC) -Wall -c -o $@ $(here)/kernel/core.c
.PHONY: tinyconfig allnoconfig vmlinux bzImage
"#;

/// Sets every requested option, and the last one of a name wins, as if the tree had them all.
const MERGE: &str = r#"#!/bin/sh
for word; do
	case "$word" in
	-*) ;;
	*) cat "$word";;
	esac
done | awk '/^CONFIG_/ || /^# CONFIG_.* is not set/ {
	name = $0
	sub(/^# /, "", name)
	sub(/[= ].*/, "", name)
	line[name] = $0
} END { for (name in line) print line[name] }' | sort > "$KCONFIG_CONFIG"
"#;

/// A git repository with such a tree.
pub(crate) struct FakeTree {
    path: PathBuf,
}

impl FakeTree {
    /// Creates a tree in this directory with the kernel `image`. Its only commit has the tag
    /// `v6.1.192`.
    pub(crate) fn new(path: &Path, image: &Path) -> Self {
        fs::create_dir_all(path).expect("a directory");
        let tree = Self { path: path.to_owned() };
        tree.git(&["init", "--quiet", "--initial-branch=master", "."]);
        tree.commit(
            "Linux 6.1.192",
            &[
                ("Makefile", MAKEFILE),
                ("Kconfig", "config TINY\n\tbool \"tiny\"\n"),
                ("scripts/kconfig/merge_config.sh", MERGE),
                ("kernel/core.c", "int core(void)\n{\n\treturn 0;\n}\n"),
                ("Documentation/perf.rst", "perf\n====\n"),
                ("image", &format!("{}\n", image.display())),
            ],
        );
        tree.git(&["tag", "v6.1.192"]);
        tree
    }

    /// The tree's directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes files, without committing them.
    pub(crate) fn write(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            let file = self.path.join(name);
            fs::create_dir_all(file.parent().expect("below the tree")).expect("a directory");
            fs::write(&file, text).expect("a file");
            if name.ends_with(".sh") {
                use std::os::unix::fs::PermissionsExt as _;
                fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its mode");
            }
        }
    }

    /// Writes and commits files; returns the commit ID.
    pub(crate) fn commit(&self, subject: &str, files: &[(&str, &str)]) -> String {
        self.write(files);
        self.git(&["add", "--all", "."]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", subject]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in the tree and returns its standard output.
    pub(crate) fn git(&self, words: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ann Example", "-c", "user.email=ann@example.org"])
            .args(words)
            .current_dir(&self.path)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("git runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {}: {said}", words.join(" "));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}
