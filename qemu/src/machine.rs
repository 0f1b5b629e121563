//! The machine that QEMU emulates, and the kernel parameters that it needs.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::{Accel, Initramfs};

/// The machine to start and the kernel to boot on it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// QEMU's system emulator: a path, or a name to look up in `PATH`.
    pub qemu: PathBuf,
    /// The accelerator.
    pub accel: Accel,
    /// A `vmlinux` with a PVH note (fastest) or a `bzImage`.
    pub kernel: PathBuf,
    /// An archive that the guest unpacks before the initramfs, whose files replace those of the
    /// same name: a distribution's root, too large to build for each boot.
    pub base: Option<PathBuf>,
    /// The guest's root file system. It is passed in memory; no file is created.
    pub initramfs: Initramfs,
    /// Kernel parameters: usually [`kernel_parameters`], then the caller's own.
    pub append: Vec<String>,
    /// The guest's memory in MiB. Stock kernels need about 128 plus the initramfs twice.
    pub memory_mib: u32,
    /// Size in bytes, a power of two, of memory that the guest shares with this process: resource 2
    /// of a PCI device `1af4:1110`. It is anonymous; no file is created.
    pub window: Option<u64>,
    /// The file that gets the memory of a guest that resets its machine, as a kernel does that
    /// panics. `None` if nobody wants it.
    pub dump: Option<PathBuf>,
    /// The socket on which gdb attaches. The machine stands still until gdb lets it go on.
    pub gdb: Option<PathBuf>,
    /// The other end of the guest's console.
    pub console: ConsoleTo,
}

/// QEMU's device that consists of memory alone. Some distributions build QEMU without it.
pub(crate) const WINDOW_DEVICE: &str = "ivshmem-plain";

/// The other end of the guest's console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleTo {
    /// The caller, who receives [`crate::VmEvent::Console`]; the guest has no input.
    Events,
    /// This process's own standard input and output, for a shell in the guest. A terminal becomes
    /// raw, so Ctrl-C goes to the guest; Ctrl-A X ends the machine.
    Terminal,
    /// [`crate::Vm::channel`]: the guest has one serial port for its console and for the agent, as
    /// most real machines do.
    Channel,
}

/// The descriptors that QEMU inherits to talk to this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptors {
    pub(crate) agent: RawFd,
    pub(crate) monitor: RawFd,
    pub(crate) initramfs: RawFd,
    /// A file and its length in bytes.
    pub(crate) window: Option<(RawFd, u64)>,
}

/// The kernel parameters that the machine always needs.
///
/// None of them affects perf, tracing, probes, BPF, SELinux or audit. Left out although they would
/// save a little: `mitigations=off` and `rodata=off` (the verifier and the protection of kernel
/// data would differ from real machines), `nolapic` (perf raises its deferred work through the
/// local APIC). Measured to make no difference: `nokaslr`, `tsc_early_khz=`, `no_timer_check`,
/// `lpj=`, `rcupdate.rcu_expedited=1`, `8250.nr_uarts=`, `nousb`, and disabling i8042 or ACPI
/// hot-plug.
pub fn kernel_parameters(accel: Accel) -> Vec<String> {
    let mut parameters = vec![
        // The first serial port: stock kernels have 8250 and its console built in.
        "console=ttyS0",
        // Reboot at once after a panic. QEMU's -no-reboot turns that into an exit, so we notice a
        // dead kernel the moment it dies. With a positive value the kernel would wait first.
        "panic=-1",
    ];
    if accel == Accel::Tcg {
        parameters.extend([
            // A busy host delivers timer interrupts late, and about one boot in fifty panics with
            // "IO-APIC + timer doesn't work!". KVM guests skip that test by themselves.
            "no_timer_check",
            // Skips the self-tests of the built-in ciphers: two fifths of the instructions of an
            // emulated boot (Debian 6.12 and 7.3).
            "cryptomgr.notests",
            // Saves a tenth of the rest: nothing here uses the jitter generator, which tests
            // itself, or the certificates for modules, which are parsed: no module is loaded.
            // The kernel ignores names that it does not know.
            "initcall_blacklist=jent_mod_init,load_system_certificate_list",
        ]);
    }
    parameters.into_iter().map(Into::into).collect()
}

