//! Why an option is not what was asked for.

use std::fmt;

use super::definition::{Definition, Kind, Select, Tree};
use super::expression::{Expression, Truth};
use super::fragment::{Request, Wanted, number};
use super::lack::{Lack, Search, list, short_list, together};
use crate::kernel::Config;

/// Why an option is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The tree has no such option.
    NoSuchOption {
        /// A name that is close, with the words around it; or nothing.
        close: String,
    },
    /// The option was renamed.
    Renamed {
        /// What it is called now.
        to: Vec<String>,
    },
    /// Nobody can set the option: it follows from others.
    NoPrompt {
        /// Those that turn it on.
        by: Vec<String>,
    },
    /// It needs what is not there.
    Needs(Vec<Lack>),
    /// Another answer of the same choice was taken.
    Choice {
        /// Which.
        winner: String,
    },
    /// The option is the answer of a choice as long as no other is asked for.
    ChoiceDefault {
        /// The others.
        others: Vec<String>,
    },
    /// It is on because of these options.
    SelectedBy(Vec<String>),
    /// It is on by itself, and is only asked for when these are there.
    OnUnless(Vec<Lack>),
    /// The number is out of its range.
    Range {
        /// The least.
        low: String,
        /// The greatest.
        high: String,
    },
    /// The option has values of another kind.
    Kind {
        /// What it takes, in words.
        takes: &'static str,
    },
    /// The Kconfig files do not say.
    Unknown,
}

impl Reason {
    /// Why a request was not met, from the tree's Kconfig files and the final configuration.
    #[must_use]
    pub fn of(request: &Request, tree: &Tree, config: &Config) -> Self {
        Case { request, tree, config, search: Search { tree, config } }.reason()
    }

    /// The lines of a fragment that would help; empty when there are none.
    #[must_use]
    pub fn cure(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match self {
            Self::Needs(lacks) | Self::OnUnless(lacks) => {
                lacks.iter().for_each(|lack| lack.lines(&mut lines));
            }
            Self::Choice { winner } => lines.push(format!("# CONFIG_{winner} is not set")),
            Self::Renamed { to } => {
                lines.extend(to.iter().map(|name| format!("CONFIG_{name}=y")));
            }
            _ => {}
        }
        lines
    }
}

struct Case<'a> {
    request: &'a Request,
    tree: &'a Tree,
    config: &'a Config,
    search: Search<'a>,
}

