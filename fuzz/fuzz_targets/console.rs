//! Reports of a dying kernel on its console.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perfsec::console::reports;

fuzz_target!(|data: &[u8]| {
    let console = String::from_utf8_lossy(data);
    for report in reports(&console) {
        assert!(console.is_char_boundary(report.offset));
        assert!(report.excerpt.len() <= 1 << 18);
        assert!(!report.title.contains('\n'), "{:?}", report.title);
    }
});
