//! Steps that limit what a process may use.

use nix::libc;
use perfsec_wire::step::{Resource, Setrlimit};

use super::Lower;
use crate::subject::program::{Arg, Assembler, number};

impl Lower for Setrlimit {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let resource = match self.resource {
            Resource::Nofile => libc::RLIMIT_NOFILE,
        };
        // struct rlimit: rlim_cur, rlim_max.
        let limits = assembler.words(&[self.limit.into(); 2]);
        assembler.call(libc::SYS_setrlimit, &[number(resource.into()), Arg::Value(limits)]);
        Ok(())
    }
}
