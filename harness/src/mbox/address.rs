//! Addresses of people and lists.

use std::fmt;
use std::str::FromStr;

/// An address with an optional name: `Ann Example <ann@example.org>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    name: Option<String>,
    address: String,
}

/// The text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address (expected one like `Ann Example <ann@example.org>`)")]
pub struct NotAMailbox(String);

impl Mailbox {
    /// An address, with a name unless `name` is empty.
    ///
    /// # Errors
    ///
    /// If the address is not valid, or the name has control characters.
    pub fn new(name: &str, address: &str) -> Result<Self, NotAMailbox> {
        let wrong = || NotAMailbox(format!("{name} <{address}>"));
        let name = name.trim();
        if name.contains(char::is_control) || name.len() > 200 || !is_address(address) {
            return Err(wrong());
        }
        let name = (!name.is_empty()).then(|| name.to_owned());
        Ok(Self { name, address: address.to_owned() })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The part of the address after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("localhost", |(_, domain)| domain)
    }

    /// True if both have the same address.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.address.eq_ignore_ascii_case(&other.address)
    }

    /// Name and address for a trailer such as `Tested-by:`; `None` without a name, which a trailer
    /// needs.
    pub(crate) fn trailer(&self) -> Option<String> {
        Some(format!("{} <{}>", self.name.as_ref()?, self.address))
    }
}

/// True if a text is an address that mail can be sent to: an `addr-spec` of RFC 5322 without quoted
/// strings, comments and literals.
fn is_address(text: &str) -> bool {
    let atoms = |text: &str| {
        let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext))
    };
    text.len() <= 254
        && text.split_once('@').is_some_and(|(local, host)| atoms(local) && atoms(host))
}

impl FromStr for Mailbox {
    type Err = NotAMailbox;

    fn from_str(text: &str) -> Result<Self, NotAMailbox> {
        let wrong = || NotAMailbox(text.to_owned());
        let trimmed = text.trim();
        let Some(inside) = trimmed.strip_suffix('>') else {
            return Self::new("", trimmed).map_err(|_| wrong());
        };
        let (name, address) = inside.rsplit_once('<').ok_or_else(wrong)?;
        let name = name.trim();
        let unquoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
        let name = match unquoted {
            Some(name) => name.replace("\\\"", "\"").replace("\\\\", "\\"),
            None => name.to_owned(),
        };
        Self::new(&name, address).map_err(|_| wrong())
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => f.write_str(&self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("ann@example.org", None, "ann@example.org")]
    #[case("<ann@example.org>", None, "ann@example.org")]
    #[case("Ann Example <ann@example.org>", Some("Ann Example"), "ann@example.org")]
    #[case(" \"Example, Ann\" <ann+x@example.org> ", Some("Example, Ann"), "ann+x@example.org")]
    #[case("Zoë <zoe@example.org>", Some("Zoë"), "zoe@example.org")]
    fn an_address_is_read(#[case] text: &str, #[case] name: Option<&str>, #[case] address: &str) {
        let mailbox: Mailbox = text.parse().unwrap();
        assert_eq!((mailbox.name(), mailbox.address()), (name, address));
        assert_eq!(mailbox.domain(), "example.org");
    }

    #[rstest]
    #[case("")]
    #[case("Ann Example")]
    #[case("ann@example.org, bob@example.org")]
    #[case("ann@example.org>")]
    #[case("Ann <ann@example.org")]
    #[case("ann @example.org")]
    #[case("ann@")]
    #[case("ann@example..org")]
    #[case("Ann\nBcc: all@example.org <ann@example.org>")]
    #[case("Ann <ann@example.org\r\nBcc: all@example.org>")]
    #[case("ann@exämple.org")]
    fn a_text_that_is_not_an_address_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<Mailbox>(), Err(NotAMailbox(text.to_owned())));
    }
}
