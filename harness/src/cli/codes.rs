//! The exit codes of every command, as data: `--help`, the man pages and docs/exit-codes.md are
//! made of these tables.

use textwrap::{Options, WordSplitter};

use super::Exit;

/// Longest line of a table in `--help`.
const WIDTH: usize = 77;

/// The exit codes of one command.
#[derive(Clone, Copy, Debug)]
pub struct ExitCodes {
    /// The command without `perfsec`, such as `bisect step`.
    pub command: &'static str,
    /// Each code with its meaning, in ascending order.
    pub rows: &'static [(Exit, &'static str)],
}

const USAGE: (Exit, &str) = (Exit::Input, "bad input: an option");
const WRITE: (Exit, &str) = (Exit::Host, "the output cannot be written");
const BUILD_HOST: (Exit, &str) =
    (Exit::Host, "this host lacks something (`perfsec doctor --for kernel-build` names it)");
const HOST: (Exit, &str) = (Exit::Host, "this host lacks something (`perfsec doctor` names it)");
const KERNEL: (Exit, &str) = (Exit::Kernel, "a kernel cannot be tested");
const BUILD: (Exit, &str) = (Exit::Build, "a kernel does not build");
const CACHE: (Exit, &str) = (Exit::Host, "the cache cannot be read, or the output not written");
const SIGINT: Exit = Exit::Signal(2);
const SIGNAL: (Exit, &str) = (SIGINT, "interrupted by SIGINT; 143 by SIGTERM, 129 by SIGHUP");

