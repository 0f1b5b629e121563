//! QEMU plays the machine's kernels, and kexec is real: the agent runs as process 1 of the
//! machine's own kernel and starts the kernel under test by `kexec_file_load(2)`.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use perfsec_qemu::initramfs;
use perfsec_wire::takeover;

use super::{Console, Played, Player};

/// Time between two looks at the machine.
const LOOK: Duration = Duration::from_millis(100);

/// CPUs of the machine.
pub(crate) const CPUS: usize = 2;

/// Machines whose own kernel is the file `vmlinuz` of the bench.
pub(crate) struct Qemu;

impl Player for Qemu {
    fn start(&mut self, bench: &Path, console: &Console) -> Box<dyn Played> {
        let read = |name| fs::read(bench.join("memory").join(name)).expect("it was sent");
        let agent = read(takeover::AGENT);
        let files = initramfs::Builder::new().file("/agent", 0o755, agent);
        let names = [takeover::KERNEL, takeover::INITRAMFS, takeover::PARAMETERS];
        let files = names.into_iter().fold(files, |files, name| {
            let path = format!("/payload/{name}");
            files.and_then(|files| files.file(&path, 0o600, read(name)))
        });
        let archive = files.and_then(|files| files.build()).expect("an archive");
        let path = bench.join("own-initramfs");
        fs::write(&path, archive.as_bytes()).expect("it is ours");
        let append = format!(
            "panic=-1 no_timer_check cryptomgr.notests rdinit=/agent -- {} /payload",
            takeover::START
        );
        let gdb = format!("unix:{},server=on,wait=off", bench.join("gdb").display());
        let mut qemu = Command::new("qemu-system-x86_64")
            .args(["-no-user-config", "-nodefaults", "-display", "none", "-machine", "pc"])
            .args([
                "-accel",
                "tcg,thread=multi",
                "-smp",
                &CPUS.to_string(),
                "-m",
                "1024M",
                "-no-reboot",
            ])
            .args(["-cpu", "max,erms=off,fsrm=off,level-func7=0"])
            .args(["-device", "i6300esb", "-action", "watchdog=reset", "-gdb", &gdb])
            .args(["-serial", "stdio", "-append", &append])
            .arg("-kernel")
            .arg(bench.join("vmlinuz"))
            .arg("-initrd")
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("QEMU starts");
        let mut screen = qemu.stdout.take().expect("it is piped");
        let mut keyboard = qemu.stdin.take().expect("it is piped");
        let shown = console.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(got @ 1..) = screen.read(&mut buffer) {
                shown.print(&buffer[..got]);
            }
        });
        let gone = Arc::new(AtomicBool::new(false));
        let is_gone = Arc::clone(&gone);
        if let Some(mut client) = console.stream() {
            client.set_read_timeout(Some(LOOK)).expect("a socket");
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                // What comes later is for the next kernel.
                while !is_gone.load(Ordering::SeqCst) {
                    let sent = match client.read(&mut buffer) {
                        Ok(0) => return,
                        Ok(got) => {
                            keyboard.write_all(&buffer[..got]).and_then(|()| keyboard.flush())
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
                        Err(error) => Err(error),
                    };
                    if sent.is_err() {
                        return;
                    }
                }
            });
        }
        Box::new(Guest { qemu, gone })
    }
}

struct Guest {
    qemu: Child,
    gone: Arc<AtomicBool>,
}

impl Played for Guest {
    fn has_ended(&mut self) -> bool {
        let ended = self.qemu.try_wait().is_ok_and(|it| it.is_some());
        self.gone.store(ended, Ordering::SeqCst);
        ended
    }

    fn end(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
