//! The command line: reads options, calls the engine, prints, and chooses the exit code.

mod allow;
mod args;
mod b4_check;
mod baseline;
mod bisect;
mod bisect_config;
mod bisect_search;
mod bisect_step;
mod bless;
mod cache;
mod check;
mod codes;
mod compare;
mod completion;
mod configured;
mod coverage;
mod debugger;
mod destination;
mod doctor;
mod exit;
mod explain;
mod generate;
mod guest;
mod help;
mod howto;
mod kernel;
mod known;
mod machine_options;
mod machines;
mod mail;
mod merge;
mod new;
mod output;
mod policy;
mod record;
mod report;
mod reproduce;
mod run;
mod selfcheck;
mod series;
mod session;
mod setup;
mod shell;
mod show;
mod signals;
mod steps;
mod survey;
mod topics;
mod unmatched;
mod usage;
mod version;
mod why;

use std::process::ExitCode;

pub use args::Cli;
use args::Command;
pub use codes::{EXIT_CODES, ExitCodes};
pub use exit::{Exit, Failure};

use crate::text::{self, Text};

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(failure) = signals::prepare() {
        return report(failure).into();
    }
    if version::is_asked(std::env::args_os()) {
        return version::version().unwrap_or_else(report).into();
    }
    let cli = match configured::parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    cli.color.apply();
    let result = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Report(args) => report::report(&args),
        Command::Merge(args) => merge::merge(&args),
        Command::Known(args) => known::known(&args),
        Command::Survey(args) => survey::survey(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Series(args) => series::series(&args),
        Command::B4Check(args) => b4_check::b4_check(&args),
        Command::Bisect(args) => bisect::bisect(&args),
        Command::Show(args) => show::show(&args),
        Command::Reproduce(args) => reproduce::reproduce(&args),
        Command::Steps(args) => steps::steps(&args),
        Command::New(args) => new::new(&args),
        Command::Check(args) => check::check(&args),
        Command::Schema { file } => generate::schema(file),
        Command::Bless(args) => bless::bless(&args),
        Command::Coverage(args) => coverage::coverage(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Why(args) => why::why(&args),
        Command::Allow(args) => allow::allow(&args),
        Command::Selfcheck(args) => selfcheck::selfcheck(&args),
        Command::Shell(args) => shell::shell(&args),
        Command::Kernel(args) => kernel::kernel(&args),
        Command::Guest(args) => guest::guest(&args),
        Command::Machines(args) => machines::machines(&args),
        Command::Policy(args) => policy::policy(&args),
        Command::Howto(args) => howto::howto(&args),
        Command::Cache(args) => cache::cache(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { directory } => generate::man(&directory),
        Command::Help(args) => help::help(&args),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => report(failure).into(),
    }
}

/// Prints an error.
fn report(failure: Failure) -> Exit {
    failure.print();
    failure.exit
}

/// Writes to standard output.
fn print(text: &Text) -> Result<(), Failure> {
    text::print(text).map_err(unprinted)
}

fn unprinted(error: std::io::Error) -> Failure {
    Failure::host(format!("cannot write to standard output: {error}"))
}
