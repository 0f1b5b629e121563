//! Compares Debian versions as `deb-version(7)` defines.

use std::cmp::Ordering;

/// Compares epoch, upstream version and revision, in that order.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (a_epoch, a) = epoch(a);
    let (b_epoch, b) = epoch(b);
    let (a_upstream, a_revision) = a.rsplit_once('-').unwrap_or((a, ""));
    let (b_upstream, b_revision) = b.rsplit_once('-').unwrap_or((b, ""));
    a_epoch
        .cmp(&b_epoch)
        .then_with(|| compare_part(a_upstream, b_upstream))
        .then_with(|| compare_part(a_revision, b_revision))
}

fn epoch(version: &str) -> (u32, &str) {
    version
        .split_once(':')
        .and_then(|(epoch, rest)| Some((epoch.parse().ok()?, rest)))
        .unwrap_or((0, version))
}

/// Compares alternating runs of non-digits and digits.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (a_text, a_rest) = split(a, |byte| !byte.is_ascii_digit());
        let (b_text, b_rest) = split(b, |byte| !byte.is_ascii_digit());
        // The end of a part has a weight too, so that `~` sorts before it.
        let weights = |text: &str| text.bytes().map(weight).chain([0]).collect::<Vec<i32>>();
        let (a_number, a_next) = split(a_rest, |byte| byte.is_ascii_digit());
        let (b_number, b_next) = split(b_rest, |byte| byte.is_ascii_digit());
        let significant = |number: &str| {
            let digits = number.trim_start_matches('0').to_owned();
            (digits.len(), digits)
        };
        let order = weights(a_text)
            .cmp(&weights(b_text))
            .then_with(|| significant(a_number).cmp(&significant(b_number)));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (a_next, b_next);
    }
    Ordering::Equal
}

fn split(text: &str, in_run: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !in_run(byte)).unwrap_or(text.len());
    // A run begins or ends at an ASCII digit, so this is a character boundary.
    text.split_at(end)
}

/// Sorts `~` before the end of the text, and letters before other characters.
fn weight(byte: u8) -> i32 {
    match byte {
        b'~' => -1,
        byte if byte.is_ascii_alphabetic() => i32::from(byte),
        byte => i32::from(byte) + 256,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("6.1.192-2", "6.12.117-1", Ordering::Less)]
    #[case("6.12.117-1~bpo12+1", "6.12.117-1", Ordering::Less)]
    #[case("7.3~rc7-1~exp1", "7.3.4-1~bpo13+1", Ordering::Less)]
    #[case("7.3~rc7-1~exp1", "7.3-1", Ordering::Less)]
    #[case("6.12.115-1+deb13.1", "6.12.115-1", Ordering::Greater)]
    #[case("6.1.9-1", "6.1.10-1", Ordering::Less)]
    #[case("1:1-1", "2-1", Ordering::Greater)]
    #[case("6.01-1", "6.1-1", Ordering::Equal)]
    #[case("1.0a", "1.0+", Ordering::Less)]
    fn versions_compare_as_in_dpkg(#[case] a: &str, #[case] b: &str, #[case] order: Ordering) {
        assert_eq!(compare(a, b), order);
        assert_eq!(compare(b, a), order.reverse());
    }

    proptest! {
        #[test]
        fn any_text_can_be_compared(a in ".{0,20}", b in ".{0,20}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        }
    }
}
