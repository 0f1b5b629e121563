//! `perfsec cache` with a cache of its own.

#[expect(dead_code, reason = "shared with tests that boot")]
mod support;

use std::fs::{self, File};

use rstest::rstest;
use support::{Ended, Place};

/// A cache with a kernel and a run record.
fn place() -> Place {
    let place = Place::new();
    place.file("cache/kernel/abc.vmlinux", "kernel");
    place.file("cache/runs/20261128T000000000Z-1.jsonl", "record");
    place
}

#[test]
fn every_directory_of_the_cache_is_listed_with_its_entries() {
    let ended = place().perfsec(&["cache"]);
    ended.succeeds();
    let row = |name: &str| {
        let rows = ended.stdout.lines().map(str::trim_start);
        let row = rows.into_iter().find(|row| row.starts_with(&format!("{name} ")));
        row.unwrap_or_else(|| panic!("no {name}:\n{}", ended.stdout)).to_owned()
    };
    assert!(row("kernel").contains(" 1 ") && row("kernel").ends_with("configuration"));
    assert!(row("snapshots").contains(" 0 "));
    assert!(row("total").contains(" 2 "));
}

#[test]
fn the_limit_is_shown_and_must_be_a_size() {
    let limited = |limit: &str| {
        let place = place();
        let mut command = place.command(&["cache"]);
        Ended::of(command.env("PERFSEC_CACHE_LIMIT", limit).output().expect("perfsec starts"))
    };
    assert!(limited("3GiB").stdout.contains("limit: 3.00 GiB"));
    assert!(limited("none").stdout.contains("limit: none"));
    limited("much").fails(2, "much");
}

#[test]
fn what_differs_from_what_was_written_is_listed_and_deleted() {
    let place = place();
    let kernel = place.path().join("cache/kernel/abc.vmlinux");
    for (arguments, left) in
        [(&["cache", "verify", "--keep"][..], true), (&["cache", "verify"], false)]
    {
        let ended = place.perfsec(arguments);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stdout.contains("kernel/abc.vmlinux has no seal"), "{}", ended.stdout);
        assert_eq!(kernel.exists(), left);
    }
    let ended = place.perfsec(&["cache", "verify"]);
    ended.succeeds();
    assert!(ended.stdout.contains("0 entries checked"), "{}", ended.stdout);
    assert_eq!(fs::read_dir(place.path().join("cache/runs")).unwrap().count(), 1);
}

#[rstest]
#[case::all(&["cache", "clear"], false, true, "1 entry deleted")]
#[case::one(&["cache", "clear", "kernel"], false, true, "kernel: 1 entry")]
#[case::other(&["cache", "clear", "snapshots"], true, true, "0 entries deleted, 0 B freed")]
#[case::runs(&["cache", "clear", "kernel", "runs"], false, false, "2 entries deleted")]
#[case::old(&["cache", "clear", "--older-than", "1"], true, true, "0 entries deleted")]
fn only_what_was_named_is_deleted(
    #[case] arguments: &[&str],
    #[case] kernel: bool,
    #[case] record: bool,
    #[case] words: &str,
) {
    let place = place();
    let ended = place.perfsec(arguments);
    ended.succeeds();
    assert!(ended.stdout.contains(words), "{}", ended.stdout);
    let left = |room: &str| fs::read_dir(place.path().join("cache").join(room)).unwrap().count();
    assert_eq!((left("kernel") == 1, left("runs") == 1), (kernel, record));
}

#[test]
fn a_cache_in_use_is_listed_and_not_cleared() {
    let place = place();
    place.perfsec(&["cache"]).succeeds();
    let users = File::open(place.path().join("cache/locks/users")).unwrap();
    users.lock_shared().unwrap();
    place.perfsec(&["cache"]).succeeds();
    place.perfsec(&["cache", "clear"]).fails(5, "another perfsec");
    assert!(place.path().join("cache/kernel/abc.vmlinux").exists());
    drop(users);
    place.perfsec(&["cache", "clear"]).succeeds();
}

#[test]
fn a_directory_that_the_cache_does_not_have_is_bad_input() {
    let ended = place().perfsec(&["cache", "clear", "kernels"]);
    ended.fails(2, "kernel");
}
