//! Pages of the ring buffer, as `trace_pipe_raw` gives them (`include/linux/ring_buffer.h`,
//! `kernel/trace/ring_buffer.c`).

use super::format::PageLayout;

/// `RB_MISSED_EVENTS` in the commit word: events before this page were overwritten.
const MISSED: i64 = 1 << 31;
/// `RB_MISSED_STORED`: their number stands behind the data. The bits above the size are not part of it.
const SIZE: i64 = (1 << 30) - 1;

const TYPE_PADDING: u32 = 29;
const TYPE_TIME_EXTEND: u32 = 30;
const TYPE_TIME_STAMP: u32 = 31;
/// Bits of a time delta in an event's first word.
const TIME_SHIFT: u32 = 27;
/// An absolute time stamp lacks the highest five bits, which come from the one before it.
const ABSOLUTE: u64 = (1 << 59) - 1;

/// One page, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<'a> {
    /// Something was overwritten before it was read.
    pub(super) missed: bool,
    /// Time stamps in nanoseconds of the buffer's clock, and the events.
    pub(super) events: Vec<(u64, &'a [u8])>,
}

/// Takes a page apart; `None` when it is not one.
pub(super) fn page<'a>(bytes: &'a [u8], layout: &PageLayout) -> Option<Page<'a>> {
    let mut time = layout.time.number(bytes)? as u64;
    let commit = layout.commit.number(bytes)?;
    let mut rest = bytes.get(layout.data..)?.get(..(commit & SIZE) as usize)?;
    let mut events = Vec::new();
    while let Some(first) = word(rest) {
        let (kind, delta) = (first & 31, u64::from(first >> 5));
        let next = word(rest.get(4..)?);
        let (start, length): (usize, usize) = match kind {
            // What an event was discarded from, or the unused end of the page.
            TYPE_PADDING if delta == 0 => break,
            TYPE_PADDING => (4, next? as usize),
            TYPE_TIME_EXTEND => {
                time = time.wrapping_add((u64::from(next?) << TIME_SHIFT) + delta);
                rest = rest.get(8..)?;
                continue;
            }
            TYPE_TIME_STAMP => {
                let stamp = (u64::from(next?) << TIME_SHIFT) + delta;
                time = stamp & ABSOLUTE | time & !ABSOLUTE;
                rest = rest.get(8..)?;
                continue;
            }
            // The length counts itself, and not the first word.
            0 => (8, (next? as usize).checked_sub(4)?),
            words => (4, words as usize * 4),
        };
        time = time.wrapping_add(delta);
        let data = rest.get(start..start.checked_add(length)?)?;
        if kind != TYPE_PADDING {
            events.push((time, data));
        }
        // Events are aligned to words; a length in bytes need not be.
        let end = (start + length).next_multiple_of(4);
        rest = rest.get(end..).unwrap_or_default();
    }
    Some(Page { missed: commit & MISSED != 0, events })
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|word| u32::from_le_bytes(*word))
}
