//! The one door by which JSON files enter: every value keeps its place, so that a mistake can be shown where
//! it stands.
//!
//! serde alone loses places (a tagged enum reports the end of the object, `try_from` loses line and column),
//! so raw types hold [`RawValue`]s, which are slices of the file; their position in it is the place.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::source::{Source, Span};
use crate::error::{Error, FileError, JsonError, Kind, Place, Result};

/// Files that are read whole may have so many bytes: a device must not fill the memory.
const MOST: u64 = 1 << 28;

/// Reads a whole text file as UTF-8. One of more than 256 MiB is refused.
pub fn read_text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes));
    read.map_err(|error| Error::reading(path, &error))?;
    if bytes.len() as u64 > MOST {
        return Err(FileError::TooLarge { path: path.to_owned(), most: MOST >> 20 }.into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid =
            String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        let at = Source::new("", valid.as_str()).line_column(valid.len());
        FileError::TextNotUtf8 { path: path.to_owned(), line: at.line, column: at.column }.into()
    })
}

/// A JSON value in its file.
#[derive(Clone)]
pub struct Node<'a> {
    source: &'a Arc<Source>,
    raw: &'a str,
    pointer: String,
}

/// A string in a JSON file: its value, and where each part of it stands.
#[derive(Debug, Clone)]
pub struct Text {
    /// The value, escapes resolved.
    pub value: String,
    source: Arc<Source>,
    span: Span,
    pointer: String,
}

