//! Finds the check of `perf_event_open()` that caused an effect in a transcript.

use perfsec_wire::caps::{PERFMON, SYS_ADMIN, SYS_PTRACE};

use super::walk::{WalkCheck, WalkQuestion};
use crate::transcript::{CapVerdict, Effect};

/// An effect with the check that caused it, if that is known.
pub(super) struct ExplainedEffect {
    pub(super) effect: Effect,
    pub(super) check: Option<WalkCheck>,
}

/// Finds the check that caused each effect. Both are in the kernel's order.
pub(super) fn assign(effects: &[Effect], checks: &[WalkCheck]) -> Vec<ExplainedEffect> {
    let mut next = 0;
    let mut last: Option<usize> = None;
    let mut before: Option<&Effect> = None;
    let mut answered = Vec::new();
    for effect in effects {
        let find = |wanted: &dyn Fn(&WalkQuestion) -> bool| {
            (next..checks.len()).find(|index| wanted(&checks[*index].question))
        };
        let index = match effect {
            Effect::Cap(cap) if cap.unaudited => None,
            Effect::Cap(cap) => {
                let second = matches!(before, Some(Effect::Cap(first))
                    if first.cap == PERFMON && first.verdict != CapVerdict::Granted);
                match cap.cap {
                    PERFMON => find(&|question| *question == WalkQuestion::Perfmon),
                    SYS_ADMIN if second => last,
                    SYS_PTRACE => find(&|question| *question == WalkQuestion::Ptrace),
                    number => find(&|question| *question == WalkQuestion::Capability(number)),
                }
            }
            Effect::Avc(avc) => match avc.field("tclass") {
                Some("perf_event") => find(&|question| {
                    matches!(question, WalkQuestion::Hook(name)
                        if avc.permissions.iter().any(|one| one == name))
                }),
                Some("lockdown") => find(&|question| *question == WalkQuestion::Lockdown),
                Some("file" | "process") => find(&|question| *question == WalkQuestion::Ptrace),
                _ => None,
            },
            _ => None,
        };
        if let Some(index) = index {
            next = next.max(index + 1);
            last = Some(index);
        }
        // A record of a capability belongs to the check before it; between the two checks of
        // perfmon_capable(), to the first.
        let is_capability = matches!(effect, Effect::Avc(avc)
            if avc.field("tclass").is_some_and(|class| class.starts_with("cap")));
        if !is_capability {
            before = Some(effect);
        }
        let index = index.or(last.filter(|_| is_capability));
        answered.push(ExplainedEffect {
            effect: effect.clone(),
            check: index.map(|index| checks[index].clone()),
        });
    }
    answered
}
