//! The initramfs that every kernel under test boots with, unless a machine runs it already.

use std::io;

use perfsec_qemu::{Initramfs, initramfs};
use perfsec_wire::{frame, paths};

use super::Load;

/// Packs the agent with its preparation, the subject, the policies, and other programs by their
/// paths.
///
/// # Errors
///
/// If something cannot be encoded or is too long for an archive.
pub(super) fn pack<'a>(
    load: &Load,
    programs: impl IntoIterator<Item = (String, &'a [u8])>,
) -> io::Result<Initramfs> {
    let preparation = frame::encode(&load.preparation).map_err(io::Error::other)?;
    let mut files = initramfs::Builder::new()
        .file(paths::AGENT, 0o755, crate::AGENT)
        .and_then(|files| files.file(paths::SUBJECT, 0o755, crate::SUBJECT))
        .and_then(|files| files.file(paths::PREPARATION, 0o600, preparation));
    for (name, policy) in &load.policies {
        let path = format!("{}/{name}", paths::POLICIES);
        files = files.and_then(|files| files.file(&path, 0o600, policy.as_slice()));
    }
    for (path, content) in programs {
        files = files.and_then(|files| files.file(&path, 0o755, content));
    }
    files.and_then(|files| files.build()).map_err(io::Error::other)
}
