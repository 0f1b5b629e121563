//! Every command's help: headings, and a table of exit codes.

use clap::{CommandFactory as _, Parser as _};

use super::super::{Cli, EXIT_CODES};
use super::heading::{BOOTING, BUILDING, CELLS, KERNELS, MAIL, REPORT, VERDICTS};

/// The heading of each option that has one, in every command.
const HEADINGS: &[(&str, &[&str])] = &[
    (
        CELLS,
        &[
            "cell",
            "grant",
            "mode",
            "domain",
            "cases",
            "repeat",
            "shuffle",
            "shard",
            "resume",
            "failed",
            "all-cells",
        ],
    ),
    (VERDICTS, &["baseline", "known", "strict", "retries", "stale", "expect"]),
    (
        KERNELS,
        &[
            "kernel",
            "dirty",
            "refresh",
            "distribution",
            "kernel-config",
            "tree",
            "rev",
            "base",
            "good",
            "bad",
            "all-kernels",
        ],
    ),
    (
        BOOTING,
        &[
            "policy",
            "guest",
            "machine",
            "add-module",
            "module",
            "boolean",
            "dontaudit",
            "accel",
            "qemu",
            "append",
            "program",
            "jobs",
            "cold",
            "dump-memory",
            "gdb",
            "boot-limit",
            "silence-limit",
            "cell-limit",
            "run-limit",
        ],
    ),
    (BUILDING, &["config", "no-default-config", "make", "build-jobs"]),
    (REPORT, &["format", "out", "directory", "policy-out", "origin", "from", "schema", "te"]),
    (
        MAIL,
        &["mail", "to", "cc", "subject", "in-reply-to", "subject-of", "reply-to-mbox", "regzbot"],
    ),
];

/// Options that mean something else in one command and stand under "Options" there.
const ELSEWHERE: &[(&str, &str)] = &[
    ("allow", "domain"),
    ("why", "domain"),
    ("coverage", "tree"),
    ("coverage", "from"),
    ("selfcheck", "out"),
    ("selfcheck", "resume"),
    ("selfcheck", "shard"),
];

/// The command and all of its subcommands, each by its name without `perfsec`.
fn commands(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help" || path.is_empty()) {
        let name = format!("{path}{}", sub.get_name());
        commands(sub, &format!("{name} "), found);
        found.push((name, sub.clone()));
    }
}

fn all() -> Vec<(String, clap::Command)> {
    let mut root = Cli::command();
    root.build();
    let mut found = Vec::new();
    commands(&root, "", &mut found);
    assert!(found.len() > 20, "{}", found.len());
    found
}

#[test]
fn no_command_has_two_options_of_one_name() {
    Cli::command().debug_assert();
}

#[test]
fn every_option_is_under_its_heading_in_every_command() {
    for (name, command) in all() {
        for option in command.get_arguments() {
            let Some(long) = option.get_long() else { continue };
            let wanted = HEADINGS
                .iter()
                .find(|(_, options)| options.contains(&long))
                .map(|(heading, _)| *heading)
                .filter(|_| !ELSEWHERE.contains(&(name.as_str(), long)));
            // A hidden option has no place in the help.
            let found = option.get_help_heading();
            assert!(found == wanted || option.is_hide_set(), "{name} --{long}: {found:?}");
        }
    }
}

#[test]
fn building_has_the_options_of_a_build_and_no_others() {
    for (name, command) in all() {
        let help = command.clone().render_help().to_string();
        let Some((_, section)) = help.split_once("Building:\n") else { continue };
        let section = section.split("\n\n").next().unwrap_or_default();
        for line in section.lines().filter(|line| line.trim_start().starts_with('-')) {
            let (_, rest) = line.split_once("--").unwrap_or_default();
            let long = rest.split([' ', '\n']).next().unwrap_or_default();
            let (_, building) = HEADINGS[4];
            assert!(building.contains(&long), "{name} has --{long} under Building");
        }
    }
}

#[test]
fn every_command_that_can_fail_lists_its_exit_codes() {
    for (name, command) in all() {
        let help = command.clone().render_long_help().to_string();
        let codes = EXIT_CODES.iter().find(|codes| codes.command == name);
        let codes = codes.unwrap_or_else(|| panic!("{name} has no exit codes"));
        let table = format!("Exit codes:\n{}", codes.table());
        assert!(help.contains(&table), "{name}:\n{help}");
    }
}

#[test]
fn every_table_of_exit_codes_is_about_a_command() {
    let commands = all();
    for codes in EXIT_CODES {
        assert!(commands.iter().any(|(name, _)| name == codes.command), "{}", codes.command);
    }
}

#[test]
fn every_command_that_runs_cells_can_be_quiet() {
    for (name, command) in all() {
        let has = |long: &str| command.get_arguments().any(|arg| arg.get_long() == Some(long));
        assert_eq!(has("quiet"), has("qemu"), "{name}");
    }
}

#[test]
fn bless_tells_changes_of_cases_from_changes_of_a_tree() {
    let parse = |option: &str| match Cli::try_parse_from(["perfsec", "bless", option]) {
        Ok(Cli { command: super::Command::Bless(args), .. }) => {
            (args.overwrite, args.machine.obtain.dirty)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(parse("--overwrite"), (true, false));
    assert_eq!(parse("--dirty"), (false, true));
}
