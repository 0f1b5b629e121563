//! The channel between guest and host.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perfsec_wire::frame::{Reader, Writer, decode, encode};
use perfsec_wire::{Message, Order};
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|data: &[u8]| {
    read::<Message>(data);
    read::<Order>(data);
});

/// Reads a stream to its first error; every message survives another stream.
fn read<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let mut stream = Reader::new(data);
    while let Ok(Some(message)) = stream.read::<T>() {
        let written = encode(&message).expect("a message encodes");
        let mut frame = Vec::new();
        if Writer::new(&mut frame).write(&message).is_ok() {
            let again = Reader::new(frame.as_slice()).read::<T>();
            let again = again.expect("a frame of ours decodes").expect("there is one");
            assert_eq!(encode(&again).expect("it encodes"), written);
        }
        let again: T = decode(&written).expect("an encoded message decodes");
        assert_eq!(encode(&again).expect("it encodes"), written);
    }
}
