//! Cases for tests.

use std::sync::LazyLock;

use crate::case::{Case, Circumstances, Library, Setting};
use crate::kernel::KernelVersion;

/// The built-in cases.
pub(super) static SUITE: LazyLock<Library> =
    LazyLock::new(|| Library::built_in().expect("the suite has no mistake"));

/// A case with this text.
pub(super) fn case(text: &str) -> Case {
    SUITE.cases[0].with_text(text).expect("a case without a mistake")
}

/// A Debian kernel.
pub(super) fn setting() -> Setting<'static> {
    Circumstances::hypothetical(KernelVersion::new(6, 1, 0), Some("debian")).into()
}
