//! The common part of `bisect` and `bisect config`.

use std::path::{Path, PathBuf};

use super::args::{ObtainArgs, SearchArgs};
use super::destination::Destination;
use super::session::{self, Session};
use super::{Failure, output};
use crate::engine::{Setup, Suite};
use crate::plan::Filter;

/// A search that is ready to start.
pub(super) struct Search {
    /// The cases.
    pub(super) suite: Suite,
    /// The cells that the user asked for.
    pub(super) filter: Filter,
    /// The setup of the engine.
    pub(super) setup: Setup,
    /// The file of the report.
    pub(super) out: Option<Destination>,
    /// The session, which judges nothing.
    pub(super) session: Session,
}

impl Search {
    /// Reports mistakes before hours of building, not after. `inputs` are files that the report
    /// must not overwrite.
    pub(super) fn prepare<'a>(
        args: &'a SearchArgs,
        inputs: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<Self, Failure> {
        let suite = args.cases.suite(&args.known)?;
        let filter = args.filter.filter();
        session::select(&filter, &suite)?;
        let setup = args.boot.setup(&ObtainArgs::default())?;
        let inputs = args.known.iter().chain(inputs).map(|path| path.as_path());
        let inputs: Vec<&Path> = inputs.chain(output::named(&args.boot)).collect();
        output::distinct(&inputs, &args.report.out.as_deref().into_iter().collect::<Vec<_>>())?;
        let out = Destination::optional(args.report.out.as_deref())?;
        let session = Session::open(args.boot.quiet)?;
        // Kernels are compared with the ends, not with what the cases expect.
        session.ignore_verdicts();
        Ok(Self { suite, filter, setup, out, session })
    }
}
