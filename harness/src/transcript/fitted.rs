//! Expected transcripts without open counts, as the judge compares them and a run record contains
//! them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Transcript;

/// An expected transcript, each line with its line in the case file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<ExpectedLine>", into = "Vec<ExpectedLine>")]
pub struct FittedTranscript {
    pub(super) transcript: Transcript,
    /// The line in the case file, from 1, of each line of the transcript.
    pub(super) places: Vec<usize>,
}

/// A line of an expected transcript in a run record.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Expected")]
pub struct ExpectedLine {
    /// The line, in canonical spelling.
    pub text: String,
    /// Its line in the case file, from 1.
    pub line: usize,
}

impl FittedTranscript {
    /// A transcript that was observed earlier, and that no case file contains.
    #[must_use]
    pub fn of_observed(transcript: Transcript) -> Self {
        let places = vec![0; transcript.lines().count()];
        Self { transcript, places }
    }

    /// The transcript that must be observed.
    #[must_use]
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// True if it has no lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.transcript.is_empty()
    }

    /// Its lines, each with its line in the case file.
    pub fn lines(&self) -> impl Iterator<Item = (String, usize)> {
        self.transcript.lines().zip(self.places.iter().copied())
    }
}

impl<T: AsRef<str>> FromIterator<(T, usize)> for FittedTranscript {
    fn from_iter<I: IntoIterator<Item = (T, usize)>>(lines: I) -> Self {
        let mut fitted = Self::default();
        for (text, line) in lines {
            fitted.transcript.push(text.as_ref());
            fitted.places.push(line);
        }
        fitted
    }
}

impl From<Vec<ExpectedLine>> for FittedTranscript {
    fn from(lines: Vec<ExpectedLine>) -> Self {
        lines.into_iter().map(|line| (line.text, line.line)).collect()
    }
}

impl From<FittedTranscript> for Vec<ExpectedLine> {
    fn from(fitted: FittedTranscript) -> Self {
        fitted.lines().map(|(text, line)| ExpectedLine { text, line }).collect()
    }
}