impl<'a> Node<'a> {
    /// The whole of a file.
    pub fn root(source: &'a Arc<Source>) -> Node<'a> {
        Node { source, raw: source.text(), pointer: String::new() }
    }

    /// The value of a key.
    pub fn key(&self, key: &str, value: &'a RawValue) -> Node<'a> {
        let dot = if self.pointer.is_empty() { "" } else { "." };
        Node { source: self.source, raw: value.get(), pointer: format!("{}{dot}{key}", self.pointer) }
    }

    /// An element of an array.
    pub fn element(&self, index: usize, value: &'a RawValue) -> Node<'a> {
        Node { source: self.source, raw: value.get(), pointer: format!("{}[{index}]", self.pointer) }
    }

    /// The values of JSON Lines, one on each line that is not blank.
    pub fn lines(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let (source, lines) = (self.source, self.raw.lines().filter(|line| !line.trim().is_empty()));
        lines.map(move |line| Node { source, raw: line, pointer: String::new() })
    }

    /// The value as a type. Syntax and shape errors have their place in the file.
    pub fn read<T: Deserialize<'a>>(&self) -> Result<T> {
        serde_json::from_str(self.raw).map_err(|error| self.explain(&error))
    }

    /// The value as a type that is an object in the file.
    pub fn read_object<T: Deserialize<'a>>(&self) -> Result<T> {
        // serde takes a list for a struct too, its elements for the fields.
        if !self.is_object() {
            self.read::<HashMap<String, IgnoredAny>>()?;
        }
        self.read()
    }

    /// An object's keys and values, in the file's order; a key may stand there twice.
    pub fn entries(&self) -> Result<Vec<(String, &'a RawValue)>> {
        Ok(self.read::<Entries<'a>>()?.0)
    }

    /// The value as a string that knows its place.
    pub fn text(&self) -> Result<Text> {
        Ok(Text {
            value: self.read()?,
            source: self.source.clone(),
            span: self.span(),
            pointer: self.pointer.clone(),
        })
    }

    /// The value that a pointer as `lora.targets[1]` names from here, if it is there.
    pub fn at(&self, pointer: &str) -> Option<Node<'a>> {
        let mut node = self.clone();
        for part in pointer.split('.') {
            let (key, index) = part
                .strip_suffix(']')
                .and_then(|part| part.split_once('['))
                .map_or((part, None), |(key, index)| (key, Some(index)));
            let values: HashMap<String, &'a RawValue> = node.read().ok()?;
            node = node.key(key, values.get(key)?);
            if let Some(index) = index {
                let (index, values): (usize, Vec<&'a RawValue>) = (index.parse().ok()?, node.read().ok()?);
                node = node.element(index, values.get(index)?);
            }
        }
        Some(node)
    }

    /// Whether the value is an object, by its first letter: for values that may be either of two shapes.
    pub fn is_object(&self) -> bool {
        self.raw.trim_start().starts_with('{')
    }

    /// Whether the value is a list, by its first letter.
    pub fn is_list(&self) -> bool {
        self.raw.trim_start().starts_with('[')
    }

    /// The place of this value.
    pub fn place_of_all(&self) -> Place {
        self.place(self.span())
    }

    /// An error about this value.
    pub fn error(&self, kind: impl Into<Kind>) -> Error {
        Error::new(kind).at(self.place_of_all())
    }

    /// Refuses a file of another version than `known`, before its other keys are looked at: they may be of
    /// that version.
    pub fn check_version(&self, known: u64) -> Result<()> {
        #[derive(Deserialize)]
        struct Versioned<'a> {
            #[serde(borrow)]
            version: Option<&'a RawValue>,
        }
        let versioned: Versioned = self.read_object()?;
        let Some(version) = versioned.version else {
            return Err(self.error(JsonError::WithoutVersion { known }));
        };
        let version = self.key("version", version);
        match version.read()? {
            found if found == known => Ok(()),
            found => Err(version.error(JsonError::Version { found, known })),
        }
    }

    fn span(&self) -> Span {
        let start = self.offset();
        start..start + self.raw.len()
    }

    /// `raw` is a slice of the source's text, so the distance of their addresses is its offset.
    fn offset(&self) -> usize {
        self.raw.as_ptr() as usize - self.source.text().as_ptr() as usize
    }

    fn place(&self, span: Span) -> Place {
        Place::Text { source: self.source.clone(), span, pointer: self.pointer.clone() }
    }

    fn explain(&self, error: &serde_json::Error) -> Error {
        if self.raw.trim().is_empty() {
            return JsonError::Empty { file: self.source.name().to_owned() }.into();
        }
        // serde_json counts lines and columns within `raw`; the same count on a source of `raw` alone gives
        // the offset.
        let within = match error.is_eof() {
            false => Source::new("", self.raw).offset_of(error.line(), error.column()),
            // The last line is often empty: what stands last is more telling.
            true => self.raw.trim_end().len(),
        };
        let start = self.offset() + within;
        if !error.is_data() {
            return Error::new(JsonError::Syntax { message: plain_message(error) })
                .at(self.place(character_at(self.source.text(), start)));
        }
        let whole = error.to_string();
        let mut names = whole.split('`').skip(1).step_by(2).map(str::to_owned);
        let key = names.next().unwrap_or_default();
        let at_key = |kind: JsonError| {
            // The place of such an error is the quote behind the key.
            let quote = self.raw[..within].rfind('"').unwrap_or(within);
            Error::new(kind).at(self.place(self.offset() + quote..start + 1))
        };
        match whole.split(' ').next() {
            Some("unknown") if whole.starts_with("unknown variant") => {
                at_key(JsonError::UnknownValue { value: key, allowed: names.collect() })
            }
            Some("unknown") => at_key(JsonError::UnknownKey { key, allowed: names.collect() }),
            Some("duplicate") => at_key(JsonError::SameKey { key }),
            Some("missing") => self.error(JsonError::MissingKey { key }),
            // Nothing was read: it is the whole that is of another type.
            _ if error.column() == 0 => self.error(JsonError::Shape { message: plain_message(error) }),
            _ => {
                let Range { start, end } = value_that_ends_at(self.raw, within);
                let place = self.place(self.offset() + start..self.offset() + end);
                Error::new(JsonError::Shape { message: plain_message(error) }).at(place)
            }
        }
    }
}

/// An object's keys and values: a map of serde's keeps the last of a key's values without a word.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Deserialize<'a> for Entries<'a> {
    fn deserialize<D: serde::Deserializer<'a>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Visit;
        impl<'a> Visitor<'a> for Visit {
            type Value = Entries<'a>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> std::result::Result<Entries<'a>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

/// The whole character that begins at a byte; nothing where the text ends.
fn character_at(text: &str, at: usize) -> Span {
    at..at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
}

/// The value whose last byte was read last: serde_json tells no more of one that is of another type than
/// wanted. Of a list or an object that it has not read yet, the first byte.
fn value_that_ends_at(text: &str, last: usize) -> Span {
    let (before, end) = (&text[..last.min(text.len())], (last + 1).min(text.len()));
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '+');
    match text[before.len()..].chars().next() {
        Some('"') => {
            let quotes = before.rmatch_indices('"').map(|(at, _)| at);
            let mut opening =
                quotes.filter(|&at| (at - before[..at].trim_end_matches('\\').len()).is_multiple_of(2));
            opening.next().unwrap_or(before.len())..end
        }
        Some(']') => before.rfind('[').unwrap_or(before.len())..end,
        Some('}') => before.rfind('{').unwrap_or(before.len())..end,
        Some(letter) if is_word(letter) => before.trim_end_matches(is_word).len()..end,
        _ => match text[end..].find(|letter: char| !letter.is_whitespace()) {
            Some(next) => character_at(text, end + next),
            None => 0..text.len(),
        },
    }
}

/// serde_json's message without its place, and in JSON's words for Rust's types.
pub fn plain_message(error: &serde_json::Error) -> String {
    let whole = error.to_string();
    let message = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(message, _)| message);
    if let Some(inside) = message.strip_prefix("EOF while parsing ") {
        return format!("the text ends within {inside}");
    }
    if message.starts_with("control character") {
        return "a line end, or another control character, within a string".to_owned();
    }
    if let Some((found, wanted)) = message
        .strip_prefix("invalid length ")
        .and_then(|rest| rest.split_once(", expected an array of length "))
    {
        return format!("expected a list of {wanted}, found one of {found}");
    }
    let (kind, types) = message.split_once(": ").unwrap_or((message, ""));
    match (kind, types.rsplit_once(", expected ")) {
        ("invalid type" | "invalid value", Some((found, wanted))) => {
            format!("expected {}, found {}", plain_type(wanted), plain_type(found))
        }
        _ => message.to_owned(),
    }
}

