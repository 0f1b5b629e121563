//! Reads the parts of a tree's Kconfig files that decide when an option can be set.
//!
//! The parser is lenient: the tree's own `make` has parsed the files before and reports mistakes.

use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use super::definition::{
    DefaultValue, Definition, Dependency, KconfigLocation, KconfigScope, OptionKind, Prompt,
    Select, Tree, ValueRange,
};
use super::expression::{Expression, condition_follows, read_operand};
use super::lines::statements;
use crate::foreign;
use crate::kernel::Arch;

/// The top-level file.
const ROOT: &str = "Kconfig";

/// Maximum depth of includes; the kernel has six levels.
const DEPTH: usize = 32;

/// Maximum number of files; the kernel has fewer than 2000 for an architecture.
const FILES: usize = 20_000;

/// `SRCARCH` of the kernel's Makefile: the architecture's directory in `arch/`.
const ARCH: Arch = Arch::X86_64;

impl Tree {
    /// Reads the options of the kernel tree at this path.
    ///
    /// # Errors
    ///
    /// The top-level Kconfig file cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        std::fs::metadata(root.join(ROOT))?;
        let mut reader = KconfigReader { root, tree: Self::default(), scope: None, files: 0 };
        reader.file(ROOT, 0);
        Ok(reader.tree)
    }
}

struct KconfigReader<'a> {
    root: &'a Path,
    tree: Tree,
    /// The innermost open scope.
    scope: Option<usize>,
    /// Number of files read.
    files: usize,
}

/// The entry that the following attributes belong to.
enum AttributeOwner {
    Option(String, Box<Definition>),
    Scope(usize),
    /// A `comment`, or an unknown entry.
    Nothing,
}

impl KconfigReader<'_> {
    fn file(&mut self, name: &str, depth: usize) {
        let path = Path::new(name);
        let below = path.components().all(|part| matches!(part, Component::Normal(_)));
        if depth > DEPTH || self.files > FILES || !below {
            return;
        }
        self.files += 1;
        let bytes = foreign::read(&self.root.join(path), &foreign::CONFIG);
        let Ok(bytes) = bytes else { return };
        let text = String::from_utf8_lossy(&bytes);
        let file: Arc<str> = name.into();
        let outside = self.scope;
        let mut current = AttributeOwner::Nothing;
        for statement in statements(&text) {
            let text = &*statement.text;
            let end = text.find(|c: char| c.is_whitespace() || matches!(c, '"' | '(' | '\''));
            let (word, rest) = text.split_at(end.unwrap_or(text.len()));
            let rest = rest.trim_start();
            if let Some(next) = self.statement(word, rest, (&file, statement.line), depth) {
                self.keep(std::mem::replace(&mut current, next));
            } else {
                self.attribute(&mut current, word, rest);
            }
        }
        self.keep(current);
        // A file closes the scopes that it opens.
        self.scope = outside;
    }

    fn keep(&mut self, current: AttributeOwner) {
        let AttributeOwner::Option(name, definition) = current else { return };
        let scope = definition.scope;
        self.tree.options.entry(name.clone()).or_default().push(*definition);
        let mut around = scope;
        while let Some(index) = around {
            let Some(scope) = self.tree.scopes.get_mut(index) else { break };
            if scope.choice {
                scope.members.push(name);
                break;
            }
            around = scope.parent;
        }
    }

    /// Handles a statement that begins a new entry; returns the owner of the following attributes.
    /// Returns `None` for an attribute.
    fn statement(
        &mut self,
        word: &str,
        rest: &str,
        (file, line): (&Arc<str>, usize),
        depth: usize,
    ) -> Option<AttributeOwner> {
        Some(match word {
            "config" | "menuconfig" => {
                let name = rest.split_whitespace().next().unwrap_or_default();
                let definition = Definition {
                    location: KconfigLocation { file: Arc::clone(file), line },
                    kind: None,
                    prompt: None,
                    depends: Vec::new(),
                    defaults: Vec::new(),
                    ranges: Vec::new(),
                    scope: self.scope,
                    transitional: false,
                };
                AttributeOwner::Option(name.to_owned(), Box::new(definition))
            }
            "if" => {
                let index = self.open(false);
                let condition = Dependency { text: rest.to_owned(), only_if: None };
                self.tree.scopes[index].depends.push(condition);
                AttributeOwner::Nothing
            }
            "menu" => AttributeOwner::Scope(self.open(false)),
            "choice" => AttributeOwner::Scope(self.open(true)),
            "endif" | "endmenu" | "endchoice" => {
                self.scope = self.scope.and_then(|index| self.tree.scopes[index].parent);
                AttributeOwner::Nothing
            }
            "source" => {
                let name = rest.trim_matches(['"', '\'']);
                let name = name.replace("$(SRCARCH)", ARCH.source_directory());
                self.file(name.strip_prefix("$(srctree)/").unwrap_or(&name), depth + 1);
                AttributeOwner::Nothing
            }
            "mainmenu" | "comment" => AttributeOwner::Nothing,
            _ => return None,
        })
    }

    fn open(&mut self, choice: bool) -> usize {
        let index = self.tree.scopes.len();
        self.tree.scopes.push(KconfigScope {
            parent: self.scope,
            choice,
            depends: Vec::new(),
            visible: Vec::new(),
            members: Vec::new(),
        });
        self.scope = Some(index);
        index
    }

    fn attribute(&mut self, current: &mut AttributeOwner, word: &str, rest: &str) {
        match current {
            AttributeOwner::Nothing => {}
            AttributeOwner::Scope(index) => {
                let Some(scope) = self.tree.scopes.get_mut(*index) else { return };
                match word {
                    "depends" => scope.depends.extend(depends(rest)),
                    "visible" => scope.visible.extend(only_if(rest).map(demanded)),
                    // The prompt of a choice.
                    "prompt" | "bool" | "tristate" => {
                        scope
                            .visible
                            .extend(prompt(rest).and_then(|own| own.only_if).map(demanded));
                    }
                    _ => {}
                }
            }
            AttributeOwner::Option(name, definition) => match word {
                "select" | "imply" => {
                    let (target, rest) = split_word(rest);
                    let select = Select {
                        by: name.clone(),
                        only_if: only_if(rest),
                        implied: word == "imply",
                    };
                    self.tree.selects.entry(target.to_owned()).or_default().push(select);
                }
                _ => definition.attribute(word, rest),
            },
        }
    }
}

