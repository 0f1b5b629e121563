//! Coverage of the checks in the kernel: their call sites, and the verdicts there.
//!
//! Before the first cell the agent searches the kernel's text for every call of a function that
//! checks, so it also knows the sites that no cell reaches. While cells run, [`Tally`] counts the
//! verdicts by return address; after the last cell the addresses become symbols.

mod calls;
mod function;
mod symbols;
mod tally;

pub(crate) use function::{Argument, FUNCTIONS, Function};
pub(crate) use tally::{Tally, TraceStep};

use perfsec_wire::caps::PERFMON;
use perfsec_wire::coverage::{Check, Counts, Coverage, Site, SymbolOffset};

use calls::CallSite;
use symbols::Symbols;

/// The call sites of the running kernel. They are read before the first cell: after a cell has
/// raised lockdown, the kernel no longer shows its text.
pub(crate) struct CallSites {
    symbols: Symbols,
    calls: Vec<CallSite>,
    /// The reason why `calls` is empty, if it is.
    unlisted: Option<String>,
}

impl CallSites {
    /// Finds the sites in the functions `wanted`, and those that check CAP_PERFMON or a perf hook.
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

    /// The sites that the boot covered, and those that it did not reach.
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

/// True if a site belongs in the report.
fn matters(symbols: &Symbols, call: &CallSite, wanted: &[String]) -> bool {
    let place = symbols.place(call.returns);
    let base = base(&place);
    // A check in a wrapper belongs to its caller.
    if FUNCTIONS.iter().any(|function| function.name == base && function.is_transparent()) {
        return false;
    }
    let is_perf = |check: &Check| matches!(check, Check::Capability(PERFMON) | Check::PerfEvent(_));
    call.checks.iter().any(is_perf) || wanted.iter().any(|name| name == base)
}

/// Ten times what a stock kernel has; more would not fit into a frame.
const MAX_SITES: usize = 4096;

/// A function's name as in the source: the compiler appends `.isra.0`, `.cold`, `.part.0`.
fn base(place: &SymbolOffset) -> &str {
    place.symbol.split('.').next().unwrap_or_default()
}
