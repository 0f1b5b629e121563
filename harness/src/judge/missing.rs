//! Explains missing AVC records. The review of "capabilities: introduce CAP_PERFMON" lost them in
//! three ways: the policy lacks the permission, a dontaudit rule hides the record, or the
//! capability was never effective.

use perfsec_wire::Facts;

use crate::errno::Errno;
use crate::grant::cap_number;
use crate::transcript::{Avc, CallResult, CapLine, CapVerdict, Effect, Transcript};

const EACCES: CallResult = CallResult::Error(Errno::EACCES);

/// One sentence for each expected AVC record that is missing.
pub(super) fn explain(expected: &Transcript, observed: &Transcript, facts: &Facts) -> Vec<String> {
    let mut unseen: Vec<&Effect> = observed.effects().collect();
    let mut notes = Vec::new();
    for effect in expected.effects() {
        if let Some(at) = unseen.iter().position(|seen| *seen == effect) {
            unseen.remove(at);
        } else if let Effect::Avc(avc) = effect {
            let permissions = avc.permissions.join(" ");
            let class = avc.field("tclass").unwrap_or_default();
            let why = reason(avc, class, observed, facts);
            notes.push(format!("no record of {class} {{ {permissions} }}: {why}"));
        }
    }
    notes.dedup();
    notes
}

fn reason(avc: &Avc, class: &str, observed: &Transcript, facts: &Facts) -> String {
    let missing_from_policy = |permission: &String| {
        let known = facts.selinux.classes.iter().find(|(name, _)| name == class);
        known.is_none_or(|(_, permissions)| !permissions.contains(permission))
    };
    if let Some(permission) = avc.permissions.iter().find(|name| missing_from_policy(name)) {
        let unknown = if facts.selinux.deny_unknown { "denied" } else { "allowed" };
        return format!(
            "the loaded policy does not define `{permission}`; \
             undefined permissions are {unknown}"
        );
    }
    // For a capability, the name of the permission is the name of the capability.
    let name = avc.permissions.first().filter(|_| class.starts_with("cap"));
    let cap = name.and_then(|name| cap_number(name).ok());
    let asked = |cap: u32, verdict: CapVerdict| {
        let check = Effect::Cap(CapLine { cap, unaudited: false, verdict });
        observed.effects().any(|effect| *effect == check)
    };
    match cap {
        Some(cap) if asked(cap, CapVerdict::Refused) => {
            "SELinux refused it without a record, so a dontaudit rule hides it".to_owned()
        }
        Some(cap) if asked(cap, CapVerdict::NotHeld) => {
            "the capability was not in the subject's effective set, so SELinux was never asked"
                .to_owned()
        }
        Some(cap) if asked(cap, CapVerdict::Granted) => {
            "SELinux allowed it, by a rule of the policy or a cached grant; \
             in permissive mode a dontaudit rule may also hide the record"
                .to_owned()
        }
        Some(_) => "the kernel never asked for the capability".to_owned(),
        None if observed.calls.iter().any(|call| call.head.result() == Some(&EACCES)) => {
            "a dontaudit rule hides it, or an earlier check refused without a record".to_owned()
        }
        // In permissive mode a hidden denial has no effect, just like a grant.
        None => {
            "the kernel never asked, the policy allows it, or a dontaudit rule hides it".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use perfsec_wire::message::SelinuxFacts;
    use rstest::rstest;

    use super::*;

    fn transcript(effects: &[&str]) -> Transcript {
        ["perf_event_open() = fd"].iter().chain(effects).collect()
    }

    fn facts(capability2: &[&str]) -> Facts {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let classes = vec![
            ("perf_event".to_owned(), names(&["open", "kernel"])),
            ("capability2".to_owned(), names(capability2)),
        ];
        Facts { selinux: SelinuxFacts { classes, ..SelinuxFacts::default() }, ..Facts::default() }
    }

    #[rstest]
    #[case(&[], &[], "does not define `perfmon`")]
    #[case(&["perfmon"], &["  cap perfmon = refused by selinux"], "dontaudit")]
    #[case(&["perfmon"], &["  cap perfmon = not held"], "effective set")]
    #[case(&["perfmon"], &["  cap perfmon = granted"], "allowed it")]
    #[case(&["perfmon"], &[], "never asked")]
    fn each_cause_has_its_own_reason(
        #[case] defined: &[&str],
        #[case] observed: &[&str],
        #[case] part: &str,
    ) {
        let record = "  avc denied { perfmon } capability=38 tclass=capability2";
        let (expected, observed) = (transcript(&[record]), transcript(observed));
        let notes = explain(&expected, &observed, &facts(defined));
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains(part), "{notes:?}");
    }

    #[test]
    fn a_record_that_was_seen_gets_no_reason() {
        let seen = transcript(&["  avc denied { open } tclass=perf_event"]);
        assert_eq!(explain(&seen, &seen, &facts(&[])), [""; 0]);
    }
}
