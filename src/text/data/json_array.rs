//! One JSON array of objects, read object by object.

use std::io::{self, BufRead};

use super::json_object::Object;
use super::layout::Encoding;
use super::recognise::Looked;
use super::stream_error;
use super::studio::row;
use crate::error::{DataError, Error, Place, Result};

pub(super) struct Objects {
    input: Looked,
    encoding: Encoding,
    /// The most bytes that an object may have.
    most: u64,
    line: u64,
    /// What may come next.
    after: After,
    /// Whether nothing more comes.
    ended: bool,
}

/// What was read last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    Bracket,
    Object,
    Comma,
}

enum Found {
    /// An object's text.
    Object(Vec<u8>),
    End,
    /// Behind this nobody knows where the next object begins.
    Wrong(&'static str),
    TooLong,
    Unreadable(io::Error),
}

impl Objects {
    pub(super) fn new(input: Looked, encoding: Encoding, most: u64) -> Objects {
        Objects { input, encoding, most, line: 1, after: After::Nothing, ended: false }
    }

    /// The line on which the next object begins, and what it is; none behind the last one.
    /// Its text is left in `last`.
    pub(super) fn next(
        &mut self,
        name: &str,
        record: u64,
        last: &mut Vec<u8>,
    ) -> Option<(u64, Result<Object>)> {
        if self.ended {
            return None;
        }
        let at = |line: u64| Place::Row { file: name.to_owned(), line, record, batch: None, column: None };
        let (line, found) = self.find();
        self.ended = !matches!(found, Found::Object(_) | Found::TooLong);
        let object = match found {
            Found::Object(text) => {
                *last = text;
                row(last, self.encoding).map_err(|kind| Error::new(kind).at(at(line)))
            }
            Found::Wrong(message) => Err(Error::new(DataError::NotArray { message }).at(at(line))),
            Found::TooLong => {
                last.clear();
                Err(Error::new(DataError::RecordTooLong { most: self.most >> 20 }).at(at(line)))
            }
            Found::Unreadable(error) => Err(stream_error(name, &error)),
            Found::End => return None,
        };
        Some((line, object))
    }

    /// What comes next, and the line on which it begins.
    fn find(&mut self) -> (u64, Found) {
        loop {
            let found = match (self.byte(), self.after) {
                (Ok(Some(byte)), _) if byte.is_ascii_whitespace() => continue,
                // A byte order mark.
                (Ok(Some(0xef | 0xbb | 0xbf)), After::Nothing) => continue,
                (Ok(Some(b'[')), After::Nothing) => {
                    self.after = After::Bracket;
                    continue;
                }
                (Ok(Some(b',')), After::Object) => {
                    self.after = After::Comma;
                    continue;
                }
                (Ok(Some(b']')), After::Bracket | After::Object) => self.behind(),
                (Ok(Some(b']')), After::Comma) => {
                    Found::Wrong("a comma stands before the bracket that ends the array")
                }
                (Ok(Some(b'{')), After::Bracket | After::Comma) => {
                    self.after = After::Object;
                    let line = self.line;
                    return match self.rest_of_object() {
                        Ok(Some(text)) if text.len() as u64 > self.most => (line, Found::TooLong),
                        Ok(Some(text)) => (line, Found::Object(text)),
                        Ok(None) => (line, Found::Wrong("the file ends before this object does")),
                        Err(error) => (line, Found::Unreadable(error)),
                    };
                }
                (Ok(Some(_)), _) => {
                    Found::Wrong("an array of rows has objects in it, and a comma between two")
                }
                (Ok(None), _) => Found::Wrong("the file ends before its array does"),
                (Err(error), _) => Found::Unreadable(error),
            };
            return (self.line, found);
        }
    }

    /// Nothing but blanks may stand behind the array.
    fn behind(&mut self) -> Found {
        loop {
            match self.byte() {
                Ok(None) => return Found::End,
                Ok(Some(byte)) if byte.is_ascii_whitespace() => {}
                Ok(Some(_)) => return Found::Wrong("something stands behind the array"),
                Err(error) => return Found::Unreadable(error),
            }
        }
    }

    /// An object from behind its first brace to its last, of one that is longer than is allowed as much as is
    /// and a byte; none where the input ends before.
    fn rest_of_object(&mut self) -> io::Result<Option<Vec<u8>>> {
        let (mut text, mut depth, mut quoted, mut escaped) = (vec![b'{'], 1_u32, false, false);
        while depth > 0 {
            let Some(byte) = self.byte()? else { return Ok(None) };
            if text.len() as u64 <= self.most {
                text.push(byte);
            }
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'{' | b'[' if !quoted => depth += 1,
                b'}' | b']' if !quoted => depth -= 1,
                _ => {}
            }
        }
        Ok(Some(text))
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.input.fill_buf()?.first().copied();
        if let Some(byte) = byte {
            self.input.consume(1);
            self.line += u64::from(byte == b'\n');
        }
        Ok(byte)
    }
}
