//! Names of machines that perfsec does not start.

use std::fmt;
use std::str::FromStr;

/// The name of this machine.
const HERE: &str = "here";

/// A machine that perfsec does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineName {
    /// The machine that perfsec runs on.
    Here,
}

/// A name that is not one of a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown machine `{0}`: expected `{HERE}`, the machine that perfsec runs on")]
pub struct MachineNameError(String);

impl FromStr for MachineName {
    type Err = MachineNameError;

    fn from_str(text: &str) -> Result<Self, MachineNameError> {
        match text {
            HERE => Ok(Self::Here),
            _ => Err(MachineNameError(text.to_owned())),
        }
    }
}

impl fmt::Display for MachineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => f.write_str(HERE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_the_name_by_which_it_was_given() {
        assert_eq!("here".parse::<MachineName>().unwrap().to_string(), "here");
        assert!("there".parse::<MachineName>().unwrap_err().to_string().contains("`here`"));
    }
}
