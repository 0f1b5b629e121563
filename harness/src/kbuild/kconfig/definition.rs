//! The options of a kernel tree, as its Kconfig files define them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::expression::Expression;

/// All options of a tree; see [`Tree::read`].
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub(super) options: HashMap<String, Vec<Definition>>,
    pub(super) scopes: Vec<KconfigScope>,
    /// The `select` and `imply` statements for an option, by the option's name.
    pub(super) selects: HashMap<String, Vec<Select>>,
}

/// A `config` entry; some options have several.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    pub(super) location: KconfigLocation,
    pub(super) kind: Option<OptionKind>,
    /// An option without a prompt cannot be set by the user: it is only selected or computed.
    pub(super) prompt: Option<Prompt>,
    pub(super) depends: Vec<Dependency>,
    pub(super) defaults: Vec<DefaultValue>,
    pub(super) ranges: Vec<ValueRange>,
    /// The innermost enclosing `if`, `menu` or `choice`: an index into [`Tree::scopes`].
    pub(super) scope: Option<usize>,
    /// True for an old name that only passes the value of old configurations on.
    pub(super) transitional: bool,
}

/// The type of an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OptionKind {
    Bool,
    Tristate,
    Int,
    Hex,
    Text,
}

/// The prompt of an option.
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

/// An `if`, `menu` or `choice`.
#[derive(Clone, Debug)]
pub(super) struct KconfigScope {
    pub(super) parent: Option<usize>,
    pub(super) choice: bool,
    pub(super) depends: Vec<Dependency>,
    /// Conditions for the prompts inside to be visible.
    pub(super) visible: Vec<Dependency>,
    /// For a choice, the options inside, directly or indirectly.
    pub(super) members: Vec<String>,
}

/// The unparsed condition of a `depends on`, an `if` or a prompt.
#[derive(Clone, Debug)]
pub(super) struct Dependency {
    pub(super) text: String,
    /// The B of `depends on A if B` (since Linux 7.0): without B the dependency does not apply.
    pub(super) only_if: Option<String>,
}

impl Dependency {
    /// The condition that must hold; `None` if it cannot be parsed.
    pub(super) fn expression(&self) -> Option<Expression> {
        let required = Expression::whole(&self.text)?;
        Some(match &self.only_if {
            None => required,
            Some(only_if) => {
                let not = Expression::Not(Box::new(Expression::whole(only_if)?));
                Expression::Any(vec![required, not])
            }
        })
    }
}

/// A file and line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KconfigLocation {
    /// Path relative to the root of the tree.
    pub(super) file: Arc<str>,
    /// Line, from 1.
    pub(super) line: usize,
}

impl fmt::Display for KconfigLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Tree {
    /// The definitions of an option; empty if the tree has no such option.
    pub(super) fn definitions(&self, symbol: &str) -> &[Definition] {
        self.options.get(symbol).map_or(&[], Vec::as_slice)
    }

    /// The `select` and `imply` statements for an option.
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

    /// All conditions that a definition depends on, its own first.
    pub(super) fn depends<'a>(
        &'a self,
        definition: &'a Definition,
    ) -> impl Iterator<Item = Expression> + use<'a> {
        let around = self.scopes_of(definition).flat_map(|scope| &scope.depends);
        definition.depends.iter().chain(around).filter_map(Dependency::expression)
    }

    /// All conditions for the prompt to be visible, apart from [`depends`](Self::depends).
    pub(super) fn visible_if<'a>(
        &'a self,
        definition: &'a Definition,
    ) -> impl Iterator<Item = Expression> + use<'a> {
        let own = definition.prompt.iter().filter_map(|prompt| prompt.only_if.as_deref());
        let around = self.scopes_of(definition).flat_map(|scope| &scope.visible);
        own.filter_map(Expression::whole).chain(around.filter_map(Dependency::expression))
    }

    /// The choice that an option is a member of.
    pub(super) fn choice_of<'a>(&'a self, definition: &Definition) -> Option<&'a KconfigScope> {
        self.scopes_of(definition).find(|scope| scope.choice)
    }

    /// The names of all options.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.options.keys().map(String::as_str)
    }
}
