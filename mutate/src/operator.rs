//! The kinds of mistakes, with an example of each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of mistake that a kernel developer could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operator {
    /// `if (err) return err;` is missing.
    DropCheck,
    /// `err = f();` becomes `err = (f(), 0);`.
    IgnoreResult,
    /// `err = f();` becomes `err = 0;`, `audit_log_end(ab);` is missing.
    SkipCall,
    /// `if (a && b)` becomes `if (!(a && b))`, `if (a || b)`, `if (a)`, `if (!a && b)`.
    Negate,
    /// `level > 1` becomes `level >= 1` and `level > 2`, `cpu == -1` becomes `cpu != -1`.
    Boundary,
    /// Two neighbours that each leave the function run in the other order.
    SwapChecks,
    /// `CAP_PERFMON` becomes `CAP_SYS_ADMIN`.
    OtherCapability,
    /// `PERF_EVENT__READ` becomes `PERF_EVENT__WRITE`, `SECCLASS_PROCESS` another class.
    OtherPermission,
    /// `-EACCES` becomes `-EPERM`.
    OtherErrno,
    /// `cred->euid` becomes `cred->uid`, `current_cred()` becomes `current_real_cred()`.
    OtherCredentials,
    /// `current` becomes `current->group_leader`, `task_tgid_nr()` becomes `task_pid_nr()`.
    OtherTask,
    /// `tcred->user_ns` becomes `&init_user_ns`.
    OtherNamespace,
    /// `capable()` becomes its unaudited form, and the reverse.
    Quiet,
    /// `audit_log_format(ab, " ino=%lu", ino);` is missing, or one field of its format.
    DropField,
    /// `a1=` logs the value of `a2=`.
    OtherField,
    /// `PERF_SAMPLE_REGS_INTR` becomes another of its family, `exclude_kernel` `exclude_hv`.
    OtherFlag,
    /// A check holds for every ioctl, or every flag, but one.
    ExemptOne,
    /// `int sysctl_perf_event_paranoid = 2;` starts at 1.
    Default,
    /// `return true;` becomes `return false;`, `move_group = 1;` becomes `move_group = 2;`.
    OtherConstant,
}

impl Operator {
    /// Every operator, in the order in which they claim a change that several would make.
    pub const ALL: &'static [Self] = &[
        Self::DropCheck,
        Self::IgnoreResult,
        Self::DropField,
        Self::SkipCall,
        Self::Negate,
        Self::Boundary,
        Self::SwapChecks,
        Self::OtherCapability,
        Self::OtherPermission,
        Self::OtherErrno,
        Self::Quiet,
        Self::OtherField,
        Self::OtherCredentials,
        Self::OtherTask,
        Self::OtherNamespace,
        Self::ExemptOne,
        Self::OtherFlag,
        Self::Default,
        Self::OtherConstant,
    ];

    /// The name in reports and data files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DropCheck => "drop-check",
            Self::IgnoreResult => "ignore-result",
            Self::SkipCall => "skip-call",
            Self::Negate => "negate",
            Self::Boundary => "boundary",
            Self::SwapChecks => "swap-checks",
            Self::OtherCapability => "other-capability",
            Self::OtherPermission => "other-permission",
            Self::OtherErrno => "other-errno",
            Self::OtherCredentials => "other-credentials",
            Self::OtherTask => "other-task",
            Self::OtherNamespace => "other-namespace",
            Self::Quiet => "quiet",
            Self::DropField => "drop-field",
            Self::OtherField => "other-field",
            Self::OtherFlag => "other-flag",
            Self::ExemptOne => "exempt-one",
            Self::Default => "default",
            Self::OtherConstant => "other-constant",
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer as _;
    use serde::de::value::Error;

    use super::*;

    fn parse(name: &str) -> Result<Operator, Error> {
        Operator::deserialize(name.into_deserializer())
    }

    #[test]
    fn a_name_parses_to_its_operator_and_is_the_serde_name() {
        for &operator in Operator::ALL {
            assert_eq!(parse(operator.name()).unwrap(), operator);
        }
        assert!(parse("drop-everything").is_err());
    }
}
