//! Matches texts against patterns in which `*` matches anything.

/// True if `text` has the form of `pattern`.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// True if a part of `text` has the form of `pattern`.
pub(crate) fn is_in(pattern: &str, text: &str) -> bool {
    matches(&format!("*{pattern}*"), text)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", "", true)]
    #[case("a", "ab", false)]
    #[case("a*", "ab", true)]
    #[case("*b", "ab", true)]
    #[case("a*b*c", "a-b-b-c", true)]
    #[case("a*b*c", "a-c-b", false)]
    #[case("ab*ba", "aba", false)]
    #[case("*", "", true)]
    fn a_star_stands_for_anything(#[case] pattern: &str, #[case] text: &str, #[case] same: bool) {
        assert_eq!(matches(pattern, text), same);
    }

    #[rstest]
    #[case("not supported", "  <not supported>  cpu-cycles", true)]
    #[case("<not supported>*cycles", "  <not supported>  cpu-cycles", true)]
    #[case("cycles*<not", "  <not supported>  cpu-cycles", false)]
    fn a_part_is_enough(#[case] pattern: &str, #[case] text: &str, #[case] found: bool) {
        assert_eq!(is_in(pattern, text), found);
    }
}
