//! Checks the serial numbers of audit records. They vary from boot to boot, so only the relations
//! between them are checked.

use perfsec_wire::Facts;
use perfsec_wire::observation::{Effect, Observation};

/// Checks that serials rise, and that the records of one syscall share a serial where the kernel
/// promises it.
///
/// A task that is forked after audit was enabled has an audit context (`audit_alloc()`), and
/// `audit_log_start()` takes the serial from it. Without a context, each record draws its own
/// serial; likewise while audit is not `enabled` in the cell, because `audit_syscall_entry()` then
/// leaves the context unused.
pub(super) fn check(observation: &Observation, facts: &Facts, enabled: bool) -> Result<(), String> {
    let shared = enabled && facts.audit.enabled != 0;
    check_task(observation.calls.iter().map(|call| call.effects.as_slice()), shared)?;
    for program in observation.calls.iter().filter_map(|call| call.program.as_deref()) {
        // Calls of several tasks overlap, and a call logs its records when it returns.
        for call in &program.calls {
            check_task(std::iter::once(call.effects.as_slice()), shared)?;
        }
    }
    Ok(())
}

/// Checks the serials in the calls of one task, in order.
fn check_task<'a>(calls: impl Iterator<Item = &'a [Effect]>, shared: bool) -> Result<(), String> {
    let mut last: Option<u64> = None;
    for effects in calls {
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

    /// A guest whose audit was on before the subject started.
    fn enabled() -> Facts {
        let audit = AuditFacts { enabled: 1, ..AuditFacts::default() };
        Facts { audit, ..Facts::default() }
    }

    #[rstest]
    #[case(vec![vec![5, 5], vec![6]], true)]
    #[case(vec![vec![5, 5], vec![], vec![7, 7, 7]], true)]
    #[case(vec![vec![5, 6]], false)]
    #[case(vec![vec![5], vec![5]], false)]
    #[case(vec![vec![6], vec![5]], false)]
    fn with_audit_on_a_syscall_has_one_serial(#[case] serials: Vec<Vec<u64>>, #[case] good: bool) {
        assert_eq!(check(&seen(&serials), &enabled(), true).is_ok(), good);
    }

    #[test]
    fn while_audit_is_off_no_two_records_share_a_serial() {
        assert!(check(&seen(&[vec![5, 6]]), &enabled(), false).is_ok());
        assert!(check(&seen(&[vec![5, 5]]), &enabled(), false).is_err());
    }

    #[test]
    fn without_an_audit_context_each_record_draws_its_own_serial() {
        assert!(check(&seen(&[vec![5, 6], vec![7]]), &Facts::default(), true).is_ok());
        assert!(check(&seen(&[vec![5, 4]]), &Facts::default(), true).is_err());
    }
}
