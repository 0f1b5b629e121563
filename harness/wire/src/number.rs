//! Numbers that TOML cannot write: its integers end at 2^63-1.

/// The value of `0x…`.
pub(crate) fn hexadecimal(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    // from_str_radix() takes a sign.
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
    u64::from_str_radix(digits, 16).ok()
}

/// A field of 64 bits: a number, or a text `0x…` in a format for people.
pub(crate) mod wide {
    use std::fmt;

    use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
    use serde::ser::Serializer;

    use super::hexadecimal;

    struct NumberOrText;

    impl Visitor<'_> for NumberOrText {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number, or \"0x…\" for one from 2^63 on")
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
            let negative = || E::invalid_value(Unexpected::Signed(number), &self);
            u64::try_from(number).map_err(|_| negative())
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
            hexadecimal(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        // The wire format is not self-describing: there, it is always a number.
        match from.is_human_readable() {
            true => from.deserialize_any(NumberOrText),
            false => u64::deserialize(from),
        }
    }

    pub(crate) fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(*number) {
            Err(_) if to.is_human_readable() => to.collect_str(&format_args!("{number:#x}")),
            _ => to.serialize_u64(*number),
        }
    }

    #[cfg(feature = "schema")]
    pub(crate) fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["integer", "string"],
            "anyOf": [{ "minimum": 0 }, { "pattern": "^0x0*[0-9a-fA-F]{1,16}$" }],
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde::de::IntoDeserializer;
    use serde::de::value::Error;

    use super::wide;

    #[rstest]
    #[case("0x8000000000000000", Some(1 << 63))]
    #[case("0x0", Some(0))]
    #[case("8", None)]
    #[case("0x10000000000000000", None)]
    fn a_wide_number_can_be_a_text(#[case] text: &str, #[case] number: Option<u64>) {
        let read = wide::deserialize(IntoDeserializer::<Error>::into_deserializer(text));
        assert_eq!(read.ok(), number);
    }

    #[rstest]
    #[case(7, Some(7))]
    #[case(-1, None)]
    fn a_number_is_not_negative(#[case] number: i64, #[case] value: Option<u64>) {
        let read = wide::deserialize(IntoDeserializer::<Error>::into_deserializer(number));
        assert_eq!(read.ok(), value);
    }
}
