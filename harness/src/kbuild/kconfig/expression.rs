//! Kconfig expressions: parses, evaluates and displays them.

use std::fmt;

use crate::kernel::Config;

use super::fragment::number;

/// Maximum nesting of parentheses and negations; the kernel's stay below ten.
const DEPTH: usize = 64;

/// A condition such as `NET && (X86_64 || !COMPAT)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// A single value.
    Operand(Operand),
    /// `!…`
    Not(Box<Expression>),
    /// `… && …`
    All(Vec<Expression>),
    /// `… || …`
    Any(Vec<Expression>),
    /// `… = …` and other comparisons.
    Compare(Operand, CompareOp, Operand),
}

/// A value in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// The name of an option, without `CONFIG_`; or a number.
    Symbol(String),
    /// A string in quotes, or one of the constants y, m and n.
    Constant(String),
    /// `$(…)`: evaluated by the build, with the compiler or the environment.
    Macro(String),
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CompareOp {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A tristate, or unknown without running the build's own tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// n
    No,
    /// m
    Module,
    /// y
    Yes,
    /// Depends on a macro.
    Unknown,
}

impl Truth {
    /// Converts a value as Kconfig does in a condition.
    fn from_value(value: Option<&str>) -> Self {
        match value {
            Some("y") => Self::Yes,
            Some("m") => Self::Module,
            _ => Self::No,
        }
    }

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Yes => Self::No,
            same => same,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Module, _) | (_, Self::Module) => Self::Module,
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

impl Expression {
    /// Parses a condition up to its end or to the word `if`; returns the rest, which begins with
    /// `if` or is empty. Returns `None` if the text is not a condition.
    pub(super) fn parse(text: &str) -> Option<(Self, &str)> {
        let mut reader = ExpressionReader { rest: text };
        let expression = reader.any(0)?;
        let rest = reader.rest.trim_start();
        (rest.is_empty() || condition_follows(rest)).then_some((expression, rest))
    }

    /// Parses a condition with nothing after it.
    pub(super) fn whole(text: &str) -> Option<Self> {
        Self::parse(text).filter(|(_, rest)| rest.is_empty()).map(|(expression, _)| expression)
    }

    /// Evaluates the expression with this configuration.
    pub(super) fn evaluate(&self, config: &Config) -> Truth {
        match self {
            Self::Operand(Operand::Macro(_)) => Truth::Unknown,
            Self::Operand(operand) => Truth::from_value(operand.value(config)),
            Self::Not(inner) => inner.evaluate(config).not(),
            Self::All(all) => {
                all.iter().fold(Truth::Yes, |truth, next| truth.and(next.evaluate(config)))
            }
            Self::Any(any) => {
                any.iter().fold(Truth::No, |truth, next| truth.or(next.evaluate(config)))
            }
            Self::Compare(left, comparison, right) => {
                if matches!(left, Operand::Macro(_)) || matches!(right, Operand::Macro(_)) {
                    return Truth::Unknown;
                }
                let value = |operand: &Operand| operand.compared(config);
                if comparison.holds(&value(left), &value(right)) { Truth::Yes } else { Truth::No }
            }
        }
    }
}

/// True if a text begins with the word `if`.
pub(super) fn condition_follows(text: &str) -> bool {
    text.strip_prefix("if").is_some_and(|rest| !rest.starts_with(is_word))
}

impl Operand {
    /// The operand's value in a configuration.
    pub(super) fn value<'a>(&'a self, config: &'a Config) -> Option<&'a str> {
        match self {
            Self::Symbol(name) => config
                .get(&format!("CONFIG_{name}"))
                .or_else(|| number(name).is_some().then_some(name.as_str())),
            Self::Constant(text) => Some(text),
            Self::Macro(_) => None,
        }
    }

    /// The operand's value in a comparison, where an option that is not set is `n`.
    fn compared(&self, config: &Config) -> String {
        self.value(config).unwrap_or("n").to_owned()
    }
}

