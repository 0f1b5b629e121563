//! `perfsec cache`

use std::time::SystemTime;

use indicatif::BinaryBytes;
use jiff::Timestamp;

use super::args::{CacheArgs, CacheClearArgs, CacheCommand, CacheVerifyArgs};
use super::{Exit, Failure};
use crate::cache::{CACHE_LIMIT_VARIABLE, Cache, Limit, ROOMS, Room, Usage, Verified, days_ago};
use crate::counted::inflected;
use crate::text::{Text, line};

pub(super) fn cache(args: &CacheArgs) -> Result<Exit, Failure> {
    match &args.command {
        None => list(),
        Some(CacheCommand::Clear(args)) => clear(args),
        Some(CacheCommand::Verify(args)) => verify(args),
    }
}

fn list() -> Result<Exit, Failure> {
    let cache = Cache::open()?;
    let mut text = Text::of_line(cache.location().display());
    text.end();
    let (mut rows, mut total) = (Vec::new(), Usage::default());
    for room in ROOMS {
        let usage = cache.usage(*room)?;
        total.merge(&usage);
        rows.push((room.name, usage, room.purpose));
    }
    rows.push(("total", total, ""));
    for (name, usage, purpose) in rows {
        let (entries, size, used) = (usage.entries, size(&usage), used(&usage));
        let line = format!("  {name:<12} {entries:>6} {size:>11}  {used:<24}  {purpose}");
        text.line(line.trim_end());
    }
    let limit = match Limit::of_environment()?.bytes {
        Some(bytes) => format!("{} without `runs`", BinaryBytes(bytes)),
        None => "none".to_owned(),
    };
    text.end();
    line!(text, "limit: {limit} ({CACHE_LIMIT_VARIABLE})");
    super::print(&text)?;
    Ok(Exit::Success)
}

fn clear(args: &CacheClearArgs) -> Result<Exit, Failure> {
    let cache = Cache::open_exclusively()?;
    let named = |room: &&Room| args.rooms.iter().any(|name| name == room.name);
    let rooms = ROOMS.iter().filter(|room| match args.rooms.as_slice() {
        [] => !room.is_irreplaceable(),
        _ => named(room),
    });
    let limit = args.older_than.map(days_ago);
    let mut total = Usage::default();
    for room in rooms {
        let deleted = cache.clear(*room, limit)?;
        if deleted.entries > 0 {
            let entries = counted_entries(deleted.entries);
            let line = format!("{}: {entries}, {}", room.name, size(&deleted));
            super::print(&Text::of_line(line))?;
        }
        total.merge(&deleted);
    }
    let line = format!("{} deleted, {} freed", counted_entries(total.entries), size(&total));
    super::print(&Text::of_line(line))?;
    Ok(Exit::Success)
}

fn verify(args: &CacheVerifyArgs) -> Result<Exit, Failure> {
    let cache = Cache::open()?;
    let keep = args.keep || cache.require_writable().is_err();
    let Verified { sound, damaged } = cache.verify(keep)?;
    let mut text = Text::new();
    damaged.iter().for_each(|entry| line!(text, "{entry}"));
    let verb = if keep { "differ from it" } else { "differed and were deleted" };
    let sound = counted_entries(sound);
    match damaged.len() {
        0 => line!(text, "{sound} checked: all are what was written"),
        count => line!(text, "{sound} as written, {count} {verb}"),
    }
    super::print(&text)?;
    Ok(if damaged.is_empty() { Exit::Success } else { Exit::Failed })
}

fn counted_entries(count: usize) -> String {
    format!("{count} {}", inflected(count, "entry", "entries"))
}

fn size(usage: &Usage) -> String {
    BinaryBytes(usage.bytes).to_string()
}

/// The days of the oldest and the newest use.
fn used(usage: &Usage) -> String {
    let day = |time: SystemTime| {
        let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
        time.strftime("%Y-%m-%d").to_string()
    };
    match usage.used {
        None => String::new(),
        Some((oldest, newest)) if day(oldest) == day(newest) => day(newest),
        Some((oldest, newest)) => format!("{} to {}", day(oldest), day(newest)),
    }
}
