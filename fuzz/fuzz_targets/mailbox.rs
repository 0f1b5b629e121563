//! Mailboxes: a series, the message to answer, a mutation.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perfsec::fuzzing::{mboxrd, messages};
use perfsec::report::mail::Original;
use perfsec::selfcheck::Mutation;
use perfsec::series::Series;
use perfsec_fuzz::Scratch;

thread_local!(static SCRATCH: Scratch = Scratch::new());

fuzz_target!(|data: &[u8]| {
    let path = SCRATCH.with(|scratch| scratch.file("mbox", data));
    match Series::of_mailbox(&path) {
        Ok(series) => assert!(!series.patches.is_empty()),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
    let _ = Original::read(&path, None);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Mutation::parse("mutation", text);
    }
    // A message survives a mailbox; a mailbox ends messages with an empty line.
    let mut message = data.to_vec();
    if !message.ends_with(b"\n") {
        message.push(b'\n');
    }
    let read = messages(&mboxrd(&message));
    message.push(b'\n');
    assert_eq!(read, [message]);
});
