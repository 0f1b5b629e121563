//! Finds the reason why an option does not have the requested value.

use std::fmt;

use super::check::MergedRequests;
use super::definition::{Definition, OptionKind, Select, Tree};
use super::expression::{Expression, Truth};
use super::fragment::{Request, RequestedValue, number};
use super::lack::{Lack, LackSearch, list, short_list, together};
use crate::kernel::Config;

/// The reason why an option does not have the requested value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The tree has no such option.
    NoSuchOption {
        /// A suggestion as a clause, or empty.
        close: String,
    },
    /// The option was renamed.
    Renamed {
        /// The new names.
        to: Vec<String>,
    },
    /// The option has no prompt: its value follows from others.
    NoPrompt {
        /// The options that turn it on.
        by: Vec<String>,
    },
    /// A dependency is not met.
    Needs(Vec<Lack>),
    /// Another member of the same choice is selected.
    Choice {
        /// The selected member.
        winner: String,
    },
    /// The option is the selected member of a choice, because no other one was requested.
    ChoiceDefault {
        /// The other members.
        others: Vec<String>,
    },
    /// These options turn it on.
    SelectedBy(Vec<String>),
    /// The option is on by default, and its prompt is only visible with these.
    OnUnless(Vec<Lack>),
    /// The number is out of range.
    Range {
        /// The minimum.
        low: String,
        /// The maximum.
        high: String,
    },
    /// The option has another type.
    Kind {
        /// The valid values, as a clause.
        takes: &'static str,
    },
    /// The Kconfig files show no reason.
    Unknown,
}

impl Reason {
    /// Finds the reason in the tree's Kconfig files and the final configuration. `request` is one
    /// of `requests`.
    #[must_use]
    pub fn find(
        request: &Request,
        requests: &MergedRequests<'_>,
        tree: &Tree,
        config: &Config,
    ) -> Self {
        UnmetRequest { request, tree, config, search: LackSearch { tree, config, requests } }
            .reason()
    }

    /// The lines of a fragment that would help; empty if no line would.
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

struct UnmetRequest<'a> {
    request: &'a Request,
    tree: &'a Tree,
    config: &'a Config,
    search: LackSearch<'a>,
}

