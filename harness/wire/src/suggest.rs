//! "Did you mean": the closest of several names.

/// The closest candidate, or `None` if none is close.
#[must_use]
pub fn find_closest<T: AsRef<str>>(
    text: &str,
    candidates: impl IntoIterator<Item = T>,
) -> Option<T> {
    let length = text.chars().count();
    let most = |name: &T| 1.max(name.as_ref().len() / 3);
    candidates
        .into_iter()
        // The distance is at least the difference in length. To compute it takes time and memory in
        // proportion to both lengths, and a text may be a line of megabytes.
        .filter(|name| length.abs_diff(name.as_ref().chars().count()) <= most(name))
        .map(|name| (strsim::damerau_levenshtein(text, name.as_ref()), name))
        .filter(|(distance, name)| *distance <= most(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `; did you mean `NAME`?` for the closest candidate, or nothing when none is close.
#[must_use]
pub fn closest(text: &str, candidates: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let closest = find_closest(text, candidates);
    closest.map_or_else(String::new, |name| format!("; did you mean `{}`?", name.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_name_is_suggested_and_a_longer_one_is_not() {
        let names = ["perfmon", "bpf"];
        assert_eq!(find_closest("prefmon", names), Some("perfmon"));
        assert_eq!(find_closest("perfmons", names), Some("perfmon"));
        assert_eq!(find_closest("perfmonperfmon", names), None);
    }

    #[test]
    fn a_long_text_costs_no_more_for_many_names() {
        // The distances to all would take minutes.
        let names = std::iter::repeat_n("perfmon", 10_000);
        assert_eq!(find_closest(&"x".repeat(1 << 20), names), None);
    }
}
