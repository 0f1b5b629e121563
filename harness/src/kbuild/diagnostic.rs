//! Finds errors and warnings in a build log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest message, in characters; longer ones are truncated.
const LONGEST: usize = 500;

/// An error or a warning, with its location.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// The source file, relative to the top of the tree, if the message has one.
    pub file: Option<String>,
    /// Line in the file, from 1.
    pub line: Option<usize>,
    /// The message, in one line.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            f.write_str(file)?;
            self.line.iter().try_for_each(|line| write!(f, ":{line}"))?;
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

/// Warnings by the object whose compilation caused them.
pub(super) type WarningsByObject = BTreeMap<String, BTreeSet<Diagnostic>>;

/// Reads a build log line by line.
#[derive(Debug)]
pub(super) struct LogReader {
    /// The two spellings of the tree's directory in messages, with a trailing slash.
    tops: [String; 2],
    /// The last object that make announced.
    object: Option<String>,
    /// All compiled objects, with their warnings.
    pub(super) compiled: WarningsByObject,
    /// The first error of each rank.
    errors: BTreeMap<ErrorRank, Diagnostic>,
    /// Every place that the compiler's errors name: that of the error, and those of the macros
    /// that it is in.
    pub(super) places: Vec<Diagnostic>,
    /// The error that the next notes explain.
    explained: Option<String>,
    /// The last line that is not from make: a failing program prints its reason just before make
    /// reports the failure.
    last: String,
    /// True if the disk was full.
    pub(super) full: bool,
}

/// The source of an error, most specific first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ErrorRank {
    Compiler,
    Linker,
    Make,
}

/// A diagnostic of GCC or Clang: `kernel/a.c:12:3: error: words`.
static WITH_LOCATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^(?P<file>[^\s:]+):(?P<line>\d+):(?:\d+:)? ",
        r"(?P<kind>fatal error|error|warning|note): (?P<text>.*)$",
    ))
    .expect("a valid expression")
});

/// An error of a compiler, a linker or a script without a line.
static WITHOUT_LOCATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^(?:[\w./+-]*(?:gcc|clang|cc1|as|ld|ld\.lld|objtool)(?:-[\d.]+)?: ",
        r"(?:fatal )?error: .*|ERROR: .*|error: .*)$",
    ))
    .expect("a valid expression")
});

/// An error of GNU ld or lld about a symbol.
static SYMBOL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?P<text>(?:undefined reference to|undefined symbol:|",
        r"multiple definition of|duplicate symbol:) .*)$",
    ))
    .expect("a valid expression")
});

/// An error of kconfig or make.
static STOPPED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^(?:make(?:\[\d+\])?: \*\*\* (?P<make>.*)|",
        r"(?P<file>\S*Kconfig\S*):(?P<line>\d+): ?(?P<text>.*))$",
    ))
    .expect("a valid expression")
});

/// `  CC      kernel/a.o`
static COMPILES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^  (?:CC|AS)(?: \[M\])? +(?P<object>\S+)$").expect("a valid expression")
});

impl LogReader {
    /// A reader for a tree with this absolute path, and this path relative to the build directory.
    pub(super) fn new(absolute: &str, relative: &str) -> Self {
        let tops = [absolute, relative].map(|top| format!("{}/", top.trim_end_matches('/')));
        Self {
            tops,
            object: None,
            compiled: WarningsByObject::new(),
            errors: BTreeMap::new(),
            places: Vec::new(),
            explained: None,
            last: String::new(),
            full: false,
        }
    }

    /// Reads a line; returns true if it announces an object. With `make --output-sync=target`, the
    /// compiler's messages follow that line.
    pub(super) fn read(&mut self, line: &str) -> bool {
        if let Some(found) = COMPILES.captures(line) {
            let object = found["object"].to_owned();
            self.compiled.entry(object.clone()).or_default();
            self.object = Some(object);
            return true;
        }
        self.full |= line.contains("No space left on device");
        if let Some(found) = WITH_LOCATION.captures(line) {
            let said =
                self.diagnostic(Some(&found["file"]), found["line"].parse().ok(), &found["text"]);
            match &found["kind"] {
                "warning" => {
                    let object = self.object.clone().unwrap_or_default();
                    self.compiled.entry(object).or_default().insert(said);
                    self.explained = None;
                }
                "note" => {
                    let place =
                        self.explained.clone().map(|message| Diagnostic { message, ..said });
                    self.places.extend(place);
                }
                _ => {
                    self.explained = Some(said.message.clone());
                    self.places.push(said.clone());
                    self.fail(ErrorRank::Compiler, said);
                }
            }
        } else if let Some(found) = SYMBOL.captures(line) {
            let said = self.diagnostic(None, None, &found["text"]);
            self.fail(ErrorRank::Linker, said);
        } else if WITHOUT_LOCATION.is_match(line) {
            let said = self.diagnostic(None, None, line);
            self.fail(ErrorRank::Linker, said);
        } else if let Some(found) = STOPPED.captures(line) {
            let said = match (found.name("make"), found.name("file")) {
                (Some(text), _) if self.last.is_empty() => {
                    self.diagnostic(None, None, text.as_str())
                }
                (Some(text), _) => {
                    self.diagnostic(None, None, &format!("{} ({})", self.last, text.as_str()))
                }
                (None, Some(file)) => {
                    let text = found.name("text").map_or("", |text| text.as_str());
                    self.diagnostic(Some(file.as_str()), found["line"].parse().ok(), text)
                }
                (None, None) => return false,
            };
            self.fail(ErrorRank::Make, said);
        } else {
            // kbuild's own lines, such as `  LD      vmlinux`, give no reason for a failure.
            self.last = if line.starts_with("  ") { String::new() } else { line.to_owned() };
        }
        false
    }

