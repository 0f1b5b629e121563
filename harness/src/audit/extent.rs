//! Finds where records begin and end in a line.

/// Splits a line into records: pasted ones may follow each other on one line.
pub(super) fn pieces(line: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), line);
    while let Some(end) = end_of_record(rest) {
        if !rest[end..].contains("avc:") {
            break;
        }
        pieces.push(&rest[..end]);
        rest = &rest[end..];
    }
    pieces.push(rest);
    pieces
}

/// The offset of the end of a line's first record, if the record is complete.
fn end_of_record(line: &str) -> Option<usize> {
    const LAST: [&str; 3] = ["permissive=", "srawcon=", "trawcon="];
    let start = line.find("avc:")?;
    let word = |from: usize| line[from..].find(char::is_whitespace).map(|length| from + length);
    let mut end = word(start + line[start..].find(" tclass=")? + 1)?;
    loop {
        let next = line.len() - line[end..].trim_start().len();
        if !LAST.iter().any(|key| line[next..].starts_with(key)) {
            return Some(end);
        }
        end = word(next)?;
    }
}

/// The time and the serial in `audit(…)`, which the records of an event share.
pub(super) fn event(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("audit(")?;
    let (event, _) = rest.split_once(')')?;
    event.contains(':').then_some(event)
}
