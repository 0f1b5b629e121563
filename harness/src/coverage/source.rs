//! Finds calls that decide who may use perf in a kernel's source.
//!
//! Kernel style is regular enough to do without a compiler. A function header precedes a brace that
//! opens at the outermost level. A closing brace in the first column ends the function, even where
//! conditional compilation unbalances the braces.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::foreign;

/// A call that decides who may use perf.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallSite {
    /// Path of the file in the tree.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// The function that contains it.
    pub function: String,
    /// The called function: `perf_allow_kernel`, `capable(CAP_PERFMON)`.
    pub call: String,
}

/// An error from reading a source tree.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A file or directory cannot be read.
    #[error("read {path}", path = .path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// The error from the operating system.
        source: io::Error,
    },
    /// The tree is not a kernel's.
    #[error("find a kernel's source in {path}: it has no kernel/events", path = .path.display())]
    NotAKernel {
        /// The directory.
        path: PathBuf,
    },
}

/// Directories that can contain such calls.
const DIRECTORIES: [&str; 10] =
    ["kernel", "security", "fs", "mm", "net", "block", "io_uring", "include", "arch", "drivers"];

/// Calls that decide: checks of CAP_PERFMON, and functions that exist for perf alone.
static CALLS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)\b(?:
            (?<plain> perfmon_capable | perf_allow_(?:kernel|cpu|tracepoint)
                | bpf_allow_ptr_leaks | bpf_allow_uninit_stack | bpf_allow_ptr_to_map_access
                | bpf_bypass_spec_v[14] )\s*\(
            | (?<hook> security_perf_event_(?:open|alloc|read|write) )\s*\(
                (?: [^();]* PERF_SECURITY_(?<kind> \w+ ) )?
            | (?<capable> (?:file_ns_|ns_|bpf_ns_|bpf_token_)?capable(?:_noaudit)? )\s*\(
                [^;{}]*? \bCAP_PERFMON\b
        )",
    )
    .expect("a constant")
});

/// Helpers: a call inside one of these counts for its callers.
const HELPERS: [&str; 12] = [
    "perfmon_capable",
    "perf_allow_kernel",
    "perf_allow_cpu",
    "perf_allow_tracepoint",
    "bpf_allow_ptr_leaks",
    "bpf_allow_uninit_stack",
    "bpf_allow_ptr_to_map_access",
    "bpf_bypass_spec_v1",
    "bpf_bypass_spec_v4",
    "security_perf_event_open",
    "security_perf_event_read",
    "security_perf_event_write",
];

/// Finds all such calls in a tree.
///
/// # Errors
///
/// If the tree is not a kernel's, or a file cannot be read.
pub fn scan(tree: &Path) -> Result<Vec<CallSite>, ScanError> {
    if !tree.join("kernel/events").is_dir() {
        return Err(ScanError::NotAKernel { path: tree.to_owned() });
    }
    let mut sites = Vec::new();
    for directory in DIRECTORIES.map(|name| tree.join(name)).iter().filter(|path| path.is_dir()) {
        walk(directory, &mut |path| {
            let bytes = foreign::read(path, &foreign::SOURCE_FILE)
                .map_err(|source| ScanError::Read { path: path.to_owned(), source })?;
            if mentions(&bytes) {
                let file = path.strip_prefix(tree).unwrap_or(path);
                sites.extend(calls(file, &String::from_utf8_lossy(&bytes)));
            }
            Ok(())
        })?;
    }
    sites.sort();
    Ok(sites)
}

fn walk(
    directory: &Path,
    each: &mut impl FnMut(&Path) -> Result<(), ScanError>,
) -> Result<(), ScanError> {
    let error = |source| ScanError::Read { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(error)? {
        let entry = entry.map_err(error)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(error)?);
        if kind.is_dir() {
            walk(&path, each)?;
        } else if kind.is_file() && path.extension().is_some_and(|end| end == "c" || end == "h") {
            each(&path)?;
        }
    }
    Ok(())
}

/// A fast check that most files fail, to avoid parsing them.
fn mentions(text: &[u8]) -> bool {
    [
        "perfmon_capable",
        "perf_allow_",
        "security_perf_event_",
        "CAP_PERFMON",
        "bpf_allow_",
        "bpf_bypass_",
    ]
    .iter()
    .any(|word| memchr::memmem::find(text, word.as_bytes()).is_some())
}

