//! CSV and TSV.

use super::layout::{Encoding, Quoting};
use super::reading::Reading;
use super::recognise::{Looked, Table, first_bytes};
use super::records::{Come, Records};
use super::{Columns, Example, stream_error};
use crate::error::{DataError, Error, Place, Result};

pub(super) struct Reader {
    records: Records,
    count: u64,
    /// Lines that are not counted: in files with the line ends of Windows a record's line is counted before
    /// its first letter.
    lines_before: u64,
    table: Table,
    encoding: Encoding,
    /// The most bytes that a record may have.
    most: u64,
    /// Whether the input could not be read to its end.
    failed: bool,
}

impl Reader {
    pub(super) fn open(
        mut input: Looked,
        name: &str,
        (table, encoding): (Table, Encoding),
        reading: &Reading,
    ) -> Result<(Reader, Columns)> {
        let start = first_bytes(&mut input).map_err(|error| stream_error(name, &error))?;
        let first = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let lines_before = table.lines_before + u64::from(first.ends_with(b"\r"));
        let most = reading.adjust.layout.max_record();
        let mut records = Records::new(input, table, most);
        let at_header = || Place::Row {
            file: name.to_owned(),
            line: 1 + table.lines_before,
            record: 0,
            batch: None,
            column: None,
        };
        let refused = |kind: DataError| Err(Error::new(kind).at(at_header()));
        match records.next().map_err(|error| stream_error(name, &error))? {
            Come::TooLong => return refused(too_long(most)),
            Come::End => return Err(DataError::Empty { data: name.to_owned() }.into()),
            Come::EndInQuotes => return refused(DataError::UnclosedQuote),
            Come::Record if records.is_unclosed() => return refused(DataError::UnclosedQuote),
            Come::Record => {}
        }
        let names = records
            .fields()
            .enumerate()
            .map(|(index, field)| match std::str::from_utf8(field) {
                Ok(name) => Ok(name.trim().to_owned()),
                Err(_) => {
                    let what = format!("the name of column {}", index + 1);
                    Err(Error::new(encoding.not_text(what)).at(at_header()))
                }
            })
            .collect::<Result<Vec<String>>>()?;
        let columns = Columns::of_file(name, names, reading).map_err(|error| error.at(at_header()))?;
        Ok((Reader { records, count: 0, lines_before, table, encoding, most, failed: false }, columns))
    }

    pub(super) fn next(&mut self, columns: &Columns) -> Option<Result<Example>> {
        if self.failed {
            return None;
        }
        let come = match self.records.next() {
            Ok(Come::End) => return None,
            Ok(come) => come,
            Err(error) => {
                self.failed = true;
                return Some(Err(stream_error(columns.data(), &error)));
            }
        };
        // Where a record that was too long swallowed all to the end, the place is that record's.
        self.count += u64::from(!matches!(come, Come::EndInQuotes));
        let kind = match come {
            Come::Record => return Some(self.example(columns)),
            Come::TooLong => too_long(self.most),
            Come::End | Come::EndInQuotes => DataError::UnclosedQuote,
        };
        Some(Err(Error::new(kind).at(self.place(columns, None))))
    }

    /// The fields of the record that was read last, whatever they are.
    pub(super) fn last(&self) -> Vec<String> {
        self.records.fields().map(|field| String::from_utf8_lossy(field).into_owned()).collect()
    }

    fn place(&self, columns: &Columns, column: Option<&str>) -> Place {
        Place::Row {
            file: columns.data().to_owned(),
            line: self.records.line() + self.lines_before,
            record: self.count,
            batch: None,
            column: column.map(str::to_owned),
        }
    }

    fn example(&self, columns: &Columns) -> Result<Example> {
        let at = |column: Option<&str>| self.place(columns, column);
        if self.records.is_unclosed() {
            return Err(Error::new(DataError::UnclosedQuote).at(at(None)));
        }
        if let Some(joined) = self.records.fields().position(|field| self.joins_rows(field)) {
            let column = columns.in_file().get(joined).map(String::as_str);
            return Err(Error::new(DataError::QuotesJoinLines).at(at(column)));
        }
        let (found, wanted) = (self.records.len(), columns.in_file().len());
        // A byte that stands alone, as behind the end of UTF-16 that was cut, makes a record too.
        let is_text = |field: &[u8]| std::str::from_utf8(field).is_ok();
        if found != wanted && !self.records.fields().all(is_text) {
            return Err(Error::new(self.encoding.not_text("this record".to_owned())).at(at(None)));
        }
        if found != wanted {
            return Err(Error::new(DataError::Ragged { found, wanted }).at(at(None)));
        }
        let fields = self
            .records
            .fields()
            .zip(columns.in_file())
            .map(|(field, column)| match std::str::from_utf8(field) {
                Ok(text) => Ok(text.to_owned()),
                Err(_) => {
                    Err(Error::new(self.encoding.not_text(format!("column {column:?}"))).at(at(Some(column))))
                }
            })
            .collect::<Result<Vec<String>>>()?;
        Ok(columns.example(self.count, self.records.line() + self.lines_before, fields))
    }

    /// Whether a field looks like several rows that stray quotes made one. Of TSV nobody knows what quotes
    /// mean unless it is said, and a wrong guess must not lose rows.
    fn joins_rows(&self, field: &[u8]) -> bool {
        let Table { quoting, quoting_guessed, delimiter, .. } = self.table;
        quoting_guessed
            && quoting == Quoting::Double
            && field.contains(&b'\n')
            && (field.contains(&delimiter.byte()) || self.records.len() == 1)
    }
}

fn too_long(most: u64) -> DataError {
    DataError::RecordTooLong { most: most >> 20 }
}
