//! Steps on processes and their privileges.

use nix::libc;
use perfsec_subject as layout;
use perfsec_wire::CapSet;
use perfsec_wire::step::{
    Advice, Capget, Capset, Clone, CloneFlag, Getresuid, Personality, PidfdOpen, Prctl,
    ProcessMadvise, ProcessVmReadv, Securebit, Setfsuid, Setresgid, Setresuid, Unshare,
    UnshareFlag,
};

use super::Lower;
use crate::subject::output::{self, OutputForm};
use crate::subject::program::{Arg, Assembler, number};

impl Lower for Prctl {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let one = |set: &CapSet| number(set.0.trailing_zeros().into());
        let none = number(0);
        let (option, arguments) = match self {
            Self::SetNoNewPrivs => (libc::PR_SET_NO_NEW_PRIVS, [number(1), none]),
            Self::CapbsetDrop(cap) => (libc::PR_CAPBSET_DROP, [one(cap), none]),
            Self::CapAmbientRaise(cap) => {
                let raise = number(libc::PR_CAP_AMBIENT_RAISE.into());
                (libc::PR_CAP_AMBIENT, [raise, one(cap)])
            }
            Self::SetSecurebits(bits) => {
                // include/uapi/linux/securebits.h
                let bits = bits.iter().fold(0, |all, bit| {
                    all | match bit {
                        Securebit::Noroot => 1 << 0,
                        Securebit::NoSetuidFixup => 1 << 2,
                        Securebit::KeepCaps => 1 << 4,
                        Securebit::NoCapAmbientRaise => 1 << 6,
                    }
                });
                (libc::PR_SET_SECUREBITS, [number(bits), none])
            }
            Self::GetDumpable => (libc::PR_GET_DUMPABLE, [none, none]),
            Self::SetDumpable(value) => (libc::PR_SET_DUMPABLE, [number((*value).into()), none]),
            Self::SetName(name) => (libc::PR_SET_NAME, [Arg::Value(assembler.text(name)), none]),
        };
        let [second, third] = arguments;
        let arguments = [number(option.into()), second, third, none, none];
        assembler.call(libc::SYS_prctl, &arguments);
        Ok(())
    }
}

impl Lower for Capset {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let header = assembler.words(&[layout::CAPABILITY_VERSION]);
        let sets = [self.effective, self.permitted, self.inheritable];
        let halves = sets.map(|set| set.0 as u32).into_iter();
        let halves = halves.chain(sets.map(|set| (set.0 >> 32) as u32));
        let bytes: Vec<_> = halves.flat_map(u32::to_ne_bytes).collect();
        let data = assembler.place(&bytes);
        assembler.call(libc::SYS_capset, &[Arg::Value(header), Arg::Value(data)]);
        Ok(())
    }
}

impl Lower for Capget {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        // struct __user_cap_header_struct: the version, then the pid.
        let header = assembler.words(&[layout::CAPABILITY_VERSION]);
        let data = Arg::Value(assembler.output(OutputForm::Caps, output::CAPS));
        let arguments = [Arg::Value(header), data];
        assembler.call_with_task(&self.pid, header + 4, libc::SYS_capget, &arguments);
        Ok(())
    }
}

impl Lower for Setresuid {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let ids = [self.real, self.effective, self.saved].map(id);
        assembler.call(libc::SYS_setresuid, &ids);
        Ok(())
    }
}

impl Lower for Setresgid {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let ids = [self.real, self.effective, self.saved].map(id);
        assembler.call(libc::SYS_setresgid, &ids);
        Ok(())
    }
}

/// An id, or -1 for one that stays as it is.
fn id(id: Option<u32>) -> Arg {
    number(id.map_or(-1, i64::from))
}

impl Lower for Setfsuid {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        assembler.call(libc::SYS_setfsuid, &[number(self.uid.into())]);
        Ok(())
    }
}

impl Lower for Getresuid {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let ids = assembler.output(OutputForm::Ids, output::IDS);
        assembler.call(libc::SYS_getresuid, &[ids, ids + 4, ids + 8].map(Arg::Value));
        Ok(())
    }
}

impl Lower for Personality {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        assembler.call(libc::SYS_personality, &[number(self.argument().into())]);
        Ok(())
    }
}

impl Lower for Unshare {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let flags = self.flags.iter().fold(0, |flags, flag| {
            flags
                | match flag {
                    UnshareFlag::Newuser => libc::CLONE_NEWUSER,
                    UnshareFlag::Newns => libc::CLONE_NEWNS,
                    UnshareFlag::Newnet => libc::CLONE_NEWNET,
                    UnshareFlag::Newpid => libc::CLONE_NEWPID,
                    UnshareFlag::Fs => libc::CLONE_FS,
                }
        });
        assembler.call(libc::SYS_unshare, &[number(flags.into())]);
        Ok(())
    }
}

impl Lower for Clone {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let flags = self.flags.iter().fold(libc::SIGCHLD, |flags, flag| match flag {
            // A thread sends no signal when it ends.
            CloneFlag::Thread => {
                flags & !0xff
                    | libc::CLONE_VM
                    | libc::CLONE_FS
                    | libc::CLONE_FILES
                    | libc::CLONE_SIGHAND
                    | libc::CLONE_THREAD
            }
            CloneFlag::Fs => flags | libc::CLONE_FS,
            CloneFlag::Vm => flags | libc::CLONE_VM,
            CloneFlag::Newuser => flags | libc::CLONE_NEWUSER,
            CloneFlag::Newpid => flags | libc::CLONE_NEWPID,
        });
        if self.continues {
            assembler.hand_over(flags, &self.bind);
        } else if self.exits {
            // The creator continues in mm_release() of the new task, behind exit_signals().
            let flags = number((flags | libc::CLONE_VFORK).into());
            assembler.call_as(layout::CLONE_EXIT, libc::SYS_clone, &[flags]);
        } else {
            assembler.call_as(layout::CLONE, libc::SYS_clone, &[number(flags.into())]);
        }
        assembler.bind(&self.bind);
        Ok(())
    }
}

impl Lower for PidfdOpen {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let task = assembler.task(&self.pid);
        assembler.call(libc::SYS_pidfd_open, &[task, number(0)]);
        assembler.bind(&self.bind);
        Ok(())
    }
}

impl Lower for ProcessVmReadv {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        // Every subject has the buffer at the same address.
        let local = Arg::Value(assembler.iovec(self.count));
        let remote = Arg::Value(assembler.iovec(self.count));
        let task = assembler.task(&self.pid);
        let arguments = [task, local, number(1), remote, number(1), number(0)];
        assembler.call(libc::SYS_process_vm_readv, &arguments);
        Ok(())
    }
}

impl Lower for ProcessMadvise {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let memory = Arg::Value(assembler.iovec(4096));
        let advice = match self.advice {
            Advice::Cold => libc::MADV_COLD,
            Advice::Pageout => libc::MADV_PAGEOUT,
            Advice::Willneed => libc::MADV_WILLNEED,
        };
        let fd = assembler.fd(&self.pidfd);
        let arguments = [fd, memory, number(1), number(advice.into()), number(0)];
        assembler.call(libc::SYS_process_madvise, &arguments);
        Ok(())
    }
}
