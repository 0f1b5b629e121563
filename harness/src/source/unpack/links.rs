//! Checks that the symbolic links of an archive stay inside it.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

/// The symbolic links of an archive.
///
/// No entry may go through a link, so every link is in real directories, and its text alone
/// determines its target: some `..`, then names.
#[derive(Default)]
pub(super) struct Links {
    paths: HashSet<PathBuf>,
    /// Path, depth, and number of `..` of each link.
    climbs: Vec<(PathBuf, usize, usize)>,
}

impl Links {
    /// Adds a link; returns `None` if it leaves the archive.
    pub(super) fn add(&mut self, path: &Path, target: &Path) -> Option<()> {
        let parts: Vec<Component> =
            target.components().filter(|part| *part != Component::CurDir).collect();
        let climbs = parts.iter().take_while(|part| **part == Component::ParentDir).count();
        let depth = path.components().count().checked_sub(1)?;
        let names = parts[climbs..].iter().all(|part| matches!(part, Component::Normal(_)));
        if !names || climbs > depth {
            return None;
        }
        self.paths.insert(path.to_path_buf());
        self.climbs.push((path.to_path_buf(), depth, climbs));
        Some(())
    }

    /// True if a parent directory of the path is a link.
    pub(super) fn block(&self, path: &Path) -> bool {
        path.ancestors().skip(1).any(|parent| self.paths.contains(parent))
    }

    /// True if the path, or a parent directory, is a link.
    pub(super) fn cover(&self, path: &Path) -> bool {
        path.ancestors().any(|parent| self.paths.contains(parent))
    }

    /// Finds a link that leaves the tree once `around` leading directories are removed.
    pub(super) fn find_escape(&self, around: usize) -> Option<&Path> {
        self.climbs
            .iter()
            .find(|(_, depth, climbs)| climbs + around > *depth && *climbs > 0)
            .map(|(path, _, _)| path.as_path())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("linux/a", "b", 1, true)]
    #[case("linux/a", "./b/c", 1, true)]
    #[case("linux/a", "../b", 1, false)]
    #[case("linux/a", "../linux/b", 1, false)]
    #[case("linux/scripts/dtc/a", "../../arch/arm", 1, true)]
    #[case("linux/scripts/dtc/a", ".././../arch/arm", 1, true)]
    #[case("linux/scripts/dtc/a", "../../../b", 1, false)]
    #[case("scripts/dtc/a", "../../arch/arm", 0, true)]
    #[case("scripts/dtc/a", "../../../arch/arm", 0, false)]
    #[case("scripts/a", "b/../c", 0, false)]
    #[case("scripts/a", "b/../../../c", 0, false)]
    #[case("scripts/a", "/etc/passwd", 0, false)]
    fn a_link_stays_below_the_top(
        #[case] path: &str,
        #[case] target: &str,
        #[case] around: usize,
        #[case] stays: bool,
    ) {
        let mut links = Links::default();
        let added = links.add(Path::new(path), Path::new(target)).is_some();
        assert_eq!(added && links.find_escape(around).is_none(), stays);
    }

    #[test]
    fn only_paths_below_a_link_go_through_it() {
        let mut links = Links::default();
        links.add(Path::new("linux/a"), Path::new("b")).unwrap();
        assert!(links.block(Path::new("linux/a/c")));
        assert!(links.block(Path::new("linux/a/c/d")));
        assert!(!links.block(Path::new("linux/a")));
        assert!(links.cover(Path::new("linux/a")) && links.cover(Path::new("linux/a/c")));
        assert!(!links.cover(Path::new("linux")));
        assert!(!links.block(Path::new("linux/ab")));
    }
}
