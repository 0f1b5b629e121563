//! A survey, and the file that keeps it.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::foreign;

/// Version of the layout.
const FORMAT: u32 = 1;

/// A survey of a policy on a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Survey {
    /// Version of the layout.
    pub format: u32,
    /// The kernel, in words.
    pub kernel: String,
    /// The policy, in words.
    pub policy: String,
    /// SHA-256 of the binary policy, in hexadecimal.
    pub policy_sha256: String,
    /// Permissions that the policy does not define, and what the kernel does about them.
    pub undefined: Vec<String>,
    /// The columns: operations with a grant.
    pub columns: Vec<Column>,
    /// The rows, sorted by their contexts.
    pub rows: Vec<Row>,
    /// The contexts in which the cells of all operations ran and saw what was computed.
    pub confirmed: Vec<String>,
}

/// An operation with a grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    /// The operation.
    pub operation: String,
    /// The case that performs it.
    pub case: String,
    /// `kernel.perf_event_paranoid`
    pub level: i32,
    /// The file capabilities of the subject.
    pub grant: String,
}

/// The outcomes in one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The context.
    pub context: String,
    /// The outcome in each column.
    pub outcomes: Vec<Outcome>,
}

/// The outcome of an operation in enforcing mode.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every call succeeds.
    Allowed {
        /// The last check that decided: a capability, or else the level.
        by: String,
        /// The AVC records that are logged nevertheless, in the short form of a transcript.
        logged: Vec<String>,
    },
    /// A call is refused.
    Refused {
        /// The check that refused.
        by: String,
        /// Its errno.
        errno: String,
        /// The AVC records of all calls up to it, in the short form of a transcript.
        logged: Vec<String>,
    },
}

/// A file that is no survey.
#[derive(Debug, thiserror::Error)]
pub enum SurveyFileError {
    /// It cannot be read.
    #[error("read the survey {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It has another form.
    #[error("read the survey {}: write it with `perfsec survey --format json`", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The mistake.
        source: serde_json::Error,
    },
    /// It was written by another perfsec.
    #[error("read the survey {}: it has format {format} (expected {FORMAT})", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format.
        format: u32,
    },
}

impl Survey {
    /// The layout that this perfsec writes.
    pub const FORMAT: u32 = FORMAT;

    /// Reads a survey that `perfsec survey --format json` wrote.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or is no survey.
    pub fn read(path: &Path) -> Result<Self, SurveyFileError> {
        let own = || path.to_owned();
        let text = foreign::read_text(path, &foreign::SURVEY)
            .map_err(|source| SurveyFileError::Read { path: own(), source })?;
        let survey: Self = serde_json::from_str(&text)
            .map_err(|source| SurveyFileError::Parse { path: own(), source })?;
        match survey.format {
            FORMAT => Ok(survey),
            format => Err(SurveyFileError::Format { path: own(), format }),
        }
    }
}

impl Outcome {
    /// The AVC records that are logged.
    #[must_use]
    pub fn logged(&self) -> &[String] {
        match self {
            Self::Allowed { logged, .. } | Self::Refused { logged, .. } => logged,
        }
    }
}
