//! The options that `--machine` excludes, which depend on the machine.

use std::ffi::OsString;

use clap::CommandFactory as _;

use super::Cli;
use super::args::STARTING_A_KERNEL;
use crate::machines::MachineName;

/// The option.
const OPTION: &str = "--machine";

/// The command line of perfsec. If these words name a machine that runs a kernel already, its
/// `--machine` excludes the options on kernels that perfsec starts.
pub(super) fn command_for(words: &[OsString]) -> clap::Command {
    let root = Cli::command();
    match machine(words) {
        Some(name) => root.mut_subcommand("run", |run| {
            run.mut_arg("on", |machine| {
                let needless = name.has_kernel().then_some(STARTING_A_KERNEL);
                // The agent is sent alone to another machine.
                let only_here = (name != MachineName::Here).then_some("add_module");
                machine.conflicts_with_all(needless.into_iter().flatten().chain(only_here))
            })
        }),
        None => root,
    }
}

/// The machine that these words name, if it is one.
fn machine(words: &[OsString]) -> Option<MachineName> {
    let mut words = words.iter().map_while(|word| word.to_str()).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        let value = match word.strip_prefix(OPTION) {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        if let Some(value) = value {
            return value.parse().ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("run --machine here --kernel debian:6.1", Some("--kernel <KERNEL>"))]
    #[case("run --kernel debian:6.1 --machine=here", Some("--kernel <KERNEL>"))]
    #[case("run --machine ssh:rack1 --policy minimal", Some("--policy <POLICY>"))]
    #[case("run --machine here --qemu qemu", Some("--qemu <PROGRAM>"))]
    #[case("run --machine rack1 --qemu qemu", Some("--qemu <PROGRAM>"))]
    #[case("run --machine rack1 --jobs 2", Some("--jobs <N>"))]
    #[case("run --machine ssh:rack1 --add-module", Some("--add-module"))]
    #[case("run --machine rack1 --add-module", Some("--add-module"))]
    #[case("run --machine here --add-module --domain u:r:t:s0", Some("--domain <CONTEXT>"))]
    #[case("run --add-module", Some("--machine <MACHINE>"))]
    #[case("run --machine here --add-module", None)]
    #[case("run --machine here", None)]
    #[case("run --machine rack1 --kernel debian:6.1 --policy minimal --append nosmt", None)]
    #[case("run --kernel debian:6.1 --qemu qemu", None)]
    fn options_that_a_machine_has_no_use_for_are_refused(
        #[case] typed: &str,
        #[case] excluded: Option<&str>,
    ) {
        let words = ["perfsec"].into_iter().chain(typed.split(' ')).map(OsString::from);
        let words: Vec<_> = words.collect();
        let parsed = command_for(&words).try_get_matches_from(&words);
        let refusal = parsed.err().map(|error| error.to_string());
        match (excluded, refusal) {
            (Some(option), Some(refusal)) => assert!(refusal.contains(option), "{refusal}"),
            (excluded, refusal) => assert_eq!(excluded.map(str::to_owned), refusal),
        }
    }
}
