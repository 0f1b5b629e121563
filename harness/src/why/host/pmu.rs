//! The PMUs of the machine.

use std::collections::BTreeSet;

use super::Root;
use crate::why::facts::Known;

/// The names below `/sys/bus/event_source/devices`.
pub(super) fn read(root: &Root) -> Result<Known<BTreeSet<String>>, String> {
    let path = "/sys/bus/event_source/devices";
    let entries = std::fs::read_dir(root.path(path)).map_err(|error| format!("{path}: {error}"))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(Known::read(names.collect(), path))
}

#[cfg(test)]
mod tests {
    use super::super::root::fixture::tree;
    use super::*;

    #[test]
    fn a_directory_is_a_pmu() {
        let devices = "/sys/bus/event_source/devices";
        let files = [(format!("{devices}/msr/type"), ""), (format!("{devices}/software/type"), "")];
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let (_place, root) = tree(&files);
        let found: Vec<_> = read(&root).unwrap().value.into_iter().collect();
        assert_eq!(found, ["msr", "software"]);
    }
}
