//! The fields of an audit record that the agent needs to attribute it. The host parses the rest.

use perfsec_wire::observation::Record;
use perfsec_wire::record_types::{
    CONFIG_CHANGE, MAC_CONFIG_CHANGE, MAC_POLICY_LOAD, MAC_STATUS, SYSCALL,
};

/// True for a record about a change, which is by the agent unless an event of a subject has it:
/// `AUDIT_MAC_POLICY_LOAD`, `AUDIT_MAC_STATUS`, `AUDIT_MAC_CONFIG_CHANGE`, `AUDIT_CONFIG_CHANGE`.
pub(crate) fn is_config_change(record: &Record) -> bool {
    matches!(record.kind, MAC_POLICY_LOAD | MAC_STATUS | MAC_CONFIG_CHANGE | CONFIG_CHANGE)
}

/// `SECONDS.MILLIS:SERIAL`, which the records of one event share.
pub(crate) fn serial(text: &str) -> Option<&str> {
    text.strip_prefix("audit(")?.split_once("):").map(|(serial, _)| serial)
}

/// The value of a field that is not quoted. A field is a whole word. A `comm` cannot fake one:
/// `audit_log_untrustedstring()` writes a `comm` with a space in hex.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// The pid in a record.
pub(crate) fn pid(text: &str) -> Option<u32> {
    field(text, "pid")?.parse().ok()
}

/// Syscall number and result in a SYSCALL record.
pub(crate) fn syscall(record: &Record) -> Option<(i64, i64)> {
    let number = |name| field(&record.text, name)?.parse().ok();
    (record.kind == SYSCALL).then(|| Some((number("syscall")?, number("exit")?)))?
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const DENIED: &str = "audit(1795313054.249:38): avc:  denied  { perfmon } for  pid=80 \
        comm=\"probe-P\" capability=38  scontext=u:r:none_t:s0:c5 tcontext=u:r:none_t:s0:c5 \
        tclass=capability2 permissive=1";
    const CALL: &str = "audit(1795313065.037:38): arch=c000003e syscall=298 success=no exit=-13 \
        a0=1ec248a0 items=0 ppid=1 pid=102 auid=4294967295 uid=1000 comm=\"probe-A\" key=(null)";

    #[rstest]
    #[case(DENIED, "1795313054.249:38", Some(80))]
    #[case(CALL, "1795313065.037:38", Some(102))]
    #[case("audit(1795313065.037:38):", "1795313065.037:38", None)]
    fn serial_and_process_are_found(
        #[case] text: &str,
        #[case] expected: &str,
        #[case] process: Option<u32>,
    ) {
        assert_eq!(serial(text), Some(expected));
        assert_eq!(pid(text), process);
    }

    #[rstest]
    #[case("tclass", Some("capability2"))]
    #[case("class", None)]
    #[case("permissive", Some("1"))]
    fn a_field_is_a_whole_word(#[case] name: &str, #[case] expected: Option<&str>) {
        assert_eq!(field(DENIED, name), expected);
    }

    #[test]
    fn only_a_syscall_record_describes_a_syscall() {
        let record = |kind| Record { kind, text: CALL.to_owned() };
        assert_eq!(syscall(&record(SYSCALL)), Some((298, -13)));
        assert_eq!(syscall(&record(perfsec_wire::record_types::AVC)), None);
    }
}
