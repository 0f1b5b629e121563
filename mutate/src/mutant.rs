//! One mutant: the change as a person would make it, and as a choice at run time.

use std::ops::Range;

use crate::Operator;

/// One small change of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// The file, as given to [`SourceFile::new`](crate::SourceFile::new).
    pub file: String,
    /// The function, or the default, as given.
    pub function: String,
    /// The line of the change, from 1.
    pub line: usize,
    /// The kind of mistake.
    pub operator: Operator,
    /// From 1, counted within the function and the operator.
    pub ordinal: usize,
    /// The statement or condition, on one line.
    pub before: String,
    /// The same after the change; empty if the change only deletes.
    pub after: String,
    pub(crate) edits: Vec<Edit>,
    pub(crate) switches: Vec<Switch>,
}

/// Replaces a range of the source, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Edit {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) text: String,
}

/// An alternative to one node of the syntax tree. Ranges of switches nest or are disjoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Switch {
    pub(crate) range: Range<usize>,
    pub(crate) form: Form,
    pub(crate) alternative: String,
}

/// The way in which C chooses between the original and an alternative.
///
/// The order is from the inside out where several have one range: only the innermost can be
/// assigned to, and a truth value has lost its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// An expression that is assigned to, or whose address is taken.
    Place,
    /// An expression of the same type as its alternative.
    Value,
    /// An expression that is only compared with zero.
    Truth,
    /// A statement.
    Statement,
    /// A statement that runs before the original one, which runs too.
    Before,
}

impl Mutant {
    /// `FUNCTION/OPERATOR/ORDINAL`, which does not change when lines move.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.function, self.operator, self.ordinal)
    }

    /// True if a kernel can contain this mutant and others, and choose at run time.
    pub fn is_switched(&self) -> bool {
        !self.switches.is_empty()
    }

    /// `source`, the text that this mutant was derived from, with this change alone.
    pub fn apply(&self, source: &str) -> String {
        apply(source, &self.edits)
    }
}

/// The edits must be disjoint.
pub(crate) fn apply(source: &str, edits: &[Edit]) -> String {
    let mut edits: Vec<_> = edits.iter().collect();
    edits.sort();
    let mut text = String::with_capacity(source.len());
    let mut from = 0;
    for edit in edits {
        text.push_str(&source[from..edit.start]);
        text.push_str(&edit.text);
        from = edit.end;
    }
    text.push_str(&source[from..]);
    text
}
