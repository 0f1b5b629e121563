//! `perfsec help`: the help of commands, and the pages of docs/.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use super::args::HelpArgs;
use super::{Cli, Exit, Failure};
use crate::suggest::closest;

/// A page of the documentation.
struct Page {
    name: &'static str,
    /// Markdown that is readable as it is; the first line is the heading.
    text: &'static str,
}

/// The pages, in the order in which they are listed.
const PAGES: &[Page] = &[
    Page { name: "kernels", text: include_str!("../../../docs/kernels.md") },
    Page { name: "cells", text: include_str!("../../../docs/cells.md") },
    Page { name: "reports", text: include_str!("../../../docs/reports.md") },
    Page { name: "mail", text: include_str!("../../../docs/mail.md") },
    Page { name: "ci", text: include_str!("../../../docs/ci.md") },
    Page { name: "compare", text: include_str!("../../../docs/compare.md") },
    Page { name: "series", text: include_str!("../../../docs/series.md") },
    Page { name: "bisect", text: include_str!("../../../docs/bisect.md") },
    Page { name: "explain", text: include_str!("../../../docs/explain.md") },
    Page { name: "allow", text: include_str!("../../../docs/allow.md") },
    Page { name: "cases", text: include_str!("../../../cases/README.md") },
    Page { name: "coverage", text: include_str!("../../../docs/coverage.md") },
    Page { name: "selfcheck", text: include_str!("../../../docs/selfcheck.md") },
    Page { name: "trust", text: include_str!("../../../docs/trust.md") },
    Page { name: "limitations", text: include_str!("../../../docs/limitations.md") },
    Page { name: "exit-codes", text: include_str!("../../../docs/exit-codes.md") },
];

impl Page {
    /// The reader's question, which is the heading of every page of docs/.
    fn question(&self) -> &str {
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

/// Prints the help of a command, then the page of that name if there is one. Commands come first
/// because `perfsec help COMMAND` is what people know from other programs.
pub(super) fn help(args: &HelpArgs) -> Result<Exit, Failure> {
    let mut root = Cli::command();
    // Gives subcommands their full names in the usage line.
    root.build();
    let mut found = Some(&root);
    for word in &args.names {
        found = found.and_then(|command| command.find_subcommand(word));
    }
    let page = match args.names.as_slice() {
        [name] => PAGES.iter().find(|page| page.name == *name),
        _ => None,
    };
    if found.is_none() && page.is_none() {
        return Err(unknown(&root, &args.names));
    }
    let command = found.map(|command| command.clone().render_long_help().ansi().to_string());
    let parts = command.into_iter().chain(page.map(|page| page.text.to_owned()));
    super::print(&parts.collect::<Vec<_>>().join("\n"))?;
    Ok(Exit::Success)
}

/// No command or topic of this name.
fn unknown(root: &clap::Command, names: &[String]) -> Failure {
    let (mut command, mut known) = (root, Vec::new());
    for (at, name) in names.iter().enumerate() {
        known = command.get_subcommands().map(clap::Command::get_name).collect();
        if at == 0 {
            known.extend(PAGES.iter().map(|page| page.name));
        }
        match command.find_subcommand(name) {
            Some(found) => command = found,
            None => {
                let (name, close) = (crate::printable::printable_line(name), closest(name, &known));
                let list = if close.is_empty() { "; `perfsec help` lists them" } else { "" };
                return Failure::input(format!("no command or topic `{name}`{close}{list}"));
            }
        }
    }
    Failure::input(format!("no command or topic; the closest are {}", known.join(", ")))
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
