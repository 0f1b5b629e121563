//! `perfsec b4-check`

use std::io::{self, IsTerminal};

use super::args::B4CheckArgs;
use super::{Exit, Failure, print};
use crate::cache::Cache;
use crate::foreign;
use crate::report::b4::{Answer, Answers};
use crate::report::mail::Original;
use crate::text;

pub(super) fn b4_check(args: &B4CheckArgs) -> Result<Exit, Failure> {
    if io::stdin().is_terminal() {
        return Err(Failure::input("no mail on standard input: `b4 review` passes one"));
    }
    let mail = foreign::read_all(io::stdin().lock(), &foreign::MAILBOX)
        .map_err(|error| Failure::input(format!("read the mail on standard input: {error}")))?;
    let original = Original::parse(&mail)
        .ok_or_else(|| Failure::input("the text on standard input is no mail with a Message-ID"))?;
    let Answers { patch, series } = Answers::find(&original.thread.parent, &Cache::open()?);
    let answers: Vec<Answer> = if args.series { series } else { patch }.into_iter().collect();
    print(&text::json(&answers))?;
    Ok(Exit::Success)
}
