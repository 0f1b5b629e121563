//! The comment that begins the C file.

use super::literal::comment;
use super::subject::wrap;
use crate::case::{Case, Coordinates};

/// The comment, and behind it the module of the policy.
pub(super) fn head(
    case: &Case,
    at: &Coordinates,
    kernel: &str,
    assumed: Option<&str>,
    module: &str,
) -> String {
    let mut lines = vec![case.cell_name(at), String::new()];
    add(&mut lines, &case.title, "", "");
    for source in &case.source {
        add(&mut lines, source, "  from ", "       ");
    }
    let command = "  cc -Wall -Werror -o reproducer reproducer.c && ./reproducer    (as root)";
    lines.extend(["", command, ""].map(str::to_owned));
    let ends = format!(
        "returns 0 if the kernel does what is expected of {kernel}, 1 if it does something else, 4 \
         if it cannot be seen here. A policy without the domain needs the module below:"
    );
    add(&mut lines, &ends, "", "");
    let command = "  sed -n '/^(/p' reproducer.c >reproducer.cil && semodule -i reproducer.cil";
    lines.extend(["", command].map(str::to_owned));
    if let Some(unknown) = assumed {
        lines.push(String::new());
        add(&mut lines, &format!("note: {unknown}; this assumes that it has"), "", "");
    }
    let line = |line: &String| format!(" * {}", comment(line)).trim_end().to_owned() + "\n";
    format!("/*\n{} *\n{module} */", lines.iter().map(line).collect::<String>())
}

fn add(lines: &mut Vec<String>, text: &str, first: &str, rest: &str) {
    lines.extend(wrap(text, first, rest).lines().map(str::to_owned));
}
