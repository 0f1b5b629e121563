//! The modes of files.

/// A mode, and others that let more or fewer users in.
const MODES: &[(&str, &[&str])] = &[
    ("0444", &["0644", "0400"]),
    ("0644", &["0666", "0600"]),
    ("0600", &["0644"]),
    ("0640", &["0644", "0600"]),
    ("0400", &["0444"]),
    ("0440", &["0444", "0400"]),
    ("0200", &["0222"]),
    ("0222", &["0200"]),
    ("0666", &["0644"]),
    ("S_IRUGO", &["S_IRUSR"]),
    ("S_IRUSR", &["S_IRUGO"]),
    ("S_IWUSR", &["S_IWUGO"]),
    ("S_IWUGO", &["S_IWUSR"]),
    ("TRACE_MODE_READ", &["0444"]),
    ("TRACE_MODE_WRITE", &["0666"]),
];

/// The modes that a developer could confuse with this one. Empty if this is not a mode.
pub(crate) fn others(mode: &str) -> &'static [&'static str] {
    MODES.iter().find(|(known, _)| *known == mode).map_or(&[], |(_, others)| others)
}