/// Every command that can fail, in the order of `perfsec --help`.
pub const EXIT_CODES: &[ExitCodes] = &[
    ExitCodes {
        command: "run",
        rows: &[
            (
                Exit::Success,
                "every cell passed, was skipped or is known to differ, and at least one ran, or \
                 the --shard has none",
            ),
            (
                Exit::Failed,
                "a cell FAILed: the kernel did not do what is expected; with --baseline, \
                 something got worse; with --strict, a known difference is gone (XPASS)",
            ),
            (Exit::Input, "bad input: an option, a case file, a policy or a kernel file"),
            (
                Exit::NotJudged,
                "a cell was not judged: ERROR (it could not be carried out) or MISS (the machine \
                 died)",
            ),
            (
                Exit::NothingRan,
                "no cell ran: the filters select none, all were skipped, or the --machine cannot \
                 run any",
            ),
            (
                Exit::Host,
                "this host lacks something: a program, a permission, disk space (`perfsec \
                 doctor` names it); with --machine, it is leased, broken or not reached, or was not \
                 seen to be as before",
            ),
            (
                Exit::Kernel,
                "the kernel cannot be tested: it does not boot, lacks SELinux, audit or perf, or \
                 rejects the policy",
            ),
            (
                Exit::Build,
                "a kernel does not build; the error quotes the compiler's first error and names \
                 the log",
            ),
            (
                Exit::Flaky,
                "with --retries: no cell FAILed, but one is FLAKY: it behaved differently on \
                 repetition",
            ),
            SIGNAL,
        ],
    },
    ExitCodes {
        command: "report",
        rows: &[
            (Exit::Success, "the report is written, whatever the run's verdicts are"),
            (Exit::Input, "bad input: an option, a run record or the message to answer"),
            WRITE,
        ],
    },
    ExitCodes {
        command: "merge",
        rows: &[
            (Exit::Success, "the records are joined, whatever their verdicts are"),
            (Exit::Input, "bad input: an option, a run record, or records of different runs"),
            WRITE,
        ],
    },
    ExitCodes {
        command: "known",
        rows: &[
            (Exit::Success, "the list is printed; with --stale: no known difference is stale"),
            (Exit::Failed, "with --stale: a known difference is stale"),
            (
                Exit::Input,
                "bad input: an option, a case file, a file of known differences or a run record",
            ),
            WRITE,
        ],
    },
    ExitCodes {
        command: "survey",
        rows: &[
            (Exit::Success, "the cells of the chosen domains saw what was computed"),
            (Exit::Failed, "a cell saw something else (FAIL)"),
            (
                Exit::Input,
                "bad input: an option, a policy, a kernel file, or a context that the policy does \
                 not have",
            ),
            (
                Exit::NotJudged,
                "a cell could not be carried out (ERROR), or the machine died (MISS)",
            ),
            HOST,
            KERNEL,
            BUILD,
            SIGNAL,
        ],
    },
    ExitCodes {
        command: "compare",
        rows: &[
            (Exit::Success, "every cell that was compared is the same on both sides"),
            (
                Exit::Failed,
                "a cell differs: in a result, a check, a record, their order, or the verdict",
            ),
            (
                Exit::Input,
                "bad input: an option, a run record, a kernel file, or sides without a cell in \
                 common",
            ),
            (
                Exit::NotJudged,
                "nothing differs, but a cell has no result to compare: ERROR, MISS, FLAKY on both \
                 sides, or the run was cut short",
            ),
            (
                Exit::NothingRan,
                "no cell was compared: the filters select none, or all were skipped or have \
                 changed",
            ),
            HOST,
            KERNEL,
            BUILD,
            SIGNAL,
        ],
    },
    ExitCodes {
        command: "series",
        rows: &[
            (
                Exit::Success,
                "every patch applies, builds without a new warning and boots, and no cell \
                 changed, or only as stated with --expect",
            ),
            (
                Exit::Failed,
                "a cell fails that did not, or changed in a way that was not stated; a stated \
                 change did not happen; or the compiler has new warnings",
            ),
            (
                Exit::Input,
                "bad input: an option, a series with patches missing, a tree, a patch that does \
                 not apply (then nothing is built)",
            ),
            (Exit::NotJudged, "nothing is wrong with what was compared, but a cell was not judged"),
            (Exit::NothingRan, "no cell ran"),
            BUILD_HOST,
            (
                Exit::Kernel,
                "a kernel of the series cannot be tested; it does not boot, for example",
            ),
            (Exit::Build, "a kernel of the series does not build"),
            (
                SIGINT,
                "interrupted by SIGINT; 143 by SIGTERM, 129 by SIGHUP; the same command continues \
                 where this one stopped",
            ),
        ],
    },
    ExitCodes {
        command: "b4-check",
        rows: &[
            (Exit::Success, "the answer is printed; `[]` if no check of that mail was completed"),
            (Exit::Input, "bad input: an option, or no mail with a Message-ID"),
            CACHE,
        ],
    },
    ExitCodes {
        command: "bisect",
        rows: &[
            (Exit::Success, "the first bad commit is found"),
            (
                Exit::Failed,
                "only a range is found: the commits left in it do not build or cannot be tested",
            ),
            (
                Exit::Input,
                "bad input: an option, a revision, a case file, or ends that do not differ",
            ),
            (Exit::NothingRan, "the filters select no cell"),
            BUILD_HOST,
            (Exit::Kernel, "an end cannot be tested; it does not boot, for example"),
            (Exit::Build, "an end does not build"),
            (
                SIGINT,
                "interrupted by SIGINT; 143 by SIGTERM, 129 by SIGHUP; the same command builds \
                 nothing twice",
            ),
        ],
    },
    ExitCodes {
        command: "bisect config",
        rows: &[
            (Exit::Success, "the option is found"),
            (Exit::Failed, "several options are left that cannot change one by one"),
            (
                Exit::Input,
                "bad input: an option, a configuration, a case file, or ends that do not differ",
            ),
            (Exit::NothingRan, "the filters select no cell"),
            BUILD_HOST,
            (Exit::Kernel, "an end cannot be tested; it does not boot, for example"),
            (Exit::Build, "an end does not build"),
            (
                SIGINT,
                "interrupted by SIGINT; 143 by SIGTERM, 129 by SIGHUP; the same command builds \
                 nothing twice",
            ),
        ],
    },
    ExitCodes {
        command: "bisect step",
        rows: &[
            (
                Exit::Success,
                "good: every cell sees what it saw in the baseline; without one, no cell fails",
            ),
            (Exit::Failed, "bad: a cell sees something else; without a baseline, a cell fails"),
            (Exit::Skip, "skip: the tree does not build, does not boot, or a cell was not judged"),
            (
                Exit::Stop,
                "stop: bad input, or this host lacks something (`perfsec doctor` names it)",
            ),
            SIGNAL,
        ],
    },
    ExitCodes {
        command: "show",
        rows: &[
            (Exit::Success, "the cells are shown"),
            (Exit::Input, "bad input: an option or a case file"),
            (Exit::NothingRan, "the filters select no cell"),
            WRITE,
        ],
    },
    ExitCodes {
        command: "reproduce",
        rows: &[
            (Exit::Success, "the program is written; with --directory, at least one is"),
            (
                Exit::Input,
                "bad input: an option, a case file, or filters that select several cells",
            ),
            (Exit::NothingRan, "the filters select no cell, or no program can show the cell"),
            WRITE,
        ],
    },
    ExitCodes {
        command: "steps",
        rows: &[
            (Exit::Success, "the steps are described"),
            (Exit::Input, "bad input: an option, or no step has that name"),
            WRITE,
        ],
    },
    ExitCodes {
        command: "new",
        rows: &[
            (Exit::Success, "the file is written"),
            (Exit::Input, "bad input: an option, a name that is no case's, or a file that exists"),
            WRITE,
        ],
    },
    ExitCodes {
        command: "check",
        rows: &[
            (Exit::Success, "no case has a mistake"),
            (Exit::Input, "a case has a mistake, or the directory has no case"),
            WRITE,
        ],
    },
    ExitCodes {
        command: "schema",
        rows: &[
            (Exit::Success, "the schema is printed"),
            (Exit::Input, "bad input: the kind of file"),
            WRITE,
        ],
    },
    ExitCodes {
        command: "bless",
        rows: &[
            (Exit::Success, "the case files expect what the cells saw"),
            (
                Exit::Input,
                "bad input: an option, a case file, uncommitted changes, several kernels, or the \
                 command runs in CI",
            ),
            (Exit::NotJudged, "a cell was not judged, so its expectation is unchanged"),
            (Exit::NothingRan, "the filters select no cell"),
            HOST,
            KERNEL,
            BUILD,
            SIGNAL,
        ],
    },
    ExitCodes {
        command: "coverage",
        rows: &[
            (Exit::Success, "every question that a guest can reach was answered both ways"),
            (Exit::Failed, "a question was answered one way only, or never asked"),
            (
                Exit::Input,
                "bad input: an option, a case file, a run record, a source tree or a kernel file",
            ),
            (
                Exit::NotJudged,
                "a cell could not be carried out (ERROR), or the machine died (MISS)",
            ),
            (Exit::NothingRan, "no cell ran, or the run record has no coverage"),
            HOST,
            KERNEL,
            BUILD,
            SIGNAL,
        ],
    },
    ExitCodes {
        command: "explain",
        rows: &[
            (Exit::Success, "it is explained, also if it is not a refusal"),
            (
                Exit::Input,
                "bad input: an option, an incomplete record, or the beginning of several cells' \
                 names",
            ),
            (Exit::NothingRan, "nothing here concerns perf, the input is empty, or no such cell"),
            WRITE,
        ],
    },
    ExitCodes {
        command: "why",
        rows: &[
            (Exit::Success, "it is explained, also if nothing refuses the command"),
            (Exit::Input, "bad input: an option, or a command that perf does not have"),
            (Exit::NothingRan, "the command does not concern perf"),
            WRITE,
        ],
    },
    ExitCodes {
        command: "allow",
        rows: &[
            (
                Exit::Success,
                "the module is written; with --verify: what it allows is no longer denied, and \
                 nothing else changed",
            ),
            (Exit::Failed, "with --verify: a denial is still there, or something else changed"),
            (
                Exit::Input,
                "bad input: an option, a run record, a log, or a policy that cannot be extended",
            ),
            (
                Exit::NotJudged,
                "with --verify: a cell could not be carried out, or the machine died",
            ),
            (Exit::NothingRan, "nothing was denied that a module could allow"),
            (
                Exit::Host,
                "this host lacks something (`perfsec doctor` names it), or a file cannot be \
                 written",
            ),
            (Exit::Kernel, "with --verify: the kernel cannot be tested"),
            (Exit::Build, "with --verify: the kernel does not build"),
            SIGNAL,
        ],
    },
    ExitCodes {
        command: "selfcheck",
        rows: &[
            (Exit::Success, "every mutation that applies to the tree was noticed"),
            (
                Exit::Failed,
                "no cell noticed a mutation, or a mutant without an excuse: the suite has a hole",
            ),
            (Exit::Input, "bad input: an option, a patch, a case file, a list, a record or a tree"),
            (
                Exit::NotJudged,
                "a mutation could not be tried: it does not build or boot, or changes nothing",
            ),
            (Exit::NothingRan, "no mutation applies to the tree, or there is no mutant"),
            BUILD_HOST,
            (Exit::Kernel, "the unchanged kernel cannot be tested"),
            (Exit::Build, "the unchanged kernel does not build"),
            SIGNAL,
        ],
    },
    ExitCodes {
        command: "shell",
        rows: &[
            (Exit::Success, "the shell ended"),
            (Exit::Input, "bad input: an option, a policy or a kernel file"),
            (Exit::Host, "this host lacks something (`perfsec doctor --for shell` names it)"),
            (Exit::Kernel, "the kernel rejected the boot, rebooted or crashed"),
            BUILD,
        ],
    },
    ExitCodes {
        command: "kernel",
        rows: &[
            (Exit::Success, "every kernel is in the cache"),
            (Exit::Input, "bad input: an option, a kernel file, a tree, a revision or a fragment"),
            BUILD_HOST,
            (
                Exit::Build,
                "a kernel does not build; the error quotes the compiler's first error and names \
                 the log",
            ),
            SIGNAL,
        ],
    },
    ExitCodes {
        command: "kernel build",
        rows: &[
            (Exit::Success, "the kernel is built, or was built before"),
            (Exit::Input, "bad input: an option, a tree, a revision or a fragment"),
            BUILD_HOST,
            (
                Exit::Build,
                "the kernel does not build; the error quotes the compiler's first error and \
                 names the log",
            ),
            SIGNAL,
        ],
    },
    ExitCodes { command: "guest", rows: &[(Exit::Success, "as its commands say"), USAGE] },
    ExitCodes {
        command: "guest build",
        rows: &[
            (Exit::Success, "the guest system is in the cache"),
            (
                Exit::Input,
                "bad input: an option, an unknown suite, or one without a package that is needed",
            ),
            (
                Exit::Host,
                "this host lacks something (`perfsec doctor --for guests` names it), or mmdebstrap \
                 failed",
            ),
            SIGNAL,
        ],
    },
    ExitCodes {
        command: "guest pack",
        rows: &[
            (Exit::Success, "the file is written"),
            (Exit::Input, "bad input: an option, a program, or a system that cannot be built"),
            (
                Exit::Host,
                "the file cannot be written, or the system is not in the cache and cannot be \
                 built: this host lacks something, or mmdebstrap failed",
            ),
            SIGNAL,
        ],
    },
    ExitCodes {
        command: "machines",
        rows: &[
            (Exit::Success, "the list is printed, whatever the states are"),
            (Exit::Input, "bad input: an option, or machines.toml"),
            (Exit::Host, "the states cannot be read, or the output not written"),
        ],
    },
    ExitCodes {
        command: "machines check",
        rows: &[
            (Exit::Success, "every machine is healthy"),
            (
                Exit::Failed,
                "a machine failed its check, and is not used until it passes one; or another \
                 process has leased it, or it is not reached",
            ),
            (Exit::Input, "bad input: an option, machines.toml, or a name that is not in it"),
            (Exit::Host, "the states cannot be read, or the output not written"),
            SIGNAL,
        ],
    },
    ExitCodes { command: "policy", rows: &[(Exit::Success, "as its commands say"), USAGE] },
    ExitCodes {
        command: "policy extend",
        rows: &[
            (Exit::Success, "the policy has the class and the permissions, also if it had them"),
            (
                Exit::Input,
                "bad input: an option, or neither CIL nor a tree of policy source; nothing is \
                 changed",
            ),
            (Exit::Host, "a file cannot be written"),
        ],
    },
    ExitCodes {
        command: "howto",
        rows: &[
            (Exit::Success, "every promise is kept, or differs for a reason that the page gives"),
            (Exit::Failed, "a promise is not kept"),
            (Exit::Input, "bad input: an option, a kernel file or an unknown suite"),
            HOST,
            (Exit::Kernel, "the kernel does not boot with the guest system, or ended"),
            BUILD,
            SIGNAL,
        ],
    },
    ExitCodes {
        command: "cache",
        rows: &[(Exit::Success, "the directories of the cache are listed"), USAGE, CACHE],
    },
    ExitCodes {
        command: "cache clear",
        rows: &[
            (Exit::Success, "everything that was asked for is deleted, or there was nothing"),
            (Exit::Input, "bad input: an option, or the cache has no directory of that name"),
            (Exit::Host, "another perfsec is using the cache, or an entry cannot be deleted"),
        ],
    },
    ExitCodes {
        command: "cache verify",
        rows: &[
            (Exit::Success, "every entry is what was written"),
            (
                Exit::Failed,
                "an entry is not what was written; it is deleted, unless --keep is given or the \
                 cache cannot be written",
            ),
            USAGE,
            CACHE,
        ],
    },
    ExitCodes {
        command: "doctor",
        rows: &[
            (
                Exit::Success,
                "this host has what booting kernels needs; with --install: everything that was \
                 asked for",
            ),
            USAGE,
            (Exit::Host, "something is missing, or cannot be installed"),
        ],
    },
    ExitCodes {
        command: "completions",
        rows: &[
            (Exit::Success, "the completions are printed"),
            (Exit::Input, "bad input: the name of the shell"),
            WRITE,
        ],
    },
    ExitCodes {
        command: "man",
        rows: &[
            (Exit::Success, "the man pages are written"),
            (Exit::Input, "bad input: an option, or a directory that cannot be written"),
        ],
    },
    ExitCodes {
        command: "help",
        rows: &[
            (Exit::Success, "the help is printed"),
            (Exit::Input, "there is no such command or topic"),
            WRITE,
        ],
    },
];

