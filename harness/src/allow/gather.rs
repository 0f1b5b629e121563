//! Collects the AVC records of a run's cells.

use perfsec_wire::caps::{PERFMON, SYS_ADMIN};
use perfsec_wire::observation::Effect;
use perfsec_wire::program::Program;
use perfsec_wire::record_types::AVC;

use crate::audit::{Denial, SysAdminReason};
use crate::record::CellResult;
use crate::transcript::{CapLine, CapVerdict};

/// The checks in one system call so far.
#[derive(Debug, Default)]
pub struct CheckHistory {
    /// The last two audited capability checks, the latest last.
    checks: [Option<CapLine>; 2],
    /// SELinux refused CAP_PERFMON and logged that.
    perfmon: bool,
}

impl CheckHistory {
    /// Adds a capability check.
    pub fn add_check(&mut self, line: CapLine) {
        if !line.unaudited {
            self.checks = [self.checks[1], Some(line)];
        }
    }

    /// Adds a record, and returns it with the reason why CAP_SYS_ADMIN was asked for.
    #[must_use]
    pub fn add_record(&mut self, denial: Denial) -> Denial {
        let sys_admin_reason = match denial.denies_sys_admin() {
            true => self.sys_admin_reason(),
            false => denial.sys_admin_reason,
        };
        self.perfmon |= denial.refuses_perfmon();
        Denial { sys_admin_reason, ..denial }
    }

    fn sys_admin_reason(&self) -> SysAdminReason {
        let last = self.checks[1].filter(|line| line.cap == SYS_ADMIN);
        let before = self.checks[0].filter(|line| line.cap == PERFMON);
        match (last, before.map(|line| line.verdict)) {
            (Some(_), Some(CapVerdict::NotHeld)) => SysAdminReason::WithoutPerfmon,
            (Some(_), Some(CapVerdict::Refused)) | (None, _) if self.perfmon => {
                SysAdminReason::AfterPerfmon
            }
            (Some(_), Some(CapVerdict::Refused)) | (None, _) => SysAdminReason::Unknown,
            (Some(_), Some(CapVerdict::Granted) | None) => SysAdminReason::OnItsOwn,
        }
    }
}

/// The records that SELinux logged while a cell ran, in order.
pub fn denials<'a>(cell: &'a CellResult) -> impl Iterator<Item = Denial> + 'a {
    let observation = cell.observation.iter();
    let calls = observation.flat_map(|seen| {
        let of_program = |program: &'a Program| {
            let calls = program.calls.iter().map(|call| call.effects.as_slice());
            calls.chain([program.outside.as_slice()])
        };
        let calls = seen.calls.iter().flat_map(move |call| {
            let programs = call.program.as_deref().into_iter().flat_map(of_program);
            std::iter::once(call.effects.as_slice()).chain(programs)
        });
        calls.chain([seen.outside.as_slice()])
    });
    calls.flat_map(|effects| {
        let mut asked = CheckHistory::default();
        effects.iter().filter_map(move |effect| match effect {
            Effect::Cap(check) => {
                asked.add_check(check.into());
                None
            }
            Effect::Record(record) if record.kind == AVC => {
                Denial::parse(&record.text)?.ok().map(|denial| asked.add_record(denial))
            }
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const REFUSED: CapVerdict = CapVerdict::Refused;

    #[rstest]
    #[case::fallback(Some(REFUSED), true, SysAdminReason::AfterPerfmon)]
    #[case::hidden(Some(REFUSED), false, SysAdminReason::Unknown)]
    #[case::not_held(Some(CapVerdict::NotHeld), false, SysAdminReason::WithoutPerfmon)]
    #[case::granted(Some(CapVerdict::Granted), false, SysAdminReason::OnItsOwn)]
    #[case::alone(None, false, SysAdminReason::OnItsOwn)]
    fn the_previous_check_shows_why_sys_admin_was_asked_for(
        #[case] perfmon: Option<CapVerdict>,
        #[case] logged: bool,
        #[case] reason: SysAdminReason,
    ) {
        let check = |cap, verdict| CapLine { cap, unaudited: false, verdict };
        let record = |name: &str, class: &str| {
            let line = format!(
                "avc:  denied  {{ {name} }} for  pid=1 comm=\"a\" scontext=u:r:a_t:s0 \
                 tcontext=u:r:a_t:s0 tclass={class} permissive=0"
            );
            Denial::parse(&line).unwrap().unwrap()
        };
        let mut asked = CheckHistory::default();
        if let Some(verdict) = perfmon {
            asked.add_check(check(PERFMON, verdict));
        }
        if logged {
            let _ = asked.add_record(record("perfmon", "capability2"));
        }
        asked.add_check(check(SYS_ADMIN, REFUSED));
        assert_eq!(asked.add_record(record("sys_admin", "capability")).sys_admin_reason, reason);
    }
}