impl Definition {
    fn attribute(&mut self, word: &str, rest: &str) {
        let kind = match word.strip_prefix("def_").unwrap_or(word) {
            "bool" | "boolean" => Some(OptionKind::Bool),
            "tristate" => Some(OptionKind::Tristate),
            "int" => Some(OptionKind::Int),
            "hex" => Some(OptionKind::Hex),
            "string" => Some(OptionKind::Text),
            _ => None,
        };
        match (kind, word) {
            (Some(_), _) if word.starts_with("def_") => {
                self.kind = kind;
                self.defaults.extend(default(rest));
            }
            (Some(_), _) => {
                self.kind = kind;
                self.prompt = prompt(rest).or(self.prompt.take());
            }
            (None, "prompt") => self.prompt = prompt(rest),
            (None, "depends") => self.depends.extend(depends(rest)),
            (None, "default") => self.defaults.extend(default(rest)),
            (None, "range") => self.ranges.extend(range(rest)),
            (None, "transitional") => self.transitional = true,
            (None, _) => {}
        }
    }
}

/// `"Text" [if CONDITION]`
fn prompt(rest: &str) -> Option<Prompt> {
    if !rest.starts_with(['"', '\'']) {
        return None;
    }
    let (_, length) = read_operand(rest)?;
    Some(Prompt { only_if: only_if(&rest[length..]) })
}

/// `on CONDITION [if CONDITION]`
fn depends(rest: &str) -> Option<Dependency> {
    let text = rest.strip_prefix("on")?;
    let (_, behind) = Expression::parse(text)?;
    let own = text.strip_suffix(behind)?.trim();
    Some(Dependency { text: own.to_owned(), only_if: only_if(behind) })
}

/// `VALUE [if CONDITION]`
fn default(rest: &str) -> Option<DefaultValue> {
    let (_, behind) = Expression::parse(rest)?;
    let value = rest.strip_suffix(behind)?.trim();
    Some(DefaultValue { value: value.to_owned(), only_if: only_if(behind) })
}

/// `LOW HIGH [if CONDITION]`
fn range(rest: &str) -> Option<ValueRange> {
    let (low, rest) = split_word(rest);
    let (high, rest) = split_word(rest);
    let range = ValueRange { low: low.to_owned(), high: high.to_owned(), only_if: only_if(rest) };
    (!high.is_empty()).then_some(range)
}

/// The condition after `if`, if the text begins with it.
fn only_if(rest: &str) -> Option<String> {
    let rest = rest.trim();
    condition_follows(rest).then(|| rest["if".len()..].trim().to_owned())
}

fn demanded(text: String) -> Dependency {
    Dependency { text, only_if: None }
}

fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kbuild::kconfig::fixture::tree;

    #[test]
    fn conditions_include_those_of_enclosing_scopes() {
        let (_folder, tree) = tree(&[
            (
                "Kconfig",
                "mainmenu \"Linux\"\nsource \"net/Kconfig\"\nsource \"arch/$(SRCARCH)/Kconfig\"\n\
                 source \"gone/Kconfig\"\nconfig LAST\n\tbool \"last\"\n",
            ),
            (
                "net/Kconfig",
                "menu \"Networking\"\n\tdepends on MMU\n\tvisible if EXPERT\nif NET # all\n\
                 config INET\n\tbool \"ip\" if NAMES\n\tdepends on A || \\\n\t\tB\n\
                 \tselect CRC if C\n\timply D\n\thelp\n\t  bool \"no\"\nendif\nendmenu\n",
            ),
            ("arch/x86/Kconfig", "config NR\n\tint \"number\"\n\trange 1 8 if SMP\n\tdefault 4\n"),
        ]);
        let [inet] = tree.definitions("INET") else { panic!() };
        let shown =
            |all: Vec<Expression>| all.iter().map(Expression::to_string).collect::<Vec<_>>();
        assert_eq!(shown(tree.depends(inet).collect()), ["A || B", "NET", "MMU"]);
        assert_eq!(shown(tree.visible_if(inet).collect()), ["NAMES", "EXPERT"]);
        assert_eq!(inet.location.to_string(), "net/Kconfig:5");
        assert_eq!(tree.selects("CRC")[0].by, "INET");
        assert!(tree.selects("D")[0].implied);
        let [last] = tree.definitions("LAST") else { panic!() };
        assert_eq!(shown(tree.depends(last).collect()), [""; 0]);
        let [number] = tree.definitions("NR") else { panic!() };
        assert_eq!((number.kind, &*number.ranges[0].high), (Some(OptionKind::Int), "8"));
    }

    #[test]
    fn a_choice_knows_its_members() {
        let (_folder, tree) = tree(&[(
            "Kconfig",
            "choice\n\tprompt \"Compression\" if EXPERT\n\tdefault GZIP\n\tdepends on X86\n\
             config GZIP\n\tbool \"gzip\"\nif HAVE_LZ4\nconfig LZ4\n\tbool \"lz4\"\nendif\n\
             endchoice\nconfig OTHER\n\tbool \"other\"\n",
        )]);
        let choice = |name: &str| tree.choice_of(&tree.definitions(name)[0]);
        assert_eq!(choice("LZ4").unwrap().members, ["GZIP", "LZ4"]);
        assert!(choice("OTHER").is_none());
        let lz4 = &tree.definitions("LZ4")[0];
        let depends: Vec<_> = tree.depends(lz4).map(|own| own.to_string()).collect();
        assert_eq!(depends, ["HAVE_LZ4", "X86"]);
        let visible: Vec<_> = tree.visible_if(lz4).map(|own| own.to_string()).collect();
        assert_eq!(visible, ["EXPERT"]);
    }

    #[test]
    fn a_dependency_may_have_a_condition() {
        let (_folder, tree) =
            tree(&[("Kconfig", "config A\n\tbool \"a\"\n\tdepends on B if C && D\n")]);
        let own = tree.depends(&tree.definitions("A")[0]).next().unwrap();
        assert_eq!(own.to_string(), "B || !(C && D)");
    }

    #[test]
    fn an_option_without_a_prompt_has_none() {
        let (_folder, tree) = tree(&[(
            "Kconfig",
            "config A\n\tbool\nconfig B\n\tdef_bool y if C\nconfig D\n\ttristate\n\tprompt \"d\"\n\
             config E\n\tbool\n\ttransitional\n",
        )]);
        let own = |name: &str| &tree.definitions(name)[0];
        assert!(own("A").prompt.is_none() && own("B").prompt.is_none());
        assert!(own("D").prompt.is_some());
        assert_eq!(own("D").kind, Some(OptionKind::Tristate));
        assert_eq!(own("B").defaults[0].only_if.as_deref(), Some("C"));
        assert!(own("E").transitional && !own("A").transitional);
    }

    #[test]
    fn recursive_includes_and_unclosed_scopes_do_no_harm() {
        let (_folder, tree) = tree(&[
            ("Kconfig", "source \"a\"\nsource \"../Kconfig\"\nendif\nconfig B\n\tbool \"b\"\n"),
            ("a", "if X\nmenu \"a\"\nsource \"a\"\nsource \"a\"\nconfig A\n\tbool \"\u{1b}[2J"),
        ]);
        assert!(!tree.definitions("A").is_empty());
        assert_eq!(tree.depends(&tree.definitions("B")[0]).count(), 0);
    }

    #[test]
    fn a_folder_without_kconfig_is_not_a_kernel_tree() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Tree::read(folder.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    #[ignore = "needs the package registry and 2 GB"]
    fn a_real_tree_is_read() {
        let source = super::super::fixture::real_tree();
        let tree = Tree::read(source.directory()).unwrap();
        assert!(tree.options.len() > 10_000, "{}", tree.options.len());
        let unread: Vec<_> = tree
            .options
            .values()
            .flatten()
            .flat_map(|own| &own.depends)
            .chain(tree.scopes.iter().flat_map(|scope| scope.depends.iter().chain(&scope.visible)))
            .filter(|condition| condition.expression().is_none())
            .collect();
        assert!(unread.is_empty(), "{unread:?}");
        let untyped: Vec<_> = tree
            .options
            .iter()
            .filter(|(_, all)| all.iter().all(|own| own.kind.is_none()))
            .collect();
        assert!(untyped.is_empty(), "{untyped:?}");
    }
}
