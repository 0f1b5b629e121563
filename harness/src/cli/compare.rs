//! `perfsec compare`

use std::path::{Path, PathBuf};

use super::args::{CompareArgs, CompareFormat, MachineArgs};
use super::destination::{self, Destination};
use super::session::{self, Session};
use super::{Exit, Failure, output, record, survey};
use crate::compare::{self, Comparison, Side};
use crate::engine::KernelSpec;
use crate::plan::Filter;
use crate::record::Run;
use crate::text::{self, Text, eprint_line};

/// A side that the command line names.
enum SideArg {
    /// A record, which may hold several.
    Record(PathBuf, Box<Run>),
    /// A kernel to run.
    Kernel(KernelSpec),
}

pub(super) fn compare(args: &CompareArgs) -> Result<Exit, Failure> {
    if let [before, after] = args.sides.as_slice()
        && [before, after].into_iter().all(|side| side.ends_with(".json"))
    {
        if args.filter().is_some() || args.format != CompareFormat::Text {
            let error = "two surveys are compared whole, as text: leave out --cell, --grant, \
                         --mode and --format";
            return Err(Failure::input(error));
        }
        let out = Destination::optional(args.out.as_deref())?;
        let (text, exit) = survey::compare(Path::new(before), Path::new(after))?;
        destination::write(out, &text)?;
        return Ok(exit);
    }
    let inputs: Vec<&Path> = args.sides.iter().map(Path::new).collect();
    output::distinct(&inputs, &args.out.as_deref().into_iter().collect::<Vec<_>>())?;
    let given = named_sides(args)?;
    let out = Destination::optional(args.out.as_deref())?;
    let kernels: Vec<_> = given
        .iter()
        .filter_map(|given| match given {
            SideArg::Kernel(spec) => Some(spec.clone()),
            SideArg::Record(..) => None,
        })
        .collect();
    let ran = if kernels.is_empty() { None } else { Some(run(args, &kernels, &given)?) };
    // It is gone if the cache cannot be written.
    if let Some(KernelsRun { record, .. }) = ran.as_ref().filter(|ran| ran.record.exists()) {
        eprint_line!("run record: {}", record.display());
    }
    if let Some(KernelsRun { interrupted: Some(exit), .. }) = &ran {
        return Ok(*exit);
    }
    let sides = sides(&given, ran.as_ref().map(|ran| &ran.run), &kernels);
    let filter = args.filter().unwrap_or_default();
    let comparisons = pairs(&sides, args, &filter)?;
    destination::write(out, &render(&comparisons, args))?;
    Ok(ended(&comparisons, &sides))
}

/// The sides that the arguments name. A file that begins like a record is one; anything else is a
/// kernel.
fn named_sides(args: &CompareArgs) -> Result<Vec<SideArg>, Failure> {
    let named = args.sides.iter().map(|side| {
        let path = Path::new(side);
        if crate::record::is_record(path) {
            return Ok(SideArg::Record(path.to_owned(), Box::new(record::read(path)?)));
        }
        if path.extension().is_some_and(|end| end == "jsonl") && !path.exists() {
            return Err(Failure::input(format!("cannot read {side}: no such run record")));
        }
        Ok(SideArg::Kernel(side.parse()?))
    });
    let kernels = args.machine.kernel.iter().map(|spec| Ok(SideArg::Kernel(spec.clone())));
    let given = named.chain(kernels).collect::<Result<Vec<_>, Failure>>()?;
    let several = given.len() > 1
        || given.iter().any(|given| match given {
            SideArg::Record(_, run) => compare::sides(run, "").len() > 1,
            SideArg::Kernel(_) => false,
        });
    if !several {
        let error = "one side is nothing to compare: name another run record or kernel";
        return Err(Failure::input(error));
    }
    Ok(given)
}

/// A run of the kernels to compare.
struct KernelsRun {
    run: Run,
    record: PathBuf,
    interrupted: Option<Exit>,
}

/// Runs kernels with the cells that the options select, else those of the first record's filter.
fn run(
    args: &CompareArgs,
    kernels: &[KernelSpec],
    given: &[SideArg],
) -> Result<KernelsRun, Failure> {
    let suite = args.cases.suite(&[])?;
    let of_record = || {
        given.iter().find_map(|given| match given {
            SideArg::Record(_, run) => Some(run.started.asked.filter.clone()),
            SideArg::Kernel(_) => None,
        })
    };
    let filter = args.filter().or_else(of_record).unwrap_or_default();
    let cells = session::select(&filter, &suite)?;
    let machine = MachineArgs { kernel: kernels.to_vec(), ..args.machine.clone() };
    let session = Session::open(args.machine.boot.quiet)?;
    let (engine, kernels) = session.boot(&machine)?;
    let plans = engine.plan(&kernels, engine.policies(), &cells, &suite);
    let plans = session.stopped(plans)?;
    let ended = engine.execute(&plans, suite.asked(filter), &mut |_| Ok(()))?;
    let record = ended.record.clone();
    Ok(KernelsRun { run: ended.whole()?, record, interrupted: session.interrupted() })
}

/// All sides, in the order in which they were named.
fn sides<'a>(given: &'a [SideArg], ran: Option<&'a Run>, kernels: &[KernelSpec]) -> Vec<Side<'a>> {
    let ran = ran.map(|run| compare::sides(run, "")).unwrap_or_default();
    let named = |(side, spec): (Side<'a>, &KernelSpec)| Side { from: spec.to_string(), ..side };
    let mut ran = ran.into_iter().zip(kernels).map(named);
    let mut sides = Vec::new();
    for given in given {
        match given {
            SideArg::Record(path, run) => {
                sides.extend(compare::sides(run, &path.display().to_string()))
            }
            SideArg::Kernel(_) => sides.extend(ran.next()),
        }
    }
    sides
}

fn pairs(
    sides: &[Side<'_>],
    args: &CompareArgs,
    filter: &Filter,
) -> Result<Vec<Comparison>, Failure> {
    let wanted = filter.matcher()?;
    let pair = |at: usize| {
        let first = if args.consecutive { at - 1 } else { 0 };
        Ok(Comparison::of(&sides[first], &sides[at], &wanted)?)
    };
    (1..sides.len()).map(pair).collect()
}

fn render(comparisons: &[Comparison], args: &CompareArgs) -> Text {
    match args.format {
        CompareFormat::Text => {
            let mut text = Text::new();
            for (at, pair) in comparisons.iter().enumerate() {
                if at > 0 {
                    text.end();
                }
                text.append(&compare::text(pair, args.verbose));
            }
            text
        }
        CompareFormat::Json => text::json(&comparisons),
    }
}

fn ended(comparisons: &[Comparison], sides: &[Side<'_>]) -> Exit {
    let any = |wanted: fn(&Comparison) -> bool| comparisons.iter().any(wanted);
    if any(|pair| pair.different() > 0) {
        Exit::Failed
    } else if sides.iter().any(Side::is_refused) {
        Exit::Kernel
    } else if any(|pair| !pair.not_judged.is_empty()) || sides.iter().any(|side| !side.whole) {
        Exit::NotJudged
    } else if !any(|pair| pair.same > 0) {
        Exit::NothingRan
    } else {
        Exit::Success
    }
}
