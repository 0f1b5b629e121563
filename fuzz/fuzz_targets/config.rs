//! A kernel's configuration: plain, and as /proc/config.gz has it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perfsec::kernel::Config;

fuzz_target!(|data: &[u8]| {
    let _ = Config::unpack(data);
    let text = String::from_utf8_lossy(data);
    let config = Config::parse(&text);
    let relevant = config.relevant();
    for (name, _) in perfsec::kernel::RELEVANT {
        if !name.ends_with('*') {
            assert_eq!(relevant.get(name), config.get(name), "{name}");
        }
    }
});
