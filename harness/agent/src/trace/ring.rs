//! Pages of the ring buffer, as `trace_pipe_raw` gives them (`include/linux/ring_buffer.h`,
//! `kernel/trace/ring_buffer.c`).

use super::format::PageLayout;

/// `RB_MISSED_EVENTS` in the commit word: events before this page were overwritten.
const MISSED: i64 = 1 << 31;
/// The size in the commit word: `RB_MISSED_STORED` (the number of lost events follows the data) and
/// `RB_MISSED_EVENTS` are the bits above it.
const SIZE: i64 = (1 << 30) - 1;

const TYPE_PADDING: u32 = 29;
const TYPE_TIME_EXTEND: u32 = 30;
const TYPE_TIME_STAMP: u32 = 31;
/// Bits of a time delta in an event's first word.
const TIME_SHIFT: u32 = 27;
/// An absolute time stamp lacks the highest five bits, which come from the time before it.
const ABSOLUTE: u64 = (1 << 59) - 1;

/// One parsed page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<'a> {
    /// Events were overwritten before this page was read.
    pub(super) missed: bool,
    /// Time stamps in nanoseconds of the buffer's clock, and the events.
    pub(super) events: Vec<(u64, &'a [u8])>,
}

/// Parses a page; returns `None` if it is malformed.
pub(super) fn page<'a>(bytes: &'a [u8], layout: &PageLayout) -> Option<Page<'a>> {
    let mut time = layout.time.number(bytes)? as u64;
    let commit = layout.commit.number(bytes)?;
    let mut rest = bytes.get(layout.data..)?.get(..(commit & SIZE) as usize)?;
    let mut events = Vec::new();
    while let Some(first) = word(rest) {
        let (kind, delta) = (first & 31, u64::from(first >> 5));
        let next = word(rest.get(4..)?);
        let (start, length): (usize, usize) = match kind {
            // A discarded event, or the unused end of the page.
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
            // The length includes itself, but not the first word.
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::trace::fixture::{DEBIAN_5_10, DEBIAN_7_3, Fixture};

    fn layout() -> PageLayout {
        PageLayout::parse(&Fixture::parse(DEBIAN_5_10).header).unwrap()
    }

    /// A page with these words behind its header, at time 1000.
    fn made(words: &[u32]) -> Vec<u8> {
        let mut bytes = 1000u64.to_le_bytes().to_vec();
        bytes.extend((words.len() as u64 * 4).to_le_bytes());
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        bytes
    }

    #[rstest]
    fn real_pages_hold_events_in_time_order(#[values(DEBIAN_5_10, DEBIAN_7_3)] guest: &str) {
        for bytes in Fixture::parse(guest).pages {
            let page = page(&bytes, &layout()).unwrap();
            assert!(!page.missed && !page.events.is_empty());
            assert!(page.events.is_sorted_by_key(|(time, _)| *time));
        }
    }

    #[rstest]
    fn a_page_cut_anywhere_is_refused_or_read_but_never_a_panic(
        #[values(DEBIAN_5_10, DEBIAN_7_3)] guest: &str,
    ) {
        for bytes in Fixture::parse(guest).pages {
            for end in 0..bytes.len() {
                assert_eq!(page(&bytes[..end], &layout()), None);
            }
        }
    }

    #[rstest]
    #[case::short(&[1 | 5 << 5, 7], &[(1005, 1)])]
    #[case::with_its_length_outside(&[5 << 5, 8, 7], &[(1005, 1)])]
    #[case::after_a_time_extend(&[30 | 1 << 5, 1, 1, 7], &[(1001 + (1 << 27), 1)])]
    #[case::after_an_absolute_time(&[31 | 9 << 5, 0, 1, 7], &[(9, 1)])]
    #[case::behind_a_discarded_one(&[29 | 4 << 5, 4, 1, 7], &[(1004, 1)])]
    #[case::before_the_unused_end(&[1, 7, 29, 0], &[(1000, 1)])]
    fn an_event_has_its_time_and_length(#[case] words: &[u32], #[case] expected: &[(u64, usize)]) {
        let bytes = made(words);
        let page = page(&bytes, &layout()).unwrap();
        let seen: Vec<_> = page.events.iter().map(|(time, data)| (*time, data.len() / 4)).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn overwritten_events_are_noticed() {
        let mut bytes = made(&[1, 7]);
        assert!(!page(&bytes, &layout()).unwrap().missed);
        bytes[11] |= 0x80;
        assert!(page(&bytes, &layout()).unwrap().missed);
    }
}
