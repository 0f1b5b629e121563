//! "Did you mean": the closest of several names.

/// The closest candidate, or `None` if none is close.
#[must_use]
pub fn find_closest<T: AsRef<str>>(
    text: &str,
    candidates: impl IntoIterator<Item = T>,
) -> Option<T> {
    candidates
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(text, name.as_ref()), name))
        .filter(|(distance, name)| *distance <= 1.max(name.as_ref().len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `; did you mean `NAME`?` for the closest candidate, or nothing when none is close.
#[must_use]
pub fn closest(text: &str, candidates: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let closest = find_closest(text, candidates);
    closest.map_or_else(String::new, |name| format!("; did you mean `{}`?", name.as_ref()))
}
