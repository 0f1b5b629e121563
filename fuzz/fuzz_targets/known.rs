//! Known differences.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use perfsec::case::Library;
use perfsec::known;

static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library::built_in().expect("it is ours"));

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(mistakes) = known::read(Path::new("known.toml"), text, Some(&LIBRARY)) {
        assert!(!mistakes.is_empty());
        for mistake in mistakes {
            assert!(text.get(mistake.span.clone()).is_some(), "{:?}", mistake.span);
        }
    }
});
