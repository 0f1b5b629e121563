//! `perfsec bisect config`

use std::path::Path;

use super::args::{BisectFormat, ConfigArgs};
use super::bisect_search::Search;
use super::destination;
use super::{Exit, Failure};
use crate::bisect::{self, CommitInfo, ConfiguredTree, NamedConfig};
use crate::engine::{EngineLab, Reuse};
use crate::text;

pub(super) fn config(args: &ConfigArgs) -> Result<Exit, Failure> {
    // Mistakes are reported before hours of building, not after.
    let load = |path: &Path| NamedConfig::load(path).map_err(Failure::input);
    let (good, bad) = (load(&args.good)?, load(&args.bad)?);
    let recipe = args.search.boot.build.own_recipe()?;
    let search = Search::prepare(&args.search, [&args.good, &args.bad])?;
    let engine = search.session.engine(search.setup)?;
    let found = (|| {
        let source = engine.tree(&args.tree)?;
        let commit =
            source.choose(args.tree.revision.as_deref(), false, &|text| engine.say(text))?;
        let info = CommitInfo::of(&source, &commit)?;
        let lab = EngineLab::new(&engine, &search.suite, Reuse::Nothing);
        let mut lab = ConfiguredTree::new(&engine, lab, &source, &commit, recipe);
        bisect::bisect_config(&mut lab, (source.name(), info), &search.filter, good, bad)
    })();
    let outcome = search.session.stopped(found)?;
    let text = match args.search.report.format {
        BisectFormat::Text => bisect::config_text(&outcome),
        BisectFormat::Json => text::json(&outcome),
    };
    destination::write(search.out, &text)?;
    Ok(if outcome.culprit.is_some() { Exit::Success } else { Exit::Failed })
}
