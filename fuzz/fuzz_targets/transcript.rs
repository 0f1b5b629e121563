//! Transcripts, observed and expected.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perfsec::transcript::{ExpectedEffects, Transcript};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(transcript) = text.parse::<Transcript>();
    let written = transcript.to_string();
    assert_eq!(written.trim_end_matches('\n'), text.trim_end_matches('\n'));
    let Ok(again) = written.parse::<Transcript>();
    assert_eq!(again, transcript);
    for line in text.lines() {
        if let Ok(effects) = ExpectedEffects::parse(line, 1) {
            let again = ExpectedEffects::parse(&effects.to_string(), 1);
            assert_eq!(again.as_ref(), Ok(&effects));
        }
    }
});
