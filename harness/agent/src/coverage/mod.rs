//! Which places of the kernel asked the security modules something, and what they were told.
//!
//! While cells run, [`Tally`] counts the answers by the address to which the asking call returns. After the
//! last cell the kernel's text is searched for every call of the functions that ask, so that a place
//! which no cell reached is known too; then all addresses are turned into symbols.

mod calls;
mod function;
mod symbols;
mod tally;

pub(crate) use function::{Argument, FUNCTIONS, Function};
pub(crate) use tally::{Step, Tally};

use perfsec_wire::coverage::{Check, Counts, Coverage, Place, Site};

use calls::Call;
use symbols::Symbols;

/// Everything that the boot covered, and the places that it did not reach: those in functions that
/// are `wanted`, and those that ask for CAP_PERFMON or a perf hook.
pub(crate) fn report(tally: &Tally, traced: &[&'static str], wanted: &[String]) -> Coverage {
    let mut report = Coverage {
        traced: traced.iter().map(|name| (*name).to_owned()).collect(),
        dropped: tally.dropped(),
        ..Coverage::default()
    };
    let symbols = match Symbols::read() {
        Ok(symbols) => symbols,
        Err(error) => {
            report.unlisted = Some(error.to_string());
            Symbols::default()
        }
    };
    for (key, counts) in tally.counts() {
        report.sites.push(Site {
            via: key.via.to_owned(),
            check: key.check,
            place: symbols.place(key.caller),
            tail: false,
            counts: *counts,
        });
    }
    if report.unlisted.is_none() {
        match calls::find(&symbols, |call| matters(&symbols, call, wanted)) {
            Ok(calls) => list(&mut report, tally, &symbols, calls),
            Err(error) => report.unlisted = Some(error.to_string()),
        }
    }
    let beyond = report.sites.len().saturating_sub(MAX_SITES);
    report.sites.truncate(MAX_SITES);
    report.dropped = report.dropped.saturating_add(u32::try_from(beyond).unwrap_or(u32::MAX));
    report
}

/// Whether a place is one to tell of.
fn matters(symbols: &Symbols, call: &Call, wanted: &[String]) -> bool {
    let place = symbols.place(call.returns);
    let base = base(&place);
    // What a wrapper asks, its caller asks.
    if FUNCTIONS.iter().any(|function| function.name == base && function.is_transparent()) {
        return false;
    }
    let of_perf =
        |check: &Check| matches!(check, Check::Capability(CAP_PERFMON) | Check::PerfEvent(_));
    call.checks.iter().any(of_perf) || wanted.iter().any(|name| name == base)
}

/// Adds the calls that no cell made.
fn list(report: &mut Coverage, tally: &Tally, symbols: &Symbols, calls: Vec<Call>) {
    for call in calls {
        let place = symbols.place(call.returns);
        for check in call.checks {
            let seen = tally.counts().any(|(key, _)| {
                (key.via, key.check, key.caller) == (call.via, check, call.returns)
            });
            if seen {
                continue;
            }
            let (via, place) = (call.via.to_owned(), place.clone());
            report.sites.push(Site {
                via,
                check,
                place,
                tail: call.tail,
                counts: Counts::default(),
            });
        }
    }
}

const CAP_PERFMON: u32 = 38;
/// Ten times what a stock kernel has to tell; more would not fit into a frame.
const MAX_SITES: usize = 4096;

/// A function's name as in the source: the compiler appends `.isra.0`, `.cold`, `.part.0`.
fn base(place: &Place) -> &str {
    place.symbol.split('.').next().unwrap_or_default()
}
