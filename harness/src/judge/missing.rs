//! Explains missing AVC records. The review of "capabilities: introduce CAP_PERFMON" lost them in
//! three ways: the policy lacks the permission, a dontaudit rule hides the record, or the
//! capability was never effective.

use perfsec_wire::Facts;

use crate::case::ExpectedLine;
use crate::grant::cap_number;
use crate::transcript::Avc;

/// One sentence for each expected AVC record that is missing.
pub(super) fn explain(
    expected: &[ExpectedLine],
    observed: &[String],
    facts: &Facts,
) -> Vec<String> {
    let mut unseen: Vec<&String> = observed.iter().collect();
    let mut notes = Vec::new();
    for line in expected {
        if let Some(at) = unseen.iter().position(|seen| **seen == line.text) {
            unseen.remove(at);
        } else if let Some(avc) = line.text.trim().strip_prefix("avc").and_then(Avc::parse) {
            let permissions = avc.permissions.join(" ");
            let class = avc.field("tclass").unwrap_or_default();
            let why = reason(&avc, class, observed, facts);
            notes.push(format!("no record of {class} {{ {permissions} }}: {why}"));
        }
    }
    notes.dedup();
    notes
}

fn reason(avc: &Avc, class: &str, observed: &[String], facts: &Facts) -> String {
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
    let cap = avc
        .permissions
        .first()
        .filter(|_| class.starts_with("cap"))
        .filter(|name| cap_number(name).is_ok());
    let asked = |cap: &str, outcome: &str| {
        observed.iter().any(|line| line.trim() == format!("cap {cap} = {outcome}"))
    };
    match cap {
        Some(cap) if asked(cap, "refused by selinux") => {
            "SELinux refused it without a record, so a dontaudit rule hides it".to_owned()
        }
        Some(cap) if asked(cap, "not held") => {
            "the capability was not in the subject's effective set, so SELinux was never asked"
                .to_owned()
        }
        Some(cap) if asked(cap, "granted") => {
            "SELinux allowed it, by a rule of the policy or a cached grant; \
             in permissive mode a dontaudit rule may also hide the record"
                .to_owned()
        }
        Some(_) => "the kernel never asked for the capability".to_owned(),
        None if observed.iter().any(|line| line.ends_with("= EACCES")) => {
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
        let text = "  avc denied { perfmon } capability=38 tclass=capability2".to_owned();
        let observed: Vec<_> = observed.iter().map(ToString::to_string).collect();
        let notes = explain(&[ExpectedLine { text, line: 1 }], &observed, &facts(defined));
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains(part), "{notes:?}");
    }

    #[test]
    fn a_record_that_was_seen_gets_no_reason() {
        let text = "  avc denied { open } tclass=perf_event".to_owned();
        let seen = [text.clone()];
        assert_eq!(explain(&[ExpectedLine { text, line: 1 }], &seen, &facts(&[])), [""; 0]);
    }
}
