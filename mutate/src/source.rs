//! One C file: its functions, and its text in the forms that the operators read.

use std::collections::HashSet;
use std::ops::Range;

use crate::scan::{self, Class};
use crate::{Config, Error, Mutant, annotations, collect, defaults};

/// One C file of a kernel tree.
#[derive(Clone, Debug)]
pub struct SourceFile<'a> {
    path: &'a str,
    text: &'a str,
    /// `text` without comments, directives and code that is not compiled: spaces in their place.
    code: String,
    /// `code` without literals.
    bare: String,
    /// `code` without what is not C for the parser.
    parsed: String,
    definitions: Vec<Definition>,
}

/// The definition of a function.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    /// From the return type to the parameters.
    pub(crate) header: Range<usize>,
    /// With its braces.
    pub(crate) body: Range<usize>,
}

impl<'a> SourceFile<'a> {
    /// Reads the file at `path` below the tree. Code that `config` leaves out is not mutated.
    pub fn new(path: &'a str, text: &'a str, config: &Config) -> Self {
        let classes = scan::classify(text);
        let directives = scan::runs(&classes, Class::Directive);
        let mut code = text.as_bytes().to_vec();
        for class in [Class::Comment, Class::Directive] {
            for run in scan::runs(&classes, class) {
                scan::blank(&mut code, run);
            }
        }
        for range in config.left_out(text, &directives) {
            scan::blank(&mut code, range);
        }
        let mut bare = code.clone();
        for run in scan::runs(&classes, Class::Literal) {
            scan::blank(&mut bare, run);
        }
        let [code, bare] = [code, bare].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let definitions = definitions(&bare, text, &directives);
        let parsed = annotations::hide(&code, &bare);
        Self { path, text, code, bare, parsed, definitions }
    }

    /// The path, as given.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// The text, as given.
    pub fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    pub(crate) fn bare(&self) -> &str {
        &self.bare
    }

    pub(crate) fn parsed(&self) -> &str {
        &self.parsed
    }

    /// The functions that the configured file defines, in the order of the source.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.definitions.iter().map(|definition| definition.name.as_str())
    }

    /// True if the configured file defines `function`. A system call has its own name.
    pub fn defines(&self, function: &str) -> bool {
        self.definitions.iter().any(|definition| definition.name == function)
    }

    /// The mutants of these functions, in the order of the functions and of the source.
    ///
    /// # Errors
    ///
    /// [`Error::Undefined`] names the functions that [`defines`](Self::defines) denies;
    /// [`Error::Unparsable`] the first one whose body is not C.
    pub fn mutants(&self, functions: &[&str]) -> Result<Vec<Mutant>, Error> {
        self.each(
            functions,
            |name| self.defines(name),
            |name| {
                let definitions = self.definitions.iter().filter(|d| d.name == name);
                collect::mutants(self, definitions)
            },
        )
    }

    /// True if the file has a default that is called `name`.
    pub fn has_default(&self, name: &str) -> bool {
        defaults::find(self, name).is_some()
    }

    /// The mutants of defaults: of variables and object-like macros, by their name, and of the
    /// entries of tables, by the string that names them (`perf_event_paranoid` in a `ctl_table`,
    /// `perf_event` in SELinux's table of classes). Each is built alone.
    ///
    /// # Errors
    ///
    /// [`Error::Undefined`] names those that [`has_default`](Self::has_default) denies.
    pub fn defaults(&self, names: &[&str]) -> Result<Vec<Mutant>, Error> {
        self.each(names, |name| self.has_default(name), |name| Ok(defaults::mutants(self, name)))
    }

    fn each(
        &self,
        names: &[&str],
        has: impl Fn(&str) -> bool,
        derive: impl Fn(&str) -> Result<Vec<Mutant>, Error>,
    ) -> Result<Vec<Mutant>, Error> {
        let missing: Vec<_> = names.iter().filter(|name| !has(name)).map(|&n| n.into()).collect();
        if !missing.is_empty() {
            return Err(Error::Undefined { file: self.path.to_owned(), names: missing });
        }
        let mut seen = HashSet::new();
        let mut mutants = Vec::new();
        for name in names.iter().filter(|name| seen.insert(**name)) {
            mutants.extend(derive(name)?);
        }
        Ok(mutants)
    }
}

