//! The options that a file may set.

/// An option that a file may set, by its name without dashes.
pub(super) struct Settable {
    /// The name.
    pub(super) name: &'static str,
    /// The form of a path in its value.
    pub(super) path: PathForm,
}

/// The form of a path in the value of an option. One in a file is relative to the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PathForm {
    /// The value is no path.
    None,
    /// The value is a path.
    Whole,
    /// The value is a path if it begins with `./` or `../`, perhaps behind a prefix as in
    /// `tree:../linux`.
    Dotted,
}

const fn plain(name: &'static str) -> Settable {
    Settable { name, path: PathForm::None }
}

const fn path(name: &'static str) -> Settable {
    Settable { name, path: PathForm::Whole }
}

const fn dotted(name: &'static str) -> Settable {
    Settable { name, path: PathForm::Dotted }
}

/// A file comes with a project, so it sets nothing that runs a program, writes or replaces a file,
/// adds a parameter to a kernel, or chooses cells by name: those are typed.
pub(super) const SETTABLE: &[Settable] = &[
    dotted("kernel"),
    plain("base"),
    path("tree"),
    plain("distribution"),
    path("kernel-config"),
    dotted("policy"),
    dotted("module"),
    plain("boolean"),
    plain("dontaudit"),
    plain("domain"),
    path("cases"),
    plain("grant"),
    plain("mode"),
    path("baseline"),
    path("known"),
    plain("strict"),
    plain("retries"),
    plain("accel"),
    plain("jobs"),
    plain("cold"),
    path("dump-memory"),
    plain("boot-limit"),
    plain("silence-limit"),
    plain("cell-limit"),
    plain("run-limit"),
    dotted("config"),
    plain("build-jobs"),
    plain("origin"),
    plain("to"),
    plain("cc"),
];
