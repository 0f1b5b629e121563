//! The labels of the files of a guest system, which an initramfs cannot hold itself.
//!
//! Text, one record after another, each ended by a NUL: a context, the paths of the files that have
//! it, and an empty record.

use std::collections::BTreeMap;

/// Writes labels: pairs of a path and its context.
#[must_use]
pub fn write<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut by_context: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (path, context) in labels {
        by_context.entry(context).or_default().push(path);
    }
    let mut bytes = Vec::new();
    let mut put = |record: &str| {
        bytes.extend(record.as_bytes());
        bytes.push(0);
    };
    for (context, paths) in by_context {
        put(context);
        paths.into_iter().for_each(&mut put);
        put("");
    }
    bytes
}

/// Reads labels: a context and a path at a time. Ends at the first record that is malformed.
pub fn read(bytes: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let mut records = bytes.split(|byte| *byte == 0).map_while(|it| str::from_utf8(it).ok());
    let mut context = None;
    std::iter::from_fn(move || {
        loop {
            let record = records.next()?;
            match context {
                _ if record.is_empty() => context = None,
                None => context = Some(record),
                Some(context) => return Some((context, record)),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_back_by_context() {
        let labels = [("/", "u:r:root_t"), ("/a b", "u:r:etc_t"), ("/c\nd", "u:r:root_t")];
        let bytes = write(labels);
        let read: Vec<_> = read(&bytes).collect();
        assert_eq!(read, [("u:r:etc_t", "/a b"), ("u:r:root_t", "/"), ("u:r:root_t", "/c\nd")]);
    }

    #[test]
    fn malformed_labels_end_early() {
        assert_eq!(read(b"u:r:t\0/a\0\xff\0/b\0").collect::<Vec<_>>(), [("u:r:t", "/a")]);
        assert_eq!(read(b"").count(), 0);
    }
}
