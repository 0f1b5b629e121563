//! Names of machines that are not virtual.

use std::fmt;
use std::str::FromStr;

use super::site::{SITE_FILE, SiteName};
use super::ssh::{Destination, DestinationError};

/// The name of this machine.
const HERE: &str = "here";
/// Beginning of the name of a machine that is reached over ssh.
const SSH: &str = "ssh:";

/// A machine that is not virtual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineName {
    /// The machine that perfsec runs on.
    Here,
    /// One that is reached over ssh.
    Ssh(Destination),
    /// One of the user's site file, on which perfsec starts kernels.
    Site(SiteName),
}

impl MachineName {
    /// True if the machine runs the kernel already.
    #[must_use]
    pub fn has_kernel(&self) -> bool {
        !matches!(self, Self::Site(_))
    }
}

/// A name that is not one of a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineNameError {
    /// It is of no known form.
    #[error(
        "unknown machine `{0}`: expected `{HERE}`, the machine that perfsec runs on, `{SSH}HOST`, \
         one that ssh reaches, or the name of a machine in ~/.config/perfsec/{SITE_FILE}"
    )]
    Unknown(String),
    /// ssh knows no such destination.
    #[error(transparent)]
    Destination(#[from] DestinationError),
}

impl FromStr for MachineName {
    type Err = MachineNameError;

    fn from_str(text: &str) -> Result<Self, MachineNameError> {
        match (text, text.strip_prefix(SSH)) {
            (HERE, _) => Ok(Self::Here),
            (_, Some(destination)) => Ok(Self::Ssh(destination.parse()?)),
            _ => match text.parse() {
                Ok(name) => Ok(Self::Site(name)),
                Err(_) => Err(MachineNameError::Unknown(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for MachineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => f.write_str(HERE),
            Self::Ssh(destination) => write!(f, "{SSH}{destination}"),
            Self::Site(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("here")]
    #[case("ssh:root@build7")]
    #[case("rack-1.lab")]
    fn a_machine_has_the_name_by_which_it_was_given(#[case] name: &str) {
        assert_eq!(name.parse::<MachineName>().unwrap().to_string(), name);
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_are_known() {
        let refusal = |name: &str| name.parse::<MachineName>().unwrap_err().to_string();
        assert!(refusal("the rack").contains("`here`"));
        assert!(refusal("ssh:").contains("destination of ssh"));
    }
}
