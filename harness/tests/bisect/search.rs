//! Bisections of a small tree whose commits choose between two real kernels.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Ended, Place, kernel};
use crate::tree::FakeTree;

/// A cell that differs between the kernels, and one that does not.
const CELLS: [&str; 2] = [
    "target/group-order/all_t/paranoid=2/perfmon",
    "open/cpu-kernel/none_t/paranoid=2/perfmon/enforcing",
];

/// A kernel before 6.2: its checks come in another order than since 6.2.
fn old_kernel() -> String {
    std::env::var("PERFSEC_TEST_OLD_KERNEL").expect("PERFSEC_TEST_OLD_KERNEL names a kernel image")
}

struct Search {
    place: Place,
    tree: FakeTree,
    commits: Vec<String>,
}

/// The state of a commit.
enum State {
    /// It has the old kernel.
    Old,
    /// It has the new kernel.
    New,
    /// It does not build.
    Broken,
    /// Its build does not end.
    Endless,
}

impl Search {
    /// A tree with these commits on top of one with the old kernel.
    fn new(commits: &[State]) -> Self {
        let (old, new) = (old_kernel(), kernel());
        let place = Place::new();
        let tree = FakeTree::new(&place.path().join("linux"), Path::new(&old));
        let makefile = std::fs::read_to_string(tree.path().join("Makefile")).expect("a Makefile");
        let endless =
            makefile.replace("\t@mkdir -p", "\t@touch $(O)/asleep; sleep 1000\n\t@mkdir -p");
        let good = "int core(void)\n{\n\treturn 0;\n}\n";
        let mut names = vec![tree.git(&["rev-parse", "HEAD"])];
        for (at, is) in commits.iter().enumerate() {
            let image = if matches!(is, State::New) { &new } else { &old };
            let core = match is {
                State::Broken => "int core(void)\n{\n\treturn other;\n}\n".to_owned(),
                _ => format!("// {at}\n{good}"),
            };
            let makefile = if matches!(is, State::Endless) { &endless } else { &makefile };
            let files =
                [("image", image.as_str()), ("kernel/core.c", &core), ("Makefile", makefile)];
            names.push(tree.commit(&format!("core: change {}", at + 1), &files));
        }
        Self { place, tree, commits: names }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let fixed = ["--accel", "tcg", "--tree"];
        let tree = self.tree.path().display().to_string();
        let mut command = self.place.command(&[&["bisect"], arguments, &fixed].concat());
        command.arg(tree).args(CELLS);
        command
    }

    fn bisect(&self, arguments: &[&str]) -> Ended {
        let (good, bad) = (&self.commits[0], self.commits.last().expect("a commit"));
        let ends = ["--good", good, "--bad", bad];
        let output = self.command(&[&ends, arguments].concat()).output();
        Ended::of(output.expect("perfsec starts"))
    }

    /// True if the endless build has begun.
    fn asleep(&self) -> bool {
        let rooms = std::fs::read_dir(self.place.path().join("cache/source")).expect("a room");
        let builds = rooms.flat_map(|room| {
            std::fs::read_dir(room.expect("an entry").path()).expect("a checkout and a build")
        });
        builds.into_iter().any(|build| build.expect("an entry").path().join("asleep").exists())
    }

    /// Files of `git bisect` in perfsec's own repository and in the user's.
    fn left(&self) -> Vec<PathBuf> {
        let rooms = std::fs::read_dir(self.place.path().join("cache/source")).expect("a room");
        let own = rooms.map(|room| room.expect("an entry").path().join("linux"));
        let all = own.chain([self.tree.path().to_owned()]);
        let inside =
            all.flat_map(|tree| std::fs::read_dir(tree.join(".git")).expect("git's files"));
        let paths = inside.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.to_string_lossy().contains("/BISECT")).collect()
    }
}

#[test]
#[ignore = "needs PERFSEC_TEST_KERNEL, PERFSEC_TEST_OLD_KERNEL, QEMU, secilc and a compiler"]
fn the_commit_that_changed_the_kernel_is_found() {
    let search = Search::new(&[
        State::Old,
        State::Old,
        State::Broken,
        State::Old,
        State::New,
        State::Broken,
        State::New,
        State::New,
    ]);
    let before = search.tree.git(&["status", "--porcelain=v2", "--branch"]);
    let ended = search.bisect(&["--format", "json"]);
    ended.succeeds();
    let outcome: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let found = &outcome["found"];
    assert_eq!(found["is"], "first");
    assert_eq!(found["commit"]["commit"], search.commits[5].as_str());
    assert_eq!(outcome["cells"].as_array().map(Vec::len), Some(2));
    assert_eq!(outcome["across"]["groups"][0]["cells"]["count"], 2);
    assert!(ended.stderr.contains("bisecting: about "), "{}", ended.stderr);
    // Every other commit has one of two images.
    assert!(ended.stderr.contains("; the same image as that of "), "{}", ended.stderr);
    assert_eq!(search.left(), Vec::<PathBuf>::new());
    assert_eq!(search.tree.git(&["status", "--porcelain=v2", "--branch"]), before);

    let mail = ["--mail", "--from", "Bob Example <bob@example.org>", "--to", "list@example.org"];
    let ended = search.bisect(&mail);
    ended.succeeds();
    for line in [
        "To: <list@example.org>".to_owned(),
        "Cc: <regressions@lists.linux.dev>".to_owned(),
        format!("#regzbot introduced: {}", search.commits[5]),
        format!("  commit      {}", search.commits[5]),
    ] {
        assert!(ended.stdout.lines().any(|other| other == line), "{line}\n{}", ended.stdout);
    }
}

