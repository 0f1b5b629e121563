//! `perfsec bisect config`

use std::path::Path;

use super::args::{BisectFormat, ConfigArgs, ObtainArgs};
use super::destination::{self, Destination};
use super::session::{self, Session};
use super::{Exit, Failure, output};
use crate::bisect::{self, CommitInfo, ConfiguredTree, NamedConfig};
use crate::engine::{EngineLab, Reuse};
use crate::text;

pub(super) fn config(args: &ConfigArgs) -> Result<Exit, Failure> {
    // Mistakes are reported before hours of building, not after.
    let suite = args.cases.suite(&args.known)?;
    let filter = args.filter.filter();
    session::select(&filter, &suite)?;
    let load = |path: &Path| NamedConfig::load(path).map_err(Failure::input);
    let (good, bad) = (load(&args.good)?, load(&args.bad)?);
    let recipe = args.boot.build.own_recipe()?;
    let setup = args.boot.setup(&ObtainArgs::default())?;
    let inputs = args.known.iter().chain([&args.good, &args.bad]).map(|path| path.as_path());
    let inputs: Vec<&Path> = inputs.chain(output::named(&args.boot)).collect();
    output::distinct(&inputs, &args.report.out.as_deref().into_iter().collect::<Vec<_>>())?;
    let out = Destination::optional(args.report.out.as_deref())?;
    let session = Session::open(args.boot.quiet)?;
    // Configurations are compared with the ends, not with what the cases expect.
    session.ignore_verdicts();
    let engine = session.engine(setup)?;
    let found = (|| {
        let source = engine.tree(&args.tree)?;
        let commit =
            source.choose(args.tree.revision.as_deref(), false, &|text| engine.say(text))?;
        let info = CommitInfo::of(&source, &commit)?;
        let lab = EngineLab::new(&engine, &suite, Reuse::Nothing);
        let mut lab = ConfiguredTree::new(&engine, lab, &source, &commit, recipe);
        bisect::bisect_config(&mut lab, (source.name(), info), &filter, good, bad)
    })();
    let outcome = session.stopped(found)?;
    let text = match args.report.format {
        BisectFormat::Text => bisect::config_text(&outcome),
        BisectFormat::Json => text::json(&outcome),
    };
    destination::write(out, &text)?;
    Ok(if outcome.culprit.is_some() { Exit::Success } else { Exit::Failed })
}