/// The call sites in one file.
fn calls(file: &Path, text: &str) -> Vec<CallSite> {
    let code = blank_non_code(text);
    let functions = functions(&code);
    let mut sites = Vec::new();
    for found in CALLS.captures_iter(&code) {
        let Some(whole) = found.get(0) else { continue };
        let around =
            functions.iter().find(|(_, start, end)| (*start..*end).contains(&whole.start()));
        // Outside of functions there are only declarations and macros.
        let Some((function, ..)) = around else { continue };
        if HELPERS.contains(&function.as_str()) {
            continue;
        }
        let name = |group: &str| found.name(group).map(|name| name.as_str());
        let call = match (name("plain"), name("hook"), name("capable")) {
            (Some(plain), ..) => plain.to_owned(),
            (_, Some(hook), _) => match name("kind") {
                Some(kind) => format!("{hook}({kind})"),
                None => hook.to_owned(),
            },
            (.., Some(capable)) => format!("{capable}(CAP_PERFMON)"),
            _ => continue,
        };
        let line = code[..whole.start()].matches('\n').count() + 1;
        let (file, function) = (file.to_owned(), function.clone());
        sites.push(CallSite { file, line, function, call });
    }
    sites
}

/// Replaces comments, strings and preprocessor lines with blanks; offsets do not change.
fn blank_non_code(text: &str) -> String {
    #[derive(PartialEq)]
    enum State {
        Code,
        Line,
        Block,
        Quoted(u8),
        Directive,
    }
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let (mut state, mut at, mut line_is_blank) = (State::Code, 0, true);
    while let Some(&byte) = bytes.get(at) {
        let next = bytes.get(at + 1).copied().unwrap_or(b'\n');
        let mut length = 1;
        let mut keep = false;
        match state {
            State::Code => match (byte, next) {
                (b'/', b'/') => state = State::Line,
                (b'/', b'*') => (state, length) = (State::Block, 2),
                (b'"' | b'\'', _) => state = State::Quoted(byte),
                (b'#', _) if line_is_blank => state = State::Directive,
                _ => keep = true,
            },
            State::Line if byte == b'\n' => state = State::Code,
            State::Block if (byte, next) == (b'*', b'/') => (state, length) = (State::Code, 2),
            // A backslash escapes a quote, or continues a line.
            State::Quoted(_) | State::Directive | State::Line if byte == b'\\' => length = 2,
            State::Directive if (byte, next) == (b'/', b'*') => (state, length) = (State::Block, 2),
            State::Directive if byte == b'\n' => state = State::Code,
            State::Quoted(quote) if byte == quote || byte == b'\n' => state = State::Code,
            State::Line | State::Block | State::Quoted(_) | State::Directive => {}
        }
        for index in at..(at + length).min(bytes.len()) {
            let is_newline = bytes[index] == b'\n';
            if is_newline {
                line_is_blank = true;
            } else if !bytes[index].is_ascii_whitespace() {
                line_is_blank = false;
            }
            if !keep && !is_newline {
                out[index] = b' ';
            }
        }
        at += length;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The functions, each with the offsets of the braces around its body.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let bytes = code.as_bytes();
    let mut found: Vec<(String, usize, usize)> = Vec::new();
    let (mut depth, mut header, mut open) = (0_usize, 0, None);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' => {
                if depth == 0 {
                    open = name(&code[header..at]).map(|name| (name, at));
                }
                depth += 1;
            }
            b'}' => {
                let in_first_column = at == 0 || bytes.get(at - 1) == Some(&b'\n');
                depth = if in_first_column { 0 } else { depth.saturating_sub(1) };
                if depth == 0 {
                    if let Some((name, start)) = open.take() {
                        found.push((name, start, at));
                    }
                    header = at + 1;
                }
            }
            b';' if depth == 0 => header = at + 1,
            _ => {}
        }
    }
    found
}

