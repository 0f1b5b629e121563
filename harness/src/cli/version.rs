//! `perfsec --version --verbose`: names what the program contains.

use std::ffi::OsString;

use sha2::{Digest as _, Sha256};

use super::{Exit, Failure};
use crate::AGENT;
use crate::counted::counted;
use crate::text::Text;

/// The commit that a release was built from.
const COMMIT: Option<&str> = option_env!("PERFSEC_COMMIT");

/// True if these words ask for it. clap prints `--version` before it looks at another option.
pub(super) fn is_asked(words: impl Iterator<Item = OsString>) -> bool {
    let mut words: Vec<_> = words.skip(1).collect();
    words.sort();
    let [short, verbose, version] = ["-V", "--verbose", "--version"].map(OsString::from);
    words == [verbose.clone(), version] || words == [verbose, short]
}

/// Prints the version, the commit, and the hash of each part that decides about results.
pub(super) fn version() -> Result<Exit, Failure> {
    let suite = perfsec_cases::suite();
    let model = [
        perfsec_cases::functions(),
        perfsec_cases::known(),
        perfsec_cases::domains(),
        perfsec_cases::permissions(),
    ];
    let cases = suite.iter().flat_map(|(path, text)| [*path, *text]).chain(model);
    let mut text = Text::new();
    text.line(format!("perfsec {}", env!("CARGO_PKG_VERSION")));
    text.line(format!("commit: {}", COMMIT.unwrap_or("unknown, not built as a release")));
    text.line(format!("cases: {}, {}", counted(suite.len(), "case"), hash(cases)));
    text.line(format!("agent: protocol {}, {}", perfsec_wire::PROTOCOL, hash([AGENT])));
    for name in perfsec_cases::policy_names() {
        let files = perfsec_cases::policy(name).unwrap_or_default();
        text.line(format!("policy {name}: {}", hash(files.iter().map(|(_, text)| text))));
    }
    super::print(&text)?;
    Ok(Exit::Success)
}

/// The first half of SHA-256, in hex.
fn hash(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_ref().len().to_le_bytes());
        digest.update(part);
    }
    crate::hex(&digest.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&["--version", "--verbose"], true)]
    #[case(&["--verbose", "--version"], true)]
    #[case(&["-V", "--verbose"], true)]
    #[case(&["--version"], false)]
    #[case(&["run", "--version", "--verbose"], false)]
    #[case(&[], false)]
    fn only_both_options_alone_ask_for_it(#[case] words: &[&str], #[case] asked: bool) {
        let words = ["perfsec"].iter().chain(words).map(OsString::from);
        assert_eq!(is_asked(words), asked);
    }

    #[test]
    fn parts_that_are_cut_elsewhere_have_another_hash() {
        assert_ne!(hash(["ab", "c"]), hash(["a", "bc"]));
    }
}
