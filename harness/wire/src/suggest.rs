//! "Did you mean": the closest of several names.

/// `; did you mean `NAME`?` with the closest candidate; empty if none is close.
#[must_use]
pub fn closest(text: &str, candidates: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    candidates
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(text, name.as_ref()), name))
        .filter(|(distance, name)| *distance <= 1.max(name.as_ref().len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| format!("; did you mean `{}`?", name.as_ref()))
        .unwrap_or_default()
}
