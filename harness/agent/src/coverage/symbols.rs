//! `/proc/kallsyms`: addresses to symbols.

use std::fs::File;
use std::io::{BufRead, BufReader};

use perfsec_wire::coverage::SymbolOffset;

use crate::error::{Error, ErrorContext, Result};

const PATH: &str = "/proc/kallsyms";
/// Longest stored name, in bytes; `KSYM_NAME_LEN` is 512.
const MAX_NAME: usize = 127;
/// Several times the symbols of a stock kernel.
const MAX_SYMBOLS: usize = 2_000_000;

/// The symbols of the kernel's text, by address.
#[derive(Default)]
pub(crate) struct Symbols {
    /// Address, and offset of the name in `names`.
    entries: Vec<(u64, u32)>,
    /// Every name, followed by a NUL.
    names: Vec<u8>,
}

/// One line of kallsyms: `ffffffff81000000 T _stext`; `None` for data and for modules.
fn parse(line: &[u8]) -> Option<(u64, &[u8])> {
    let mut words = line.split(|byte| byte.is_ascii_whitespace());
    let address = u64::from_str_radix(str::from_utf8(words.next()?).ok()?, 16).ok()?;
    let kind = words.next()?;
    let name = words.next().filter(|name| !name.is_empty())?;
    // A module's name follows in brackets.
    let is_built_in = words.all(<[u8]>::is_empty);
    let is_text = matches!(kind, b"t" | b"T" | b"w" | b"W");
    (is_text && is_built_in).then_some((address, name))
}

impl Symbols {
    /// Reads all symbols.
    ///
    /// # Errors
    ///
    /// If the kernel hides its addresses or has no kallsyms.
    pub(crate) fn read() -> Result<Self> {
        let doing = "look symbols up in /proc/kallsyms";
        let file = BufReader::with_capacity(1 << 16, File::open(PATH).doing(doing)?);
        let symbols = Self::parse(file).doing(doing)?;
        match symbols.entries.last() {
            None => Err(Error::new(doing, "it is empty")),
            // s_show() prints zeros to readers without privilege (kptr_restrict).
            Some((0, _)) => Err(Error::new(doing, "the kernel hides the addresses")),
            Some(_) => Ok(symbols),
        }
    }

    fn parse(mut lines: impl BufRead) -> std::io::Result<Self> {
        let mut this = Self::default();
        let mut line = Vec::new();
        while this.entries.len() < MAX_SYMBOLS && lines.read_until(b'\n', &mut line)? > 0 {
            if let Some((address, name)) = parse(&line) {
                let start = u32::try_from(this.names.len()).unwrap_or(u32::MAX);
                this.entries.push((address, start));
                this.names.extend_from_slice(&name[..name.len().min(MAX_NAME)]);
                this.names.push(0);
            }
            line.clear();
        }
        // Stable: of several names for one address the first stays first.
        this.entries.sort_by_key(|(address, _)| *address);
        Ok(this)
    }

    fn name(&self, start: u32) -> String {
        let rest = self.names.get(start as usize..).unwrap_or_default();
        let name = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }

    /// The address of a symbol.
    pub(crate) fn address(&self, wanted: &str) -> Option<u64> {
        let is_wanted = |start: u32| {
            let rest = self.names.get(start as usize..).unwrap_or_default();
            rest.strip_prefix(wanted.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
        };
        self.entries.iter().find(|(_, start)| is_wanted(*start)).map(|(address, _)| *address)
    }

    /// Start of the function that contains the call with this return address.
    pub(crate) fn start(&self, returns: u64) -> Option<u64> {
        Some(returns - self.place(returns).offset).filter(|start| *start < returns)
    }

    /// This return address, relative to the function that contains the call.
    pub(crate) fn place(&self, returns: u64) -> SymbolOffset {
        // The call of a function that never returns can be the last instruction of its caller.
        let within = returns.saturating_sub(1);
        let after = self.entries.partition_point(|(address, _)| *address <= within);
        let Some((address, _)) = after.checked_sub(1).and_then(|at| self.entries.get(at)) else {
            return SymbolOffset::default();
        };
        let first = self.entries.partition_point(|(other, _)| other < address);
        let name = self.entries.get(first).map_or_else(String::new, |(_, start)| self.name(*start));
        let size = self.entries.get(after).map_or(0, |(next, _)| next - address);
        SymbolOffset { symbol: name, offset: returns - address, size }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TEXT: &[u8] = b"0000000000000000 A fixed_percpu_data\n\
        ffffffff81000000 T _stext\n\
        ffffffff81000100 T capable\n\
        ffffffff81000180 t perf_copy_attr\n\
        ffffffff81000300 T __do_sys_perf_event_open\n\
        ffffffff81000300 T alias_of_it\n\
        ffffffff81000900 T _etext\n\
        ffffffff82000000 D some_data\n\
        ffffffffc0000000 t module_function\t[module]\n\
        not a line\n";

    fn symbols(text: &[u8]) -> Symbols {
        Symbols::parse(text).unwrap()
    }

    #[rstest]
    #[case::inside(0xffff_ffff_8100_0310, "__do_sys_perf_event_open", 0x10, 0x600)]
    #[case::behind_the_last_call(0xffff_ffff_8100_0300, "perf_copy_attr", 0x180, 0x180)]
    #[case::in_no_function(0x1000, "", 0, 0)]
    fn an_address_is_shown_by_the_symbol_before_it(
        #[case] address: u64,
        #[case] symbol: &str,
        #[case] offset: u64,
        #[case] size: u64,
    ) {
        let expected = SymbolOffset { symbol: symbol.to_owned(), offset, size };
        assert_eq!(symbols(TEXT).place(address), expected);
    }

    #[test]
    fn lines_in_any_order_make_the_same_table() {
        let mut lines: Vec<_> = TEXT.split_inclusive(|byte| *byte == b'\n').collect();
        lines.reverse();
        let place = symbols(&lines.concat()).place(0xffff_ffff_8100_0200);
        assert_eq!((place.symbol.as_str(), place.size), ("perf_copy_attr", 0x180));
    }

    #[rstest]
    #[case("capable", Some(0xffff_ffff_8100_0100))]
    #[case("capab", None)]
    #[case("module_function", None)]
    #[case("some_data", None)]
    fn a_symbol_is_found_by_its_whole_name(#[case] name: &str, #[case] address: Option<u64>) {
        assert_eq!(symbols(TEXT).address(name), address);
    }

    #[rstest]
    fn a_malformed_line_is_skipped(
        #[values(b"".as_slice(), b"\n", b"ffffffff81000000", b"xyz T name", b"\xff T \xff\n")]
        text: &[u8],
    ) {
        assert_eq!(symbols(text).place(u64::MAX), SymbolOffset::default());
    }
}
