//! `perfsec known`

use std::fmt::Write as _;

use super::args::KnownArgs;
use super::{Exit, Failure, record};
use crate::known::{KnownDifferences, Standing, standings};

pub(super) fn known(args: &KnownArgs) -> Result<Exit, Failure> {
    let library = args.cases.library()?;
    let mut known = KnownDifferences::read(&args.known, &library)?;
    known.0.extend(KnownDifferences::from_cases(&library).0);
    let runs = args.runs.iter().map(|path| record::read(path)).collect::<Result<Vec<_>, _>>()?;
    let (mut out, mut stale) = (String::new(), 0);
    for (entry, standing) in standings(&known, &runs) {
        stale += usize::from(standing == Standing::Stale);
        if args.stale && standing != Standing::Stale {
            continue;
        }
        let (path, line) = &entry.place;
        let what = &entry.difference;
        let _ = write!(out, "{}: {} ({}:{line})", what.name, what.reason, path.display(),);
        if !runs.is_empty() {
            let _ = match standing {
                Standing::Unmet => write!(out, ": in no run"),
                Standing::Stale => write!(out, ": no longer so"),
                Standing::Needed(1) => write!(out, ": 1 cell"),
                Standing::Needed(cells) => write!(out, ": {cells} cells"),
            };
        }
        out.push('\n');
        if let Some(link) = &what.link {
            let _ = writeln!(out, "  {link}");
        }
    }
    super::print(&out)?;
    if known.0.is_empty() {
        anstream::eprintln!("no known differences");
    }
    Ok(if args.stale && stale > 0 { Exit::Failed } else { Exit::Success })
}
