//! Names of the kernel's constants, and those that the headers of many machines lack.

use perfsec_wire::CapSet;

use crate::grant::cap_constant;

/// Constants that are newer than Linux 6.1, with their value.
const NEW: [(&str, &str); 1] = [("PERF_SAMPLE_BRANCH_COUNTERS", "1 << 19")];

/// Joins constants with a common prefix by `|`; `UNKNOWN` is a bit that no kernel defines.
pub(super) fn bits<'a>(prefix: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let bit = |name: &str| match name {
        "UNKNOWN" => "1ULL << 62".to_owned(),
        name => constant(&format!("{prefix}{name}")),
    };
    let bits: Vec<_> = names.into_iter().map(bit).collect();
    if bits.is_empty() { "0".to_owned() } else { bits.join(" | ") }
}

/// The name of a constant, or its value if many headers lack it.
pub(super) fn constant(name: &str) -> String {
    match NEW.iter().find(|(known, _)| *known == name) {
        Some((name, value)) => format!("{value} /* {name} */"),
        None => name.to_owned(),
    }
}

/// A set of capabilities as a number of 64 bits.
pub(super) fn caps(set: CapSet) -> String {
    if set == CapSet::ALL {
        return "(1ULL << (CAP_CHECKPOINT_RESTORE + 1)) - 1".to_owned();
    }
    let held = numbers(set).map(|number| format!("1ULL << {}", cap_constant(number)));
    let held: Vec<_> = held.collect();
    if held.is_empty() { "0".to_owned() } else { held.join(" | ") }
}

/// The numbers of the capabilities of a set.
pub(super) fn numbers(set: CapSet) -> impl Iterator<Item = u32> {
    (0..64).filter(move |number| set.has(*number))
}
