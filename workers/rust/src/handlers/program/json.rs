//! Which texts are JSON here. What a program writes goes into answers that every reader has to understand, so
//! it is held to what the server holds clients to.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::Json;

/// The protocol's bound on the depth of JSON.
const DEPTH_MAX: usize = 64;

/// The text as JSON, if it is that: one value, at most 64 deep, no name twice in an object, no half surrogates.
pub(super) fn parse(text: &str) -> Option<Json> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let mut reader = serde_json::Deserializer::from_str(text);
    Value { depth_left: DEPTH_MAX }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    RawValue::from_string(text.to_owned()).ok().map(Json::from)
}

/// A value that is looked through and not kept.
struct Value {
    depth_left: usize,
}

impl Value {
    fn inner<E: Error>(&self) -> Result<usize, E> {
        self.depth_left.checked_sub(1).ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let depth_left = self.inner()?;
        while items.next_element_seed(Self { depth_left })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let depth_left = self.inner()?;
        let mut names = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a name stands twice"));
            }
            fields.next_value_seed(Self { depth_left })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_as_it_was_written() {
        for text in ["{\"a\": 1.50}", "null", "\"\\u0000\"", "[1,[2]]", "12345678901234567890123"] {
            assert_eq!(parse(&format!(" {text}\n")).unwrap().get(), text);
        }
    }

    #[test]
    fn what_a_reader_may_stumble_over_is_no_json() {
        for text in
            ["", "hello", "{}{}", "{\"a\":1,\"\\u0061\":2}", "\"\\ud800\"", "{'a':1}", "1e999", "\u{a0}1"]
        {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn json_is_as_deep_as_the_protocol_allows() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(DEPTH_MAX)).is_some());
        assert!(parse(&nested(DEPTH_MAX + 1)).is_none());
    }
}