fn plain_type(name: &str) -> String {
    match name {
        "u64" | "i64" => "a whole number".to_owned(),
        "usize" => "a whole number of 0 or more".to_owned(),
        "f64" => "a number".to_owned(),
        "sequence" | "a sequence" => "a list".to_owned(),
        "map" | "a map" => "an object".to_owned(),
        "a borrowed string" | "a string" => "a string".to_owned(),
        _ if name.starts_with("struct ") => "an object".to_owned(),
        // Of values that may be a word, or an object with a word as its only key.
        "newtype variant" => "an object with this word as its key".to_owned(),
        "unit variant" | "unit" => "the word alone".to_owned(),
        _ if name.starts_with("string ") => format!("the {name}"),
        // integer `7`, floating point `0.5`, boolean `true`
        _ => name.split('`').nth(1).unwrap_or(name).to_owned(),
    }
}

impl Text {
    /// An error about a part of the string, given in bytes of its value.
    pub fn error(&self, part: Span, kind: impl Into<Kind>) -> Error {
        let span = self.raw_offset(part.start)..self.raw_offset(part.end);
        Error::new(kind).at(Place::Text { source: self.source.clone(), span, pointer: self.pointer.clone() })
    }

    /// An error about the whole string.
    pub fn whole_error(&self, kind: impl Into<Kind>) -> Error {
        Error::new(kind).at(Place::Text {
            source: self.source.clone(),
            span: self.span.clone(),
            pointer: self.pointer.clone(),
        })
    }

    /// A string that stands in no file; its own text is its source.
    pub fn unwritten(name: &str, value: &str) -> Text {
        let mut quoted = String::new();
        // Writing to a String cannot fail.
        let _ = write!(quoted, "{}", serde_json::Value::from(value));
        let span = 0..quoted.len();
        Text { value: value.to_owned(), source: Source::new(name, quoted), span, pointer: String::new() }
    }

    /// Where a byte of the value stands in the file: escapes are longer there than in the value.
    fn raw_offset(&self, value_offset: usize) -> usize {
        let raw = &self.source.text()[self.span.clone()];
        let mut at = 1; // behind the opening quote
        let mut passed = 0;
        let mut letters = self.value.chars();
        while passed < value_offset {
            let Some(letter) = letters.next() else { break };
            passed += letter.len_utf8();
            at += match &raw.as_bytes()[at..] {
                // A letter outside the basic plane is a pair of \u escapes.
                [b'\\', b'u', ..] => 6 * letter.len_utf16(),
                [b'\\', ..] => 2,
                _ => letter.len_utf8(),
            };
        }
        self.span.start + at
    }
}
