//! Which links in an archive stay inside of it.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

/// The symbolic links of an archive.
///
/// No entry may go through one, so every link is in real directories and what its target means can
/// be told from its text: some `..`, which climb, and names, which do not.
#[derive(Default)]
pub(super) struct Links {
    places: HashSet<PathBuf>,
    /// How many directories each stands in and how many it climbs.
    climbs: Vec<(PathBuf, usize, usize)>,
}

impl Links {
    /// Remembers a link, or tells that it leads out wherever the top is.
    pub(super) fn add(&mut self, place: &Path, target: &Path) -> Option<()> {
        let parts: Vec<Component> =
            target.components().filter(|part| *part != Component::CurDir).collect();
        let climbs = parts.iter().take_while(|part| **part == Component::ParentDir).count();
        let depth = place.components().count().checked_sub(1)?;
        let names = parts[climbs..].iter().all(|part| matches!(part, Component::Normal(_)));
        if !names || climbs > depth {
            return None;
        }
        self.places.insert(place.to_path_buf());
        self.climbs.push((place.to_path_buf(), depth, climbs));
        Some(())
    }

    /// Whether a directory on the way to an entry is a link.
    pub(super) fn block(&self, place: &Path) -> bool {
        place.ancestors().skip(1).any(|parent| self.places.contains(parent))
    }

    /// Whether a place is a link, or one that is reached through one.
    pub(super) fn cover(&self, place: &Path) -> bool {
        place.ancestors().any(|parent| self.places.contains(parent))
    }

    /// A link that leads out when this many directories around all of them are taken away.
    pub(super) fn find_escape(&self, around: usize) -> Option<&Path> {
        self.climbs
            .iter()
            .find(|(_, depth, climbs)| climbs + around > *depth && *climbs > 0)
            .map(|(place, _, _)| place.as_path())
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
        #[case] place: &str,
        #[case] target: &str,
        #[case] around: usize,
        #[case] stays: bool,
    ) {
        let mut links = Links::default();
        let added = links.add(Path::new(place), Path::new(target)).is_some();
        assert_eq!(added && links.find_escape(around).is_none(), stays);
    }

    #[test]
    fn only_what_is_below_a_link_goes_through_it() {
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
