//! Finds globs that select a set of cells and no others of those that were compared.

use std::collections::{BTreeMap, BTreeSet};

use crate::case::Coordinates;

/// A cell, by its case and its coordinates.
pub(super) type CellId<'a> = (&'a str, &'a Coordinates);

/// A cell's value on each axis: domain, level, grant, mode.
type AxisValues = [String; 4];

/// A case, with the number of cells that each pattern selects in it.
type CaseCount<'a> = (&'a str, Vec<usize>);

/// Globs for `chosen`, each with the number of cells that it selects. None selects another cell of
/// `all`.
pub(super) fn globs(
    chosen: &BTreeSet<CellId<'_>>,
    all: &BTreeSet<CellId<'_>>,
) -> Vec<(String, usize)> {
    // Cases with the same patterns share a glob.
    let mut alike: BTreeMap<(&str, Vec<String>), Vec<CaseCount<'_>>> = BTreeMap::new();
    for (case, cells) in group_by_case(chosen) {
        let others = group_by_case(all).remove(case).unwrap_or_default();
        let mut patterns = Vec::new();
        cover(&cells, &others, &mut patterns);
        let (patterns, counts) = patterns.into_iter().unzip();
        let area = case.rsplit_once('/').map_or("", |(area, _)| area);
        alike.entry((area, patterns)).or_default().push((case, counts));
    }
    let mut out = Vec::new();
    for ((area, patterns), cases) in alike {
        let names: Vec<_> = cases
            .iter()
            .map(|(case, _)| case.strip_prefix(area).unwrap_or(case).trim_start_matches('/'))
            .collect();
        let name = match names.as_slice() {
            [one] => (*one).to_owned(),
            many => format!("{{{}}}", many.join(",")),
        };
        let name = if area.is_empty() { name } else { format!("{area}/{name}") };
        for (at, pattern) in patterns.iter().enumerate() {
            let count = cases.iter().map(|(_, counts)| counts[at]).sum();
            out.push((format!("{name}/{pattern}"), count));
        }
    }
    out
}

fn group_by_case<'a>(cells: &BTreeSet<CellId<'a>>) -> BTreeMap<&'a str, Vec<AxisValues>> {
    let mut cases: BTreeMap<&str, Vec<AxisValues>> = BTreeMap::new();
    for (case, at) in cells {
        let axes = [
            at.domain.clone(),
            format!("paranoid={}", at.paranoid),
            at.grant.to_string(),
            at.mode.to_string(),
        ];
        cases.entry(case).or_default().push(axes);
    }
    cases
}

/// Finds patterns that together select `cells` of `all`: one pattern if the cells are a product of
/// values, otherwise it splits them along the axis that needs the fewest.
fn cover(cells: &[AxisValues], all: &[AxisValues], patterns: &mut Vec<(String, usize)>) {
    if let Some(pattern) = product(cells, all) {
        patterns.push((pattern, cells.len()));
        return;
    }
    let split = |axis: usize| {
        let mut parts: BTreeMap<&str, Vec<AxisValues>> = BTreeMap::new();
        for cell in cells {
            parts.entry(&cell[axis]).or_default().push(cell.clone());
        }
        (parts.len() > 1).then_some(parts)
    };
    let whole = |parts: &BTreeMap<&str, Vec<AxisValues>>| {
        // Parts that are a product are done; every other part needs a further split.
        parts.values().filter(|part| product(part, all).is_none()).count() * 1000 + parts.len()
    };
    let best = (0..4).filter_map(|axis| Some((axis, split(axis)?)));
    let Some((axis, parts)) = best.min_by_key(|(_, parts)| whole(parts)) else { return };
    // Values with the same cells on the other axes can share a pattern.
    let mut together: Vec<(Vec<AxisValues>, Vec<AxisValues>)> = Vec::new();
    for part in parts.into_values() {
        let mut rest: Vec<AxisValues> = part.clone();
        rest.iter_mut().for_each(|cell| cell[axis].clear());
        match together.iter_mut().find(|(known, _)| *known == rest) {
            Some((_, cells)) => cells.extend(part),
            None => together.push((rest, part)),
        }
    }
    if let [(_, one)] = together.as_slice() {
        // Every value has the same cells, so the split must happen on another axis.
        let values: BTreeSet<String> = one.iter().map(|cell| cell[axis].clone()).collect();
        for value in values {
            let part: Vec<_> = one.iter().filter(|cell| cell[axis] == value).cloned().collect();
            cover(&part, all, patterns);
        }
        return;
    }
    together.iter().for_each(|(_, part)| cover(part, all, patterns));
}