impl UnmetRequest<'_> {
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
        if self.request.wanted == RequestedValue::Unset {
            return self.still_on(definitions);
        }
        let asked: Vec<_> = definitions.iter().filter(|own| own.prompt.is_some()).collect();
        if asked.is_empty() {
            return self.no_prompt(definitions);
        }
        let level = match self.request.wanted {
            RequestedValue::BuiltIn => Truth::Yes,
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
        if self.request.wanted == RequestedValue::Module {
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
        // A visible prompt accepts every value, so m is enough for its condition.
        let mut lacks = self.search.lacks(self.tree.visible_if(definition), Truth::Module);
        lacks.extend(depends);
        lacks
    }

    fn is_on(&self, symbol: &str) -> bool {
        self.config.get(&format!("CONFIG_{symbol}")).is_some()
    }

    fn kind(&self, definitions: &[Definition]) -> Option<Reason> {
        let kind = definitions.iter().find_map(|own| own.kind)?;
        let takes = match (kind, &self.request.wanted) {
            (OptionKind::Bool, RequestedValue::BuiltIn | RequestedValue::Unset)
            | (
                OptionKind::Tristate,
                RequestedValue::BuiltIn | RequestedValue::Module | RequestedValue::Unset,
            )
            | (
                OptionKind::Int | OptionKind::Hex,
                RequestedValue::Number(_) | RequestedValue::Unset,
            )
            | (OptionKind::Text, RequestedValue::Text(_) | RequestedValue::Unset) => return None,
            (OptionKind::Bool, _) => "is y or not set",
            (OptionKind::Tristate, _) => "is y, m or not set",
            (OptionKind::Int | OptionKind::Hex, _) => "is a number",
            (OptionKind::Text, _) => "is a string in double quotes",
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

    /// The reason why an option is on that should be off.
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
            .map(|own| self.search.lacks(self.tree.visible_if(own), Truth::Module))
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
        let RequestedValue::Number(wanted) = &self.request.wanted else { return None };
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
    /// A clause that follows "it": `needs INET`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchOption { close } => write!(f, "does not exist in this tree{close}"),
            Self::Renamed { to } if to.is_empty() => f.write_str("was renamed"),
            Self::Renamed { to } => write!(f, "was renamed to {}", list(to, "and")),
            Self::NoPrompt { by } if by.is_empty() => {
                f.write_str("cannot be set: it follows from other options")
            }
            Self::NoPrompt { by } => {
                write!(f, "cannot be set: only {} can turn it on", short_list(by, "or"))
            }
            Self::Needs(lacks) => write!(f, "needs {}", together(lacks)),
            Self::Choice { winner } => {
                write!(f, "is a member of a choice in which {winner} is selected")
            }
            Self::ChoiceDefault { others } => write!(
                f,
                "is the selected member of a choice unless another one is set: {}",
                short_list(others, "or")
            ),
            Self::SelectedBy(by) => write!(f, "is turned on by {}", short_list(by, "and")),
            Self::OnUnless(lacks) => {
                write!(f, "is on by default, and can be set only with {}", together(lacks))
            }
            Self::Range { low, high } => write!(f, "is a number from {low} to {high}"),
            Self::Kind { takes } => f.write_str(takes),
            Self::Unknown => {
                f.write_str("was left out for a reason that its Kconfig files do not show")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::fixture::tree;
    use super::super::fragment::Fragment;
    use super::*;

    const KCONFIG: &str = r#"
config MODULES
	bool "modules"
config X86
	def_bool y
	select PERF if HAVE_PERF
	select PERF if !HAVE_PERF && NET
config PERF
	bool "perf"
config HAVE_PERF
	bool
config EXPERT
	bool "expert"
config AUDIT
	bool "audit"
config NET
	bool "net"
if NET
config INET
	bool "ip"
endif
config SELINUX
	bool "selinux"
	depends on AUDIT && INET
config AVC
	bool "avc"
	depends on SELINUX
config BOOTPARAM
	bool "bootparam"
	depends on SELINUX && INET
config TCP
	tristate "tcp"
	depends on KVM
config KVM
	tristate "kvm"
config UML_ONLY
	bool "uml"
	depends on UML
config HELPER
	bool
config USER_A
	bool "a"
	select HELPER
config NEEDS_HELPER
	bool "h"
	depends on HELPER
config CC_HAS
	def_bool $(cc-option,-fsanitize=x)
config SANITIZE
	bool "s"
	depends on CC_HAS
config ORPHAN
	bool
config NEEDS_ORPHAN
	bool "o"
	depends on ORPHAN
config COMPUTED
	def_bool EXPERT && NET
config NEEDS_COMPUTED
	bool "c"
	depends on COMPUTED
config NEEDS_BOTH
	bool "b"
	depends on BOTH
config BOTH
	def_bool y
	depends on AUDIT && EXPERT
config OFF_PLEASE
	bool "x"
	depends on !AUDIT
config EITHER
	bool "e"
	depends on AUDIT || INET || COMPILE_TEST
config VERSIONED
	bool "v"
	depends on GCC_VERSION >= 120000
config GCC_VERSION
	int
	default 110000
config HIDDEN
	bool "hidden" if EXPERT
	default y
choice
	prompt "compression"
config GZIP
	bool "gzip"
config LZ4
	bool "lz4"
endchoice
config NR
	int "nr"
	range 1 MOST if X86
config MOST
	int "most"
config NAME
	string "name"
config OLD
	bool
	transitional
config NEW
	bool "new"
	default OLD
menu "drivers"
	visible if EXPERT
config DRIVER
	bool "d"
endmenu
"#;

    fn reason_of(request: &str, config: &str) -> (String, Vec<String>) {
        let (_folder, tree) = tree(&[("Kconfig", KCONFIG)]);
        let fragment = Fragment::parse("own", request).unwrap();
        let config = Config::parse(config);
        let fragments = [fragment];
        let request = &fragments[0].requests[0];
        let reason = Reason::find(request, &MergedRequests::merge(&fragments), &tree, &config);
        (reason.to_string(), reason.cure())
    }

    #[rstest]
    #[case::does_not_exist(
        "CONFIG_SELINX=y",
        "",
        "does not exist in this tree; did you mean `SELINUX`?",
        &[],
    )]
    #[case::one_condition(
        "CONFIG_SELINUX=y",
        "CONFIG_AUDIT=y\nCONFIG_NET=y\n",
        "needs INET",
        &["CONFIG_INET=y"],
    )]
    #[case::several(
        "CONFIG_SELINUX=y",
        "CONFIG_NET=y\n",
        "needs AUDIT and INET",
        &["CONFIG_AUDIT=y", "CONFIG_INET=y"],
    )]
    #[case::two_levels(
        "CONFIG_SELINUX=y",
        "CONFIG_AUDIT=y\n",
        "needs INET (which needs NET)",
        &["CONFIG_NET=y", "CONFIG_INET=y"],
    )]
    #[case::three_levels(
        "CONFIG_AVC=y",
        "CONFIG_AUDIT=y\n",
        "needs SELINUX (which needs INET, which needs NET)",
        &["CONFIG_NET=y", "CONFIG_INET=y", "CONFIG_SELINUX=y"],
    )]
    #[case::covered(
        "CONFIG_BOOTPARAM=y",
        "CONFIG_AUDIT=y\nCONFIG_NET=y\n",
        "needs SELINUX (which needs INET)",
        &["CONFIG_INET=y", "CONFIG_SELINUX=y"],
    )]
    #[case::dropped_too(
        "CONFIG_AVC=y\nCONFIG_SELINUX=y",
        "",
        "needs SELINUX, which was dropped too",
        &[],
    )]
    #[case::only_a_module(
        "CONFIG_TCP=y",
        "CONFIG_KVM=m\nCONFIG_TCP=m\n",
        "needs KVM built in, which is m",
        &["CONFIG_KVM=y"],
    )]
    #[case::absent("CONFIG_UML_ONLY=y", "", "needs UML, which this tree does not have", &[])]
    #[case::selected(
        "CONFIG_NEEDS_HELPER=y",
        "",
        "needs HELPER, which only USER_A can turn on",
        &[],
    )]
    #[case::orphan("CONFIG_NEEDS_ORPHAN=y", "", "needs ORPHAN, which nothing turns on here", &[])]
    #[case::tools(
        "CONFIG_SANITIZE=y",
        "",
        "needs CC_HAS, which the compiler or linker decides",
        &[],
    )]
    #[case::computed(
        "CONFIG_NEEDS_COMPUTED=y",
        "CONFIG_NET=y\n",
        "needs EXPERT",
        &["CONFIG_EXPERT=y"],
    )]
    #[case::follows_from(
        "CONFIG_NEEDS_BOTH=y",
        "",
        "needs BOTH (which follows from AUDIT and EXPERT)",
        &["CONFIG_AUDIT=y", "CONFIG_EXPERT=y"],
    )]
    #[case::off(
        "CONFIG_OFF_PLEASE=y",
        "CONFIG_AUDIT=y\n",
        "needs AUDIT off, which is y",
        &["# CONFIG_AUDIT is not set"],
    )]
    #[case::either("CONFIG_EITHER=y", "", "needs one of AUDIT or INET (which needs NET)", &[])]
    #[case::compared(
        "CONFIG_VERSIONED=y",
        "CONFIG_GCC_VERSION=110000\n",
        "needs GCC_VERSION >= 120000",
        &[],
    )]
    #[case::asked_only_if(
        "# CONFIG_HIDDEN is not set",
        "CONFIG_HIDDEN=y\n",
        "is on by default, and can be set only with EXPERT",
        &["CONFIG_EXPERT=y"],
    )]
    #[case::menu_not_visible("CONFIG_DRIVER=y", "", "needs EXPERT", &["CONFIG_EXPERT=y"])]
    #[case::no_prompt("CONFIG_HELPER=y", "", "cannot be set: only USER_A can turn it on", &[])]
    #[case::follows("CONFIG_COMPUTED=y", "", "cannot be set: it follows from other options", &[])]
    #[case::turned_on(
        "# CONFIG_PERF is not set",
        "CONFIG_X86=y\nCONFIG_NET=y\nCONFIG_PERF=y\n",
        "is turned on by X86",
        &[],
    )]
    #[case::choice(
        "CONFIG_LZ4=y",
        "CONFIG_GZIP=y\n",
        "is a member of a choice in which GZIP is selected",
        &["# CONFIG_GZIP is not set"],
    )]
    #[case::choice_default(
        "# CONFIG_GZIP is not set",
        "CONFIG_GZIP=y\n",
        "is the selected member of a choice unless another one is set: LZ4",
        &[],
    )]
    #[case::range(
        "CONFIG_NR=9",
        "CONFIG_X86=y\nCONFIG_MOST=8\nCONFIG_NR=8\n",
        "is a number from 1 to 8",
        &[],
    )]
    #[case::a_number("CONFIG_NR=y", "", "is a number", &[])]
    #[case::a_text("CONFIG_NAME=y", "", "is a string in double quotes", &[])]
    #[case::a_bool("CONFIG_AUDIT=m", "CONFIG_AUDIT=y\n", "is y or not set", &[])]
    #[case::no_modules("CONFIG_KVM=m", "CONFIG_KVM=y\n", "needs MODULES", &["CONFIG_MODULES=y"])]
    #[case::renamed("CONFIG_OLD=y", "", "was renamed to NEW", &["CONFIG_NEW=y"])]
    #[case::unknown(
        "CONFIG_AUDIT=y",
        "",
        "was left out for a reason that its Kconfig files do not show",
        &[],
    )]
    fn the_reason_comes_with_the_lines_that_would_help(
        #[case] request: &str,
        #[case] config: &str,
        #[case] reason: &str,
        #[case] cure: &[&str],
    ) {
        let (found, lines) = reason_of(request, config);
        assert_eq!(found, reason);
        assert_eq!(lines, cure);
    }

    #[test]
    fn options_that_need_each_other_do_not_loop() {
        let (_folder, tree) = tree(&[(
            "Kconfig",
            "config A\n\tbool \"a\"\n\tdepends on B\nconfig B\n\tbool \"b\"\n\tdepends on A\n",
        )]);
        let fragment = Fragment::parse("own", "CONFIG_A=y").unwrap();
        let none = MergedRequests::default();
        let reason = Reason::find(&fragment.requests[0], &none, &tree, &Config::default());
        assert_eq!(reason.to_string(), "needs B (which needs A, which needs B)");
    }
}
