//! A single difference between two transcripts of a cell.

use serde::{Deserialize, Serialize};

use super::question::{QuestionId, ReturnValue};

/// A single difference. Two cells with the same changes differ in the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Change {
    /// A syscall returned something else.
    Result {
        /// The syscall.
        call: String,
        /// Return value on A.
        from: ReturnValue,
        /// Return value on B.
        to: ReturnValue,
        /// True if nothing else about the call differs.
        alone: bool,
    },
    /// Another question refuses the call.
    Refuser {
        /// The syscall.
        call: String,
        /// The question that refuses it on A.
        from: QuestionId,
        /// The question that refuses it on B.
        to: QuestionId,
    },
    /// The same denial makes the call fail on one side only.
    Demand {
        /// The syscall.
        call: String,
        /// The question that is denied.
        question: QuestionId,
        /// True if the call fails on B, false if on A.
        now: bool,
    },
    /// A question is asked on one side only, or more often.
    Asked {
        /// The syscall.
        call: String,
        /// The question.
        question: QuestionId,
        /// The change from A to B.
        how: ChangeKind,
    },
    /// The same questions in another order: the first pair that changed places.
    Order {
        /// The syscall.
        call: String,
        /// The question that B asks first.
        first: QuestionId,
        /// The question that A asks first.
        second: QuestionId,
    },
    /// A capability check ends in another way.
    Answer {
        /// The syscall.
        call: String,
        /// The question.
        question: QuestionId,
        /// Answer on A.
        from: String,
        /// Answer on B.
        to: String,
    },
    /// A question that is asked on both sides has a record on one side only, or elsewhere.
    Record {
        /// The syscall.
        call: String,
        /// The question that the record is about.
        record: QuestionId,
        /// The change from A to B.
        how: ChangeKind,
    },
    /// A record has another value in a field.
    Field {
        /// The syscall.
        call: String,
        /// The question that the record is about.
        record: QuestionId,
        /// Name of the field.
        field: String,
    },
    /// A step is performed on one side only, and no earlier result explains it.
    Reached {
        /// The syscall.
        call: String,
        /// True if it is performed on B, false if on A.
        now: bool,
    },
}

/// How often something happens on B, compared with A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Only on B.
    New,
    /// Only on A.
    Gone,
    /// More often on B.
    More,
    /// Less often on B.
    Less,
    /// As often, but in other places.
    Moved,
}

impl Change {
    /// Name of the syscall.
    #[must_use]
    pub fn call(&self) -> &str {
        match self {
            Self::Result { call, .. }
            | Self::Refuser { call, .. }
            | Self::Demand { call, .. }
            | Self::Asked { call, .. }
            | Self::Order { call, .. }
            | Self::Answer { call, .. }
            | Self::Record { call, .. }
            | Self::Field { call, .. }
            | Self::Reached { call, .. } => call,
        }
    }
}
