//! A mutation: a patch that breaks one property of a kernel, and the cells that must notice it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::foreign;
use crate::plan::{CellNames, NotAGlob};

/// A mutation: a patch for `git am`, with its description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The file name without `.patch`.
    pub name: String,
    /// The subject: what it breaks.
    pub subject: String,
    /// The property that the suite checks and that this kernel violates.
    pub property: String,
    /// Names of the cells that must notice it, as for `perfsec run`.
    pub cells: Vec<String>,
    /// The whole mail.
    pub mail: String,
}

/// An error in a mutation.
#[derive(Debug, thiserror::Error)]
pub enum MutationError {
    /// The directory or a file of it cannot be read.
    #[error("read the mutations in {}", .path.display())]
    Read {
        /// The directory or file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The directory has no mutation.
    #[error("find a mutation in {}: it has no .patch", .0.display())]
    Empty(PathBuf),
    /// A mutation lacks a part.
    #[error("read the mutation {name}: it has no {part}")]
    Lacks {
        /// The mutation.
        name: String,
        /// The missing part.
        part: &'static str,
    },
    /// A name of cells is not a glob.
    #[error("read the mutation {name}")]
    Cells {
        /// The mutation.
        name: String,
        /// The error.
        source: NotAGlob,
    },
    /// No mutation has this name.
    #[error("find a mutation {0}: --list lists them")]
    Unknown(String),
}

impl Mutation {
    /// Reads a mail as `git format-patch` writes it, with the trailers `Property:` and `Cells:`.
    ///
    /// # Errors
    ///
    /// Returns an error if a part is missing.
    pub fn parse(name: &str, mail: &str) -> Result<Self, MutationError> {
        let lacks = |part| MutationError::Lacks { name: name.to_owned(), part };
        let (head, body) = mail.split_once("\n\n").ok_or_else(|| lacks("message"))?;
        // A long header goes on in a line that begins with a space.
        let unfolded = head.replace("\n ", " ");
        let subject = unfolded.lines().find_map(|line| line.strip_prefix("Subject: "));
        let subject = subject.ok_or_else(|| lacks("`Subject:`"))?;
        let subject = subject.trim_start_matches("[PATCH]").trim();
        // A message of one line has an empty body.
        let body = format!("\n{body}");
        let (message, diff) = body.split_once("\n---\n").ok_or_else(|| lacks("`---`"))?;
        if !diff.contains("\n@@ ") {
            return Err(lacks("diff"));
        }
        let trailers = |key: &'static str| {
            message.lines().filter_map(move |line| line.strip_prefix(key)).map(str::trim)
        };
        let property = trailers("Property:").next_back().ok_or_else(|| lacks("`Property:`"))?;
        let cells: Vec<String> = trailers("Cells:").map(str::to_owned).collect();
        if cells.is_empty() {
            return Err(lacks("`Cells:`"));
        }
        CellNames::parse(&cells)
            .map_err(|source| MutationError::Cells { name: name.to_owned(), source })?;
        Ok(Self {
            name: name.to_owned(),
            subject: subject.to_owned(),
            property: property.to_owned(),
            cells,
            mail: mail.to_owned(),
        })
    }

    /// True if it changes a header that many files include: it takes long to build and to undo.
    fn is_wide(&self) -> bool {
        self.mail.contains("\n+++ b/include/")
    }
}

/// The mutations that perfsec brings.
///
/// # Errors
///
/// Returns an error if one of them is malformed.
pub fn built_in() -> Result<Vec<Mutation>, MutationError> {
    let patches = perfsec_cases::mutations().into_iter();
    patches.map(|(name, mail)| Mutation::parse(name, mail)).collect::<Result<_, _>>().map(in_order)
}

/// The mutations in a directory.
///
/// # Errors
///
/// Returns an error if it has none or one of them is malformed.
pub fn directory(path: &Path) -> Result<Vec<Mutation>, MutationError> {
    let failed = |path: &Path, source| MutationError::Read { path: path.to_owned(), source };
    let mut mutations = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| failed(path, error))? {
        let file = entry.map_err(|error| failed(path, error))?.path();
        if file.extension().is_some_and(|end| end == "patch") {
            let mail = foreign::read_text(&file, &foreign::MUTATION)
                .map_err(|error| failed(&file, error))?;
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            mutations.push(Mutation::parse(&name, &mail)?);
        }
    }
    if mutations.is_empty() {
        return Err(MutationError::Empty(path.to_owned()));
    }
    Ok(in_order(mutations))
}

