//! Which places of the kernel asked the security modules something, and what they were told.
//!
//! Before the first cell the kernel's text is searched for every call of the functions that ask, so that a
//! place which no cell reaches is known too. While cells run, [`Tally`] counts the answers by the address to
//! which the asking call returns; after the last one all addresses are turned into symbols.

mod calls;
mod function;
mod symbols;
mod tally;

pub(crate) use function::{Argument, FUNCTIONS, Function};
pub(crate) use tally::{Step, Tally};

use perfsec_wire::coverage::{Check, Counts, Coverage, Site, SymbolOffset};

use calls::Call;
use symbols::Symbols;

/// The places of the running kernel. They are read before the first cell: a cell may lock the kernel down,
/// and then it no longer shows its text.
pub(crate) struct Places {
    symbols: Symbols,
    calls: Vec<Call>,
    /// Why there are none.
    unlisted: Option<String>,
}

impl Places {
    /// Finds the places in functions that are `wanted`, and those that ask for CAP_PERFMON or a perf hook.
    pub(crate) fn read(wanted: &[String]) -> Self {
        let (mut calls, mut unlisted) = (Vec::new(), None);
        let symbols = Symbols::read().unwrap_or_else(|error| {
            unlisted = Some(error.to_string());
            Symbols::default()
        });
        if unlisted.is_none() {
            match calls::find(&symbols, |call| matters(&symbols, call, wanted)) {
                Ok(found) => calls = found,
                Err(error) => unlisted = Some(error.to_string()),
            }
        }
        Self { symbols, calls, unlisted }
    }

    /// Everything that the boot covered, and the places that it did not reach.
    pub(crate) fn report(&self, tally: &Tally, traced: &[&'static str]) -> Coverage {
        let mut sites = Vec::new();
        for (key, counts) in tally.counts() {
            let (via, place) = (key.via.to_owned(), self.symbols.place(key.caller));
            sites.push(Site { via, check: key.check, place, tail: false, counts: *counts });
        }
        for call in &self.calls {
            for check in &call.checks {
                let seen = tally.counts().any(|(key, _)| {
                    (key.via, key.check, key.caller) == (call.via, *check, call.returns)
                });
                if !seen {
                    let (via, place) = (call.via.to_owned(), self.symbols.place(call.returns));
                    let counts = Counts::default();
                    sites.push(Site { via, check: *check, place, tail: call.tail, counts });
                }
            }
        }
        let beyond = u32::try_from(sites.len().saturating_sub(MAX_SITES)).unwrap_or(u32::MAX);
        sites.truncate(MAX_SITES);
        Coverage {
            sites,
            traced: traced.iter().map(|name| (*name).to_owned()).collect(),
            unlisted: self.unlisted.clone(),
            dropped: tally.dropped().saturating_add(beyond),
        }
    }
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

const CAP_PERFMON: u32 = 38;
/// Ten times what a stock kernel has to tell; more would not fit into a frame.
const MAX_SITES: usize = 4096;

/// A function's name as in the source: the compiler appends `.isra.0`, `.cold`, `.part.0`.
fn base(place: &SymbolOffset) -> &str {
    place.symbol.split('.').next().unwrap_or_default()
}
