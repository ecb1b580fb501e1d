//! JSON: one object a line, or one array of objects; their keys are the columns.

use std::io::{BufRead, Read as _};

use super::json_array::Objects;
use super::json_object::{Object, plain};
use super::layout::Encoding;
use super::reading::Reading;
use super::recognise::Looked;
use super::studio::row;
use super::{Columns, Example, stream_error};
use crate::error::{DataError, Error, Place, Result};

pub(super) struct Reader {
    source: Source,
    line: u64,
    count: u64,
    /// The first row, which was read for its keys.
    first: Option<Object>,
    /// What the last object was read from.
    last: Vec<u8>,
    encoding: Encoding,
    /// The most bytes that an object may have.
    most: u64,
    /// What stands between the entries of lists.
    lists: Option<String>,
}

/// How the objects stand in the input.
enum Source {
    Lines(Looked),
    Array(Objects),
}

impl Reader {
    pub(super) fn open(
        input: Looked,
        name: &str,
        (is_array, encoding): (bool, Encoding),
        reading: &Reading,
    ) -> Result<(Reader, Columns)> {
        let most = reading.adjust.layout.max_record();
        let source =
            if is_array { Source::Array(Objects::new(input, encoding, most)) } else { Source::Lines(input) };
        let (last, lists) = (Vec::new(), None);
        let mut reader = Reader { source, line: 0, count: 0, first: None, last, encoding, most, lists };
        let first = loop {
            match reader.object(name) {
                None => return Err(DataError::Empty { data: name.to_owned() }.into()),
                Some(Ok(object)) => break object,
                Some(Err(error)) => reading.bad_rows.skip(error, &reader.last())?,
            }
        };
        let columns = Columns::of_file(name, first.iter().map(|(key, _)| key.clone()).collect(), reading)?;
        reader.first = Some(first);
        reader.lists.clone_from(&reading.lists);
        Ok((reader, columns))
    }

    pub(super) fn next(&mut self, columns: &Columns) -> Option<Result<Example>> {
        let object = match self.first.take() {
            Some(first) => Ok(first),
            None => self.object(columns.data())?,
        };
        Some(object.and_then(|object| self.example(columns, object)))
    }

    /// The next object: of an array, or of the next line that is not blank.
    fn object(&mut self, name: &str) -> Option<Result<Object>> {
        let lines = match &mut self.source {
            Source::Lines(lines) => lines,
            Source::Array(objects) => {
                let (line, object) = objects.next(name, self.count + 1, &mut self.last)?;
                (self.line, self.count) = (line, self.count + 1);
                return Some(object);
            }
        };
        loop {
            self.last.clear();
            match lines.take(self.most + 1).read_until(b'\n', &mut self.last) {
                Err(error) => return Some(Err(stream_error(name, &error))),
                Ok(0) => return None,
                Ok(_) => self.line += 1,
            }
            if self.last.len() as u64 > self.most {
                // Its rest is passed over, unless its end came already: the next line is another row.
                let passed = if self.last.ends_with(b"\n") { Ok(0) } else { lines.skip_until(b'\n') };
                self.last.clear();
                self.count += 1;
                let kind = DataError::RecordTooLong { most: self.most >> 20 };
                let error = Error::new(kind).at(self.place(name, None));
                return Some(Err(passed.map_or_else(|error| stream_error(name, &error), |_| error)));
            }
            let bytes = &self.last;
            let text =
                if self.line == 1 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) } else { bytes };
            if text.trim_ascii().is_empty() {
                continue;
            }
            self.count += 1;
            return Some(
                row(text, self.encoding).map_err(|kind| Error::new(kind).at(self.place(name, None))),
            );
        }
    }

    /// What the last object was read from.
    pub(super) fn last(&self) -> Vec<String> {
        vec![String::from_utf8_lossy(self.last.trim_ascii()).into_owned()]
    }

    fn example(&self, columns: &Columns, mut object: Object) -> Result<Example> {
        let at = |column: &str| self.place(columns.data(), Some(column));
        let fields = columns
            .in_file()
            .iter()
            .map(|column| match object.iter().position(|(key, _)| key == column) {
                Some(index) => plain(&object.remove(index).1, self.lists.as_deref()).ok_or_else(|| {
                    Error::new(DataError::NotObject {
                        message: format!("the value of {column:?} is a list or an object"),
                    })
                    .at(at(column))
                }),
                None => Err(Error::new(DataError::KeyMissing { key: column.clone() }).at(at(column))),
            })
            .collect::<Result<Vec<String>>>()?;
        match object.first() {
            None => Ok(columns.example(self.count, self.line, fields)),
            Some((key, _)) => Err(Error::new(DataError::KeyUnknown {
                key: key.clone(),
                columns: columns.in_file().to_vec(),
            })
            .at(at(key))),
        }
    }

    fn place(&self, name: &str, column: Option<&str>) -> Place {
        Place::Row {
            file: name.to_owned(),
            line: self.line,
            record: self.count,
            batch: None,
            column: column.map(str::to_owned),
        }
    }
}