/// The mutations whose names begin with one of these; all of them if `names` is empty.
///
/// # Errors
///
/// Returns an error if a name selects no mutation.
pub fn select(mutations: Vec<Mutation>, names: &[String]) -> Result<Vec<Mutation>, MutationError> {
    let begins = |mutation: &Mutation, name: &String| mutation.name.starts_with(name.as_str());
    let missing = names.iter().find(|name| !mutations.iter().any(|it| begins(it, name)));
    if let Some(name) = missing {
        return Err(MutationError::Unknown(name.clone()));
    }
    let wanted = |it: &Mutation| names.is_empty() || names.iter().any(|name| begins(it, name));
    Ok(mutations.into_iter().filter(wanted).collect())
}

/// Sorts by name, those that take long last: each rebuilds hundreds of objects, and so does the
/// next one to undo it.
fn in_order(mut mutations: Vec<Mutation>) -> Vec<Mutation> {
    mutations.sort_by(|a, b| (a.is_wide(), &a.name).cmp(&(b.is_wide(), &b.name)));
    mutations
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const MAIL: &str = "From 0 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\n\
        Subject: [PATCH] call: an event\n asks for nothing\n\nWhat a user would see.\n\n\
        Property: an event asks\nCells: open/cpu\nCells: order/*\n---\n\
        diff --git a/k.c b/k.c\n--- a/k.c\n+++ b/k.c\n@@ -1 +1 @@\n-a\n+b\n-- \nperfsec\n";

    #[test]
    fn a_mutation_names_its_property_and_its_cells() {
        let mutation = Mutation::parse("call-event", MAIL).unwrap();
        assert_eq!(mutation.subject, "call: an event asks for nothing");
        assert_eq!(mutation.property, "an event asks");
        assert_eq!(mutation.cells, ["open/cpu", "order/*"]);
    }

    #[rstest]
    #[case("Subject: ", "Object: ", "`Subject:`")]
    #[case("Property: ", "Proper: ", "`Property:`")]
    #[case("Cells: ", "Cell: ", "`Cells:`")]
    #[case("\n---\n", "\n", "`---`")]
    #[case("@@ ", "", "diff")]
    fn a_mutation_that_lacks_a_part_is_refused(
        #[case] part: &str,
        #[case] instead: &str,
        #[case] named: &str,
    ) {
        let error = Mutation::parse("x", &MAIL.replace(part, instead)).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }

    #[test]
    fn a_message_of_one_line_lacks_its_trailers() {
        let (head, rest) = MAIL.split_once("\n\n").unwrap();
        let (_, diff) = rest.split_once("\n---\n").unwrap();
        let error = Mutation::parse("x", &format!("{head}\n\n---\n{diff}")).unwrap_err();
        assert!(error.to_string().contains("`Property:`"), "{error}");
    }

    #[test]
    fn a_name_that_is_not_a_glob_is_refused() {
        let error = Mutation::parse("x", &MAIL.replace("order/*", "order/[")).unwrap_err();
        assert!(matches!(error, MutationError::Cells { .. }), "{error}");
    }

    #[test]
    fn mutations_that_take_long_to_build_come_last() {
        let wide = MAIL.replace("b/k.c", "b/include/k.h");
        let named = |name: &str, mail: &str| Mutation::parse(name, mail).unwrap();
        let sorted = in_order(vec![named("a", &wide), named("c", MAIL), named("b", MAIL)]);
        let names: Vec<_> = sorted.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["b", "c", "a"]);
        assert_eq!(select(sorted.clone(), &["a".to_owned()]).unwrap().len(), 1);
        assert!(select(sorted, &["x".to_owned()]).is_err());
    }

    #[test]
    fn every_built_in_mutation_parses_and_names_cells_of_the_suite() {
        let library = crate::case::Library::built_in().unwrap();
        let mutations = built_in().unwrap();
        assert!(mutations.len() >= 30);
        for mutation in mutations {
            for name in &mutation.cells {
                let names = CellNames::parse(std::slice::from_ref(name)).unwrap();
                let any = library.cases.iter().any(|case| {
                    case.axes.coordinates().any(|at| names.contains(&case.cell_name(&at)))
                });
                assert!(any, "{}: no cell is called {name}", mutation.name);
            }
        }
    }
}
