//! `perfsec howto`: bad input, and a walk with a few steps in a real guest system.

#[expect(dead_code, reason = "shared with other tests")]
mod support;

use rstest::rstest;
use support::{Ended, Place, kernel};

/// Steps that take no time: a promise that is kept, and commands of both users.
const STEPS: &str = r#"
[[step]]
title = "Users"
says = "Who is logged in"
boot = "selinux"
[[step.command]]
type = "id -Z; tty; cat /proc/self/loginuid"
promise = [{ claim = "root", exit = 0, prints = ['^unconfined_u:unconfined_r:unconfined_t:', '^/dev/pts/'] }]
[[step.command]]
user = "user"
type = "id -Z; id -un"
promise = [{ claim = "user", exit = 0, prints = ['^user_u:user_r:user_t:s0$', '^user$'] }]
[[step.command]]
type = "setenforce 1; getenforce; setenforce 0"
promise = [{ claim = "enforcing", prints = ['^Enforcing$'] }]
"#;

/// Steps that do not keep their promises: the first fails, the second never ends, and the third
/// ends the session.
const BROKEN: &str = r#"
[[step]]
title = "Broken"
says = "Nothing is kept"
boot = "selinux"
[[step.command]]
type = "false"
promise = [{ claim = "it succeeds", exit = 0 }]
[[step.command]]
type = "echo before; sleep 1000"
limit = 2
promise = [{ claim = "it ends", prints = ['^before$'] }]
[[step.command]]
type = "exit 0"
limit = 2
promise = [{ claim = "the session goes on", exit = 0 }]
[[step.command]]
type = "echo again"
promise = [{ claim = "the user logs in anew", exit = 0, prints = ['^again$'] }]
"#;

#[rstest]
#[case::unknown_suite(&["--guest", "debian:sarge"], "find Debian suite \"sarge\": unknown suite")]
#[case::another_distribution(&["--guest", "fedora:42"], "expected debian:SUITE")]
#[case::policy(&["--policy", "debian:trixie"], "--policy cannot be used with howto")]
#[case::dontaudit(&["--dontaudit", "off"], "--dontaudit cannot be used with howto")]
#[case::two_kernels(&["--kernel", "debian:6.1", "--kernel", "debian:6.12"], "on one kernel")]
#[case::no_steps(&["--steps", "missing.toml"], "read missing.toml")]
#[case::other_steps(&["--show", "--steps", "missing.toml"], "cannot be used with")]
#[case::no_place(&["--out", "missing/page.html"], "write missing/page.html")]
fn bad_input_is_an_error(#[case] arguments: &[&str], #[case] words: &str) {
    let arguments = [&["howto"], arguments].concat();
    let code = if words.starts_with("write") { 5 } else { 2 };
    Place::new().perfsec(&arguments).fails(code, words);
}

#[rstest]
#[case::no_toml("steps", "steps.toml")]
#[case::unknown_key("[[step]]\ntitle = 'a'\nsay = 'b'\n", "unknown field `say`")]
#[case::no_pattern(
    "[[step]]\ntitle = 'a'\nsays = 'b'\n[[step.command]]\ntype = 'c'\n\
     promise = [{ claim = 'd', prints = ['('] }]\n",
    "unclosed group"
)]
fn a_mistake_in_a_file_of_steps_is_named(#[case] steps: &str, #[case] words: &str) {
    let place = Place::new();
    let path = place.file("steps.toml", steps);
    place.perfsec(&["howto", "--steps", &path]).fails(2, words);
}

#[test]
fn the_steps_that_are_shown_can_be_given() {
    let place = Place::new();
    let shown = place.perfsec(&["howto", "--show"]);
    shown.succeeds();
    let path = place.file("steps.toml", &shown.stdout);
    // The next mistake is found: the steps have none.
    let arguments = ["howto", "--steps", &path, "--guest", "debian:sarge"];
    place.perfsec(&arguments).fails(2, "unknown suite");
}

/// A walk with these steps, with the user's cache, which has the guest system.
fn walk(steps: &str) -> Ended {
    let place = Place::new();
    let (path, kernel) = (place.file("steps.toml", steps), kernel());
    let mut command = place.command(&["howto", "--kernel", &kernel, "--steps", &path]);
    Ended::of(command.env_remove("PERFSEC_CACHE_DIR").output().expect("perfsec starts"))
}

#[test]
#[ignore = "needs PERFSEC_TEST_KERNEL and a guest system"]
fn users_are_logged_in_and_type_commands() {
    let ended = walk(STEPS);
    ended.succeeds();
    assert!(ended.stdout.contains("promises: 3 kept"), "{}", ended.stdout);
}

#[test]
#[ignore = "needs PERFSEC_TEST_KERNEL and a guest system"]
fn promises_that_are_not_kept_are_on_the_page() {
    let ended = walk(BROKEN);
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    for words in [
        "NOT AS PROMISED: it succeeds\n      but it exited with 1",
        "NOT AS PROMISED: it ends\n      but it did not end, or was not typed",
        "NOT AS PROMISED: the session goes on",
        "ok: the user logs in anew",
        "promises: 1 kept, 3 broken",
    ] {
        assert!(ended.stdout.contains(words), "no `{words}` in\n{}", ended.stdout);
    }
}
