//! The ring buffers of a tracing instance, one for each CPU.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

use super::format::PageLayout;
use super::probes::tracefs;
use super::ring;
use crate::error::{Error, ErrorContext, Result};
use crate::knob;

/// The open buffers of an instance.
pub(crate) struct Buffers {
    files: Vec<File>,
    layout: PageLayout,
    page: Vec<u8>,
}

impl Buffers {
    /// Opens the buffers of the instance with this directory.
    pub(crate) fn open(instance: &Path) -> Result<Self> {
        let header = knob::read(tracefs().join("events/header_page"))?;
        let layout = PageLayout::parse(&header)
            .ok_or_else(|| Error::new("understand events/header_page", header))?;
        let folder = instance.join("per_cpu");
        let entries =
            std::fs::read_dir(&folder).doing(format_args!("list {}", folder.display()))?;
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.doing(format_args!("list {}", folder.display()))?.path();
            let path = path.join("trace_pipe_raw");
            let file = OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(&path)
                .doing(format_args!("open {}", path.display()))?;
            files.push(file);
        }
        let page = vec![0; layout.size];
        Ok(Self { files, layout, page })
    }

    /// Reads until every buffer is empty: `each` gets the time and the bytes of each event. Returns
    /// true if events were overwritten.
    pub(crate) fn read(&mut self, mut each: impl FnMut(u64, &[u8])) -> Result<bool> {
        let doing = "read the trace";
        let mut missed = false;
        for buffer in &mut self.files {
            loop {
                let got = match buffer.read(&mut self.page) {
                    Ok(0) => break,
                    Ok(got) => got,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error).doing(doing),
                };
                let page = ring::page(&self.page[..got], &self.layout)
                    .ok_or_else(|| Error::new(doing, "a page of the ring buffer is malformed"))?;
                missed |= page.missed;
                page.events.into_iter().for_each(|(time, data)| each(time, data));
            }
        }
        Ok(missed)
    }
}
