//! `cargo xtask pages`: one page with pictures that perfsec itself made.

use std::path::{Path, PathBuf};

use anstyle_svg::{Term, WIN10_CONSOLE};
use xshell::{Shell, cmd};

use crate::browser::{self, Scheme};
use crate::error::{self, Error};
use crate::setup;

/// A record of a real run, with every verdict but `MISS`.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../harness/tests/report/run.jsonl");

/// The failure that is shown: of the record's cells, the one with most to compare.
const FAILURE: &str = "FAIL open/wrong/none_t/paranoid=2/none/enforcing";

/// The size of a picture, in pixels.
const SIZE: (u32, u32) = (1280, 900);

/// Options of `cargo xtask pages`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The program that makes the pictures, instead of one that is built first.
    #[arg(long, value_name = "FILE")]
    perfsec: Option<PathBuf>,
    /// The kernel of the survey, as for `perfsec survey --kernel`.
    #[arg(long, default_value = "debian:6.1")]
    kernel: String,
}

/// Writes the page and what it shows to `target/pages`.
pub(crate) fn pages(shell: &Shell, options: &Options) -> Result<(), Error> {
    let perfsec = match &options.perfsec {
        Some(program) => shell.current_dir().join(program),
        None => setup::build(shell)?,
    };
    setup::install(shell, &perfsec, &["run", "debian", "peers"])?;
    let room = shell.current_dir().join(Path::new(setup::MANIFEST).with_file_name("target/pages"));
    shell.remove_path(&room)?;
    shell.create_dir(&room)?;
    let _directory = shell.push_dir(&room);

    let report = cmd!(shell, "{perfsec} report {RECORD} --color always --format summary");
    let text = report.quiet().read()?;
    // Its colours can be read on black, unlike VGA's.
    let terminal = Term::new().palette(WIN10_CONSOLE);
    shell.write_file("fail.svg", terminal.render_svg(failure(&text)?))?;
    let html = cmd!(shell, "{perfsec} report {RECORD} --format html --out report.html");
    error::run(html)?;
    let kernel = &options.kernel;
    let survey = cmd!(shell, "{perfsec} survey --kernel {kernel} --format html --out survey.html");
    error::run(survey)?;
    for name in ["report", "survey"] {
        let page = room.join(name).with_extension("html");
        for (scheme, suffix) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            let to = room.join(format!("{name}-{suffix}.png"));
            browser::picture(shell, &page, scheme, SIZE, &to)?;
        }
    }
    shell.write_file("index.html", include_str!("pages.html"))?;
    println!("{}", room.join("index.html").display());
    Ok(())
}

/// The lines of the failure, up to the empty line that ends it, with their colours.
fn failure(report: &str) -> Result<&str, Error> {
    let mut start = None;
    let mut at = 0;
    for line in report.split_inclusive('\n') {
        let plain = plain(line);
        match start {
            None if plain.trim_end() == FAILURE => start = Some(at),
            Some(start) if plain.trim().is_empty() => return Ok(&report[start..at]),
            _ => {}
        }
        at += line.len();
    }
    match start {
        Some(start) => Ok(&report[start..]),
        None => {
            let what = format!("no line `{FAILURE}`");
            Err(Error::Output { program: "perfsec report", what })
        }
    }
}

/// A line without its colours: escape sequences that end with `m`.
fn plain(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.split_once('m').map_or(part, |(_, text)| text));
    std::iter::once(first).chain(rest).collect()
}