/// The functions that `bare` defines.
///
/// The braces of alternatives (`#if … #else`) count once, since both can open the same block.
fn definitions(bare: &str, text: &str, directives: &[Range<usize>]) -> Vec<Definition> {
    let mut definitions = Vec::new();
    let mut directives = directives.iter().peekable();
    let mut alternatives = Vec::new();
    let mut depth = 0usize;
    let mut header = 0;
    let mut open: Option<(String, Range<usize>, usize)> = None;
    for (at, byte) in bare.bytes().enumerate() {
        while let Some(directive) = directives.next_if(|directive| directive.start <= at) {
            let line = text[directive.clone()].trim_start_matches(['#', ' ', '\t']);
            if line.starts_with("if") {
                alternatives.push(depth);
            } else if line.starts_with("el") {
                depth = alternatives.last().copied().unwrap_or(depth);
            } else if line.starts_with("endif") {
                alternatives.pop();
            }
        }
        match byte {
            b'{' => {
                if depth == 0 {
                    open = function(&bare[header..at]).map(|name| (name, header..at, at));
                }
                depth += 1;
            }
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    header = at + 1;
                    if let Some((name, header, start)) = open.take() {
                        definitions.push(Definition { name, header, body: start..at + 1 });
                    }
                }
            }
            b';' if depth == 0 => header = at + 1,
            _ => {}
        }
    }
    definitions
}

/// The name of the function that `header` declares, if it declares one.
fn function(header: &str) -> Option<String> {
    if header.trim_end().ends_with('=') {
        return None;
    }
    let mut found = None;
    let mut depth = 0usize;
    let mut word: Option<&str> = None;
    let mut at = 0;
    let bytes = header.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'(' => {
                if let (0, Some(name)) = (depth, word) {
                    let arguments = &header[at + 1..];
                    let call = name.trim_start_matches("COMPAT_").starts_with("SYSCALL_DEFINE");
                    let call = call.then(|| scan::words(arguments).next()).flatten();
                    match call {
                        Some((_, call)) => found = Some(call),
                        None if annotations::is_attribute(name) => {}
                        None => found = Some(name),
                    }
                }
                depth += 1;
                word = None;
                at += 1;
            }
            b')' => {
                depth = depth.saturating_sub(1);
                word = None;
                at += 1;
            }
            byte if scan::is_word(byte) => {
                let length = bytes[at..].iter().take_while(|&&b| scan::is_word(b)).count();
                word = Some(&header[at..at + length]);
                at += length;
            }
            byte => {
                if !byte.is_ascii_whitespace() {
                    word = None;
                }
                at += 1;
            }
        }
    }
    found.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("static int f(struct x *y)", Some("f"))]
    #[case::inline("static inline bool\nf(void)", Some("f"))]
    #[case::system_call("SYSCALL_DEFINE5(open, int, a, int, b)", Some("open"))]
    #[case::compat("COMPAT_SYSCALL_DEFINE1(open, int, a)", Some("open"))]
    #[case::attribute("static int f(int a) __releases(x) __must_hold(&y)", Some("f"))]
    #[case::printf("__printf(2, 3) void f(int a, const char *b, ...)", Some("f"))]
    #[case::callback("void f(void (*g)(int), int a)", Some("f"))]
    #[case::array("static struct x y[] =", None)]
    #[case::declaration("struct x", None)]
    fn a_header_names_its_function(#[case] header: &str, #[case] name: Option<&str>) {
        assert_eq!(function(header).as_deref(), name);
    }

    #[test]
    fn functions_are_found_between_tables_prototypes_and_alternatives() {
        let text = "int f(void);\nstruct t x[] = { { 1 } };\nint f(void)\n{\n#ifdef A\n\tif (a) {\n\
                    #else\n\tif (b) {\n#endif\n\t}\n}\n#ifdef CONFIG_NO\nint g(void) { }\n#endif\n\
                    int h(void) { }\n";
        let file = SourceFile::new("x.c", text, &Config::parse("CONFIG_A=y"));
        assert!(file.defines("f"));
        assert!(!file.defines("g"));
        assert!(file.defines("h"));
        let body = &file.definitions[0].body;
        assert!(text[body.clone()].starts_with("{\n#ifdef A"));
        assert!(text[..body.end].ends_with("\t}\n}"));
    }
}
