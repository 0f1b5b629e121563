//! Finds the options that make a condition false, and what those options lack in turn.

use std::fmt;

use super::check::MergedRequests;
use super::definition::{Definition, Tree};
use super::expression::{CompareOp, Expression, Operand, Truth};
use super::fragment::RequestedValue;
use crate::kernel::Config;

/// Maximum length of a chain of dependencies that is followed.
const DEPTH: usize = 4;

/// Number of names that a long list shows.
const LISTED: usize = 4;

/// One unmet part of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// An option must be on, and a fragment can turn it on.
    Ask {
        /// Name of the option.
        symbol: String,
        /// What the option lacks itself; empty if turning it on is enough.
        after: Vec<Lack>,
        /// True if the option is m and must be built in.
        module: bool,
    },
    /// An option must be on; it was requested, but dropped too, which is reported separately.
    Dropped {
        /// Name of the option.
        symbol: String,
    },
    /// An option must be on, but a fragment turns it off.
    TurnedOff {
        /// Name of the option.
        symbol: String,
        /// Fragment and line: `no-audit:4`.
        location: String,
    },
    /// An option must be on; its value follows from others.
    Follows {
        /// Name of the option.
        symbol: String,
        /// What those options lack.
        from: Vec<Lack>,
    },
    /// An option must be on; it has no prompt, but these options turn it on.
    Selected {
        /// Name of the option.
        symbol: String,
        /// The options that select it; empty if none does.
        by: Vec<String>,
    },
    /// An option must be on, but this tree does not have it.
    Absent {
        /// Name of the option.
        symbol: String,
    },
    /// An option must be off, but is on.
    On {
        /// Name of the option.
        symbol: String,
        /// Its value.
        value: String,
    },
    /// The compiler or another tool of the build decides.
    Tools {
        /// The option that depends on it, or the macro.
        what: String,
    },
    /// A condition that is not about one option being on or off.
    Condition {
        /// Text in Kconfig's notation.
        text: String,
    },
    /// One of several alternatives is enough.
    OneOf(Vec<Vec<Lack>>),
}

impl Lack {
    /// True if the tree itself says that the option does not work: it depends on `BROKEN`, which
    /// nothing turns on.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::Selected { symbol, .. } if symbol == "BROKEN")
    }
}

/// Finds what conditions lack in a tree with a configuration.
pub(super) struct LackSearch<'a> {
    pub(super) tree: &'a Tree,
    pub(super) config: &'a Config,
    pub(super) requests: &'a MergedRequests<'a>,
}

