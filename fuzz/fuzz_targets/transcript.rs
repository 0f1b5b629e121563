//! Transcripts, observed and expected.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perfsec::transcript::{ExpectedTranscript, Transcript};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(transcript) = text.parse::<Transcript>();
    let written = transcript.to_string();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&written), lines(text));
    let Ok(again) = written.parse::<Transcript>();
    assert_eq!(again, transcript);
    let _ = ExpectedTranscript::parse(text, 1);
});