impl ExitCodes {
    /// The table of a command such as `bisect step`; empty for one that has none.
    #[must_use]
    pub fn of(command: &str) -> Self {
        let found = EXIT_CODES.iter().find(|codes| codes.command == command);
        found.copied().unwrap_or(Self { command: "", rows: &[] })
    }

    /// The table as indented lines, without a heading.
    #[must_use]
    pub fn table(&self) -> String {
        let row = |(exit, meaning): &(Exit, &str)| {
            let first = format!("  {:<5}", exit.code());
            let options = Options::new(WIDTH).initial_indent(&first).subsequent_indent("       ");
            let options = options.word_splitter(WordSplitter::NoHyphenation);
            textwrap::fill(meaning, options)
        };
        self.rows.iter().map(row).collect::<Vec<_>>().join("\n")
    }

    /// The end of the command's `--help`.
    #[must_use]
    pub fn help(command: &str) -> String {
        format!("Exit codes:\n{}", Self::of(command).table())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_ascending_order_and_each_is_there_once() {
        for codes in EXIT_CODES {
            let numbers: Vec<_> = codes.rows.iter().map(|(exit, _)| exit.code()).collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "{}: {numbers:?}", codes.command);
        }
    }

    /// The page of the documentation, with the tables as they are here.
    #[test]
    fn the_page_on_exit_codes_has_these_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/exit-codes.md");
        let page = std::fs::read_to_string(path).unwrap();
        let at = page.find("\n## ").unwrap_or(page.len());
        let mut wanted = page[..at].to_owned();
        for codes in EXIT_CODES {
            let table: String = codes.table().lines().map(|line| format!("  {line}\n")).collect();
            wanted += &format!("\n## perfsec {}\n\n{table}", codes.command);
        }
        if std::env::var_os("PERFSEC_BLESS").is_some() {
            std::fs::write(path, &wanted).unwrap();
            return;
        }
        assert!(page == wanted, "PERFSEC_BLESS=1 writes docs/exit-codes.md anew");
    }

    #[test]
    fn every_line_of_a_table_fits() {
        for codes in EXIT_CODES {
            for line in codes.table().lines() {
                assert!(line.len() <= WIDTH && line.starts_with("  "), "{line}");
            }
        }
    }
}
