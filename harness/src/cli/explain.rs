//! `perfsec explain`

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _};
use std::path::Path;

use clap::{CommandFactory as _, Parser as _};

use super::args::{Cli, Command, ExplainArgs};
use super::{Exit, Failure, show, usage, why};
use crate::audit::{Log, LogReader};
use crate::case::{Case, Circumstances, Coordinates, Library};
use crate::counted::counted;
use crate::explain::{self, Knowledge, KnowledgeError};
use crate::why::words::scan;

/// Stands for standard input.
const STDIN: &str = "-";

pub(super) fn explain(args: &ExplainArgs) -> Result<Exit, Failure> {
    let args = match behind(args) {
        Ok(args) => args,
        Err(exit) => return Ok(exit),
    };
    let (distribution, version) = show::kernel(args.kernel.as_deref())?;
    let knowledge = Knowledge::built_in()?;
    let words = args.what.join(" ");
    match words.trim() {
        "" if io::stdin().is_terminal() => Err(Failure::input(
            "nothing to explain: give an AVC record, a cell, a sentence, or a log on standard input",
        )),
        "" => files(&[STDIN.to_owned()], &knowledge, &args),
        _ if args.what.iter().all(|word| word == STDIN || is_file(word)) => {
            files(&args.what, &knowledge, &args)
        }
        // A record is a line; several can be in one argument.
        text if is_evidence(text) => {
            let mut reader = LogReader::default();
            reader.read(text.as_bytes()).map_err(unreadable)?;
            log(&reader.finish(), &knowledge, &args)
        }
        path if path.starts_with(['/', '.'])
            && !path.contains(char::is_whitespace)
            && !Path::new(path).exists() =>
        {
            Err(Failure::input(format!("cannot read {path}: no such file")))
        }
        name if is_cell(name) => {
            cell(&args, name, &Circumstances::hypothetical(version, distribution), &knowledge)
        }
        text => why::words(text, args.kernel.as_deref()),
    }
}

/// A cell's name has slashes and no blanks.
fn is_cell(text: &str) -> bool {
    text.contains('/') && !text.contains(char::is_whitespace)
}

/// Parses the options that follow the words; prints a mistake in them. Words can begin with a
/// hyphen (`perf stat -a`), so clap does not look for options after the first word.
fn behind(args: &ExplainArgs) -> Result<ExplainArgs, Exit> {
    let command = Cli::command();
    let known =
        command.find_subcommand("explain").into_iter().flat_map(clap::Command::get_arguments);
    let global = command.get_arguments().filter(|arg| arg.is_global_set());
    let known: Vec<_> =
        known.chain(global).filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
    let (mut options, mut what) = (Vec::new(), Vec::new());
    let mut words = args.what.iter().cloned();
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or_default();
        if known.iter().any(|known| known == name) {
            let alone = !word.contains('=');
            options.push(word);
            if alone {
                options.extend(words.next());
            }
        } else if word == "--help" {
            options.push(word);
        } else {
            what.push(word);
        }
    }
    let mut args = ExplainArgs { what, ..args.clone() };
    if !options.is_empty() {
        let command = ["perfsec", "explain"].into_iter().map(OsString::from);
        let line: Vec<_> = command.chain(options.into_iter().map(OsString::from)).collect();
        let cli =
            Cli::try_parse_from(&line).map_err(|error| usage::print(&error, line.into_iter()))?;
        cli.color.apply();
        if let Command::Explain(behind) = cli.command {
            args.kernel = behind.kernel.or(args.kernel);
            args.cases.cases = behind.cases.cases.or(args.cases.cases);
        }
    }
    Ok(args)
}

/// A cell's name has slashes and is no file's; a bare name is a file if there is one.
fn is_file(text: &str) -> bool {
    (text.starts_with(['/', '.']) || !text.contains('/')) && Path::new(text).is_file()
}

/// True if a text has a record, or a part of one, or another message that a log can have.
fn is_evidence(text: &str) -> bool {
    Log::read(text.as_bytes()).is_ok_and(|log| !log.is_empty() || log.damaged > 0)
}

fn unreadable(error: io::Error) -> Failure {
    Failure::input(format!("cannot read the log: {error}"))
}

/// Explains files, one after the other. `-` is standard input.
fn files(paths: &[String], knowledge: &Knowledge, args: &ExplainArgs) -> Result<Exit, Failure> {
    let mut reader = LogReader::default();
    for path in paths {
        if path == STDIN {
            reader.read(io::stdin().lock()).map_err(unreadable)?;
            continue;
        }
        let read = File::open(path).and_then(|file| reader.read(BufReader::new(file)));
        read.map_err(|error| Failure::input(format!("cannot read {path}: {error}")))?;
    }
    log(&reader.finish(), knowledge, args)
}

fn log(log: &Log, knowledge: &Knowledge, args: &ExplainArgs) -> Result<Exit, Failure> {
    let mut explained = explain::log(log, knowledge);
    // Messages of tools are evidence, too.
    let unread = log.unread.join("\n");
    let found = scan(&unread)?;
    let messages = found.concerns_perf;
    if log.unread_lines > 0 && !messages {
        let lines = counted(log.unread_lines, "line");
        explained.text.line(format_args!("skipped {lines} in no form that perfsec knows"));
    }
    let answers = explained.records + explained.facts > 0;
    if answers {
        if messages {
            explained.text.end();
        }
        super::print(&explained.text)?;
    }
    if messages {
        return why::scanned(found, args.kernel.as_deref());
    }
    if answers {
        return Ok(Exit::Success);
    }
    // Half a record and nothing else is a mistake, not an answer.
    if let (Some(damage), true) = (&log.damage, log.groups.is_empty()) {
        return Err(Failure::input(format!("no whole AVC record: {damage}")));
    }
    super::print(&explained.text)?;
    let error = match log.lines {
        0 => "the input is empty: nothing here concerns perf",
        _ => "nothing here concerns perf",
    };
    Err(Failure { exit: Exit::NothingRan, error: error.into() })
}

fn cell(
    args: &ExplainArgs,
    name: &str,
    kernel: &Circumstances<'_>,
    knowledge: &Knowledge,
) -> Result<Exit, Failure> {
    let library = args.cases.library()?;
    let (case, at) = find(&library, name)?;
    super::print(&explain::cell(case, &at, kernel, knowledge))?;
    Ok(Exit::Success)
}

/// The cell of that name, or the only one whose name begins so.
fn find<'a>(library: &'a Library, name: &str) -> Result<(&'a Case, Coordinates), Failure> {
    let cells = || {
        let all = library.cases.iter();
        all.flat_map(|case| case.axes.coordinates().map(move |at| (case, at)))
    };
    if let Some(found) = cells().find(|(case, at)| case.cell_name(at) == name) {
        return Ok(found);
    }
    let mut beginning = cells().filter(|(case, at)| case.cell_name(at).starts_with(name));
    match (beginning.next(), beginning.count()) {
        (Some(found), 0) => Ok(found),
        (Some((case, at)), more) => Err(Failure::input(format!(
            "`{name}` begins the names of {} cells: give one, such as `{}`",
            more + 1,
            case.cell_name(&at)
        ))),
        (None, _) => {
            let close =
                crate::suggest::closest(name, cells().map(|(case, at)| case.cell_name(&at)));
            Err(Failure {
                exit: Exit::NothingRan,
                error: format!("no cell `{name}`{close}: `perfsec run --list` lists them all")
                    .into(),
            })
        }
    }
}

impl From<KnowledgeError> for Failure {
    fn from(error: KnowledgeError) -> Self {
        super::exit::cannot(Exit::Input, &error)
    }
}