impl CompareOp {
    /// Compares two numbers as numbers, other values as strings.
    fn holds(self, left: &str, right: &str) -> bool {
        // An option that is not set equals n as well as the empty string.
        let unset = |value: &str, other: &str| value == "n" && other.is_empty();
        let order = match (number(left), number(right)) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ if unset(left, right) || unset(right, left) => std::cmp::Ordering::Equal,
            _ => left.cmp(right),
        };
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

struct ExpressionReader<'a> {
    rest: &'a str,
}

impl<'a> ExpressionReader<'a> {
    fn any(&mut self, depth: usize) -> Option<Expression> {
        self.list("||", depth, Self::all, Expression::Any)
    }

    fn all(&mut self, depth: usize) -> Option<Expression> {
        self.list("&&", depth, Self::one, Expression::All)
    }

    fn list(
        &mut self,
        between: &str,
        depth: usize,
        part: fn(&mut Self, usize) -> Option<Expression>,
        join: fn(Vec<Expression>) -> Expression,
    ) -> Option<Expression> {
        let first = part(self, depth)?;
        let mut parts = vec![first];
        while self.takes(between) {
            parts.push(part(self, depth)?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(join(parts)) }
    }

    fn one(&mut self, depth: usize) -> Option<Expression> {
        if depth > DEPTH {
            return None;
        }
        if self.takes("(") {
            let inner = self.any(depth + 1)?;
            return self.takes(")").then_some(inner);
        }
        // Not `!=`, which cannot begin an operand.
        if self.takes("!") {
            return Some(Expression::Not(Box::new(self.one(depth + 1)?)));
        }
        let left = self.operand()?;
        let comparison = [
            ("!=", CompareOp::Unequal),
            ("<=", CompareOp::LessOrEqual),
            (">=", CompareOp::GreaterOrEqual),
            ("=", CompareOp::Equal),
            ("<", CompareOp::Less),
            (">", CompareOp::Greater),
        ]
        .into_iter()
        .find(|(sign, _)| self.takes(sign));
        Some(match comparison {
            Some((_, comparison)) => Expression::Compare(left, comparison, self.operand()?),
            None => Expression::Operand(left),
        })
    }

    fn operand(&mut self) -> Option<Operand> {
        let rest = self.rest.trim_start();
        let (operand, length) = read_operand(rest)?;
        self.rest = &rest[length..];
        Some(operand)
    }

    fn takes(&mut self, sign: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

/// The operand at the beginning of a text, and its length in bytes.
pub(super) fn read_operand(text: &str) -> Option<(Operand, usize)> {
    match text.as_bytes().first()? {
        quote @ (b'"' | b'\'') => {
            let end = 1 + closing_quote(&text[1..], *quote)?;
            let inner = &text[1..end];
            let operand = match inner.contains("$(") {
                true => Operand::Macro(inner.to_owned()),
                false => Operand::Constant(inner.to_owned()),
            };
            Some((operand, end + 1))
        }
        b'$' => {
            let end = macro_end(text)?;
            Some((Operand::Macro(text[..end].to_owned()), end))
        }
        _ => {
            let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
            let word = &text[..end];
            let operand = match word {
                "" => return None,
                "y" | "m" | "n" => Operand::Constant(word.to_owned()),
                _ => Operand::Symbol(word.to_owned()),
            };
            Some((operand, end))
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')
}

/// Offset of the quote that ends a string.
fn closing_quote(text: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == quote && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// Offset of the end of the macro at the beginning of a text.
fn macro_end(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'(' => open += 1,
            b')' => open = open.checked_sub(1)?,
            _ => {}
        }
        if open == 0 {
            return Some(at + 1);
        }
    }
    None
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, parts: &[Self], between: &str| {
            parts.iter().enumerate().try_for_each(|(index, part)| {
                let between = if index == 0 { "" } else { between };
                match part {
                    Self::Any(_) => write!(f, "{between}({part})"),
                    _ => write!(f, "{between}{part}"),
                }
            })
        };
        match self {
            Self::Operand(operand) => write!(f, "{operand}"),
            Self::Not(inner) if matches!(**inner, Self::Operand(_)) => write!(f, "!{inner}"),
            Self::Not(inner) => write!(f, "!({inner})"),
            Self::All(all) => list(f, all, " && "),
            Self::Any(any) => list(f, any, " || "),
            Self::Compare(left, comparison, right) => {
                let sign = match comparison {
                    CompareOp::Equal => "=",
                    CompareOp::Unequal => "!=",
                    CompareOp::Less => "<",
                    CompareOp::LessOrEqual => "<=",
                    CompareOp::Greater => ">",
                    CompareOp::GreaterOrEqual => ">=",
                };
                write!(f, "{left} {sign} {right}")
            }
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(text) if matches!(text.as_str(), "y" | "m" | "n") => f.write_str(text),
            Self::Constant(text) => write!(f, "\"{text}\""),
            Self::Symbol(text) | Self::Macro(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const CONFIG: &str = "CONFIG_NET=y\nCONFIG_KVM=m\nCONFIG_NR=8\nCONFIG_HEX=0x10\n\
        CONFIG_NAME=\"x86\"\n";

    #[rstest]
    #[case("NET", Truth::Yes)]
    #[case("KVM", Truth::Module)]
    #[case("INET", Truth::No)]
    #[case("!INET", Truth::Yes)]
    #[case("!KVM", Truth::Module)]
    #[case("NET && KVM", Truth::Module)]
    #[case("NET || KVM", Truth::Yes)]
    #[case("INET || KVM", Truth::Module)]
    #[case("NET && !INET && KVM || y", Truth::Yes)]
    #[case("NET && (INET || INET)", Truth::No)]
    #[case("!(NET && INET)", Truth::Yes)]
    #[case("NET=y", Truth::Yes)]
    #[case("INET=n", Truth::Yes)]
    #[case("INET!=n", Truth::No)]
    #[case("KVM = m", Truth::Yes)]
    #[case("NR >= 8 && NR<9", Truth::Yes)]
    #[case("NR > 10", Truth::No)]
    #[case("HEX = 16", Truth::Yes)]
    #[case("NAME = \"x86\"", Truth::Yes)]
    #[case("NAME = 'arm'", Truth::No)]
    #[case("OTHER = \"\"", Truth::Yes)]
    #[case("NAME != \"\"", Truth::Yes)]
    #[case("$(cc-option,-fx -fy)", Truth::Unknown)]
    #[case("$(success,test $(x) = y) && INET", Truth::No)]
    #[case("$(success,true) || NET", Truth::Yes)]
    #[case("NR = $(shell,echo 8)", Truth::Unknown)]
    fn conditions_evaluate_as_in_kconfig(#[case] text: &str, #[case] truth: Truth) {
        let expression = Expression::whole(text).expect(text);
        assert_eq!(expression.evaluate(&Config::parse(CONFIG)), truth);
        // The displayed form parses to the same condition.
        assert_eq!(Expression::whole(&expression.to_string()), Some(expression));
    }

    #[rstest]
    #[case("X86 if NET && KVM", "if NET && KVM")]
    #[case("y if(NET)", "if(NET)")]
    #[case("IFB", "")]
    #[case("NET && if_NET", "")]
    fn a_condition_ends_at_the_word_if(#[case] text: &str, #[case] rest: &str) {
        assert_eq!(Expression::parse(text).map(|(_, rest)| rest), Some(rest));
    }

    #[rstest]
    #[case("")]
    #[case("NET &&")]
    #[case("(NET")]
    #[case("NET KVM")]
    #[case("NET)")]
    #[case("\"x86")]
    #[case("$(cc-option")]
    #[case("é")]
    fn other_text_is_not_a_condition(#[case] text: &str) {
        assert_eq!(Expression::whole(text), None);
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| format!("{}NET{}", "(".repeat(depth), ")".repeat(depth));
        assert!(Expression::whole(&nested(DEPTH)).is_some());
        assert!(Expression::whole(&nested(100_000)).is_none());
        assert!(Expression::whole(&"!".repeat(100_000)).is_none());
    }
}
