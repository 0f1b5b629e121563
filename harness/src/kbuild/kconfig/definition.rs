//! The options of a kernel tree, as its Kconfig files define them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::expression::Expression;

/// Every option of a tree. Read it with [`Tree::read`].
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub(super) options: HashMap<String, Vec<Definition>>,
    pub(super) scopes: Vec<KconfigScope>,
    /// Who turns an option on, by the option's name.
    pub(super) selects: HashMap<String, Vec<Select>>,
}

/// One `config` of an option; some have several.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    pub(super) place: KconfigLocation,
    pub(super) kind: Option<OptionKind>,
    /// Whether a person can set it, and when: without one an option is only selected or computed.
    pub(super) prompt: Option<Prompt>,
    pub(super) depends: Vec<Dependency>,
    pub(super) defaults: Vec<DefaultValue>,
    pub(super) ranges: Vec<ValueRange>,
    /// The innermost `if`, `menu` or `choice` around it: an index of [`Tree::scopes`].
    pub(super) scope: Option<usize>,
    /// A former name, only there so that old configurations keep their values.
    pub(super) transitional: bool,
}

/// What values an option has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OptionKind {
    Bool,
    Tristate,
    Int,
    Hex,
    Text,
}

/// The question that a person is asked.
#[derive(Clone, Debug)]
pub(super) struct Prompt {
    pub(super) only_if: Option<String>,
}

/// A `default`.
#[derive(Clone, Debug)]
pub(super) struct DefaultValue {
    pub(super) value: String,
    pub(super) only_if: Option<String>,
}

/// A `range`.
#[derive(Clone, Debug)]
pub(super) struct ValueRange {
    pub(super) low: String,
    pub(super) high: String,
    pub(super) only_if: Option<String>,
}

/// A `select` or an `imply`.
#[derive(Clone, Debug)]
pub(super) struct Select {
    pub(super) by: String,
    pub(super) only_if: Option<String>,
    pub(super) implied: bool,
}

/// What stands around definitions.
#[derive(Clone, Debug)]
pub(super) struct KconfigScope {
    pub(super) parent: Option<usize>,
    pub(super) choice: bool,
    pub(super) depends: Vec<Dependency>,
    /// When what is within can be asked for.
    pub(super) visible: Vec<Dependency>,
    /// The options directly or indirectly within, when it is a choice.
    pub(super) members: Vec<String>,
}

/// A `depends on` or the like, as it is written.
#[derive(Clone, Debug)]
pub(super) struct Dependency {
    pub(super) text: String,
    /// `depends on A if B`, since Linux 7.0: without B nothing is demanded.
    pub(super) only_if: Option<String>,
}

impl Dependency {
    /// What must hold; `None` when it cannot be read.
    pub(super) fn expression(&self) -> Option<Expression> {
        let demanded = Expression::whole(&self.text)?;
        Some(match &self.only_if {
            None => demanded,
            Some(only_if) => {
                let not = Expression::Not(Box::new(Expression::whole(only_if)?));
                Expression::Any(vec![demanded, not])
            }
        })
    }
}

/// A line of a Kconfig file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KconfigLocation {
    /// The file, from the root of the tree.
    pub(super) file: Arc<str>,
    /// Its line, from 1.
    pub(super) line: usize,
}

impl fmt::Display for KconfigLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Tree {
    /// The definitions of an option; empty when the tree has no such option.
    pub(super) fn definitions(&self, symbol: &str) -> &[Definition] {
        self.options.get(symbol).map_or(&[], Vec::as_slice)
    }

    /// Who selects or implies an option.
    pub(super) fn selects(&self, symbol: &str) -> &[Select] {
        self.selects.get(symbol).map_or(&[], Vec::as_slice)
    }

    /// The scopes around a definition, innermost first.
    pub(super) fn scopes_of<'a>(
        &'a self,
        definition: &Definition,
    ) -> impl Iterator<Item = &'a KconfigScope> + use<'a> {
        let scope = |index: usize| self.scopes.get(index);
        std::iter::successors(definition.scope.and_then(scope), move |inner| {
            inner.parent.and_then(scope)
        })
    }

    /// Everything that a definition depends on, its own conditions first.
    pub(super) fn depends<'a>(
        &'a self,
        definition: &'a Definition,
    ) -> impl Iterator<Item = Expression> + use<'a> {
        let around = self.scopes_of(definition).flat_map(|scope| &scope.depends);
        definition.depends.iter().chain(around).filter_map(Dependency::expression)
    }

    /// Everything that must hold for a person to be asked; without [`depends`](Self::depends).
    pub(super) fn asked<'a>(
        &'a self,
        definition: &'a Definition,
    ) -> impl Iterator<Item = Expression> + use<'a> {
        let own = definition.prompt.iter().filter_map(|prompt| prompt.only_if.as_deref());
        let around = self.scopes_of(definition).flat_map(|scope| &scope.visible);
        own.filter_map(Expression::whole).chain(around.filter_map(Dependency::expression))
    }

    /// The choice that an option is one answer of.
    pub(super) fn choice_of<'a>(&'a self, definition: &Definition) -> Option<&'a KconfigScope> {
        self.scopes_of(definition).find(|scope| scope.choice)
    }

    /// The name of every option.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.options.keys().map(String::as_str)
    }
}
