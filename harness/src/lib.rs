//! perfsec: who may use perf on a Linux kernel, and what does the audit log say about it?
//!
//! Data flows one way. Case files ([`case`]) are expanded into a [`plan`] of lanes. The [`engine`]
//! obtains each lane's [`kernel`] and boots it under its [`policy`] on one of the [`machines`], whose
//! agent reports observations. The [`judge`] compares them with the expectations. Everything that
//! happens becomes an event of the run [`record`], and every [`report`] is made from the record
//! alone. [`compare`] shows what differs between two runs. All that is printed is a [`text::Text`].

// Not in tests, whose files are ours.
#![cfg_attr(not(test), warn(clippy::disallowed_macros, clippy::disallowed_methods))]

pub mod allow;
pub mod asks;
pub mod audit;
pub mod bisect;
pub mod bless;
pub mod cache;
pub mod case;
pub mod causes;
pub mod cli;
pub mod compare;
pub mod config;
pub mod console;
mod counted;
pub mod coverage;
pub mod debian;
pub mod engine;
pub mod errno;
pub mod explain;
mod foreign;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod grant;
pub mod guest;
pub mod host;
pub mod howto;
pub mod interrupt;
pub mod judge;
pub mod kbuild;
pub mod kernel;
pub mod known;
pub mod machines;
pub mod mbox;
pub mod plan;
pub mod policy;
mod process;
mod prose;
pub mod record;
pub mod report;
pub mod reproduce;
pub mod schema;
pub mod selfcheck;
pub mod series;
pub mod source;
pub mod steps;
pub mod survey;
pub mod text;
pub mod transcript;
pub mod why;

#[cfg(test)]
#[path = "../tests/support/tree.rs"]
mod fake_tree;
#[cfg(test)]
#[path = "../tests/support/healthy.rs"]
mod healthy;

pub(crate) use perfsec_wire::suggest;

/// The agent, static, for the guest's initramfs.
pub static AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/perfsec-agent"));

/// The program that subjects execute.
pub static SUBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/perfsec-subject"));

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Decodes upper-case hex, as `audit_log_n_hex()` writes it. Returns `None` for an empty or other
/// text.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
