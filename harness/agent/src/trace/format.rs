//! `events/SYSTEM/NAME/format` and `events/header_page`: offsets of fields.
//!
//! Fields are looked up by name because their offsets differ between kernels. The buffer is read
//! in binary because a `comm` can contain anything and would confuse a parser of text.

/// One field of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    offset: usize,
    size: usize,
    signed: bool,
}

/// An event's number and its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) id: u16,
    fields: Vec<(String, Field)>,
}

impl Format {
    /// Parses a `format` file; returns `None` if it is malformed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let id = text.lines().find_map(|line| line.strip_prefix("ID: "))?.trim().parse().ok()?;
        Some(Self { id, fields: fields(text) })
    }

    pub(crate) fn field(&self, name: &str) -> Option<Field> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, field)| *field)
    }
}

/// Every `field:TYPE NAME[…]; offset:N; size:N; signed:N;` of a text.
fn fields(text: &str) -> Vec<(String, Field)> {
    let parse = |line: &str| {
        let mut parts = line.trim().split(';').map(str::trim);
        let declaration = parts.next()?.strip_prefix("field:")?;
        let name = declaration.split_whitespace().last()?;
        let name = name.split('[').next()?.trim_start_matches('*').to_owned();
        let mut number = |key: &str| parts.next()?.strip_prefix(key)?.parse::<usize>().ok();
        let (offset, size) = (number("offset:")?, number("size:")?);
        let signed = number("signed:")? != 0;
        Some((name, Field { offset, size, signed }))
    };
    text.lines().filter_map(parse).collect()
}

impl Field {
    /// The field as a number; `None` if the event is too short.
    pub(crate) fn number(self, event: &[u8]) -> Option<i64> {
        let bytes = event.get(self.offset..self.offset.checked_add(self.size)?)?;
        let mut wide = [0; 8];
        wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let value = u64::from_le_bytes(wide);
        let unused = 64 - 8 * self.size as u32;
        Some(if self.signed { (value << unused) as i64 >> unused } else { value as i64 })
    }

    /// The field as an array of words.
    pub(crate) fn words<const COUNT: usize>(self, event: &[u8]) -> Option<[u64; COUNT]> {
        if self.size != COUNT * 8 {
            return None;
        }
        let mut words = [0; COUNT];
        for (index, word) in words.iter_mut().enumerate() {
            let one = Self { offset: self.offset + index * 8, size: 8, signed: false };
            *word = one.number(event)? as u64;
        }
        Some(words)
    }

    /// The string that a `__data_loc` field points to: offset in the low half, length in the high.
    pub(crate) fn text(self, event: &[u8]) -> Option<String> {
        let place = self.number(event)? as u32;
        let (offset, length) = ((place & 0xffff) as usize, (place >> 16) as usize);
        let bytes = event.get(offset..offset.checked_add(length)?)?;
        let bytes = bytes.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// The layout of a page of the ring buffer, from `events/header_page`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageLayout {
    pub(super) time: Field,
    pub(super) commit: Field,
    /// Offset of the first event.
    pub(super) data: usize,
    /// Bytes of a whole page.
    pub(crate) size: usize,
}

impl PageLayout {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let fields = fields(text);
        let find = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, f)| *f);
        let data = find("data")?;
        Some(Self {
            time: find("timestamp")?,
            commit: find("commit")?,
            data: data.offset,
            size: data.offset + data.size,
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TEXT: &str = "ID: 318\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \n\
        \tfield:s32 ret;\toffset:2;\tsize:4;\tsigned:1;\n\
        \tfield:unsigned long args[6];\toffset:16;\tsize:48;\tsigned:0;\n\
        \tfield:__data_loc char[] tclass;\toffset:6;\tsize:4;\tsigned:0;\n";

    #[rstest]
    #[case("common_type", 0xfffe)]
    #[case("ret", -2)]
    fn a_number_has_its_sign(#[case] name: &str, #[case] expected: i64) {
        let field = Format::parse(TEXT).unwrap().field(name).unwrap();
        assert_eq!(field.number(&[0xfe, 0xff, 0xfe, 0xff, 0xff, 0xff]), Some(expected));
    }

    #[test]
    fn a_string_is_found_at_its_offset_and_ends_at_nul() {
        let field = Format::parse(TEXT).unwrap().field("tclass").unwrap();
        let event = *b"......\x0a\0\x05\0file\0";
        assert_eq!(field.text(&event), Some("file".to_owned()));
        assert_eq!(field.text(&event[..12]), None);
    }

    #[rstest]
    #[case("args", [0; 64].as_slice())]
    #[case("ret", [0; 5].as_slice())]
    fn a_field_that_does_not_fit_has_no_number(#[case] name: &str, #[case] event: &[u8]) {
        let field = Format::parse(TEXT).unwrap().field(name).unwrap();
        assert_eq!(field.number(event), None);
    }
}