/// The pattern that selects exactly `cells` of `all`, if a single one does.
fn product(cells: &[AxisValues], all: &[AxisValues]) -> Option<String> {
    let values = |cells: &[AxisValues], axis: usize| {
        cells.iter().map(|cell| cell[axis].clone()).collect::<BTreeSet<_>>()
    };
    let sets: Vec<_> = (0..4).map(|axis| values(cells, axis)).collect();
    let selected = all.iter().filter(|cell| (0..4).all(|axis| sets[axis].contains(&cell[axis])));
    if selected.count() != cells.len() {
        return None;
    }
    if cells.len() == all.len() {
        return Some("*".to_owned());
    }
    let words: Vec<_> = sets
        .iter()
        .enumerate()
        .map(|(axis, set)| {
            let every = values(all, axis);
            let mut list = set.iter().cloned();
            match set.len() {
                1 => list.next().unwrap_or_default(),
                _ if *set == every => "*".to_owned(),
                _ => format!("{{{}}}", list.collect::<Vec<_>>().join(",")),
            }
        })
        .collect();
    Some(words.join("/"))
}

#[cfg(test)]
mod tests {
    use perfsec_wire::Mode;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn cells() -> Vec<(String, Coordinates)> {
        let mut cells = Vec::new();
        for case in ["open/cpu", "open/cpu-kernel", "event/read"] {
            for domain in ["all_t", "none_t"] {
                for paranoid in [-1, 2] {
                    for grant in ["none", "perfmon", "sys_admin"] {
                        for mode in [Mode::Permissive, Mode::Enforcing] {
                            let at = Coordinates {
                                domain: domain.to_owned(),
                                paranoid: paranoid.into(),
                                grant: grant.parse().unwrap(),
                                mode,
                            };
                            cells.push((case.to_owned(), at));
                        }
                    }
                }
            }
        }
        cells
    }

    fn globs_of(wanted: impl Fn(&str) -> bool) -> Vec<(String, usize)> {
        let cells = cells();
        let all: BTreeSet<_> = cells.iter().map(|(case, at)| (case.as_str(), at)).collect();
        let chosen = all.iter().filter(|(case, at)| wanted(&format!("{case}/{at}"))).copied();
        globs(&chosen.collect(), &all)
    }

    #[rstest]
    #[case(&["event/read"], "event/read/*: 24")]
    #[case(&["open/"], "open/{cpu,cpu-kernel}/*: 48")]
    #[case(&["event/", "enforcing"], "event/read/*/*/*/enforcing: 12")]
    #[case(
        &["event/", "/none/", "none_t", "paranoid=2/"],
        "event/read/none_t/paranoid=2/none/*: 2"
    )]
    #[case(
        &["event/", "/none/", "none_t", "=2", "perm"],
        "event/read/none_t/paranoid=2/none/permissive: 1"
    )]
    fn cells_are_named_by_what_they_share(#[case] parts: &[&str], #[case] expected: &str) {
        let globs = globs_of(|name| parts.iter().all(|part| name.contains(part)));
        let [(glob, count)] = globs.as_slice() else { panic!("{globs:?}") };
        assert_eq!(format!("{glob}: {count}"), expected);
    }

    proptest! {
        #[test]
        fn globs_select_the_chosen_cells_and_no_others(
            picks in prop::collection::vec(any::<bool>(), 72),
        ) {
            let cells = cells();
            let all: BTreeSet<_> = cells.iter().map(|(case, at)| (case.as_str(), at)).collect();
            let chosen: BTreeSet<_> =
                all.iter().zip(&picks).filter(|(_, pick)| **pick).map(|(id, _)| *id).collect();
            let globs = globs(&chosen, &all);
            prop_assert_eq!(globs.iter().map(|(_, count)| count).sum::<usize>(), chosen.len());
            let mut set = globset::GlobSetBuilder::new();
            for (glob, _) in &globs {
                set.add(globset::Glob::new(glob).unwrap());
            }
            let set = set.build().unwrap();
            for id in &all {
                let selected = set.is_match(format!("{}/{}", id.0, id.1));
                prop_assert_eq!(selected, chosen.contains(id));
            }
        }
    }
}
