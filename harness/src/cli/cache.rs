//! `perfsec cache`

use std::time::SystemTime;

use indicatif::BinaryBytes;
use jiff::Timestamp;

use super::args::{CacheArgs, CacheClearArgs, CacheCommand};
use super::{Exit, Failure};
use crate::cache::{Cache, ROOMS, Room, Usage, days_ago};
use crate::counted::inflected;
use crate::text::Text;

pub(super) fn cache(args: &CacheArgs) -> Result<Exit, Failure> {
    if let Some(CacheCommand::Clear(args)) = &args.command {
        return clear(args);
    }
    let cache = Cache::open()?;
    let mut text = Text::of_line(cache.root().display());
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
    super::print(&text)?;
    Ok(Exit::Success)
}

fn clear(args: &CacheClearArgs) -> Result<Exit, Failure> {
    let cache = Cache::open_exclusively()?;
    let named = |room: &&Room| args.rooms.iter().any(|name| name == room.name);
    let rooms = ROOMS.iter().filter(|room| match args.rooms.as_slice() {
        [] => !room.irreplaceable,
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
