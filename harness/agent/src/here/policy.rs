//! The machine's policy while another one is loaded.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use perfsec_wire::here::OUR_DOMAINS;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorContext, Result};
use crate::selinux;

/// Name of the file with the machine's policy.
const FILE: &str = "policy-before";

/// The policy that was loaded before, with the values of its booleans.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Before {
    file: PathBuf,
    booleans: BTreeMap<String, bool>,
}

/// The action for the loaded policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// It is the machine's.
    Nothing,
    /// Somebody loaded it meanwhile: it is newer than the machine's, and not perfsec's.
    Keep,
    /// It has perfsec's domains.
    Replace,
}

impl Due {
    fn of(now: &[u8], before: &[u8]) -> Self {
        let mark = OUR_DOMAINS.as_bytes();
        if now == before {
            Self::Nothing
        } else if now.windows(mark.len()).any(|window| window == mark) {
            Self::Replace
        } else {
            Self::Keep
        }
    }
}

impl Before {
    /// Keeps the loaded policy in a directory.
    pub(super) fn keep(directory: &Path) -> Result<Self> {
        let (policy, booleans) = (selinux::loaded_policy()?, selinux::booleans()?);
        let file = directory.join(FILE);
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(&file);
        let written = opened.and_then(|mut opened| opened.write_all(&policy));
        written.doing(format_args!("write {}", file.display()))?;
        Ok(Self { file, booleans })
    }

    /// Loads it again, unless somebody has loaded a third one meanwhile, and compares what the
    /// kernel has then.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it, or has another policy afterwards.
    pub(super) fn restore(&self) -> Result<()> {
        let before = std::fs::read(&self.file);
        let before = before.doing(format_args!("read {}", self.file.display()))?;
        if Due::of(&selinux::loaded_policy()?, &before) != Due::Replace {
            return Ok(());
        }
        let doing = "load the policy that was loaded before";
        if selinux::write_load(&before).doing(doing)? != before.len() {
            return Err(Error::new(doing, "the kernel did not read all of it"));
        }
        if selinux::loaded_policy()? == before {
            return Ok(());
        }
        // A load keeps the values that booleans have (`security_preserve_bools()`).
        let now = selinux::booleans()?;
        let differ = |(name, value): &(&String, &bool)| now.get(*name) != Some(value);
        let differing: Vec<_> = self.booleans.iter().filter(differ).collect();
        let was = |(name, value): &(&String, &bool)| {
            format!("{name}, which was {}", if **value { "on" } else { "off" })
        };
        Err(Error::new(
            doing,
            match differing.as_slice() {
                [] => "the kernel has another one now".to_owned(),
                some => {
                    let some: Vec<_> = some.iter().map(was).collect();
                    format!("its booleans differ: {}", some.join("; "))
                }
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::ours(b"types perfsec_domain x", Due::Replace)]
    #[case::the_machines(b"types", Due::Nothing)]
    #[case::somebodys(b"types user_t", Due::Keep)]
    fn only_a_policy_with_our_domains_is_replaced(#[case] now: &[u8], #[case] due: Due) {
        assert_eq!(Due::of(now, b"types"), due);
    }
}
