//! CSV and TSV.

use std::io::{self, BufRead as _, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::{ByteRecord, ReaderBuilder};

use super::layout::Quoting;
use super::reading::Reading;
use super::recognise::{Looked, Table};
use super::{Columns, Example, stream_error};
use crate::error::{DataError, Error, Place, Result};

/// A record put behind every input. Where it does not come back as a record of its own, a quote before it was
/// never closed, and what stands between the two would be one field.
const END: &[u8] = b"cloze: end of the input\x1f";

pub(super) struct Reader {
    records: csv::Reader<Bounded>,
    /// Bytes that were read since the last record ended.
    since: Arc<AtomicU64>,
    /// So many are allowed.
    most: u64,
    // One buffer for all records: its fields are copied out into the example.
    record: ByteRecord,
    count: u64,
    /// Lines that the crate does not count: in files with the line ends of Windows it counts a record's line
    /// before its first letter.
    lines_before: u64,
    table: Table,
}

impl Reader {
    pub(super) fn open(
        input: Looked,
        name: &str,
        table: Table,
        reading: &Reading,
    ) -> Result<(Reader, Columns)> {
        let mut input = input;
        let start = input.fill_buf().map_err(|error| stream_error(name, &error))?;
        let first = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let lines_before = table.lines_before + u64::from(first.ends_with(b"\r"));
        // Without headers and flexible: the header and the field counts are checked here, because the crate's
        // own errors name no column.
        let (since, most) = (Arc::new(AtomicU64::new(0)), reading.adjust.layout.max_record());
        let bounded = Bounded { input: with_end(input), since: since.clone(), most };
        let mut records = ReaderBuilder::new()
            .delimiter(table.delimiter.byte())
            .quoting(table.quoting == Quoting::Double)
            .has_headers(false)
            .flexible(true)
            .from_reader(bounded);
        let mut record = ByteRecord::new();
        let at_header = |column: Option<String>| Place::Row {
            file: name.to_owned(),
            line: 1 + table.lines_before,
            record: 0,
            column,
        };
        records.read_byte_record(&mut record).map_err(|error| match too_long(&since, most) {
            Some(kind) => Error::new(kind).at(at_header(None)),
            None => crate_error(name, error),
        })?;
        since.store(0, Ordering::Relaxed);
        if is_end(&record) {
            return Err(DataError::Empty { data: name.to_owned() }.into());
        }
        if holds_end(&record) {
            return Err(Error::new(DataError::UnclosedQuote).at(at_header(None)));
        }
        let names = record
            .iter()
            .enumerate()
            .map(|(index, field)| match std::str::from_utf8(field) {
                Ok(name) => Ok(name.trim().to_owned()),
                Err(_) => {
                    Err(Error::new(DataError::NotUtf8 { what: format!("the name of column {}", index + 1) })
                        .at(at_header(None)))
                }
            })
            .collect::<Result<Vec<String>>>()?;
        let columns = Columns::of_file(name, names, reading).map_err(|error| error.at(at_header(None)))?;
        Ok((Reader { records, since, most, record, count: 0, lines_before, table }, columns))
    }

    pub(super) fn next(&mut self, columns: &Columns) -> Option<Result<Example>> {
        // Behind a record that is too long nobody knows where the next begins.
        if too_long(&self.since, self.most).is_some() {
            return None;
        }
        let read = self.records.read_byte_record(&mut self.record);
        if read.is_ok() {
            self.since.store(0, Ordering::Relaxed);
        }
        match read {
            Ok(false) => None,
            Ok(true) if is_end(&self.record) => None,
            Ok(true) => {
                self.count += 1;
                Some(self.example(columns))
            }
            Err(error) => Some(Err(match too_long(&self.since, self.most) {
                Some(kind) => {
                    let line = self.records.position().line() + self.lines_before;
                    let (file, record) = (columns.data().to_owned(), self.count + 1);
                    Error::new(kind).at(Place::Row { file, line, record, column: None })
                }
                None => crate_error(columns.data(), error),
            })),
        }
    }

    /// The fields of the record that was read last, whatever they are.
    pub(super) fn last(&self) -> Vec<String> {
        self.record.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect()
    }

    fn example(&self, columns: &Columns) -> Result<Example> {
        let line = self.record.position().map_or(0, csv::Position::line) + self.lines_before;
        let at = |column: Option<&str>| Place::Row {
            file: columns.data().to_owned(),
            line,
            record: self.count,
            column: column.map(str::to_owned),
        };
        if holds_end(&self.record) {
            return Err(Error::new(DataError::UnclosedQuote).at(at(None)));
        }
        if let Some(joined) = self.record.iter().position(|field| self.joins_rows(field)) {
            let column = columns.in_file().get(joined).map(String::as_str);
            return Err(Error::new(DataError::QuotesJoinLines).at(at(column)));
        }
        let (found, wanted) = (self.record.len(), columns.in_file().len());
        if found != wanted {
            return Err(Error::new(DataError::Ragged { found, wanted }).at(at(None)));
        }
        let fields = self
            .record
            .iter()
            .zip(columns.in_file())
            .map(|(field, column)| match std::str::from_utf8(field) {
                Ok(text) => Ok(text.to_owned()),
                Err(_) => Err(Error::new(DataError::NotUtf8 { what: format!("column {column:?}") })
                    .at(at(Some(column)))),
            })
            .collect::<Result<Vec<String>>>()?;
        Ok(columns.example(self.count, line, fields))
    }
}

impl Reader {
    /// Whether a field looks like several rows that stray quotes made one. Of TSV nobody knows what quotes
    /// mean unless it is said, and a wrong guess must not lose rows.
    fn joins_rows(&self, field: &[u8]) -> bool {
        let Table { quoting, quoting_guessed, delimiter, .. } = self.table;
        quoting_guessed
            && quoting == Quoting::Double
            && field.contains(&b'\n')
            && (field.contains(&delimiter.byte()) || self.record.len() == 1)
    }
}

/// An input of which no record is read beyond a bound: a line without an end must not fill the memory.
struct Bounded {
    input: Box<dyn Read + Send>,
    since: Arc<AtomicU64>,
    most: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if too_long(&self.since, self.most).is_some() {
            return Err(io::Error::other("a record is too long"));
        }
        let length = self.input.read(buffer)?;
        self.since.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

fn too_long(since: &AtomicU64, most: u64) -> Option<DataError> {
    (since.load(Ordering::Relaxed) > most).then_some(DataError::RecordTooLong { most: most >> 20 })
}

fn with_end(input: Looked) -> Box<dyn Read + Send> {
    // The line ends close the input's last record and this one.
    Box::new(input.chain(&b"\n"[..]).chain(END).chain(&b"\n"[..]))
}

fn is_end(record: &ByteRecord) -> bool {
    record.len() == 1 && &record[0] == END
}

fn holds_end(record: &ByteRecord) -> bool {
    record.iter().next_back().is_some_and(|last| last.trim_ascii_end().ends_with(END))
}

/// With byte records and flexible lengths, input and output is all that the crate can find wrong.
fn crate_error(name: &str, error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => stream_error(name, &error),
        other => stream_error(name, &io::Error::other(format!("{other:?}"))),
    }
}
