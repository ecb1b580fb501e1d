//! The records of a table, one at a time, of which none is kept beyond a bound.

use std::io::{self, BufRead, Read as _};

use csv_core::{ReadRecordResult, ReaderBuilder};

use super::layout::Quoting;
use super::recognise::{Looked, Table};

/// A record put behind every input. Where it does not come back as a record of its own, a quote before it was
/// never closed, and what stands between the two would be one field.
const END: &[u8] = b"cloze: end of the input\x1f";

/// A table's records. The crate `csv` would do, but behind a record that is too long it reads no others.
pub(super) struct Records {
    input: Box<dyn BufRead + Send>,
    core: Box<csv_core::Reader>,
    /// So many bytes a record may have, its fields' ends counted.
    most: u64,
    /// The fields of the record that was read last, one behind the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
    /// The line on which it begins, from 1.
    line: u64,
    /// Whether it was longer than may be, and its rest is still to come.
    is_open: bool,
    /// Whether the record behind the input came back.
    ended: bool,
}

/// What comes next.
pub(super) enum Come {
    Record,
    /// A record that is longer than may be. Its fields are not kept.
    TooLong,
    /// No more records.
    End,
    /// No more either: the last record, which was too long, had a quote that was never closed.
    EndInQuotes,
}

/// How much of a record was read.
enum Length {
    Whole,
    TooLong,
    Nothing,
}

impl Records {
    pub(super) fn new(input: Looked, table: Table, most: u64) -> Records {
        let core = ReaderBuilder::new()
            .delimiter(table.delimiter.byte())
            .quoting(table.quoting == Quoting::Double)
            .build();
        let core = Box::new(core);
        // The line ends close the input's last record and this one.
        let input = Box::new(input.chain(&b"\n"[..]).chain(END).chain(&b"\n"[..]));
        let (bytes, ends) = (vec![0; 1 << 10], vec![0; 1 << 6]);
        Records { input, core, most, bytes, ends, fields: 0, line: 1, is_open: false, ended: false }
    }

    /// Reads the next record.
    pub(super) fn next(&mut self) -> io::Result<Come> {
        while self.is_open {
            self.read()?;
        }
        let before = std::mem::replace(&mut self.line, self.core.line());
        Ok(match self.read()? {
            Length::TooLong => Come::TooLong,
            Length::Whole if self.fields == 1 && self.field(0) == END => {
                self.ended = true;
                Come::End
            }
            Length::Whole => {
                self.ended = self.is_unclosed();
                Come::Record
            }
            Length::Nothing if self.ended => Come::End,
            Length::Nothing => {
                (self.ended, self.line) = (true, before);
                Come::EndInQuotes
            }
        })
    }

    /// Reads up to the end of a record, or more of it than is allowed.
    fn read(&mut self) -> io::Result<Length> {
        let (mut length, mut fields) = (0, 0);
        (self.fields, self.is_open) = (0, false);
        loop {
            let input = self.input.fill_buf()?;
            let (bytes, ends) = (&mut self.bytes[length..], &mut self.ends[fields..]);
            let (result, read, written, ended) = self.core.read_record(input, bytes, ends);
            self.input.consume(read);
            (length, fields) = (length + written, fields + ended);
            if (length + size_of::<usize>() * fields) as u64 > self.most {
                self.is_open = result != ReadRecordResult::Record;
                return Ok(Length::TooLong);
            }
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.bytes.resize(2 * self.bytes.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record => {
                    self.fields = fields;
                    return Ok(Length::Whole);
                }
                ReadRecordResult::End => return Ok(Length::Nothing),
            }
        }
    }

    /// The line on which the last record begins.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// How many fields it has.
    pub(super) fn len(&self) -> usize {
        self.fields
    }

    /// Its fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.fields).map(|index| self.field(index))
    }

    /// Whether a quote in it is never closed.
    pub(super) fn is_unclosed(&self) -> bool {
        self.fields > 0 && self.field(self.fields - 1).trim_ascii_end().ends_with(END)
    }

    fn field(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}
