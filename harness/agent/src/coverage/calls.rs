//! Finds every call of a function that checks, in the running kernel's text.
//!
//! A direct call is `e8` and a distance of four bytes; a tail call, which is a jump, is `e9`. In
//! practice no other bytes look like that and lead to one of a handful of addresses. The check is a
//! constant that is loaded into a register shortly before.

use std::fs::File;
use std::os::unix::fs::FileExt;

use perfsec_wire::coverage::Check;

use super::function::{Argument, FUNCTIONS, Function, Role};
use super::symbols::Symbols;
use crate::error::{Error, ErrorContext, Result};

const KCORE: &str = "/proc/kcore";
/// Several times the text of a stock kernel, in bytes.
const MAX_TEXT: u64 = 256 << 20;
/// Bytes before a call that are searched for its argument: a handful of instructions.
const REACH: usize = 48;

/// A call or tail call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CallSite {
    pub(super) via: &'static str,
    /// The checks that it makes.
    pub(super) checks: Vec<Check>,
    /// The address behind it.
    pub(super) returns: u64,
    pub(super) tail: bool,
}

/// Reads the text and finds the calls that matter. For a tail call it also finds the callers of the
/// function around it, which the trace shows instead.
///
/// # Errors
///
/// If the kernel does not show its text.
pub(super) fn find(
    symbols: &Symbols,
    matters: impl Fn(&CallSite) -> bool,
) -> Result<Vec<CallSite>> {
    let doing = "search the kernel's text in /proc/kcore";
    let bound =
        |name| symbols.address(name).ok_or_else(|| Error::new(doing, format!("no symbol {name}")));
    let (start, end) = (bound("_stext")?, bound("_etext")?);
    let length = end.checked_sub(start).filter(|length| *length <= MAX_TEXT);
    let length = length.ok_or_else(|| Error::new(doing, "its bounds are implausible"))? as usize;
    let file = File::open(KCORE).doing(doing)?;
    let mut head = vec![0; 1 << 16];
    let got = file.read_at(&mut head, 0).doing(doing)?;
    let offset = segment(&head[..got], start, length as u64)
        .ok_or_else(|| Error::new(doing, "no segment contains the text"))?;
    let mut text = vec![0; length];
    file.read_exact_at(&mut text, offset).doing(doing)?;
    let targets: Vec<_> = FUNCTIONS
        .iter()
        .filter_map(|function| Some((symbols.address(function.name)?, function)))
        .collect();
    let mut calls = search(&text, start, &targets);
    calls.retain(matters);
    let mut inherited = callers(&text, start, &calls, |address| symbols.start(address));
    calls.append(&mut inherited);
    Ok(calls)
}

/// Offset in an ELF64 file of this range of addresses, from the program headers.
fn segment(head: &[u8], start: u64, length: u64) -> Option<u64> {
    let wide =
        |at: usize| Some(u64::from_le_bytes(*head.get(at..at.checked_add(8)?)?.first_chunk()?));
    let narrow = |at: usize| {
        Some(usize::from(u16::from_le_bytes(*head.get(at..at.checked_add(2)?)?.first_chunk()?)))
    };
    let table = usize::try_from(wide(32)?).ok()?;
    let (size, count) = (narrow(54)?, narrow(56)?);
    (0..count).find_map(|index| {
        let at = table.checked_add(index.checked_mul(size)?)?;
        let (offset, address, memory) = (wide(at + 8)?, wide(at + 16)?, wide(at + 40)?);
        let before = start.checked_sub(address)?;
        (before.checked_add(length)? <= memory).then(|| offset.checked_add(before)).flatten()
    })
}

