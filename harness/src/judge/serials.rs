//! Checks the serial numbers of audit records. They vary from boot to boot, so only the relations
//! between them are checked.

use perfsec_wire::observation::{Effect, Observation};
use perfsec_wire::step::Action;
use perfsec_wire::{Facts, Step};

/// The number of the first step whose records share a serial; `None` if none do. `enabled` is true
/// if audit is enabled in the cell from its start.
///
/// A task that is forked after audit was enabled has an audit context (`audit_alloc()`), and
/// `audit_log_start()` takes the serial from it. Without a context, each record draws its own
/// serial; likewise while audit is not enabled, because `audit_syscall_entry()` then leaves the
/// context unused.
pub(super) fn shared_from(enabled: bool, facts: &Facts, steps: &[Step]) -> Option<u32> {
    if enabled && facts.audit.enabled != 0 {
        return Some(0);
    }
    let numbered = (0..).zip(steps);
    let mut later = numbered.skip_while(|(_, step)| **step != Step::Agent(Action::AuditEnable));
    later.find_map(|(number, step)| match step {
        Step::Clone(clone) if clone.continues => Some(number),
        _ => None,
    })
}

/// Checks that serials rise, and that from step `shared_from` on the records of one syscall share a
/// serial.
pub(super) fn check(observation: &Observation, shared_from: Option<u32>) -> Result<(), String> {
    let shares = |step| shared_from.is_some_and(|first| first <= step);
    check_task(observation.calls.iter().map(|call| (call.effects.as_slice(), shares(call.step))))?;
    for performed in &observation.calls {
        let Some(program) = performed.program.as_deref() else { continue };
        // Calls of several tasks overlap, and a call logs its records when it returns.
        for call in &program.calls {
            check_task(std::iter::once((call.effects.as_slice(), shares(performed.step))))?;
        }
    }
    Ok(())
}

/// Checks the serials in the calls of one task, in order; with each call, if its records share one.
fn check_task<'a>(calls: impl Iterator<Item = (&'a [Effect], bool)>) -> Result<(), String> {
    let mut last: Option<u64> = None;
    for (effects, shared) in calls {
        let mut first_of_call = true;
        for effect in effects {
            let Effect::Record(record) = effect else { continue };
            let serial = serial(&record.text)
                .ok_or_else(|| format!("a record without a serial: {}", record.text))?;
            match last {
                Some(last) if shared && !first_of_call && serial != last => {
                    return Err(format!(
                        "the records of one syscall have the serials {last} and {serial}"
                    ));
                }
                Some(last) if serial < last || (serial == last && (first_of_call || !shared)) => {
                    return Err(format!("serial {serial} follows serial {last}"));
                }
                _ => {}
            }
            last = Some(serial);
            first_of_call = false;
        }
    }
    Ok(())
}

/// The serial in `audit(SECONDS.MILLIS:SERIAL): …`.
fn serial(text: &str) -> Option<u64> {
    let (stamp, _) = text.strip_prefix("audit(")?.split_once(')')?;
    stamp.split_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use perfsec_wire::CapSet;
    use perfsec_wire::lane::Mode;
    use perfsec_wire::message::AuditFacts;
    use perfsec_wire::observation::{Call, Exit, Record, SubjectSeen};
    use perfsec_wire::step::Clone;
    use rstest::rstest;

    use super::*;

    fn seen(serials: &[Vec<u64>]) -> Observation {
        let record = |serial: &u64| {
            let text = format!("audit(1795303845.772:{serial}): avc:  denied");
            Effect::Record(Record { kind: 1400, text })
        };
        let calls = serials.iter().enumerate().map(|(step, call)| Call {
            step: step as u32,
            result: 0,
            text: None,
            raw: None,
            program: None,
            effects: call.iter().map(record).collect(),
        });
        Observation {
            subject: SubjectSeen {
                pid: 1,
                uid: 1000,
                permitted: CapSet::EMPTY,
                effective: CapSet::EMPTY,
                context: String::new(),
            },
            mode: Mode::Permissive,
            processes: Vec::new(),
            heirs: Vec::new(),
            calls: calls.collect(),
            outside: Vec::new(),
            exit: Exit::Finished,
            lost: 0,
            caps_unseen: None,
            micros: 0,
        }
    }

    #[rstest]
    #[case(vec![vec![5, 5], vec![6]], true)]
    #[case(vec![vec![5, 5], vec![], vec![7, 7, 7]], true)]
    #[case(vec![vec![5, 6]], false)]
    #[case(vec![vec![5], vec![5]], false)]
    #[case(vec![vec![6], vec![5]], false)]
    fn with_audit_on_a_syscall_has_one_serial(#[case] serials: Vec<Vec<u64>>, #[case] good: bool) {
        assert_eq!(check(&seen(&serials), Some(0)).is_ok(), good);
    }

    #[rstest]
    #[case(vec![vec![5, 6], vec![7]], true)]
    #[case(vec![vec![5, 5]], false)]
    #[case(vec![vec![5, 4]], false)]
    fn without_audit_no_two_records_share_a_serial(
        #[case] serials: Vec<Vec<u64>>,
        #[case] good: bool,
    ) {
        assert_eq!(check(&seen(&serials), None).is_ok(), good);
    }

    #[rstest]
    #[case(vec![vec![5, 6], vec![7, 7]], true)]
    #[case(vec![vec![5, 5], vec![7, 7]], false)]
    #[case(vec![vec![5, 6], vec![7, 8]], false)]
    fn records_share_a_serial_from_one_step_on(#[case] serials: Vec<Vec<u64>>, #[case] good: bool) {
        assert_eq!(check(&seen(&serials), Some(1)).is_ok(), good);
    }

    /// Audit is enabled in the guest before the subject starts, or is not; then in the cell; the
    /// steps enable it, or only the tasks that they clone.
    #[rstest]
    #[case(1, true, &[], Some(0))]
    #[case(1, false, &[], None)]
    #[case(0, true, &[], None)]
    #[case(0, false, &["enable"], None)]
    #[case(0, false, &["clone", "enable", "clone"], Some(2))]
    #[case(0, false, &["clone"], None)]
    fn tasks_forked_after_audit_was_enabled_have_an_audit_context(
        #[case] guest: u32,
        #[case] cell: bool,
        #[case] steps: &[&str],
        #[case] expected: Option<u32>,
    ) {
        let audit = AuditFacts { enabled: guest, ..AuditFacts::default() };
        let facts = Facts { audit, ..Facts::default() };
        let steps = steps.iter().map(|step| match *step {
            "enable" => Step::Agent(Action::AuditEnable),
            _ => Step::Clone(Clone {
                flags: vec![],
                continues: true,
                exits: false,
                bind: "a".into(),
            }),
        });
        assert_eq!(shared_from(cell, &facts, &steps.collect::<Vec<_>>()), expected);
    }
}
