//! One thing that differs between two transcripts of a cell.

use serde::{Deserialize, Serialize};

use super::question::{QuestionId, ReturnValue};

/// One thing that differs. Two cells that have the same changes differ in the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Change {
    /// A syscall returned something else.
    Result {
        /// The syscall.
        call: String,
        /// What it returned on A.
        from: ReturnValue,
        /// What it returned on B.
        to: ReturnValue,
        /// Whether that is all that differs of it.
        alone: bool,
    },
    /// Something else refuses it.
    Refuser {
        /// The syscall.
        call: String,
        /// The question that refused it on A.
        from: QuestionId,
        /// The question that refuses it on B.
        to: QuestionId,
    },
    /// The same denial refuses the call on one side, and is let through on the other.
    Demand {
        /// The syscall.
        call: String,
        /// What is denied.
        question: QuestionId,
        /// Whether that refuses on B; else it did on A.
        now: bool,
    },
    /// Something is asked that was not, or not so often; or the other way round.
    Asked {
        /// The syscall.
        call: String,
        /// What is asked.
        question: QuestionId,
        /// How that changed.
        how: ChangeKind,
    },
    /// The same, in another order: the first pair that changed places.
    Order {
        /// The syscall.
        call: String,
        /// What B asks first.
        first: QuestionId,
        /// What A asked first.
        second: QuestionId,
    },
    /// A capability check ends in another way.
    Answer {
        /// The syscall.
        call: String,
        /// What is asked.
        question: QuestionId,
        /// How it ended on A.
        from: String,
        /// How it ends on B.
        to: String,
    },
    /// A record of a question that is asked as before.
    Record {
        /// The syscall.
        call: String,
        /// What the record is about.
        record: QuestionId,
        /// How that changed.
        how: ChangeKind,
    },
    /// A record has another value in a field.
    Field {
        /// The syscall.
        call: String,
        /// What the record is about.
        record: QuestionId,
        /// The field.
        field: String,
    },
    /// A step is performed that was not, or the other way round, though no earlier result says why.
    Reached {
        /// The syscall.
        call: String,
        /// Whether it is performed on B.
        now: bool,
    },
}

/// How something changed from A to B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was not there.
    New,
    /// It is not there any more.
    Gone,
    /// It is there more often.
    More,
    /// It is there, but not so often.
    Less,
    /// It is there as often, elsewhere.
    Moved,
}

impl Change {
    /// The syscall that it is about.
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
