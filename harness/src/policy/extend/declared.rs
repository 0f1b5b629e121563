//! The classes and commons that a source declares, and those that it lacks.

use std::collections::{BTreeMap, BTreeSet};

use super::wanted::{IfMissing, WantedClass};

/// The classes and commons that a source declares.
#[derive(Debug, Default)]
pub(super) struct Declared<'a> {
    pub(super) lists: Vec<List<'a>>,
    /// The commons of classes, by class.
    pub(super) inherits: BTreeMap<&'a str, &'a str>,
}

/// The list of permissions in the declaration of a class or a common.
#[derive(Debug)]
pub(super) struct List<'a> {
    pub(super) kind: Kind,
    pub(super) name: &'a str,
    pub(super) permissions: BTreeSet<&'a str>,
    /// Offset of the character that closes the list; `None` for a class that has a common alone.
    pub(super) close: Option<usize>,
}

/// The kind of a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Class,
    Common,
}

/// The permissions and classes that a source lacks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lack {
    /// Permissions by the offset at which they belong.
    pub(super) permissions: BTreeMap<usize, Vec<&'static str>>,
    /// Classes.
    pub(super) classes: Vec<WantedClass>,
}

impl<'a> Declared<'a> {
    /// Compares the source with classes that it is to have. A permission belongs in the class's
    /// common, if it has one, as in the how-to's patch.
    ///
    /// # Errors
    ///
    /// The name of a class that must be declared and is not.
    pub(super) fn lack(&self, wanted: &[WantedClass]) -> Result<Lack, &'static str> {
        let mut lack = Lack::default();
        for class in wanted {
            let Some(own) = self.find(Kind::Class, class.name) else {
                match class.if_missing {
                    IfMissing::Declare => lack.classes.push(*class),
                    IfMissing::Fail => return Err(class.name),
                    IfMissing::Skip => {}
                }
                continue;
            };
            let common = self.inherits.get(class.name);
            let common = common.and_then(|name| self.find(Kind::Common, name));
            let has = |name: &str| {
                let mut lists = [Some(own), common].into_iter().flatten();
                lists.any(|list| list.permissions.contains(name))
            };
            let mut lists = [common, Some(own)].into_iter().flatten();
            let Some(close) = lists.find_map(|list| list.close) else {
                return Err(class.name);
            };
            let missing = class.permissions.iter().filter(|name| !has(name));
            for name in missing {
                let added = lack.permissions.entry(close).or_default();
                // Two classes can have one common.
                if !added.contains(name) {
                    added.push(name);
                }
            }
        }
        Ok(lack)
    }

    fn find(&self, kind: Kind, name: &str) -> Option<&List<'a>> {
        self.lists.iter().find(|list| list.kind == kind && list.name == name)
    }
}
