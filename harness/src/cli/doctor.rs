//! `perfsec doctor`

use super::{Exit, Failure};
use crate::host::Host;

pub(super) fn doctor() -> Result<Exit, Failure> {
    let host = Host::inspect();
    anstream::print!("{host}");
    Ok(if host.can_run() { Exit::Success } else { Exit::Host })
}
