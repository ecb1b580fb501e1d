//! A row as a JSON object of plain values.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::DataError;
use crate::text::json::plain_message;

/// Keys and values of an object, in its order.
pub(super) type Object = Vec<(String, Box<RawValue>)>;

/// A value as a field: a string's text, numbers and truth values as they are written, nothing for null, and the
/// texts of a list with what stands `between` them, if anything does; none for other lists and for objects.
pub(super) fn plain(value: &RawValue, between: Option<&str>) -> Option<String> {
    match value.get().as_bytes().first()? {
        b'"' => serde_json::from_str(value.get()).ok(),
        b'[' if between.is_some() => {
            let texts: Vec<String> = serde_json::from_str(value.get()).ok()?;
            Some(texts.join(between?))
        }
        b'[' | b'{' => None,
        b'n' => Some(String::new()),
        _ => Some(value.get().to_owned()),
    }
}

/// A line as an object.
pub(super) fn object(line: &[u8]) -> Result<Object, DataError> {
    let text = std::str::from_utf8(line).map_err(|_| DataError::NotUtf8 { what: "this line".to_owned() })?;
    match serde_json::from_str(text.trim_end()) {
        Ok(Row(object)) => Ok(object),
        Err(error) if error.is_data() => Err(DataError::NotObject { message: plain_message(&error) }),
        Err(error) => Err(DataError::NotObject {
            message: format!("{}, column {}", plain_message(&error), error.column()),
        }),
    }
}

/// An object in which no key stands twice: serde_json's own would keep the last.
struct Row(Object);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Row, D::Error> {
        deserializer.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Row, A::Error> {
        let mut object = Object::new();
        while let Some((key, value)) = entries.next_entry::<String, Box<RawValue>>()? {
            if object.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format!("key {key:?} stands twice")));
            }
            object.push((key, value));
        }
        Ok(Row(object))
    }
}
