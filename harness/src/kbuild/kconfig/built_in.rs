//! The fragments that are compiled into perfsec.

/// Names and texts, in the order in which they are listed to the user.
const FRAGMENTS: &[(&str, &str)] = &[
    ("base", include_str!("../../../../kconfigs/base.config")),
    ("selinux", include_str!("../../../../kconfigs/selinux.config")),
    ("perf", include_str!("../../../../kconfigs/perf.config")),
    ("tracing", include_str!("../../../../kconfigs/tracing.config")),
    ("debug", include_str!("../../../../kconfigs/debug.config")),
    ("distro-like", include_str!("../../../../kconfigs/distro-like.config")),
    ("metal", include_str!("../../../../kconfigs/metal.config")),
    ("no-audit", include_str!("../../../../kconfigs/no-audit.config")),
    ("no-develop", include_str!("../../../../kconfigs/no-develop.config")),
    ("no-selinux", include_str!("../../../../kconfigs/no-selinux.config")),
];

/// The text of the fragment with this name.
pub(super) fn text(name: &str) -> Option<&'static str> {
    FRAGMENTS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of all built-in fragments.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FRAGMENTS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kconfigs");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".config").map(str::to_owned))
            .collect();
        assert_eq!(files, names().map(str::to_owned).collect());
    }
}
