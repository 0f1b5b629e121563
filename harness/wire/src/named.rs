//! Kernel constants that are written by name.

/// A set of constants, each with the one name that cases and transcripts use.
pub trait Named: Copy + Eq + Sized + 'static {
    /// Noun for one of them: `software event`.
    const WHAT: &'static str;

    /// Every constant with its name.
    const NAMES: &'static [(Self, &'static str)];

    /// The constant's name.
    fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(known, _)| *known == self);
        found.expect("named! gives every variant a name").1
    }

    /// The constant with this name.
    fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(constant, _)| *constant)
    }

    /// The error message for an unknown name.
    fn unknown(name: &str) -> String {
        let close = crate::suggest::closest(name, Self::NAMES.iter().map(|(_, name)| name));
        if !close.is_empty() {
            return format!("no {} `{name}`{close}", Self::WHAT);
        }
        let names: Vec<_> = Self::NAMES.iter().map(|(_, name)| *name).collect();
        format!("no {} `{name}`: one of `{}`", Self::WHAT, names.join("`, `"))
    }
}

/// Declares an enum of kernel constants: `Variant = "name" PERF_CONSTANT`, or with a doc comment
/// instead of the constant.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident is $what:literal {
        $($(#[$meta:meta])* $variant:ident = $name:literal $($constant:ident)?,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        // Of the names themselves instead of `String`.
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(!try_from, !into))]
        pub enum $type {
            $(
                $(#[$meta])*
                $(#[doc = concat!("`", stringify!($constant), "`")])?
                #[cfg_attr(feature = "schema", schemars(rename = $name))]
                $variant,
            )*
        }

        impl $crate::named::Named for $type {
            const WHAT: &'static str = $what;
            const NAMES: &'static [(Self, &'static str)] = &[$((Self::$variant, $name)),*];
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::named::Named::name(*self))
            }
        }

        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(name: String) -> Result<Self, String> {
                use $crate::named::Named;
                Self::named(&name).ok_or_else(|| Self::unknown(&name))
            }
        }

        impl From<$type> for String {
            fn from(constant: $type) -> Self {
                $crate::named::Named::name(constant).to_owned()
            }
        }
    };
}

pub(crate) use named;
