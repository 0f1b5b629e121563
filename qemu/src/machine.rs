//! The machine that QEMU emulates, and the kernel parameters that belong to it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::{Accel, Initramfs};

/// What to boot, and on what.
#[derive(Debug, Clone)]
pub struct Machine {
    /// QEMU's system emulator: a path, or a name to look up in `PATH`.
    pub qemu: PathBuf,
    /// Who executes the guest's instructions.
    pub accel: Accel,
    /// A `vmlinux` with a PVH note (fastest) or a `bzImage`.
    pub kernel: PathBuf,
    /// The guest's root file system. It is handed over in memory: no file is made.
    pub initramfs: Initramfs,
    /// Kernel parameters, usually [`kernel_parameters`] and then the caller's own.
    pub append: Vec<String>,
    /// The guest's memory in MiB. Stock kernels need about 128 plus the initramfs twice.
    pub memory_mib: u32,
    /// Memory that the guest and this process both see, in bytes, a power of two: resource 2 of a PCI
    /// device `1af4:1110`. It is anonymous: no file is made.
    pub window: Option<u64>,
    /// Where the guest's console goes.
    pub console: ConsoleTo,
}

/// QEMU's device that is memory and nothing more. A distribution may have left it out.
pub(crate) const WINDOW_DEVICE: &str = "ivshmem-plain";

/// Where the guest's console goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleTo {
    /// To the caller, as [`crate::VmEvent::Console`]; the guest reads nothing from it.
    Events,
    /// To this process's own standard input and output, for a shell in the guest. A terminal is
    /// made raw, so Ctrl-C goes to the guest; Ctrl-A X ends the machine.
    Terminal,
}

/// The numbers under which QEMU inherits what connects it to this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptors {
    pub(crate) agent: RawFd,
    pub(crate) monitor: RawFd,
    pub(crate) initramfs: RawFd,
    /// A file and its length.
    pub(crate) window: Option<(RawFd, u64)>,
}

