//! Reads the events of a symptom, as perf names them.

use perfsec_wire::attr::{Access, Address, Event, Hardware};

use super::model::Symptom;
use super::phrases::PLAIN;

/// The letters of an event's modifiers, as in `cycles:u`.
const MODIFIERS: &str = "ukhpPSDGHWeIb";

impl Symptom {
    /// Reads an event. Returns `false` if the word is not one.
    pub(super) fn event(&mut self, word: &str) -> bool {
        let (event, modifiers) = if let Some(rest) = word.strip_prefix("mem:0x") {
            let mut parts = rest.split(':');
            let address = parts.next().unwrap_or_default();
            let digits = address.split('/').next().unwrap_or_default();
            let digits = digits.trim_end_matches(['…', '.']);
            let kernel = digits.to_lowercase().starts_with("ffff");
            if !kernel && u64::from_str_radix(digits, 16).is_err() {
                return false;
            }
            let rest: Vec<_> = parts.collect();
            let modifiers = match rest.as_slice() {
                [] => "",
                [access] if is_of(access, "rwx") => "",
                [access, modifiers] if is_of(access, "rwx") => modifiers,
                [modifiers] => modifiers,
                _ => return false,
            };
            let address = if kernel { Address::Kernel } else { Address::Own };
            (Some(Event::Breakpoint { access: vec![Access::R, Access::W], address }), modifiers)
        } else {
            let (name, modifiers) = word.rsplit_once(':').unwrap_or((word, ""));
            let lower = name.to_lowercase();
            let cache = ["l1-", "llc-", "dtlb-", "itlb-"].iter().any(|key| lower.starts_with(key));
            match lower.as_str() {
                _ if PLAIN.contains(&lower.as_str()) || cache => (None, modifiers),
                "uprobe" | "uprobes" => (Some(Event::Uprobe), modifiers),
                "kprobe" | "kprobes" => (Some(Event::Kprobe(String::new())), modifiers),
                _ => {
                    let (point, modifiers) = match name.contains(':') {
                        true if is_of(modifiers, MODIFIERS) => (name, modifiers),
                        _ => (word, ""),
                    };
                    let Some((category, name)) = tracepoint(point) else { return false };
                    let (category, name) = (category.to_owned(), name.to_owned());
                    (Some(Event::Tracepoint { category, name }), modifiers)
                }
            }
        };
        if !modifiers.is_empty() && !is_of(modifiers, MODIFIERS) {
            return false;
        }
        // Naming some sides excludes the others.
        let kernel = modifiers.contains('k');
        let sides = (modifiers.contains(['u', 'h']) && !kernel, kernel && !modifiers.contains('u'));
        let event = event.unwrap_or(Event::Hardware(Hardware::CpuCycles));
        let differs = self.event.as_ref().is_some_and(|known| *known != event)
            || self.sides.is_some_and(|known| known != sides);
        if differs {
            self.refuse(&format!("{word} beside another event"));
        }
        (self.event, self.sides) = (Some(event), Some(sides));
        true
    }
}

/// True if the word is not empty and has only these letters.
pub(super) fn is_of(word: &str, letters: &str) -> bool {
    !word.is_empty() && word.chars().all(|letter| letters.contains(letter))
}

/// Splits a tracepoint such as `sched:sched_switch`.
fn tracepoint(word: &str) -> Option<(&str, &str)> {
    let (category, name) = word.split_once(':')?;
    let is_name = |text: &str| {
        text.len() > 1
            && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_*-".contains(letter))
    };
    (is_name(category) && is_name(name) && !is_of(name, MODIFIERS)).then_some((category, name))
}