impl Machine {
    /// QEMU's command line, without the program.
    pub(crate) fn arguments(&self, descriptors: Descriptors) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));

        // The user's own QEMU configuration must not change what is tested.
        add(&["-no-user-config"]);
        // No floppy, CD-ROM, VGA, parallel port or network card: the guest would probe each, and
        // a guest without a network or a writable share can harm nothing.
        add(&["-nodefaults", "-display", "none"]);
        // Every stock kernel has its drivers built in. q35 boots no faster; microvm does, but
        // sometimes hangs while the kernel calibrates its clock.
        add(&["-machine", "pc"]);
        add(&["-accel", &self.accel.to_string()]);
        add(&["-cpu", self.accel.cpu()]);
        add(&["-smp", "1", "-m", &format!("{}M", self.memory_mib)]);
        // A reset ends QEMU, so a reboot or a panic never looks like a slow first boot.
        add(&["-no-reboot"]);
        if let Some(socket) = &self.gdb {
            add(&["-S", "-gdb", &format!("unix:{},server=on,wait=off", socket.display())]);
        }
        if self.dump.is_some() {
            // The end of a guest only stops it, and its memory can be read before QEMU ends.
            add(&["-no-shutdown"]);
        }

        // First serial port, ttyS0: the console.
        let console = match self.console {
            // signal=off: never turn control characters into signals; this is a pipe anyway.
            ConsoleTo::Events => Some("stdio,id=console,signal=off"),
            // mux=on: enables the Ctrl-A escapes, the way out of a guest that hangs.
            ConsoleTo::Terminal => Some("stdio,id=console,signal=off,mux=on"),
            ConsoleTo::Channel => None,
        };
        if let Some(console) = console {
            add(&["-chardev", console, "-serial", "chardev:console"]);
        }
        // Second serial port, ttyS1: the agent. Not the console, where the kernel's messages
        // would interrupt its bytes; and not virtio, whose drivers are modules.
        add(&["-chardev", &format!("socket,id=agent,fd={}", descriptors.agent)]);
        add(&["-serial", "chardev:agent"]);
        if let Some((window, length)) = descriptors.window {
            // share=on: this process's descriptor sees what the guest stores. The device is plain
            // memory, so the guest needs no driver for it.
            let memory = "memory-backend-file,id=window,share=on,mem-path=/proc/self/fd/";
            add(&["-object", &format!("{memory}{window},size={length}")]);
            // master=on: a saved state of the machine includes the content. Without it QEMU
            // refuses to save one.
            add(&["-device", &format!("{WINDOW_DEVICE},memdev=window,master=on")]);
        }
        // QMP reports how the guest ended; the exit status does not.
        add(&["-chardev", &format!("socket,id=monitor,fd={}", descriptors.monitor)]);
        add(&["-mon", "chardev=monitor,mode=control"]);

        // Direct boot: no boot loader, no disk.
        add(&["-initrd", &format!("/proc/self/fd/{}", descriptors.initramfs)]);
        add(&["-append", &self.append.join(" ")]);
        arguments.extend(["-kernel".into(), self.kernel.clone().into()]);
        arguments
    }

    /// Everything about the machine that decides whether a saved state fits it: text for the key of
    /// a cache. Missing are QEMU's version and the content of the kernel image, the base and
    /// the initramfs, which the caller knows under better names than their paths.
    pub fn identity(&self) -> String {
        let anywhere = Self { kernel: PathBuf::new(), dump: None, ..self.clone() };
        let window = self.window.map(|length| (0, length));
        let descriptors = Descriptors { agent: 0, monitor: 0, initramfs: 0, window };
        let arguments = anywhere.arguments(descriptors);
        let mut lines: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
        let host = match self.accel {
            // The guest's CPU is the host's, as far as its kernel can virtualize it.
            Accel::Kvm => host_cpu(),
            Accel::Tcg => String::new(),
        };
        lines.push(host.into());
        lines.join("\n")
    }

    /// QEMU reads the initramfs from a file. One without a name will do, and nothing is left
    /// behind when this process is killed.
    pub(crate) fn initramfs_in_memory(&self) -> io::Result<OwnedFd> {
        let mut file = File::from(memfd_create(c"initramfs", MFdFlags::MFD_CLOEXEC)?);
        match &self.base {
            Some(base) => self.initramfs.write_behind(File::open(base)?, &mut file)?,
            None => file.write_all(self.initramfs.as_bytes())?,
        }
        file.rewind()?;
        Ok(file.into())
    }

    /// The memory of the window, if the machine has one. It is sealed against shrinking, so that
    /// reads never come up short.
    pub(crate) fn window_in_memory(&self) -> io::Result<Option<File>> {
        let Some(length) = self.window else { return Ok(None) };
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create(c"window", flags)?);
        file.set_len(length)?;
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
        Ok(Some(file))
    }
}

