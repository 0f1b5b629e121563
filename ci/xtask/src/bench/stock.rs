//! A boot of the kernel alone, to its first process and to power-off: the unit of the figures.

use std::fs::File;
use std::path::{Path, PathBuf};

use cpio::newc;
use xshell::{Shell, cmd};

use super::times::read;
use crate::error::Error;

/// The source of the stock boot's first process, which powers off on `act=off`.
const INIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../qemu/tests/guest/init.rs");

/// A stock boot of a kernel.
pub(super) struct StockBoot {
    command: String,
    log: PathBuf,
}

impl StockBoot {
    /// Prepares a boot of this kernel. Its files are in `room`.
    pub(super) fn new(
        shell: &Shell,
        room: &Path,
        kernel: &Path,
        accel: &str,
    ) -> Result<Self, Error> {
        let (initrd, log) = (room.join("initrd"), room.join("stock.log"));
        initial_archive(shell, room, &initrd)?;
        let command = format!(
            "qemu-system-x86_64 -accel {accel} -m 512 -kernel {} -initrd {} \
             -append 'console=ttyS0 act=off' -display none -serial file:{} -no-reboot",
            kernel.display(),
            initrd.display(),
            log.display()
        );
        Ok(Self { command, log })
    }

    /// The command, for hyperfine.
    pub(super) fn command(&self) -> &str {
        &self.command
    }

    /// An error if the last boot did not reach its first process.
    pub(super) fn check(&self) -> Result<(), Error> {
        if read(&self.log)?.contains("guest is up") {
            return Ok(());
        }
        let what = "the stock boot did not reach its first process".to_owned();
        Err(Error::Output { program: "the guest", what })
    }
}

/// Fetches a kernel as its distribution ships it.
pub(super) fn fetch(
    shell: &Shell,
    perfsec: &Path,
    spec: Option<&str>,
    file: &Path,
) -> Result<(), Error> {
    let spec = spec.into_iter();
    let fetch = cmd!(shell, "{perfsec} kernel {spec...} --shipped {file}");
    Ok(fetch.quiet().ignore_stdout().run()?)
}

/// Writes the initramfs of the stock boot: one program that powers off.
fn initial_archive(shell: &Shell, room: &Path, archive: &Path) -> Result<(), Error> {
    let init = room.join("init");
    let compile = cmd!(
        shell,
        "rustc --edition 2024 -C opt-level=s -C panic=abort -C strip=symbols
         -C target-feature=+crt-static {INIT} -o {init}"
    );
    compile.quiet().run()?;
    let failed = |source| Error::File { doing: "write", path: archive.to_owned(), source };
    let program = File::open(&init).map_err(failed)?;
    let header = newc::Builder::new("init").mode(0o100_755);
    let file = File::create(archive).map_err(failed)?;
    cpio::write_cpio([(header, program)].into_iter(), file).map_err(failed)?;
    Ok(())
}