impl LackSearch<'_> {
    /// What these conditions lack to be at least `level`; empty if they are.
    pub(super) fn lacks(
        &self,
        conditions: impl Iterator<Item = Expression>,
        level: Truth,
    ) -> Vec<Lack> {
        let conditions: Vec<_> = conditions.collect();
        self.all(&conditions, level, &mut Vec::new())
    }

    fn all(&self, conditions: &[Expression], level: Truth, path: &mut Vec<String>) -> Vec<Lack> {
        let mut lacks = Vec::new();
        for condition in conditions {
            for lack in self.lack(condition, level, path) {
                if !lacks.iter().any(|other: &Lack| other.covers(&lack)) {
                    lacks.retain(|other| !lack.covers(other));
                    lacks.push(lack);
                }
            }
        }
        lacks
    }

    fn lack(&self, condition: &Expression, level: Truth, path: &mut Vec<String>) -> Vec<Lack> {
        let met = match condition.evaluate(self.config) {
            Truth::Yes => true,
            Truth::Module => level == Truth::Module,
            Truth::No | Truth::Unknown => false,
        };
        if met {
            return Vec::new();
        }
        let as_written = || vec![Lack::Condition { text: condition.to_string() }];
        match condition {
            Expression::All(all) => self.all(all, level, path),
            Expression::Any(any) => self.any(any, level, path),
            Expression::Not(inner) => match &**inner {
                Expression::Operand(Operand::Symbol(symbol)) => vec![self.on(symbol)],
                Expression::Operand(Operand::Macro(what)) => {
                    vec![Lack::Tools { what: what.clone() }]
                }
                _ => as_written(),
            },
            Expression::Operand(Operand::Symbol(symbol)) => vec![self.option(symbol, level, path)],
            Expression::Operand(Operand::Macro(what)) => vec![Lack::Tools { what: what.clone() }],
            Expression::Operand(Operand::Constant(_)) => as_written(),
            Expression::Compare(Operand::Symbol(symbol), comparison, Operand::Constant(value)) => {
                match (comparison, value.as_str()) {
                    (CompareOp::Equal, "y") | (CompareOp::Unequal, "n") => {
                        vec![self.option(symbol, Truth::Yes, path)]
                    }
                    (CompareOp::Equal, "n") | (CompareOp::Unequal, "y") => vec![self.on(symbol)],
                    _ => as_written(),
                }
            }
            Expression::Compare(..) => as_written(),
        }
    }

    fn any(&self, any: &[Expression], level: Truth, path: &mut Vec<String>) -> Vec<Lack> {
        let mut ways: Vec<Vec<Lack>> = any
            .iter()
            // COMPILE_TEST is no advice for a kernel that has to boot.
            .filter(|way| {
                let compile_test = Operand::Symbol("COMPILE_TEST".to_owned());
                **way != Expression::Operand(compile_test)
            })
            .map(|way| self.lack(way, level, path))
            .collect();
        // Drop impossible alternatives if there are possible ones.
        let possible = |way: &Vec<Lack>| way.iter().all(Lack::is_curable);
        if ways.iter().any(possible) {
            ways.retain(possible);
        }
        if ways.len() == 1 { ways.remove(0) } else { vec![Lack::OneOf(ways)] }
    }

    fn on(&self, symbol: &str) -> Lack {
        let value = self.config.get(&format!("CONFIG_{symbol}")).unwrap_or("y");
        Lack::On { symbol: symbol.to_owned(), value: value.to_owned() }
    }

    /// What an option lacks to be on.
    fn option(&self, symbol: &str, level: Truth, path: &mut Vec<String>) -> Lack {
        let symbol = symbol.to_owned();
        let definitions = self.tree.definitions(&symbol);
        if definitions.is_empty() {
            return Lack::Absent { symbol };
        }
        let value = self.config.get(&format!("CONFIG_{symbol}"));
        match self.requests.get(&symbol) {
            Some(asked) if asked.request.wanted == RequestedValue::Unset => {
                return Lack::TurnedOff { symbol, location: asked.location() };
            }
            Some(_) if value.is_none() => return Lack::Dropped { symbol },
            _ => {}
        }
        let module = value == Some("m");
        let asked: Vec<_> = definitions.iter().filter(|own| own.prompt.is_some()).collect();
        if asked.is_empty() {
            return self.without_prompt(symbol, definitions, level, path);
        }
        if path.len() >= DEPTH || path.contains(&symbol) {
            return Lack::Ask { symbol, after: Vec::new(), module };
        }
        path.push(symbol.clone());
        let after = asked
            .iter()
            .map(|own| {
                let conditions: Vec<_> =
                    self.tree.visible_if(own).chain(self.tree.depends(own)).collect();
                self.all(&conditions, level, path)
            })
            .min_by_key(Vec::len)
            .unwrap_or_default();
        path.pop();
        Lack::Ask { symbol, after, module }
    }

    fn without_prompt(
        &self,
        symbol: String,
        definitions: &[Definition],
        level: Truth,
        path: &mut Vec<String>,
    ) -> Lack {
        let asks_tools = |text: &str| text.contains("$(");
        let tools = definitions
            .iter()
            .flat_map(|own| &own.defaults)
            .any(|own| asks_tools(&own.value) || own.only_if.as_deref().is_some_and(asks_tools));
        if tools {
            return Lack::Tools { what: symbol };
        }
        let mut by: Vec<String> = Vec::new();
        for select in self.tree.selects(&symbol) {
            if !by.contains(&select.by) {
                by.push(select.by.clone());
            }
        }
        // The value follows from other options, so this option lacks what those lack.
        let computed = definitions.iter().find(|own| !own.defaults.is_empty());
        if let Some(own) = computed.filter(|_| by.is_empty())
            && path.len() < DEPTH
            && !path.contains(&symbol)
        {
            let ways = own.defaults.iter().filter_map(|default| {
                let value = Expression::whole(&default.value)?;
                Some(match &default.only_if {
                    Some(only_if) => Expression::All(vec![value, Expression::whole(only_if)?]),
                    None => value,
                })
            });
            let ways = Expression::Any(ways.collect());
            path.push(symbol.clone());
            let conditions: Vec<_> = std::iter::once(ways).chain(self.tree.depends(own)).collect();
            let mut lacks = self.all(&conditions, level, path);
            path.pop();
            match lacks.len() {
                0 => {}
                1 => return lacks.remove(0),
                _ => return Lack::Follows { symbol, from: lacks },
            }
        }
        Lack::Selected { symbol, by }
    }
}

