//! The pages of docs/, by topic.

use std::fmt::Write as _;

/// A page of the documentation.
pub(super) struct Topic {
    /// The topic.
    pub(super) name: &'static str,
    /// Markdown that is readable as it is; the first line is the heading.
    pub(super) text: &'static str,
}

/// The pages, in the order in which they are listed.
pub(super) const PAGES: &[Topic] = &[
    Topic { name: "kernels", text: include_str!("../../../docs/kernels.md") },
    Topic { name: "policies", text: include_str!("../../../docs/policies.md") },
    Topic { name: "guests", text: include_str!("../../../docs/guests.md") },
    Topic { name: "howto", text: include_str!("../../../docs/howto.md") },
    Topic { name: "machines", text: include_str!("../../../docs/machines.md") },
    Topic { name: "survey", text: include_str!("../../../docs/survey.md") },
    Topic { name: "cells", text: include_str!("../../../docs/cells.md") },
    Topic { name: "reports", text: include_str!("../../../docs/reports.md") },
    Topic { name: "mail", text: include_str!("../../../docs/mail.md") },
    Topic { name: "reproduce", text: include_str!("../../../docs/reproduce.md") },
    Topic { name: "debugging", text: include_str!("../../../docs/debugging.md") },
    Topic { name: "ci", text: include_str!("../../../docs/ci.md") },
    Topic { name: "labs", text: include_str!("../../../docs/labs.md") },
    Topic { name: "compare", text: include_str!("../../../docs/compare.md") },
    Topic { name: "series", text: include_str!("../../../docs/series.md") },
    Topic { name: "bisect", text: include_str!("../../../docs/bisect.md") },
    Topic { name: "why", text: include_str!("../../../docs/why.md") },
    Topic { name: "explain", text: include_str!("../../../docs/explain.md") },
    Topic { name: "allow", text: include_str!("../../../docs/allow.md") },
    Topic { name: "cases", text: include_str!("../../../cases/README.md") },
    Topic { name: "coverage", text: include_str!("../../../docs/coverage.md") },
    Topic { name: "selfcheck", text: include_str!("../../../docs/selfcheck.md") },
    Topic { name: "cache", text: include_str!("../../../docs/cache.md") },
    Topic { name: "config", text: include_str!("../../../docs/config.md") },
    Topic { name: "running", text: include_str!("../../../docs/running.md") },
    Topic { name: "trust", text: include_str!("../../../docs/trust.md") },
    Topic { name: "limitations", text: include_str!("../../../docs/limitations.md") },
    Topic { name: "exit-codes", text: include_str!("../../../docs/exit-codes.md") },
];

impl Topic {
    /// The reader's question, which is the heading of every page of docs/.
    pub(super) fn question(&self) -> &str {
        match self.name {
            "cases" => "How do I write a case?",
            _ => self.text.lines().next().unwrap_or_default().trim_start_matches("# "),
        }
    }
}

/// The list of topics at the end of `perfsec --help`.
pub(super) fn topics() -> String {
    let mut text = "Topics, for `perfsec help TOPIC`:".to_owned();
    for page in PAGES {
        let _ = write!(text, "\n  {:<12} {}", page.name, page.question());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_page_of_docs_is_a_topic() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let files: BTreeSet<_> = std::fs::read_dir(docs)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().display().to_string())
            .collect();
        let topics: BTreeSet<_> = PAGES.iter().map(|page| page.name.to_owned()).collect();
        let missing: Vec<_> = files.difference(&topics).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_page_begins_with_a_question_and_fits_on_a_terminal() {
        for page in PAGES {
            assert!(page.text.starts_with("# "), "{}", page.name);
            assert!(page.question().ends_with('?'), "{}", page.question());
            for line in page.text.lines().filter(|_| page.name != "cases") {
                assert!(line.chars().count() <= 80, "{}: {line}", page.name);
            }
        }
    }

    #[test]
    fn every_link_of_a_page_leads_to_a_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
        let pages = PAGES.iter().filter(|page| page.name != "cases");
        let pages = pages.map(|page| ("docs", page.text));
        for (directory, text) in pages.chain([(".", readme.as_str())]) {
            for (_, link) in text.match_indices("](").map(|(at, _)| text.split_at(at + 2)) {
                let link = link.split([')', '#']).next().unwrap();
                let web = link.starts_with("http");
                assert!(web || root.join(directory).join(link).exists(), "{link}");
            }
        }
    }
}