    /// The first error of the most specific rank.
    pub(super) fn error(&self) -> Option<&Diagnostic> {
        self.errors.values().next()
    }

    fn fail(&mut self, rank: ErrorRank, said: Diagnostic) {
        self.errors.entry(rank).or_insert(said);
    }

    fn diagnostic(&self, file: Option<&str>, line: Option<usize>, text: &str) -> Diagnostic {
        let text = text.trim();
        Diagnostic {
            file: file.map(|file| {
                let below = self.tops.iter().find_map(|top| file.strip_prefix(top.as_str()));
                below.unwrap_or(file).to_owned()
            }),
            line,
            message: text.chars().take(LONGEST).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(log: &str) -> LogReader {
        let mut reader = LogReader::new("/cache/linux", "../linux");
        for line in log.lines() {
            reader.read(line);
        }
        reader
    }

    #[rstest]
    #[case::gcc(
        "  CC      kernel/a.o\n/cache/linux/kernel/a.c: In function 'f':\n\
         /cache/linux/kernel/a.c:12:3: error: 'x' undeclared\n\
         make[3]: *** [/cache/linux/scripts/Makefile.build:250: kernel/a.o] Error 1",
        "kernel/a.c:12: 'x' undeclared"
    )]
    #[case::header(
        "../linux/include/a.h:1:10: fatal error: b.h: No such file or directory",
        "include/a.h:1: b.h: No such file or directory"
    )]
    #[case::linker(
        "ld: kernel/a.o: in function `f':\na.c:(.text+0x5): undefined reference to `g'\n\
         make: *** [Makefile:1: vmlinux] Error 1",
        "undefined reference to `g'"
    )]
    #[case::lld("ld.lld: error: undefined symbol: g", "undefined symbol: g")]
    #[case::killed(
        "gcc: fatal error: Killed signal terminated program cc1",
        "gcc: fatal error: Killed signal terminated program cc1"
    )]
    #[case::modpost(
        "ERROR: modpost: \"g\" [drivers/a.ko] undefined!",
        "ERROR: modpost: \"g\" [drivers/a.ko] undefined!"
    )]
    #[case::no_rule(
        "make[1]: *** No rule to make target 'a.c', needed by 'a.o'.  Stop.",
        "No rule to make target 'a.c', needed by 'a.o'.  Stop."
    )]
    #[case::script(
        "  GEN     a.c\nawk: a.awk: line 1: syntax error\nmake[1]: *** [Makefile:1: a.c] Error 2",
        "awk: a.awk: line 1: syntax error ([Makefile:1: a.c] Error 2)"
    )]
    #[case::silent(
        "  LD      vmlinux\nmake: *** [Makefile:1: vmlinux] Error 1",
        "[Makefile:1: vmlinux] Error 1"
    )]
    #[case::kconfig(
        "init/Kconfig:12: syntax error\nmake[2]: *** [a] Error 1",
        "init/Kconfig:12: syntax error"
    )]
    fn the_first_error_of_the_most_specific_rank_is_found(
        #[case] log: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(read(log).error().map(ToString::to_string).as_deref(), Some(expected));
    }

    #[test]
    fn a_build_without_errors_has_none() {
        let log = "  CC      kernel/error.o\n  LD      vmlinux\n  CC      lib/errname.o";
        assert_eq!(read(log).error(), None);
    }

    #[test]
    fn a_warning_belongs_to_the_object_that_was_compiled() {
        let log = "  CC      kernel/a.o\n\
                   /cache/linux/include/h.h:3:1: warning: unused 'y' [-Wunused]\n  CC      \
                   kernel/b.o";
        let reader = read(log);
        assert!(reader.compiled["kernel/b.o"].is_empty());
        let warning = reader.compiled["kernel/a.o"].first().unwrap();
        assert_eq!(warning.to_string(), "include/h.h:3: unused 'y' [-Wunused]");
    }

    #[test]
    fn an_error_in_a_macro_names_the_places_that_use_it() {
        let reader = read(
            "/cache/linux/include/m.h:7:2: error: void value not ignored\n\
             /cache/linux/kernel/a.c:30:9: note: in expansion of macro 'm'\n\
             /cache/linux/kernel/a.c:31:9: warning: unused\n\
             /cache/linux/kernel/a.c:32:9: note: in expansion of macro 'm'\n\
             /cache/linux/kernel/a.c:40:1: error: expected ';'",
        );
        let places: Vec<_> = reader.places.iter().map(ToString::to_string).collect();
        let ignored = "void value not ignored";
        let expected = [
            format!("include/m.h:7: {ignored}"),
            format!("kernel/a.c:30: {ignored}"),
            "kernel/a.c:40: expected ';'".to_owned(),
        ];
        assert_eq!(places, expected);
    }

    #[test]
    fn a_full_disk_is_noticed() {
        assert!(read("/tmp/a.s: fatal error: error writing to a.o: No space left on device").full);
        assert!(!read("  CC      a.o").full);
    }
}
