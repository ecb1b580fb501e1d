//! The one door by which JSON files enter: every value keeps its place, so that a mistake can be shown where it stands.
//!
//! serde alone loses places (a tagged enum reports the end of the object, `try_from` loses line and column), so raw types hold
//! [`RawValue`]s, which are slices of the file; their position in it is the place.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Error, Kind, Place, Result};
use crate::source::{Source, Span};

/// Reads a whole text file as UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|error| Error::reading(path, &error))?;
    String::from_utf8(bytes).map_err(|error| Kind::TextNotUtf8 { path: path.to_owned(), offset: error.utf8_error().valid_up_to() }.into())
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
        // A byte order mark is no part of JSON, but editors put it there.
        Node { source, raw: source.text().trim_start_matches('\u{feff}'), pointer: String::new() }
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

    /// The value as a type. Syntax and shape errors have their place in the file.
    pub fn read<T: Deserialize<'a>>(&self) -> Result<T> {
        serde_json::from_str(self.raw).map_err(|error| self.explain(&error))
    }

    /// The value as a string that knows its place.
    pub fn text(&self) -> Result<Text> {
        Ok(Text { value: self.read()?, source: self.source.clone(), span: self.span(), pointer: self.pointer.clone() })
    }

    /// Whether the value is an object, by its first letter: for values that may be either of two shapes.
    pub fn is_object(&self) -> bool {
        self.raw.starts_with('{')
    }

    /// An error about this value.
    pub fn error(&self, kind: Kind) -> Error {
        Error::new(kind).at(self.place(self.span()))
    }

    /// Refuses a file of another version than `known`, before its other keys are looked at: they may be of that version.
    pub fn check_version(&self, known: u64) -> Result<()> {
        #[derive(Deserialize)]
        struct Versioned<'a> {
            #[serde(borrow)]
            version: &'a RawValue,
        }
        let versioned: Versioned = self.read()?;
        let version = self.key("version", versioned.version);
        match version.read()? {
            found if found == known => Ok(()),
            found => Err(version.error(Kind::JsonVersion { found, known })),
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
        // serde_json counts lines and columns within `raw`; the same count on a source of `raw` alone gives the offset.
        let within = Source::new("", self.raw).offset_of(error.line(), error.column());
        let whole = error.to_string();
        let message = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(message, _)| message).to_owned();
        let start = self.offset() + within;
        let kind = if error.is_data() { Kind::JsonShape { message } } else { Kind::JsonSyntax { message } };
        Error::new(kind).at(self.place(start..start + 1))
    }
}

impl Text {
    /// An error about a part of the string, given in bytes of its value.
    pub fn error(&self, part: Span, kind: Kind) -> Error {
        let span = self.raw_offset(part.start)..self.raw_offset(part.end);
        Error::new(kind).at(Place::Text { source: self.source.clone(), span, pointer: self.pointer.clone() })
    }

    /// An error about the whole string.
    pub fn whole_error(&self, kind: Kind) -> Error {
        Error::new(kind).at(Place::Text { source: self.source.clone(), span: self.span.clone(), pointer: self.pointer.clone() })
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
