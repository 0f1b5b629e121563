//! Pluralises counts.

/// A count with its noun in the right number: `1 cell`, `2 cells`, `2 patches`.
#[must_use]
pub(crate) fn counted(number: usize, noun: &str) -> String {
    let ending = match noun {
        _ if number == 1 => "",
        noun if noun.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{number} {noun}{ending}")
}

/// The form of a word that goes with a count: `one` for 1, else `many`.
#[must_use]
pub(crate) fn inflected<'a>(number: usize, one: &'a str, many: &'a str) -> &'a str {
    if number == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "cell", "0 cells are")]
    #[case(1, "patch", "1 patch is")]
    #[case(2, "patch", "2 patches are")]
    fn a_noun_and_a_verb_agree_with_their_count(
        #[case] number: usize,
        #[case] noun: &str,
        #[case] words: &str,
    ) {
        let verb = inflected(number, "is", "are");
        assert_eq!(format!("{} {verb}", counted(number, noun)), words);
    }
}
