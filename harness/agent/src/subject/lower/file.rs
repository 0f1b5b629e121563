//! Steps on file descriptors and paths.

use std::mem::offset_of;

use nix::libc;
use perf_event_open_sys::bindings::perf_event_mmap_page;
use perfsec_subject as layout;
use perfsec_wire::step::{
    Close, Mkdir, Mmap, Mount, MountFlag, Munmap, Open, OpenAccess, Poll, Read, Recvmsg, Rmdir,
    Sendmsg, Setexeccon, Stat, Write,
};

use super::Lower;
use crate::subject::output::{self, OutputForm};
use crate::subject::program::{Arg, Assembler, number};

const PAGE: i64 = 4096;

/// Offset in pages at which an AUX area begins by default: behind most buffers.
const AUX_OFFSET: u32 = 256;

impl Lower for Read {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let count = (self.count as usize).min(layout::BUFFER_ROOM);
        let buffer = match self.text {
            true => Arg::Value(assembler.output(OutputForm::Bytes, count)),
            false => Arg::BUFFER,
        };
        let arguments = [assembler.fd(&self.fd), buffer, number(count as i64)];
        assembler.call(libc::SYS_read, &arguments);
        Ok(())
    }
}

impl Lower for Write {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        write(assembler, &self.fd, &self.text);
        Ok(())
    }
}

impl Lower for Setexeccon {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let context = assembler.subject.context_in(&self.domain);
        write(assembler, &self.fd, &context);
        Ok(())
    }
}

fn write(assembler: &mut Assembler<'_>, fd: &str, text: &str) {
    let bytes = Arg::Value(assembler.place(text.as_bytes()));
    let arguments = [assembler.fd(fd), bytes, number(text.len() as i64)];
    assembler.call(libc::SYS_write, &arguments);
}

impl Lower for Mmap {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let sharing = if self.private { libc::MAP_PRIVATE } else { libc::MAP_SHARED };
        let length = i64::from(self.pages) * PAGE;
        let access = number((libc::PROT_READ | libc::PROT_WRITE).into());
        let bytes = |pages: u32| u64::from(pages) * PAGE as u64;
        let offset = self.offset.unwrap_or(if self.aux.is_some() { AUX_OFFSET } else { 0 });
        if let Some(buffer) = &self.aux {
            let aux_offset = bytes(self.aux_offset.unwrap_or(offset));
            assembler.poke(buffer, offset_of!(perf_event_mmap_page, aux_offset), aux_offset);
            assembler.poke(buffer, offset_of!(perf_event_mmap_page, aux_size), length as u64);
        }
        let fd = assembler.fd(&self.fd);
        let (length, sharing) = (number(length), number(sharing.into()));
        // The buffer's address as a hint, which the kernel does not follow: without the buffer there
        // is no call.
        let hint = self.aux.as_ref().map_or(number(0), |buffer| assembler.fd(buffer));
        let arguments = [hint, length, access, sharing, fd, Arg::Value(bytes(offset))];
        assembler.call(libc::SYS_mmap, &arguments);
        assembler.bind(&self.bind);
        Ok(())
    }
}

impl Lower for Munmap {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let arguments = [assembler.fd(&self.map), number(i64::from(self.pages) * PAGE)];
        assembler.call(libc::SYS_munmap, &arguments);
        Ok(())
    }
}

impl Lower for Poll {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        // struct pollfd: the descriptor, then `events` and `revents`.
        let events = u64::from(libc::POLLIN as u16) << 32;
        let at = assembler.words(&[events]);
        assembler.store(&self.fd, at);
        assembler.call(libc::SYS_poll, &[Arg::Value(at), number(1), number(0)]);
        assembler.requires(&self.fd);
        Ok(())
    }
}

impl Lower for Close {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let fd = assembler.fd(&self.fd);
        assembler.call(libc::SYS_close, &[fd]);
        Ok(())
    }
}

impl Lower for Open {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let access = match self.write {
            OpenAccess::Read => libc::O_RDONLY,
            OpenAccess::ReadWrite => libc::O_RDWR,
            OpenAccess::Write => libc::O_WRONLY,
        };
        let path = path(assembler, &self.path);
        assembler.call(libc::SYS_open, &[path, number(access.into()), number(0)]);
        assembler.bind(&self.bind);
        Ok(())
    }
}

impl Lower for Stat {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let path = path(assembler, &self.path);
        let at = Arg::Value(assembler.output(OutputForm::Stat, output::STAT));
        assembler.call(libc::SYS_stat, &[path, at]);
        Ok(())
    }
}

impl Lower for Mkdir {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let path = path(assembler, &self.path);
        assembler.call(libc::SYS_mkdir, &[path, number(0o700)]);
        Ok(())
    }
}

impl Lower for Rmdir {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let path = path(assembler, &self.path);
        assembler.call(libc::SYS_rmdir, &[path]);
        Ok(())
    }
}

/// Places a path, with the pids of the processes that it names.
pub(super) fn path(assembler: &mut Assembler<'_>, path: &str) -> Arg {
    let processes = &assembler.names.processes;
    let path = processes.iter().fold(path.to_owned(), |path, (name, pid)| {
        path.replace(&format!("{{{name}}}"), &pid.to_string())
    });
    Arg::Value(assembler.text(&path))
}

impl Lower for Mount {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let flags = self.flags.iter().fold(0, |flags, flag| {
            flags
                | match flag {
                    MountFlag::Nosuid => libc::MS_NOSUID,
                    MountFlag::Nodev => libc::MS_NODEV,
                    MountFlag::Noexec => libc::MS_NOEXEC,
                }
        });
        let fstype = Arg::Value(assembler.text(&self.fstype));
        let target = Arg::Value(assembler.text(&self.target));
        let arguments = [fstype, target, fstype, Arg::Value(flags), number(0)];
        assembler.call(libc::SYS_mount, &arguments);
        Ok(())
    }
}

impl Lower for Sendmsg {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let message = Message::place(assembler);
        assembler.store(&self.send, message.descriptor);
        let fd = assembler.fd(&self.fd);
        assembler.call(libc::SYS_sendmsg, &[fd, Arg::Value(message.header), number(0)]);
        assembler.requires(&self.send);
        Ok(())
    }
}

impl Lower for Recvmsg {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let message = Message::place(assembler);
        let fd = assembler.fd(&self.fd);
        let flags = number(libc::MSG_DONTWAIT.into());
        assembler.call(libc::SYS_recvmsg, &[fd, Arg::Value(message.header), flags]);
        assembler.bind_from(&self.bind, message.descriptor - layout::BASE as u64);
        Ok(())
    }
}

/// Addresses of a `struct msghdr` for one byte and one descriptor, and of the descriptor.
struct Message {
    header: u64,
    descriptor: u64,
}

impl Message {
    fn place(assembler: &mut Assembler<'_>) -> Self {
        let iovec = assembler.iovec(1);
        // struct cmsghdr with room for one descriptor: cmsg_len, then cmsg_level and cmsg_type.
        let kind = (libc::SOL_SOCKET as u64) | (libc::SCM_RIGHTS as u64) << 32;
        let control = assembler.words(&[20, kind, layout::NO_VALUE.into()]);
        // struct msghdr: name, namelen, iov, iovlen, control, controllen, flags.
        let header = assembler.words(&[0, 0, iovec, 1, control, 24, 0]);
        Self { header, descriptor: control + 16 }
    }
}
