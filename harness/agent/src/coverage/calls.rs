//! Every call of a function that asks, found in the running kernel's text.
//!
//! A direct call is `e8` and a distance of four bytes, wherever it stands; a jump to the function, which
//! the compiler makes of a call that comes last, is `e9`. That such bytes are part of something else and
//! still lead to one of a handful of addresses does not happen in practice. What is asked stands in a
//! register that is loaded with a constant shortly before.

use std::fs::File;
use std::os::unix::fs::FileExt;

use perfsec_wire::coverage::Check;

use super::function::{Argument, FUNCTIONS, Function, Role};
use super::symbols::Symbols;
use crate::error::{Doing, Error, Result};

const KCORE: &str = "/proc/kcore";
/// Several times the text of a stock kernel, in bytes.
const MAX_TEXT: u64 = 256 << 20;
/// How far before a call its argument is looked for: a handful of instructions.
const REACH: usize = 48;

/// A call, or a jump in place of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) via: &'static str,
    /// What is asked there.
    pub(super) checks: Vec<Check>,
    /// The address behind it.
    pub(super) returns: u64,
    pub(super) tail: bool,
}

/// Reads the text and finds those that matter. Where a function asks by a jump, its callers are found as
/// well: the trace shows them in its place.
///
/// # Errors
///
/// When the kernel does not show its text.
pub(super) fn find(symbols: &Symbols, matters: impl Fn(&Call) -> bool) -> Result<Vec<Call>> {
    let doing = "search the kernel's text in /proc/kcore";
    let bound = |name| symbols.address(name).ok_or_else(|| Error::new(doing, "no symbol for it"));
    let (start, end) = (bound("_stext")?, bound("_etext")?);
    let length = end.checked_sub(start).filter(|length| *length <= MAX_TEXT);
    let length = length.ok_or_else(|| Error::new(doing, "its bounds make no sense"))? as usize;
    let file = File::open(KCORE).doing(doing)?;
    let mut head = vec![0; 1 << 16];
    let got = file.read_at(&mut head, 0).doing(doing)?;
    let offset = segment(&head[..got], start, length as u64)
        .ok_or_else(|| Error::new(doing, "it has no segment with the text"))?;
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

/// Where the file has this range of addresses: the program headers of an ELF64 file say it.
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

/// Finds the calls of these functions in text that is at `start`.
fn search(text: &[u8], start: u64, targets: &[(u64, &'static Function)]) -> Vec<Call> {
    let call = |(at, target, returns, tail)| {
        let (_, function) = targets.iter().find(|(address, _)| *address == target)?;
        let before = &text[at - REACH.min(at)..at];
        Some(Call { via: function.name, checks: asked(function, before), returns, tail })
    };
    let is_target = |target| targets.iter().any(|(address, _)| *address == target);
    references(text, start, is_target).into_iter().filter_map(call).collect()
}

/// Calls of the functions that these jumps are in.
fn callers(
    text: &[u8],
    start: u64,
    calls: &[Call],
    beginning: impl Fn(u64) -> Option<u64>,
) -> Vec<Call> {
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
            Call { via: jump.via, checks, returns, tail }
        }));
    }
    found
}

/// Direct calls and jumps: where, whither, the address behind, and whether it is a jump.
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

/// What a call asks, from the instructions before it; nothing when that is no constant.
fn asked(function: &Function, before: &[u8]) -> Vec<Check> {
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
            // The one that is loaded last: the other is garbage, or a pointer.
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

/// `mov $constant,%register` and `xor %register,%register`.
type Register = (u8, [u8; 2]);
const EDI: Register = (0xbf, [0x31, 0xff]);
const ESI: Register = (0xbe, [0x31, 0xf6]);
const EDX: Register = (0xba, [0x31, 0xd2]);

/// The last small constant that a register is loaded with, and where.
fn constant(before: &[u8], (load, clear): Register) -> Option<(usize, u32)> {
    (0..before.len()).rev().find_map(|at| match before.get(at..)? {
        // A byte that is part of another instruction is seldom followed by a small number.
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
        let call = Call { via: named(name).name, checks, returns: START + text.len() as u64, tail };
        assert_eq!(search(&text, START, &[(TARGET, named(name))]), [call]);
    }

    #[test]
    fn a_call_of_another_function_is_none() {
        let text = text(&[0xbf, 38, 0, 0, 0], 0xe8);
        assert_eq!(search(&text, START, &[(TARGET + 1, named("capable"))]), []);
    }

    #[test]
    fn the_callers_of_a_function_that_jumps_ask_in_its_place() {
        // At 0 a function that calls the one at 16, which ends in a jump to the target.
        let mut text = vec![0xe8, 11, 0, 0, 0];
        text.resize(16, 0x90);
        text.extend([0xbf, 14, 0, 0, 0]);
        let before = text.clone();
        let text = super::tests::text(&before, 0xe9);
        let jumps = search(&text, START, &[(TARGET, named("capable"))]);
        assert!(jumps.iter().all(|jump| jump.tail));
        let checks = vec![Check::Capability(14)];
        let call = Call { via: "capable", checks, returns: START + 5, tail: false };
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
    fn the_text_is_found_in_the_segment_that_has_all_of_it() {
        let head = kcore(&[(0x1000, 0, 0x100), (0x2000, START - 0x10, 0x1000)]);
        assert_eq!(segment(&head, START, 0xff0), Some(0x2010));
        assert_eq!(segment(&head, START, 0xff1), None);
        // The last field of a header is its alignment, which does not matter here.
        for cut in 0..head.len() - 8 {
            assert_eq!(segment(&head[..cut], START, 0xff0), None, "{cut}");
        }
    }
}