/// The kernel parameters that the machine needs, whatever is tested on it.
///
/// None of them touches perf, tracing, probes, BPF, SELinux or audit. Left out although they
/// would save a little: `mitigations=off` and `rodata=off` (the verifier and the protection of
/// the kernel's data would be others than on real machines), `nolapic` (perf's deferred work is
/// raised through the local APIC). Seen to make no difference: `nokaslr`, `tsc_early_khz=`,
/// `no_timer_check`, `lpj=`, `rcupdate.rcu_expedited=1`, `8250.nr_uarts=`, `nousb`, and switching
/// off i8042 or ACPI hot-plug.
pub fn kernel_parameters(accel: Accel) -> Vec<String> {
    let mut parameters = vec![
        // The first serial port: 8250 and its console are built into stock kernels.
        "console=ttyS0",
        // Reboot at once after a panic: QEMU's -no-reboot turns that into an end, so a dead
        // kernel is seen in the moment it dies. Any positive value would be waited for.
        "panic=-1",
    ];
    if accel == Accel::Tcg {
        parameters.extend([
            // A host that is busy delivers no timer interrupt in time, and one boot in some fifty panics
            // with "IO-APIC + timer doesn't work!". KVM guests skip that test by themselves.
            "no_timer_check",
            // The self-tests of every built-in cipher: two fifths of the instructions of an
            // emulated boot (Debian 6.12 and 7.3).
            "cryptomgr.notests",
            // A tenth of what is left: the jitter generator tests itself, which nothing here
            // draws from; the certificates for modules are parsed, and no module is loaded.
            // Names that a kernel does not have are ignored.
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
        // No floppy, CD-ROM, VGA, parallel port or network card: each costs the guest a probe,
        // and a guest without a network or a writable share can harm nothing.
        add(&["-nodefaults", "-display", "none"]);
        // Every stock kernel has its drivers built in; q35 boots no faster, and microvm, which
        // does, hangs now and then while the kernel calibrates its clock.
        add(&["-machine", "pc"]);
        add(&["-accel", &self.accel.to_string()]);
        add(&["-cpu", self.accel.cpu()]);
        add(&["-smp", "1", "-m", &format!("{}M", self.memory_mib)]);
        // A reset ends QEMU: a reboot or a panic is never a second boot that looks like the first.
        add(&["-no-reboot"]);

        // First serial port, ttyS0: the console.
        add(&[
            "-chardev",
            match self.console {
                // signal=off: never translate control characters of a console that is a pipe anyway.
                ConsoleTo::Events => "stdio,id=console,signal=off",
                // mux=on: brings the Ctrl-A escapes, the way out of a guest that hangs.
                ConsoleTo::Terminal => "stdio,id=console,signal=off,mux=on",
            },
        ]);
        add(&["-serial", "chardev:console"]);
        // Second serial port, ttyS1: the agent. A port of its own, because the kernel's messages
        // would cut through its bytes; a serial one, because the virtio drivers are modules.
        add(&["-chardev", &format!("socket,id=agent,fd={}", descriptors.agent)]);
        add(&["-serial", "chardev:agent"]);
        if let Some((window, length)) = descriptors.window {
            // share=on: what the guest stores is seen through this process's descriptor. The device is
            // memory and nothing more, so that the guest needs no driver for it.
            let memory = "memory-backend-file,id=window,share=on,mem-path=/proc/self/fd/";
            add(&["-object", &format!("{memory}{window},size={length}")]);
            // master=on: its content belongs to a saved state of the machine; else there is none.
            add(&["-device", &format!("{WINDOW_DEVICE},memdev=window,master=on")]);
        }
        // QMP tells how the guest ended, which the exit status does not.
        add(&["-chardev", &format!("socket,id=monitor,fd={}", descriptors.monitor)]);
        add(&["-mon", "chardev=monitor,mode=control"]);

        // Direct boot: no boot loader, no disk.
        add(&["-initrd", &format!("/proc/self/fd/{}", descriptors.initramfs)]);
        add(&["-append", &self.append.join(" ")]);
        arguments.extend(["-kernel".into(), self.kernel.clone().into()]);
        arguments
    }

    /// QEMU reads the initramfs from a file, but one without a name is enough, and it cannot
    /// stay behind when this process is killed.
    pub(crate) fn initramfs_in_memory(&self) -> io::Result<OwnedFd> {
        let mut file = File::from(memfd_create(c"initramfs", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(self.initramfs.as_bytes())?;
        file.rewind()?;
        Ok(file.into())
    }

    /// The memory of the window, if there is to be one. It cannot be made shorter: a read of it never
    /// fails for want of bytes.
    pub(crate) fn window_in_memory(&self) -> io::Result<Option<File>> {
        let Some(length) = self.window else { return Ok(None) };
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create(c"window", flags)?);
        file.set_len(length)?;
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
        Ok(Some(file))
    }
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
            initramfs: vec![1, 2, 3].into(),
            append: vec!["console=ttyS0".into(), "panic=-1".into()],
            memory_mib: 256,
            window: None,
            console,
        }
    }

    fn arguments(machine: &Machine) -> Vec<String> {
        let window = machine.window.map(|length| (10, length));
        let descriptors = Descriptors { agent: 7, monitor: 8, initramfs: 9, window };
        let arguments = machine.arguments(descriptors);
        arguments.into_iter().map(|a| a.into_string().expect("text")).collect()
    }

    /// The words that follow `flag`, wherever it is.
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
    fn only_an_emulated_boot_is_made_shorter() {
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
    #[case(Accel::Tcg, "max")]
    fn the_cpu_model_goes_with_the_accelerator(#[case] accel: Accel, #[case] cpu: &str) {
        let arguments = arguments(&machine(accel, ConsoleTo::Events));
        assert_eq!(values(&arguments, "-accel"), [accel.as_str()]);
        assert_eq!(values(&arguments, "-cpu"), [cpu]);
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

    #[test]
    fn a_window_has_its_length_for_ever() {
        let machine = Machine { window: Some(8192), ..machine(Accel::Tcg, ConsoleTo::Events) };
        let file = machine.window_in_memory().expect("a file in memory").expect("a window");
        assert_eq!(file.metadata().expect("its length").len(), 8192);
        assert!(file.set_len(4096).is_err());
    }

    #[test]
    fn the_initramfs_is_handed_over_whole_and_from_its_start() {
        let descriptor = machine(Accel::Tcg, ConsoleTo::Events).initramfs_in_memory();
        let mut bytes = Vec::new();
        let mut file = File::from(descriptor.expect("a file in memory"));
        io::Read::read_to_end(&mut file, &mut bytes).expect("its content");
        assert_eq!(bytes, [1, 2, 3]);
    }
}