impl Case<'_> {
    fn reason(&self) -> Reason {
        let symbol = self.request.symbol.as_str();
        let definitions = self.tree.definitions(symbol);
        if definitions.is_empty() {
            let names = self.tree.names();
            return Reason::NoSuchOption { close: crate::suggest::closest(symbol, names) };
        }
        if let Some(reason) = self.kind(definitions) {
            return reason;
        }
        if self.request.wanted == Wanted::Unset {
            return self.still_on(definitions);
        }
        let asked: Vec<_> = definitions.iter().filter(|own| own.prompt.is_some()).collect();
        if asked.is_empty() {
            return self.no_prompt(definitions);
        }
        let level = match self.request.wanted {
            Wanted::BuiltIn => Truth::Yes,
            _ => Truth::Module,
        };
        let lacks = asked.iter().map(|own| self.lacks(own, level)).min_by_key(Vec::len);
        if let Some(lacks) = lacks.filter(|lacks| !lacks.is_empty()) {
            return Reason::Needs(lacks);
        }
        let choice = asked.iter().find_map(|own| self.tree.choice_of(own));
        if let Some(choice) = choice
            && let Some(winner) = choice.members.iter().find(|member| self.is_on(member))
        {
            return Reason::Choice { winner: winner.clone() };
        }
        if self.request.wanted == Wanted::Module {
            let by = self.selected_by();
            return match self.is_on("MODULES") {
                false => Reason::Needs(self.search.lacks(modules(), Truth::Yes)),
                true if by.is_empty() => Reason::Unknown,
                true => Reason::SelectedBy(by),
            };
        }
        self.range(&asked).unwrap_or(Reason::Unknown)
    }

    fn lacks(&self, definition: &Definition, level: Truth) -> Vec<Lack> {
        let depends = self.search.lacks(self.tree.depends(definition), level);
        // A question that is asked at all takes every answer.
        let mut lacks = self.search.lacks(self.tree.asked(definition), Truth::Module);
        lacks.extend(depends);
        lacks
    }

    fn is_on(&self, symbol: &str) -> bool {
        self.config.get(&format!("CONFIG_{symbol}")).is_some()
    }

    fn kind(&self, definitions: &[Definition]) -> Option<Reason> {
        let kind = definitions.iter().find_map(|own| own.kind)?;
        let takes = match (kind, &self.request.wanted) {
            (Kind::Bool, Wanted::BuiltIn | Wanted::Unset)
            | (Kind::Tristate, Wanted::BuiltIn | Wanted::Module | Wanted::Unset)
            | (Kind::Int | Kind::Hex, Wanted::Number(_) | Wanted::Unset)
            | (Kind::Text, Wanted::Text(_) | Wanted::Unset) => return None,
            (Kind::Bool, _) => "is y or not set",
            (Kind::Tristate, _) => "is y, m or not set",
            (Kind::Int | Kind::Hex, _) => "is a number",
            (Kind::Text, _) => "is a text in double quotes",
        };
        Some(Reason::Kind { takes })
    }

    fn no_prompt(&self, definitions: &[Definition]) -> Reason {
        let symbol = &self.request.symbol;
        if definitions.iter().any(|own| own.transitional) {
            let takes =
                |own: &Definition| own.defaults.iter().any(|default| default.value == *symbol);
            let renamed = self.tree.options.iter().filter(|(_, all)| all.iter().any(takes));
            let mut to: Vec<String> = renamed.map(|(name, _)| name.clone()).collect();
            to.sort_unstable();
            return Reason::Renamed { to };
        }
        let mut by: Vec<String> =
            self.tree.selects(symbol).iter().map(|own| own.by.clone()).collect();
        by.sort_unstable();
        by.dedup();
        Reason::NoPrompt { by }
    }

    fn selected_by(&self) -> Vec<String> {
        let holds = |select: &&Select| {
            let condition = select.only_if.as_deref().and_then(Expression::whole);
            let met = condition.is_none_or(|own| own.evaluate(self.config) != Truth::No);
            !select.implied && met && self.is_on(&select.by)
        };
        let selects = self.tree.selects(&self.request.symbol).iter().filter(holds);
        let mut by: Vec<String> = selects.map(|own| own.by.clone()).collect();
        by.sort_unstable();
        by.dedup();
        by
    }

    /// Why an option is on that should be off.
    fn still_on(&self, definitions: &[Definition]) -> Reason {
        let by = self.selected_by();
        if !by.is_empty() {
            return Reason::SelectedBy(by);
        }
        let asked: Vec<_> = definitions.iter().filter(|own| own.prompt.is_some()).collect();
        if asked.is_empty() {
            return self.no_prompt(definitions);
        }
        let lacks = asked
            .iter()
            .map(|own| self.search.lacks(self.tree.asked(own), Truth::Module))
            .min_by_key(Vec::len);
        if let Some(lacks) = lacks.filter(|lacks| !lacks.is_empty()) {
            return Reason::OnUnless(lacks);
        }
        match asked.iter().find_map(|own| self.tree.choice_of(own)) {
            Some(choice) => {
                let other = |member: &&String| **member != self.request.symbol;
                Reason::ChoiceDefault {
                    others: choice.members.iter().filter(other).cloned().collect(),
                }
            }
            None => Reason::Unknown,
        }
    }

    fn range(&self, asked: &[&Definition]) -> Option<Reason> {
        let Wanted::Number(wanted) = &self.request.wanted else { return None };
        let wanted = number(wanted)?;
        let range = asked.iter().flat_map(|own| &own.ranges).find(|range| {
            let condition = range.only_if.as_deref().and_then(Expression::whole);
            condition.is_none_or(|own| own.evaluate(self.config) != Truth::No)
        })?;
        let end = |text: &str| {
            let value = self.config.get(&format!("CONFIG_{text}")).unwrap_or(text);
            number(value).map(|number| (number, value.to_owned()))
        };
        let ((least, low), (greatest, high)) = (end(&range.low)?, end(&range.high)?);
        (wanted < least || wanted > greatest).then_some(Reason::Range { low, high })
    }
}

fn modules() -> impl Iterator<Item = Expression> {
    Expression::whole("MODULES").into_iter()
}

impl fmt::Display for Reason {
    /// What follows "it": `needs INET`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchOption { close } => write!(f, "does not exist in this tree{close}"),
            Self::Renamed { to } if to.is_empty() => f.write_str("was renamed"),
            Self::Renamed { to } => write!(f, "was renamed to {}", list(to, "and")),
            Self::NoPrompt { by } if by.is_empty() => {
                f.write_str("cannot be asked for: it follows from other options")
            }
            Self::NoPrompt { by } => {
                write!(f, "cannot be asked for: only {} can turn it on", short_list(by, "or"))
            }
            Self::Needs(lacks) => write!(f, "needs {}", together(lacks)),
            Self::Choice { winner } => write!(f, "is one answer of a choice, and {winner} won"),
            Self::ChoiceDefault { others } => write!(
                f,
                "is the answer of a choice when no other is asked for: {}",
                short_list(others, "or")
            ),
            Self::SelectedBy(by) => write!(f, "is turned on by {}", short_list(by, "and")),
            Self::OnUnless(lacks) => {
                write!(f, "is on by itself, and asked for only with {}", together(lacks))
            }
            Self::Range { low, high } => write!(f, "is a number from {low} to {high}"),
            Self::Kind { takes } => f.write_str(takes),
            Self::Unknown => {
                f.write_str("was left out for a reason that its Kconfig files do not show")
            }
        }
    }
}
