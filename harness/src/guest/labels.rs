//! The labels of a root, from what `setfiles -nv` prints.

/// The file of labels in the root that mmdebstrap makes, without the leading slash.
pub(super) const FILE: &str = "perfsec/labels";

/// Parses lines such as `Would relabel /etc from <no context> to system_u:object_r:etc_t:s0`;
/// returns pairs of a path and its context. Other lines are ignored.
pub(super) fn parse(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let (rest, context) = line.strip_prefix("Would relabel ")?.rsplit_once(" to ")?;
        let (path, _) = rest.rsplit_once(" from ")?;
        (path.starts_with('/') && context.contains(':')).then_some((path, context))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_from_the_words_of_setfiles() {
        let text = "setfiles: a warning\n\
            Would relabel / from <no context> to system_u:object_r:root_t:s0\n\
            Would relabel /a from b to c from <no context> to u:r:etc_t:s0-s0:c0.c1023\n\
            Would relabel /cut from <no cont";
        let labels: Vec<_> = parse(text).collect();
        assert_eq!(
            labels,
            [("/", "system_u:object_r:root_t:s0"), ("/a from b to c", "u:r:etc_t:s0-s0:c0.c1023")]
        );
    }
}
