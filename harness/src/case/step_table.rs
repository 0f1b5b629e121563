//! A `[[step]]` of a case file: a syscall, with the questions that the kernel asks during it.

use std::fmt;

use perfsec_wire::Step;
use schemars::JsonSchema;
use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, VariantAccess,
    Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use toml::Spanned;

/// A step of the subject: one syscall, with the questions that the kernel asks during it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct StepTable {
    #[schemars(flatten)]
    pub(super) step: Step,
    /// The questions that the kernel asks, in its order and one in each line: `CLASS { PERMISSION }`,
    /// `capable CAP`, or a function of cases/functions.toml.
    #[schemars(with = "Option<String>")]
    pub(super) asks: Option<Spanned<String>>,
    /// The result if no question refuses, where it is not the step's usual one.
    #[schemars(with = "Option<String>")]
    pub(super) returns: Option<Spanned<String>>,
}

impl<'de> Deserialize<'de> for StepTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor)
    }
}

struct TableVisitor;

impl<'de> Visitor<'de> for TableVisitor {
    type Value = StepTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table with one syscall, and `asks` or `returns`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StepTable, A::Error> {
        let (mut step, mut asks, mut returns) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "asks" => asks = Some(map.next_value()?),
                "returns" => returns = Some(map.next_value()?),
                _ => match step {
                    None => step = Some((key.clone(), map.next_value_seed(NamedStep(key))?)),
                    Some((first, _)) => {
                        let message = format!("a step is one syscall, not `{first}` and `{key}`");
                        return Err(A::Error::custom(message));
                    }
                },
            }
        }
        match step {
            Some((_, step)) => Ok(StepTable { step, asks, returns }),
            None => Err(A::Error::custom("a step needs a syscall, such as `read = {}`")),
        }
    }
}

/// Reads the arguments of the syscall with this name.
struct NamedStep(String);

impl<'de> DeserializeSeed<'de> for NamedStep {
    type Value = Step;

    fn deserialize<D: Deserializer<'de>>(self, arguments: D) -> Result<Step, D::Error> {
        Step::deserialize(Variant { name: self.0, arguments })
    }
}

/// A name and a value, deserialized as the variant of an enum.
struct Variant<D> {
    name: String,
    arguments: D,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Variant<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

impl<'de, D: Deserializer<'de>> EnumAccess<'de> for Variant<D> {
    type Error = D::Error;
    type Variant = Arguments<D>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self::Variant), D::Error> {
        let name: StringDeserializer<D::Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Arguments(self.arguments)))
    }
}

struct Arguments<D>(D);

impl<'de, D: Deserializer<'de>> VariantAccess<'de> for Arguments<D> {
    type Error = D::Error;

    fn unit_variant(self) -> Result<(), D::Error> {
        serde::de::IgnoredAny::deserialize(self.0).map(drop)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, D::Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }
}