#[test]
#[ignore = "needs PERFSEC_TEST_KERNEL, PERFSEC_TEST_OLD_KERNEL, QEMU, secilc and a compiler"]
fn commits_that_do_not_build_leave_a_range() {
    let search = Search::new(&[State::Old, State::Broken, State::New]);
    let ended = search.bisect(&[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let start = "only skipped commits are left; the first bad commit is one of these:\n";
    assert!(ended.stdout.starts_with(start), "{}", ended.stdout);
    assert_eq!(search.left(), Vec::<PathBuf>::new());
    let search = Search::new(&[State::Old]);
    search.bisect(&[]).fails(2, "there is nothing to find");
}

#[test]
#[ignore = "needs PERFSEC_TEST_KERNEL, PERFSEC_TEST_OLD_KERNEL, QEMU, secilc and a compiler"]
fn an_interrupt_in_the_middle_of_a_build_leaves_nothing_behind() {
    let search = Search::new(&[State::Old, State::Endless, State::New, State::New]);
    let ends = ["--good", &search.commits[0], "--bad", &search.commits[4]];
    let mut command = search.command(&ends);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("perfsec");
    let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a small number"));
    let building = format!("building {} ", &search.commits[2][..12]);
    let mut said = String::new();
    for line in stderr.lines() {
        let line = line.expect("text");
        said.push_str(&format!("{line}\n"));
        if line.starts_with(&building) {
            while !search.asleep() {
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(!search.left().is_empty(), "{said}");
            kill(pid, Signal::SIGINT).expect("it is ours");
        }
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{said}");
    assert!(said.contains("interrupted; the next build continues from here"), "{said}");
    assert_eq!(search.left(), Vec::<PathBuf>::new());
}

#[test]
#[ignore = "needs PERFSEC_TEST_KERNEL, PERFSEC_TEST_OLD_KERNEL, QEMU, secilc and a compiler"]
fn git_bisect_run_finds_the_commit_with_the_step() {
    let search = Search::new(&[
        State::Old,
        State::Old,
        State::New,
        State::Broken,
        State::New,
        State::New,
        State::New,
    ]);
    let old = old_kernel();
    let run = ["run", "--kernel", &old, "--accel", "tcg", "--out", "good.jsonl"];
    search.place.perfsec(&[&run[..], &CELLS].concat()).succeeds();
    let baseline = search.place.path().join("good.jsonl").display().to_string();
    let tree = search.tree.path();
    search.tree.git(&["bisect", "start", &search.commits[7], &search.commits[0]]);
    let perfsec = env!("CARGO_BIN_EXE_perfsec");
    let step =
        ["bisect", "run", perfsec, "bisect", "step", "--accel", "tcg", "--baseline", &baseline];
    let output = Command::new("git")
        .args(step)
        .current_dir(tree)
        .env("PERFSEC_CACHE_DIR", search.place.path().join("cache"))
        .output()
        .expect("git runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let first = format!("{} is the first bad commit", search.commits[3]);
    assert!(said.contains(&first), "{said}{}", String::from_utf8_lossy(&output.stderr));
    search.tree.git(&["bisect", "reset"]);

    // Uncommitted changes are built.
    let step = |code: i32, words: &str| {
        let ended = Ended::of(
            search.command(&["step", "--baseline", &baseline]).output().expect("perfsec starts"),
        );
        assert_eq!(ended.code, Some(code), "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains(words), "{}", ended.stdout);
    };
    step(1, "bad: ");
    search.tree.write(&[("image", &old)]);
    step(0, "good: ");
    search.tree.write(&[("kernel/core.c", "other\n")]);
    step(125, "skip: ");
    search.tree.write(&[("kernel/core.c", "int core;\n"), ("image", "/none")]);
    step(125, "skip: ");
    search.tree.git(&["checkout", "--quiet", "--force", "master"]);
    search.tree.git(&["bisect", "start", "--no-checkout", &search.commits[7], &search.commits[0]]);
    search.tree.git(&["update-ref", "BISECT_HEAD", &search.commits[2]]);
    step(0, "good: ");
}
