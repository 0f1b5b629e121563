//! The lockdown level.

use perfsec_wire::Lockdown;

use super::Root;
use crate::why::facts::Known;

/// The level, in brackets in its file. A kernel without the module has no file.
pub(super) fn read(root: &Root) -> Result<Known<Lockdown>, String> {
    let path = "/sys/kernel/security/lockdown";
    if root.has("/sys/kernel") && !root.has(path) {
        return Ok(Known::read(Lockdown::None, format!("{path}, which is not there")));
    }
    let text = root.text(path)?;
    let level = match text.split_once('[').and_then(|(_, rest)| rest.split_once(']')) {
        Some(("none", _)) => Lockdown::None,
        Some(("integrity", _)) => Lockdown::Integrity,
        Some(("confidentiality", _)) => Lockdown::Confidentiality,
        _ => return Err(format!("{path}: `{text}` has no level in brackets")),
    };
    Ok(Known::read(level, path))
}

#[cfg(test)]
mod tests {
    use super::super::root::fixture::tree;
    use super::*;

    #[test]
    fn the_level_is_in_brackets() {
        let path = "/sys/kernel/security/lockdown";
        let (_place, root) = tree(&[(path, "none integrity [confidentiality]\n")]);
        assert_eq!(read(&root), Ok(Known::read(Lockdown::Confidentiality, path)));
    }

    #[test]
    fn without_the_file_there_is_no_lockdown_and_without_sys_it_is_unknown() {
        let (_place, root) = tree(&[("/sys/kernel/notes", "")]);
        assert_eq!(read(&root).unwrap().value, Lockdown::None);
        let (_place, root) = tree(&[]);
        assert!(read(&root).unwrap_err().contains("lockdown: "));
    }
}
