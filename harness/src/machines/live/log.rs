//! The kernel's log as the console of a guest has it.

/// A record as a line of the console: `6,1,5140900,-;text` is `[    5.140900] text`. `None` if user
/// space wrote it (its facility, the number above the three bits of the level, is not that of the
/// kernel).
pub(in crate::machines) fn console_line(record: &str) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let micros: u64 = fields.nth(1)?.parse().ok()?;
    // A dictionary follows in lines of its own.
    let text = text.lines().next()?;
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    (priority >> 3 == 0).then(|| format!("[{seconds:5}.{rest:06}] {text}\r\n"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "6,339,5140900,-;NET: Registered\n SUBSYSTEM=net\n",
        Some("[    5.140900] NET: Registered\r\n")
    )]
    #[case("12,340,5140901,-;systemd[1]: WARNING: CPU\n", None)]
    #[case("garbage", None)]
    fn a_record_of_the_kernel_is_a_line_of_the_console(
        #[case] record: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(console_line(record).as_deref(), expected);
    }
}
