//! A byte stream over a serial console that the kernel prints on as well.
//!
//! Each end sends its bytes in lines of their own, numbered and with a checksum. A [`Link`]
//! puts them in order and asks for those that were damaged. A line that cannot be read is never
//! guessed: the other end sends it again, or the stream ends there.

pub mod line;
mod link;

pub use line::{Line, Scanner};
pub use link::Link;

/// The kernel parameter that tells the agent its console, as a [`ConsoleParameter`].
pub const PARAMETER: &str = "perfsec.console";

/// Seconds after which an agent that waits for an order asks the host if it missed one.
pub const ASK_SECONDS: u16 = 2;

/// Seconds without a line from the host after which an agent gives up, so that the machine returns
/// to its own system. The host answers each question at once, even when it has no order.
pub const GIVE_UP_SECONDS: u16 = 120;

/// The console of an agent and the session that its lines belong to: `ttyS0:1a2b3c4d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleParameter {
    /// Name of the device below `/dev`.
    pub device: String,
    /// A number that no other boot of the machine has.
    pub session: u32,
}

impl ConsoleParameter {
    /// Finds it in a kernel's command line. The last one counts.
    #[must_use]
    pub fn find(command_line: &str) -> Option<Self> {
        let mut values = command_line.split_whitespace().filter_map(|word| {
            let (device, session) =
                word.strip_prefix(PARAMETER)?.strip_prefix('=')?.split_once(':')?;
            let is_name = |byte: u8| byte.is_ascii_alphanumeric();
            let session = u32::from_str_radix(session, 16).ok()?;
            (!device.is_empty() && device.bytes().all(is_name))
                .then(|| Self { device: device.to_owned(), session })
        });
        values.next_back()
    }
}

impl std::fmt::Display for ConsoleParameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PARAMETER}={}:{:08x}", self.device, self.session)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("quiet perfsec.console=ttyS0:0000002a ro", Some(("ttyS0", 0x2a)))]
    #[case("perfsec.console=ttyS0:1 perfsec.console=ttyS1:2", Some(("ttyS1", 2)))]
    #[case("console=ttyS0", None)]
    #[case("perfsec.console=../sda:1", None)]
    #[case("perfsec.console=:1", None)]
    #[case("perfsec.console=ttyS0:x", None)]
    fn the_last_parameter_that_names_a_device_and_a_session_counts(
        #[case] command_line: &str,
        #[case] expected: Option<(&str, u32)>,
    ) {
        let found = ConsoleParameter::find(command_line);
        let found = found.as_ref().map(|it| (it.device.as_str(), it.session));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_parameter_is_found_as_it_was_written() {
        let parameter = ConsoleParameter { device: "ttyS0".to_owned(), session: 0xa0b };
        assert_eq!(ConsoleParameter::find(&parameter.to_string()), Some(parameter));
    }
}