/// The name of the function in a header: `static int f(void)`, `SYSCALL_DEFINE1(f, …)`.
fn name(header: &str) -> Option<String> {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(\w+)\s*\(\s*(\w*)").expect("a constant"));
    let header = last_paragraph(header);
    // An initialiser, not a body.
    if header.contains('=') {
        return None;
    }
    let is_attribute = |name: &str| name.starts_with("__") && !name.starts_with("__x64");
    let mut names = NAME.captures_iter(header).map(|found| {
        let (_, [function, argument]) = found.extract();
        let is_macro = function.chars().all(|c| !c.is_lowercase());
        if is_macro && !argument.is_empty() { argument } else { function }.to_owned()
    });
    let first = names.next()?;
    // `__printf(1, 2) f(…)`, `__must_hold(&lock) f(…)`; but `__do_it(…)` alone is a function.
    if is_attribute(&first) { Some(names.next().unwrap_or(first)) } else { Some(first) }
}

/// The header after its last empty line outside of parentheses. Macros without a semicolon may
/// precede it.
fn last_paragraph(header: &str) -> &str {
    let header = header.trim_end();
    let (mut depth, mut start, mut at) = (0_i32, 0, 0);
    for line in header.split_inclusive('\n') {
        at += line.len();
        if line.trim().is_empty() && depth <= 0 {
            start = at;
        }
        depth += line.matches('(').count() as i32 - line.matches(')').count() as i32;
    }
    &header[start..]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn found(text: &str) -> Vec<(usize, String, String)> {
        let sites = calls(Path::new("a.c"), text);
        sites.into_iter().map(|site| (site.line, site.function, site.call)).collect()
    }

    #[rstest]
    #[case::a_system_call(
        "SYSCALL_DEFINE5(perf_event_open,\n\t\tpid_t, pid)\n{\n\tif (x) {\n\t\t\
         err = perf_allow_kernel();\n\t}\n}\n",
        5,
        "perf_event_open",
        "perf_allow_kernel"
    )]
    #[case::a_hook(
        "static int f(void)\n{\n\terr = security_perf_event_open(&attr,\n\t\t\
         PERF_SECURITY_OPEN);\n}\n",
        3,
        "f",
        "security_perf_event_open(OPEN)"
    )]
    #[case::a_capability(
        "bool f(struct x *y)\n{\n\treturn bpf_token_capable(y->token, CAP_PERFMON);\n}\n",
        3,
        "f",
        "bpf_token_capable(CAP_PERFMON)"
    )]
    #[case::with_a_call_in_its_arguments(
        "int f(void)\n{\n\tif (ns_capable(ns_of(task), CAP_PERFMON))\n\t\treturn 1;\n}\n",
        3,
        "f",
        "ns_capable(CAP_PERFMON)"
    )]
    #[case::in_one_line(
        "static inline bool f(void) { return perfmon_capable(); }\n",
        1,
        "f",
        "perfmon_capable"
    )]
    #[case::with_an_attribute(
        "static __printf(1, 2) int f(char *s)\n{\n\tperfmon_capable();\n}\n",
        3,
        "f",
        "perfmon_capable"
    )]
    #[case::after_an_initialiser(
        "struct ops o = { .f = g(1) };\nint f(void)\n{\n\tperfmon_capable();\n}\n",
        4,
        "f",
        "perfmon_capable"
    )]
    #[case::after_branches_of_conditional_compilation(
        "int g(void)\n{\n#ifdef A\n\tif (a) {\n#else\n\tif (b) {\n#endif\n\t}\n}\n\
         int f(void)\n{\n\tperfmon_capable();\n}\n",
        12,
        "f",
        "perfmon_capable"
    )]
    #[case::after_a_macro_without_a_semicolon(
        "BTF_ID_LIST(g, func)\n\n/* why */\nstatic int f(int a,\n\t\t/* b */\n\t\tint b)\n{\n\t\
         perfmon_capable();\n}\n",
        8,
        "f",
        "perfmon_capable"
    )]
    #[case::behind_a_macro_of_many_lines(
        "#define A(x) do { \\\n\tx(); \\\n\tif (\"'\") {\n\
         int f(void)\n{\n\tperfmon_capable();\n}\n",
        6,
        "f",
        "perfmon_capable"
    )]
    fn a_call_is_found_in_its_function(
        #[case] text: &str,
        #[case] line: usize,
        #[case] function: &str,
        #[case] call: &str,
    ) {
        assert_eq!(found(text), [(line, function.to_owned(), call.to_owned())]);
    }

    #[rstest]
    #[case::a_comment(
        "int f(void)\n{\n\t/* perfmon_capable() */ // perf_allow_cpu()\n\treturn 0;\n}\n"
    )]
    #[case::a_string("int f(void)\n{\n\tprint(\"perfmon_capable(\\\") {\");\n}\n")]
    #[case::a_declaration("extern int perf_allow_kernel(void);\n")]
    #[case::a_helper(
        "static inline bool perfmon_capable(void)\n{\n\treturn capable(CAP_PERFMON) || \
         capable(CAP_SYS_ADMIN);\n}\n"
    )]
    #[case::another_capability(
        "int f(void)\n{\n\treturn capable(CAP_SYS_ADMIN);\n}\nint g = CAP_PERFMON;\n"
    )]
    fn other_text_is_not_a_call(#[case] text: &str) {
        assert_eq!(found(text), []);
    }

    #[test]
    fn only_the_directories_of_a_kernel_are_searched() {
        let tree = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "int f(void)\n{\n\tperfmon_capable();\n}\n").unwrap();
        };
        write("tools/perf/a.c");
        assert!(matches!(scan(tree.path()), Err(ScanError::NotAKernel { .. })));
        write("kernel/events/core.c");
        write("drivers/gpu/x.c");
        write("drivers/gpu/x.txt");
        let files: Vec<_> = scan(tree.path()).unwrap().into_iter().map(|site| site.file).collect();
        assert_eq!(files, ["drivers/gpu/x.c", "kernel/events/core.c"].map(PathBuf::from));
    }
}
