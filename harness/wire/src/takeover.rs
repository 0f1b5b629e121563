//! The agent on a machine whose kernel it replaces: its arguments and the names of its files.

/// The argument of an agent that checks that the kernel can be loaded; the directory follows.
pub const LOAD: &str = "kexec-load";
/// The argument of an agent that starts it; the directory follows.
pub const START: &str = "kexec-start";

/// Name of the agent's program in the directory.
pub const AGENT: &str = "agent";
/// Name of the kernel, a bzImage.
pub const KERNEL: &str = "kernel";
/// Name of the initramfs.
pub const INITRAMFS: &str = "initramfs";
/// Name of the file with the kernel's parameters, in one line.
pub const PARAMETERS: &str = "parameters";