impl Lack {
    /// True if lines in a fragment can help.
    fn is_curable(&self) -> bool {
        match self {
            Self::Ask { after: lacks, .. } | Self::Follows { from: lacks, .. } => {
                lacks.iter().all(Self::is_curable)
            }
            Self::On { .. } | Self::Dropped { .. } => true,
            Self::OneOf(ways) => ways.iter().any(|way| way.iter().all(Self::is_curable)),
            Self::Selected { by, .. } => !by.is_empty(),
            Self::TurnedOff { .. }
            | Self::Absent { .. }
            | Self::Tools { .. }
            | Self::Condition { .. } => false,
        }
    }

    /// True if this is `other`, or lacks `other` itself.
    fn covers(&self, other: &Self) -> bool {
        let after = match self {
            Self::Ask { after: lacks, .. } | Self::Follows { from: lacks, .. } => lacks.as_slice(),
            _ => &[],
        };
        self == other || after.iter().any(|lack| lack.covers(other))
    }

    /// Adds the lines of a fragment that would help, dependencies first.
    pub(super) fn lines(&self, lines: &mut Vec<String>) {
        let line = match self {
            Self::Ask { symbol, after, .. } => {
                after.iter().for_each(|lack| lack.lines(lines));
                format!("CONFIG_{symbol}=y")
            }
            Self::On { symbol, .. } => format!("# CONFIG_{symbol} is not set"),
            Self::Follows { from, .. } => return from.iter().for_each(|lack| lack.lines(lines)),
            _ => return,
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
}

/// Joins names: `A`, `A and B`, `A, B and C`.
pub(super) fn list(parts: &[String], last: &str) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., end] => format!("{} {last} {end}", all.join(", ")),
    }
}

/// The same, but shows only the first few of a long list.
pub(super) fn short_list(parts: &[String], last: &str) -> String {
    match parts.len().checked_sub(LISTED) {
        None | Some(0 | 1) => list(parts, last),
        Some(more) => format!("{} {last} {more} others", parts[..LISTED].join(", ")),
    }
}

/// Formats several lacks inside parentheses: `NET, which needs PCI`.
fn chained(lacks: &[Lack]) -> String {
    match lacks {
        [Lack::Ask { symbol, after, module: false }] if !after.is_empty() => {
            format!("{symbol}, which needs {}", chained(after))
        }
        _ => together(lacks),
    }
}

/// Formats several lacks: `NET and PCI`.
pub(super) fn together(lacks: &[Lack]) -> String {
    list(&lacks.iter().map(Lack::to_string).collect::<Vec<_>>(), "and")
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask { symbol, module: true, .. } => write!(f, "{symbol} built in, which is m"),
            Self::Ask { symbol, after, .. } if after.is_empty() => f.write_str(symbol),
            Self::Ask { symbol, after, .. } => {
                write!(f, "{symbol} (which needs {})", chained(after))
            }
            Self::TurnedOff { symbol, location } => {
                write!(f, "{symbol}, which {location} turns off")
            }
            Self::Follows { symbol, from } => {
                write!(f, "{symbol} (which follows from {})", chained(from))
            }
            Self::Dropped { symbol } => write!(f, "{symbol}, which was dropped too"),
            Self::Selected { symbol, by } if by.is_empty() => {
                write!(f, "{symbol}, which nothing turns on here")
            }
            Self::Selected { symbol, by } => {
                write!(f, "{symbol}, which only {} can turn on", short_list(by, "or"))
            }
            Self::Absent { symbol } => write!(f, "{symbol}, which this tree does not have"),
            Self::On { symbol, value } => write!(f, "{symbol} off, which is {value}"),
            Self::Tools { what } => write!(f, "{what}, which the compiler or linker decides"),
            Self::Condition { text } => f.write_str(text),
            Self::OneOf(ways) => {
                let ways: Vec<String> = ways.iter().map(|way| together(way)).collect();
                write!(f, "one of {}", short_list(&ways, "or"))
            }
        }
    }
}
