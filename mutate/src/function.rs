//! A function under mutation: its syntax tree, and short questions about nodes.

use std::ops::Range;

use tree_sitter::{Node, Parser, Tree};

use crate::source::{Definition, SourceFile};
use crate::{Error, scan};

/// The kind of value that a function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returns {
    Nothing,
    /// A `bool`, true for success.
    Truth,
    /// A number, 0 for success.
    Number,
    /// A pointer or a structure.
    Other,
}

/// A function under mutation.
pub(crate) struct Function<'a> {
    pub(crate) file: &'a SourceFile<'a>,
    pub(crate) name: &'a str,
    pub(crate) returns: Returns,
    header: &'a str,
    body: Range<usize>,
}

impl<'a> Function<'a> {
    pub(crate) fn new(file: &'a SourceFile<'a>, definition: &'a Definition) -> Self {
        let header = &file.bare()[definition.header.clone()];
        Self {
            file,
            name: &definition.name,
            returns: returns(header, &definition.name),
            header,
            body: definition.body.clone(),
        }
    }

    /// The tree of the body. Offsets in it start at the body's brace: see [`Self::range`].
    pub(crate) fn parse(&self) -> Result<Tree, Error> {
        let unparsable = || Error::Unparsable {
            file: self.file.path().to_owned(),
            function: self.name.to_owned(),
        };
        let mut parser = Parser::new();
        parser.set_language(&tree_sitter_c::LANGUAGE.into()).map_err(|_| unparsable())?;
        let tree = parser.parse(&self.file.parsed()[self.body.clone()], None);
        tree.filter(|tree| block(tree).is_some()).ok_or_else(unparsable)
    }

    /// The range of the node in the file.
    pub(crate) fn range(&self, node: Node<'_>) -> Range<usize> {
        let range = node.byte_range();
        self.body.start + range.start..self.body.start + range.end
    }

    /// The text of the node in the file, without comments.
    pub(crate) fn text(&self, node: Node<'_>) -> &'a str {
        &self.file.code()[self.range(node)]
    }

    /// From the return type to the parameters.
    pub(crate) fn header(&self) -> &'a str {
        self.header
    }

    pub(crate) fn body(&self) -> &'a str {
        &self.file.bare()[self.body.clone()]
    }

    /// The name of the function that a call calls.
    pub(crate) fn callee(&self, node: Node<'_>) -> Option<&'a str> {
        let function = field(node, "function").filter(|_| node.kind() == "call_expression")?;
        (function.kind() == "identifier").then(|| self.text(function))
    }

    /// Parameters and local variables that are pointers to `structure`.
    pub(crate) fn pointers(&self, structure: &str) -> Vec<&'a str> {
        let mut found = Vec::new();
        for text in [self.header, self.body()] {
            for (at, word) in scan::words(text) {
                if word != structure || !text[..at].trim_end().ends_with("struct") {
                    continue;
                }
                let rest = &text[at + word.len()..];
                let declared = &rest[..rest.find([';', ')', '{']).unwrap_or(rest.len())];
                // One parameter, or all variables of a declaration.
                for (n, declarator) in declared.split(',').enumerate() {
                    let name = declarator.split('=').next().unwrap_or_default().trim();
                    let Some(name) = name.strip_prefix('*') else { break };
                    let name = name.trim_start_matches("const ").trim();
                    let plain = !name.is_empty() && name.bytes().all(scan::is_word);
                    if plain && !found.contains(&name) {
                        found.push(name);
                    }
                    if n == 0 && !plain {
                        break;
                    }
                }
            }
        }
        found
    }
}

/// The block that is the body.
pub(crate) fn block(tree: &Tree) -> Option<Node<'_>> {
    let root = tree.root_node();
    children(root).into_iter().find(|node| node.kind() == "compound_statement")
}

fn returns(header: &str, name: &str) -> Returns {
    if header.contains("SYSCALL_DEFINE") {
        return Returns::Number;
    }
    let at = scan::words(header).find(|(_, word)| *word == name).map_or(0, |(at, _)| at);
    let kind = &header[..at];
    let has = |word: &str| scan::words(kind).any(|(_, w)| w == word);
    if kind.contains('*') || has("struct") {
        Returns::Other
    } else if has("void") {
        Returns::Nothing
    } else if has("bool") {
        Returns::Truth
    } else {
        Returns::Number
    }
}

/// The named children.
pub(crate) fn children(node: Node<'_>) -> Vec<Node<'_>> {
    node.named_children(&mut node.walk()).collect()
}

pub(crate) fn field<'t>(node: Node<'t>, name: &str) -> Option<Node<'t>> {
    node.child_by_field_name(name)
}

/// `node` and the nodes that contain it, from the inside out.
pub(crate) fn ancestors(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    std::iter::successors(Some(node), |node| node.parent())
}

/// `node` and all nodes in it, in the order of the source.
pub(crate) fn descendants(node: Node<'_>) -> Vec<Node<'_>> {
    let mut found = Vec::new();
    let mut left = vec![node];
    while let Some(node) = left.pop() {
        found.push(node);
        left.extend(children(node).into_iter().rev());
    }
    found
}

/// The operator of a unary, binary or assignment expression.
pub(crate) fn operator(node: Node<'_>) -> &str {
    field(node, "operator").map_or("", |operator| operator.kind())
}

/// The arguments of a call.
pub(crate) fn arguments(call: Node<'_>) -> Vec<Node<'_>> {
    field(call, "arguments").map(children).unwrap_or_default()
}

/// True for a statement or a declaration.
pub(crate) fn is_statement(node: Node<'_>) -> bool {
    node.kind().ends_with("_statement") || node.kind() == "declaration"
}

/// The statement that contains `node`.
pub(crate) fn statement(node: Node<'_>) -> Option<Node<'_>> {
    ancestors(node).find(|node| is_statement(*node))
}

/// True if the statement is one of a list of statements, not the only branch of an `if`.
pub(crate) fn in_list(node: Node<'_>) -> bool {
    node.parent().is_some_and(|p| matches!(p.kind(), "compound_statement" | "case_statement"))
}

/// The condition of an `if`, without its parentheses.
pub(crate) fn condition(node: Node<'_>) -> Option<Node<'_>> {
    let parenthesized = field(node, "condition").filter(|_| node.kind() == "if_statement")?;
    children(parenthesized).into_iter().next()
}

impl Function<'_> {
    /// The expression inside parentheses, `likely()` and `unlikely()`.
    pub(crate) fn core<'t>(&self, node: Node<'t>) -> Node<'t> {
        let inner = match node.kind() {
            "parenthesized_expression" => children(node).into_iter().next(),
            "call_expression" if matches!(self.callee(node), Some("likely" | "unlikely")) => {
                arguments(node).into_iter().next()
            }
            _ => None,
        };
        inner.map_or(node, |inner| self.core(inner))
    }
}

/// The body of the function that contains the node.
pub(crate) fn block_of(node: Node<'_>) -> Option<Node<'_>> {
    ancestors(node).filter(|outer| outer.kind() == "compound_statement").last()
}
