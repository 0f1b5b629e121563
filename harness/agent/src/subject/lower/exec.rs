//! Steps that execute a program.

use nix::libc;
use perfsec_subject as layout;
use perfsec_wire::step::Execve;

use super::Lower;
use crate::subject::program::{Arg, Assembler};

impl Lower for Execve {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let names = assembler.names;
        let file = names.files.iter().find(|(known, _)| known == self);
        let (_, path) = file.ok_or("an executable was not made")?;
        let path = assembler.text(path);
        let mut argv = vec![self.argv0.as_ref().map_or(path, |argv0| assembler.text(argv0))];
        if self.long_arg > 0 {
            argv.push(assembler.text(&"x".repeat(self.long_arg as usize)));
        }
        argv.extend(self.args.iter().map(|argument| assembler.text(argument)));
        argv.push(0);
        let arguments = assembler.words(&argv);
        let fd = assembler.text(&names.region.to_string());
        let environment = assembler.words(&[fd, 0]);
        let arguments = [path, arguments, environment].map(Arg::Value);
        assembler.call_as(layout::EXEC, libc::SYS_execve, &arguments);
        Ok(())
    }
}
