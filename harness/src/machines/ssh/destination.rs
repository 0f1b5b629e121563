//! The name by which ssh knows a machine.

use std::fmt;
use std::str::FromStr;

/// A destination of ssh: a name of its configuration, a host, `USER@HOST`, or a URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination(String);

/// A text that is no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no destination of ssh, such as `HOST` or `USER@HOST`")]
pub struct DestinationError(String);

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        // ssh would take it for an option, and pass other characters to a shell (`%h` in a
        // ProxyCommand).
        let fits = |it: char| it.is_alphanumeric() || "@.:_-/[]%+".contains(it);
        match !text.is_empty() && !text.starts_with('-') && text.chars().all(fits) {
            true => Ok(Self(text.to_owned())),
            false => Err(DestinationError(text.to_owned())),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("build7", true)]
    #[case("root@192.0.2.7", true)]
    #[case("ssh://root@[2001:db8::1]:2222", true)]
    #[case("", false)]
    #[case("-oProxyCommand=reboot", false)]
    #[case("host;reboot", false)]
    #[case("two words", false)]
    fn a_destination_is_neither_an_option_nor_a_command(#[case] text: &str, #[case] fits: bool) {
        assert_eq!(text.parse::<Destination>().is_ok(), fits);
    }
}