/// Finds the calls of these functions in text that is mapped at `start`.
fn search(text: &[u8], start: u64, targets: &[(u64, &'static Function)]) -> Vec<CallSite> {
    let call = |(at, target, returns, tail)| {
        let (_, function) = targets.iter().find(|(address, _)| *address == target)?;
        let before = &text[at - REACH.min(at)..at];
        Some(CallSite { via: function.name, checks: checks(function, before), returns, tail })
    };
    let is_target = |target| targets.iter().any(|(address, _)| *address == target);
    references(text, start, is_target).into_iter().filter_map(call).collect()
}

/// Calls of the functions that contain these tail calls.
fn callers(
    text: &[u8],
    start: u64,
    calls: &[CallSite],
    beginning: impl Fn(u64) -> Option<u64>,
) -> Vec<CallSite> {
    let jumps = calls.iter().filter(|call| call.tail);
    let jumps: Vec<_> = jumps.filter_map(|call| Some((beginning(call.returns)?, call))).collect();
    if jumps.is_empty() {
        return Vec::new();
    }
    let is_target = |target| jumps.iter().any(|(address, _)| *address == target);
    let mut found = Vec::new();
    for (_, target, returns, tail) in references(text, start, is_target) {
        let of_target = jumps.iter().filter(|(address, _)| *address == target);
        found.extend(of_target.map(|(_, jump)| {
            let checks = jump.checks.clone();
            CallSite { via: jump.via, checks, returns, tail }
        }));
    }
    found
}

/// Direct calls and jumps: offset, target, return address, and true for a jump.
fn references(
    text: &[u8],
    start: u64,
    is_target: impl Fn(u64) -> bool,
) -> Vec<(usize, u64, u64, bool)> {
    let mut found = Vec::new();
    for (at, window) in text.windows(5).enumerate() {
        let [opcode @ (0xe8 | 0xe9), distance @ ..] = window else { continue };
        let Some(distance) = distance.first_chunk().map(|bytes| i32::from_le_bytes(*bytes)) else {
            continue;
        };
        let returns = start.wrapping_add(at as u64 + 5);
        let target = returns.wrapping_add_signed(distance.into());
        if is_target(target) {
            found.push((at, target, returns, *opcode == 0xe9));
        }
    }
    found
}

/// The checks of a call, from the instructions before it; empty if the argument is not a constant.
fn checks(function: &Function, before: &[u8]) -> Vec<Check> {
    let argument = match function.argument {
        Argument::None => None,
        Argument::First => constant(before, EDI),
        Argument::Second => constant(before, ESI),
        Argument::Third => constant(before, EDX),
        Argument::FirstOrSecond => None,
    };
    match function.role {
        Role::Capability | Role::Capable => {
            argument.map(|(_, cap)| Check::Capability(cap)).into_iter().collect()
        }
        Role::PerfEventOpen => {
            // The register that is loaded last; the other is garbage, or a pointer.
            let (first, second) = (constant(before, EDI), constant(before, ESI));
            let nearest = first.into_iter().chain(second).max_by_key(|(at, _)| *at);
            let hook = nearest.and_then(|(_, number)| Function::hook(number.into(), u64::MAX));
            hook.map(Check::PerfEvent).into_iter().collect()
        }
        Role::PerfEvent(hook) => vec![Check::PerfEvent(hook)],
        Role::Zero(check) | Role::True(check) => vec![check],
        Role::Helper(checks) => checks.to_vec(),
    }
}

/// First byte of `mov $constant,%register`, and `xor %register,%register`.
type Register = (u8, [u8; 2]);
const EDI: Register = (0xbf, [0x31, 0xff]);
const ESI: Register = (0xbe, [0x31, 0xf6]);
const EDX: Register = (0xba, [0x31, 0xd2]);

/// The last small constant that is loaded into a register, with its offset.
fn constant(before: &[u8], (load, clear): Register) -> Option<(usize, u32)> {
    (0..before.len()).rev().find_map(|at| match before.get(at..)? {
        // Bytes inside another instruction are seldom followed by a small number.
        [first, small, 0, 0, 0, ..] if *first == load && *small < 64 => Some((at, (*small).into())),
        [first, second, ..] if [*first, *second] == clear => Some((at, 0)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use perfsec_wire::coverage::Hook;
    use rstest::rstest;

    use super::*;

    const START: u64 = 0xffff_ffff_8100_0000;
    const TARGET: u64 = START + 0x1000;

    fn named(name: &str) -> &'static Function {
        FUNCTIONS.iter().find(|function| function.name == name).unwrap()
    }

    /// These instructions, then a call (or a jump) to the target.
    fn text(before: &[u8], opcode: u8) -> Vec<u8> {
        let mut text = before.to_vec();
        let distance = TARGET.wrapping_sub(START + before.len() as u64 + 5) as u32;
        text.push(opcode);
        text.extend(distance.to_le_bytes());
        text
    }

    #[rstest]
    #[case::capable("capable", &[0xbf, 38, 0, 0, 0], vec![Check::Capability(38)])]
    #[case::chown("capable", &[0x31, 0xff], vec![Check::Capability(0)])]
    #[case::of_a_namespace("ns_capable", &[0xbe, 5, 0, 0, 0, 0x90], vec![Check::Capability(5)])]
    #[case::unknown("capable", &[0x89, 0xdf], vec![])]
    #[case::open("security_perf_event_open", &[0x31, 0xff], vec![Check::PerfEvent(Hook::Open)])]
    #[case::kernel_with_the_attributes_first(
        "security_perf_event_open",
        &[0x31, 0xff, 0xbe, 2, 0, 0, 0, 0x48, 0x89, 0xdf],
        vec![Check::PerfEvent(Hook::Kernel)]
    )]
    #[case::read("security_perf_event_read", &[], vec![Check::PerfEvent(Hook::Read)])]
    fn a_call_is_found_with_what_it_asks(
        #[case] name: &str,
        #[case] before: &[u8],
        #[case] checks: Vec<Check>,
        #[values((0xe8, false), (0xe9, true))] (opcode, tail): (u8, bool),
    ) {
        let text = text(before, opcode);
        let call =
            CallSite { via: named(name).name, checks, returns: START + text.len() as u64, tail };
        assert_eq!(search(&text, START, &[(TARGET, named(name))]), [call]);
    }

    #[test]
    fn a_call_of_another_function_is_ignored() {
        let text = text(&[0xbf, 38, 0, 0, 0], 0xe8);
        assert_eq!(search(&text, START, &[(TARGET + 1, named("capable"))]), []);
    }

    #[test]
    fn a_check_in_a_tail_call_belongs_to_the_callers() {
        // At 0 a function that calls the one at 16, which ends in a jump to the target.
        let mut text = vec![0xe8, 11, 0, 0, 0];
        text.resize(16, 0x90);
        text.extend([0xbf, 14, 0, 0, 0]);
        let before = text.clone();
        let text = super::tests::text(&before, 0xe9);
        let jumps = search(&text, START, &[(TARGET, named("capable"))]);
        assert!(jumps.iter().all(|jump| jump.tail));
        let checks = vec![Check::Capability(14)];
        let call = CallSite { via: "capable", checks, returns: START + 5, tail: false };
        assert_eq!(callers(&text, START, &jumps, |_| Some(START + 16)), [call]);
    }

    fn kcore(segments: &[(u64, u64, u64)]) -> Vec<u8> {
        let mut head = vec![0; 64];
        head[32] = 64;
        head[54] = 56;
        head[56] = segments.len() as u8;
        for (offset, address, memory) in segments {
            let mut header = [0; 56];
            header[8..16].copy_from_slice(&offset.to_le_bytes());
            header[16..24].copy_from_slice(&address.to_le_bytes());
            header[40..48].copy_from_slice(&memory.to_le_bytes());
            head.extend(header);
        }
        head
    }

    #[test]
    fn the_text_is_found_in_the_segment_that_contains_all_of_it() {
        let head = kcore(&[(0x1000, 0, 0x100), (0x2000, START - 0x10, 0x1000)]);
        assert_eq!(segment(&head, START, 0xff0), Some(0x2010));
        assert_eq!(segment(&head, START, 0xff1), None);
        // The last field of a header is its alignment, which does not matter here.
        for cut in 0..head.len() - 8 {
            assert_eq!(segment(&head[..cut], START, 0xff0), None, "{cut}");
        }
    }
}
