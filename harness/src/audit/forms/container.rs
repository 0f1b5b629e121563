//! Logs of containers in the format of CRI: a time, a stream, a mark for partial lines, the text.
//!
//! The format is that of Kubernetes' `cri-api`: `2025-11-28T03:20:00.1Z stdout F text`. Docker's
//! json-file has an object with `log`, `stream` and `time` on each line, which the reader of JSON
//! knows.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

static LINE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d) std(?:out|err) ([FP])(?: (.*))?$")
        .ok()
});

/// The largest length in bytes of a line that is in parts.
const LONGEST: usize = 1 << 20;

/// A line of a container's log.
pub(super) struct CriLine<'a> {
    partial: bool,
    text: &'a str,
}

impl<'a> CriLine<'a> {
    /// Reads a line. Returns `None` if it has another form.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let found = LINE.as_ref()?.captures(line)?;
        let text = found.get(2).map_or("", |text| text.as_str());
        Some(Self { partial: found.get(1)?.as_str() == "P", text })
    }
}

/// A line whose end has not been read.
#[derive(Default)]
pub(super) struct PartialLine(Option<String>);

impl PartialLine {
    /// Adds a part, and returns the whole line if this was the last one.
    pub(super) fn push(&mut self, line: &CriLine<'_>) -> Option<String> {
        let mut text = self.0.take().unwrap_or_default();
        text.push_str(line.text);
        if line.partial && text.len() < LONGEST {
            self.0 = Some(text);
            return None;
        }
        Some(text)
    }

    /// The parts so far, if there are any.
    pub(super) fn take(&mut self) -> Option<String> {
        self.0.take()
    }
}

/// The text in an object of Docker's json-file.
pub(super) fn docker(object: &Map<String, Value>) -> Option<&str> {
    let text = object.get("log")?.as_str()?;
    (object.contains_key("stream") || object.contains_key("time")).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_parts_is_joined() {
        let mut partial = PartialLine::default();
        let mut push = |line: &str| partial.push(&CriLine::parse(line).unwrap());
        assert_eq!(push("2025-11-28T03:20:00.123Z stdout P avc:  den"), None);
        assert_eq!(push("2025-11-28T03:20:00.123Z stdout F ied"), Some("avc:  denied".to_owned()));
        assert_eq!(push("2025-11-28T03:20:00+01:00 stderr F "), Some(String::new()));
    }

    #[test]
    fn another_line_has_another_form() {
        assert!(CriLine::parse("2025-11-28T03:20:00Z box kernel: audit").is_none());
    }
}
