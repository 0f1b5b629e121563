//! The steps of a process that becomes another program: its own domain makes the directory and the
//! file for its output, so that they have the labels that the policy gives to such files.

use nix::libc;
use perfsec_subject as layout;
use perfsec_wire::Subject;

use super::names::Names;
use super::program::{Arg, Assembler, Program, number};

/// The program to become.
pub(crate) struct Launch<'a> {
    /// Path of the executable.
    pub(crate) path: &'a str,
    pub(crate) argv: &'a [String],
    pub(crate) environment: &'a [String],
    /// The directory to make and to enter.
    pub(crate) directory: &'a str,
}

impl Launch<'_> {
    /// File below the directory that receives standard output and error.
    pub(crate) const OUTPUT: &'static str = "output";

    /// Lays out the steps. The last executes the program.
    pub(crate) fn assemble(&self, names: &Names, subject: &Subject) -> Result<Program, String> {
        let mut assembler = Assembler::new(names, subject);
        let directory = Arg::Value(assembler.text(self.directory));
        assembler.call(libc::SYS_mkdir, &[directory, number(0o755)]);
        assembler.call(libc::SYS_chdir, &[directory]);
        let null = Arg::Value(assembler.text("/dev/null"));
        assembler.call(libc::SYS_open, &[null, number(libc::O_RDONLY.into())]);
        assembler.bind("null");
        let output = Arg::Value(assembler.text(Self::OUTPUT));
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND;
        assembler.call(libc::SYS_open, &[output, number(flags.into()), number(0o644)]);
        assembler.bind("output");
        for (name, to) in [("null", 0), ("output", 1), ("output", 2)] {
            let from = assembler.fd(name);
            assembler.call(libc::SYS_dup2, &[from, number(to)]);
        }
        for name in ["null", "output"] {
            let fd = assembler.fd(name);
            assembler.call(libc::SYS_close, &[fd]);
        }
        assembler.call(libc::SYS_close, &[number(names.region.into())]);
        let mut list = |words: &[String]| {
            let mut list: Vec<_> = words.iter().map(|word| assembler.text(word)).collect();
            list.push(0);
            assembler.words(&list)
        };
        let (argv, environment) = (list(self.argv), list(self.environment));
        let path = assembler.text(self.path);
        let arguments = [path, argv, environment].map(Arg::Value);
        assembler.call_as(layout::EXEC, libc::SYS_execve, &arguments);
        assembler.finish()
    }
}