/// The host's kernel and its first CPU, without what changes from moment to moment.
fn host_cpu() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let first = cpus.split("\n\n").next().unwrap_or_default();
    let lasting = first.lines().filter(|line| !line.starts_with("cpu MHz"));
    lasting.fold(read("/proc/version"), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn machine(accel: Accel, console: ConsoleTo) -> Machine {
        Machine {
            qemu: "qemu-system-x86_64".into(),
            accel,
            kernel: "a kernel,with a comma".into(),
            base: None,
            initramfs: vec![1, 2, 3].into(),
            append: vec!["console=ttyS0".into(), "panic=-1".into()],
            memory_mib: 256,
            window: None,
            dump: None,
            gdb: None,
            console,
        }
    }

    fn arguments(machine: &Machine) -> Vec<String> {
        let window = machine.window.map(|length| (10, length));
        let descriptors = Descriptors { agent: 7, monitor: 8, initramfs: 9, window };
        let arguments = machine.arguments(descriptors);
        arguments.into_iter().map(|a| a.into_string().expect("text")).collect()
    }

    /// The arguments that follow each `flag`.
    fn values<'a>(arguments: &'a [String], flag: &str) -> Vec<&'a str> {
        arguments.windows(2).filter(|w| w[0] == flag).map(|w| w[1].as_str()).collect()
    }

    #[test]
    fn the_first_serial_port_is_the_console_and_the_second_the_agent() {
        let arguments = arguments(&machine(Accel::Tcg, ConsoleTo::Events));
        assert_eq!(values(&arguments, "-serial"), ["chardev:console", "chardev:agent"]);
        let chardevs = values(&arguments, "-chardev");
        assert!(chardevs.contains(&"socket,id=agent,fd=7"), "{chardevs:?}");
        assert!(chardevs.contains(&"socket,id=monitor,fd=8"), "{chardevs:?}");
        assert_eq!(values(&arguments, "-initrd"), ["/proc/self/fd/9"]);
    }

    #[test]
    fn a_console_on_the_channel_is_the_only_serial_port() {
        let arguments = arguments(&machine(Accel::Tcg, ConsoleTo::Channel));
        assert_eq!(values(&arguments, "-serial"), ["chardev:agent"]);
    }

    #[test]
    fn only_an_emulated_boot_gets_parameters_that_shorten_it() {
        let [kvm, tcg] = [Accel::Kvm, Accel::Tcg].map(kernel_parameters);
        assert_eq!(kvm, ["console=ttyS0", "panic=-1"]);
        assert_eq!(tcg[..2], kvm);
        assert!(tcg.len() > 2);
    }

    #[test]
    fn kernel_and_parameters_are_one_argument_each() {
        let arguments = arguments(&machine(Accel::Tcg, ConsoleTo::Events));
        assert_eq!(values(&arguments, "-kernel"), ["a kernel,with a comma"]);
        assert_eq!(values(&arguments, "-append"), ["console=ttyS0 panic=-1"]);
    }

    #[rstest]
    #[case(Accel::Kvm, "host")]
    #[case(Accel::Tcg, "max,erms=off,fsrm=off,level-func7=0")]
    fn the_cpu_model_depends_on_the_accelerator(#[case] accel: Accel, #[case] cpu: &str) {
        let arguments = arguments(&machine(accel, ConsoleTo::Events));
        assert_eq!(values(&arguments, "-accel"), [accel.as_str()]);
        assert_eq!(values(&arguments, "-cpu"), [cpu]);
    }

    #[rstest]
    #[case(None, &[])]
    #[case(Some("/run/gdb".into()), &["unix:/run/gdb,server=on,wait=off"])]
    fn a_machine_with_a_debugger_waits_for_it(
        #[case] gdb: Option<PathBuf>,
        #[case] sockets: &[&str],
    ) {
        let machine = Machine { gdb, ..machine(Accel::Tcg, ConsoleTo::Events) };
        let arguments = arguments(&machine);
        assert_eq!(values(&arguments, "-gdb"), sockets);
        assert_eq!(arguments.contains(&"-S".to_owned()), !sockets.is_empty());
    }

    #[rstest]
    #[case(None, false)]
    #[case(Some("vmcore".into()), true)]
    fn a_guest_whose_memory_is_wanted_outlives_its_end(
        #[case] dump: Option<PathBuf>,
        #[case] is_kept: bool,
    ) {
        let machine = Machine { dump, ..machine(Accel::Tcg, ConsoleTo::Events) };
        assert_eq!(arguments(&machine).contains(&"-no-shutdown".to_owned()), is_kept);
    }

    #[rstest]
    #[case(ConsoleTo::Events, false)]
    #[case(ConsoleTo::Terminal, true)]
    fn only_a_terminal_has_the_way_out(#[case] console: ConsoleTo, #[case] way_out: bool) {
        let arguments = arguments(&machine(Accel::Tcg, console));
        assert_eq!(values(&arguments, "-chardev")[0].contains("mux=on"), way_out);
    }

    #[rstest]
    #[case(None, &[], &[])]
    #[case(
        Some(4096),
        &["memory-backend-file,id=window,share=on,mem-path=/proc/self/fd/10,size=4096"],
        &["ivshmem-plain,memdev=window,master=on"]
    )]
    fn only_a_machine_that_asks_for_it_has_a_window(
        #[case] window: Option<u64>,
        #[case] objects: &[&str],
        #[case] devices: &[&str],
    ) {
        let machine = Machine { window, ..machine(Accel::Tcg, ConsoleTo::Events) };
        let arguments = arguments(&machine);
        assert_eq!(values(&arguments, "-object"), objects);
        assert_eq!(values(&arguments, "-device"), devices);
    }

    #[rstest]
    #[case::memory(|m: &mut Machine| m.memory_mib += 1)]
    #[case::parameters(|m: &mut Machine| m.append.push("quiet".into()))]
    #[case::window(|m: &mut Machine| m.window = Some(4096))]
    #[case::accelerator(|m: &mut Machine| m.accel = Accel::Kvm)]
    fn a_machine_that_a_state_does_not_fit_has_another_identity(#[case] change: fn(&mut Machine)) {
        let machine = machine(Accel::Tcg, ConsoleTo::Events);
        let mut other = machine.clone();
        change(&mut other);
        assert_ne!(machine.identity(), other.identity());
    }

    #[test]
    fn the_identity_does_not_depend_on_paths() {
        let machine = machine(Accel::Kvm, ConsoleTo::Events);
        let other = Machine {
            kernel: "elsewhere".into(),
            qemu: "other".into(),
            dump: Some("vmcore".into()),
            ..machine.clone()
        };
        assert_eq!(machine.identity(), other.identity());
        assert!(machine.identity().contains("\nconsole=ttyS0 panic=-1\n"));
    }

    #[test]
    fn a_window_cannot_shrink() {
        let machine = Machine { window: Some(8192), ..machine(Accel::Tcg, ConsoleTo::Events) };
        let file = machine.window_in_memory().expect("a file in memory").expect("a window");
        assert_eq!(file.metadata().expect("its length").len(), 8192);
        assert!(file.set_len(4096).is_err());
    }

    #[test]
    fn the_initramfs_follows_the_base_at_a_multiple_of_four() {
        let base = std::env::temp_dir().join(format!("perfsec-base-{}", std::process::id()));
        std::fs::write(&base, [7; 5]).expect("a file");
        let machine =
            Machine { base: Some(base.clone()), ..machine(Accel::Tcg, ConsoleTo::Events) };
        let descriptor = machine.initramfs_in_memory();
        std::fs::remove_file(base).expect("it is there");
        let mut bytes = Vec::new();
        let mut file = File::from(descriptor.expect("a file in memory"));
        io::Read::read_to_end(&mut file, &mut bytes).expect("its content");
        assert_eq!(bytes, [7, 7, 7, 7, 7, 0, 0, 0, 1, 2, 3]);
    }

    #[test]
    fn the_initramfs_is_passed_whole_and_from_its_start() {
        let descriptor = machine(Accel::Tcg, ConsoleTo::Events).initramfs_in_memory();
        let mut bytes = Vec::new();
        let mut file = File::from(descriptor.expect("a file in memory"));
        io::Read::read_to_end(&mut file, &mut bytes).expect("its content");
        assert_eq!(bytes, [1, 2, 3]);
    }
}
