//! `perfsec known`

use super::args::KnownArgs;
use super::{Exit, Failure, record};
use crate::counted::counted;
use crate::known::{KnownDifferences, Standing, standings};
use crate::text::{Text, eprint_line, line, span};

pub(super) fn known(args: &KnownArgs) -> Result<Exit, Failure> {
    let library = args.cases.library()?;
    let mut known = KnownDifferences::read(&args.known, &library)?;
    known.0.extend(KnownDifferences::from_cases(&library).0);
    let runs = args.runs.iter().map(|path| record::read(path)).collect::<Result<Vec<_>, _>>()?;
    let (mut out, mut stale) = (Text::new(), 0);
    for (entry, standing) in standings(&known, &runs) {
        stale += usize::from(standing == Standing::Stale);
        if args.stale && standing != Standing::Stale {
            continue;
        }
        let (path, line) = &entry.place;
        let what = &entry.difference;
        span!(out, "{}: {} ({}:{line})", what.name, what.reason, path.display());
        if !runs.is_empty() {
            match standing {
                Standing::Unmet => span!(out, ": in no run"),
                Standing::Stale => span!(out, ": no longer so"),
                Standing::Needed(cells) => span!(out, ": {}", counted(cells, "cell")),
            }
        }
        out.end();
        if let Some(link) = &what.link {
            line!(out, "  {link}");
        }
    }
    super::print(&out)?;
    if known.0.is_empty() {
        eprint_line!("no known differences");
    }
    Ok(if args.stale && stale > 0 { Exit::Failed } else { Exit::Success })
}
