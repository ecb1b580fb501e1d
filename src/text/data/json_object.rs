//! A row as a JSON object of plain values.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::layout::Encoding;
use crate::error::DataError;
use crate::text::json::plain_message;

/// Keys and values of an object, in its order.
pub(super) type Object = Vec<(String, Box<RawValue>)>;

/// A value as a field: a string's text, numbers and truth values as they are written, nothing for null, and
/// the texts of a list with what stands `between` them, if anything does; none for other lists and for
/// objects. Half of a surrogate pair, which is no character, becomes U+FFFD, as in Python's
/// `errors="replace"`.
pub(super) fn plain(value: &RawValue, between: Option<&str>) -> Option<String> {
    match value.get().as_bytes().first()? {
        b'"' => serde_json::from_str(value.get())
            .or_else(|_| serde_json::from_str(&without_half_pairs(value.get())))
            .ok(),
        b'[' if between.is_some() => {
            let texts: Vec<String> = serde_json::from_str(value.get()).ok()?;
            Some(texts.join(between?))
        }
        b'[' | b'{' => None,
        b'n' => Some(String::new()),
        _ => Some(value.get().to_owned()),
    }
}

/// A string of JSON in which no escape is half of a surrogate pair.
fn without_half_pairs(string: &str) -> String {
    // The digits of an escape at the beginning, as a number.
    let escaped =
        |text: &str| -> Option<u32> { u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok() };
    let (mut whole, mut rest) = (String::with_capacity(string.len()), string);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let second = escape.get(6..).and_then(escaped);
        let length = match (escaped(escape), second) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                whole.push('\u{fffd}');
                rest = &escape[6..];
                continue;
            }
            (Some(_), _) => 6,
            // A backslash and one letter.
            (None, _) => 2,
        };
        let (kept, behind) = escape.split_at(length.min(escape.len()));
        whole.push_str(kept);
        rest = behind;
    }
    whole + rest
}

/// A line as an object.
pub(super) fn object(line: &[u8], encoding: Encoding) -> Result<Object, DataError> {
    let text = std::str::from_utf8(line).map_err(|_| encoding.not_text("this line".to_owned()))?;
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
