//! Fills in the skeleton of the C file.

use std::collections::{BTreeMap, BTreeSet};

/// The parts that every reproducer has, and those that some have.
const SKELETON: &str = include_str!("skeleton.c");

/// The texts and the optional parts of one reproducer.
#[derive(Default)]
pub(super) struct Filling {
    /// Texts by the name of their place.
    pub(super) places: BTreeMap<&'static str, String>,
    /// The optional parts that it has.
    pub(super) parts: BTreeSet<&'static str>,
}

impl Filling {
    /// The whole file.
    pub(super) fn file(&self) -> String {
        let mut file = String::new();
        let mut left_out = false;
        for line in SKELETON.lines() {
            if let Some(part) = line.strip_prefix("//@if ") {
                left_out = !self.parts.contains(part);
            } else if line == "//@end" {
                left_out = false;
            } else if !left_out {
                self.line(line, &mut file);
            }
        }
        file
    }

    /// Adds a line with its places filled in; a place that is a whole line and empty is no line.
    fn line(&self, line: &str, file: &mut String) {
        let place = line.trim().strip_prefix('@').and_then(|rest| rest.strip_suffix('@'));
        if let Some(text) = place.and_then(|place| self.places.get(place)) {
            file.push_str(text);
            if !text.is_empty() && !text.ends_with('\n') {
                file.push('\n');
            }
            return;
        }
        let mut line = line.to_owned();
        for (place, text) in &self.places {
            line = line.replace(&format!("@{place}@"), text);
        }
        file.push_str(&line);
        file.push('\n');
    }
}
