//! Rows: CSV, TSV, JSON, Arrow, Parquet and Excel, read one at a time, so that memory does not grow with the file.

// how a file is laid out
mod layout;

// files that are one set
mod part_files;

// how a file is read, and what is taken otherwise than it stands there
mod reading;
mod skipped;

// bytes to text
mod decoded;
mod gzip;

// what the formats look like
mod json_object;
mod recognise;

// tasks in place of rows
mod studio;

// rows with their types
mod values;

// the formats
mod arrow_stream;
mod delimited;
mod json_array;
mod jsonl;
mod parquet_file;
mod records;
mod sheet;

// rows of columns with types
mod batches;

// their rows
mod parts;

// a share of the rows
mod shard;

// rows that come as somebody writes them
mod background;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow_schema::SchemaRef;

use crate::error::{DataError, Error, Errors, Place, Result, TemplateError};

use background::{Background, Come};
use batches::Batches;
use part_files::Piece;
use parts::Parts;

pub use crate::text::format::Format;
pub use layout::{Delimiter, Encoding, Guess, Layout, MAX_RECORD_MIB, Quoting};
pub use reading::{Adjust, Input, Reading};
pub use shard::{Cut, Shard, Share};
pub use skipped::{BadRows, Skipped};
pub use values::Values;

/// One row: its fields in the columns' order, its label if it has one, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The record's number, from 1, the header not counted.
    pub record: u64,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The fields, in the order of [`Columns::names`].
    pub fields: Vec<String>,
    /// The label, unless there is no label column or its field is empty.
    pub label: Option<String>,
    /// Its values with their types, where the format has some and somebody keeps them.
    pub values: Option<Values>,
}

/// The columns of a data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    data: String,
    names: Vec<String>,
    /// The names as the file has them, where some are known by others.
    in_file: Option<Vec<String>>,
    /// Names by which columns were to be known that are not there.
    unmapped: Vec<(String, String)>,
    /// Columns of the file whose values are no text, each with what they are.
    without_text: Vec<(String, &'static str)>,
    /// All columns of a file with types, where these are kept.
    types: Option<SchemaRef>,
    /// The files, where they are several.
    parts: Parts,
    /// The batches, where the rows are a stream of them.
    batches: Batches,
    label: Option<usize>,
    /// Whether the only column is what a pattern calls it that reads one.
    by_any_name: bool,
}

impl Columns {
    /// Columns of the data that messages call `data`; two of one name are refused, and so is a label column
    /// that was asked for and is not there. Columns without a name, which spreadsheets write, may be several.
    pub fn check(data: &str, names: Vec<String>, label_column: Option<&str>) -> Result<Columns> {
        let is_twice = |(index, name): (usize, &'_ String)| !name.is_empty() && names[..index].contains(name);
        if let Some((_, twice)) = names.iter().enumerate().find(|(index, name)| is_twice((*index, name))) {
            return Err(DataError::SameColumn { column: twice.clone() }.into());
        }
        let label = names.iter().position(|name| name == label_column.unwrap_or(LABEL));
        match (label, label_column) {
            (None, Some(column)) => Err(DataError::NoLabelColumn {
                column: column.to_owned(),
                data: data.to_owned(),
                columns: names,
            }
            .into()),
            _ => Ok(Columns {
                data: data.to_owned(),
                names,
                in_file: None,
                unmapped: Vec::new(),
                without_text: Vec::new(),
                types: None,
                parts: Parts::default(),
                batches: Batches::default(),
                label,
                by_any_name: false,
            }),
        }
    }

    /// The columns that a file has.
    fn of_file(data: &str, names: Vec<String>, reading: &Reading) -> Result<Columns> {
        let mut columns = reading.adjust.columns(Columns::check(data, names, None)?)?;
        let asked = reading.label_column.as_deref();
        let place = |names: &[String]| names.iter().position(|name| name == asked.unwrap_or(LABEL));
        columns.label = place(&columns.names).or_else(|| place(columns.in_file()));
        match asked {
            _ if reading.adjust.no_labels => columns.label = None,
            Some(column) if columns.label.is_none() => {
                let (column, data, columns) = (column.to_owned(), columns.data.clone(), columns.names);
                return Err(DataError::NoLabelColumn { column, data, columns }.into());
            }
            _ => {}
        }
        Ok(columns)
    }

    /// The same columns with the label column of others, by its name.
    #[must_use]
    pub fn with_label_of(mut self, other: &Columns) -> Columns {
        self.label = self.names.iter().position(|name| Some(name.as_str()) == other.label());
        self
    }

    /// The same columns with others behind them, which no file has.
    #[must_use]
    pub fn with<const N: usize>(&self, more: [&str; N]) -> Columns {
        let mut columns = self.clone();
        columns.names.extend(more.map(str::to_owned));
        columns
    }

    /// The data's name in messages.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The columns' names in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the only column is what a pattern calls it that reads one.
    pub fn by_any_name(&self) -> bool {
        self.by_any_name
    }

    /// The columns' names as the file has them.
    pub fn in_file(&self) -> &[String] {
        self.in_file.as_ref().unwrap_or(&self.names)
    }

    /// The column that was to be known by this name, where the file has neither.
    pub fn unmapped(&self, name: &str) -> Option<&str> {
        self.unmapped.iter().find(|(known, _)| known == name).map(|(_, column)| column.as_str())
    }

    /// All columns of a file with types, where these are kept.
    pub(crate) fn types(&self) -> Option<&SchemaRef> {
        self.types.as_ref()
    }

    /// Why a column that is in the file cannot be read: its values are no text.
    pub fn no_text(&self, name: &str) -> Option<DataError> {
        let (column, kind) = self.without_text.iter().find(|(column, _)| column == name)?;
        Some(DataError::NoText { column: column.clone(), data: self.data.clone(), kind })
    }

    /// Refuses columns that were to be known by another name and are not there.
    pub fn check_mapped(&self) -> Result<(), Errors> {
        let error = |(column, mapped): &(String, String)| {
            if let Some(error) = self.no_text(mapped) {
                return error.into();
            }
            let (column, mapped, data) = (column.clone(), mapped.clone(), self.data.clone());
            let columns = self.in_file().to_vec();
            TemplateError::MappedToNothing { column, mapped, data, columns }.into()
        };
        let mut errors = Errors::new();
        errors.extend(self.unmapped.iter().map(error));
        errors.none()
    }

    /// The label column's name, if there is one.
    pub fn label(&self) -> Option<&str> {
        self.label.map(|index| self.names[index].as_str())
    }

    /// Rows in memory, each with a field for each column, in their order.
    pub(crate) fn examples<R: AsRef<[F]>, F: AsRef<str>>(&self, rows: &[R]) -> Result<Vec<Example>> {
        let example = |(record, row): (u64, &R)| {
            let fields: Vec<String> = row.as_ref().iter().map(|field| field.as_ref().to_owned()).collect();
            let (found, wanted) = (fields.len(), self.names.len());
            let example = Example { record, line: record, fields, label: None, values: None };
            match found == wanted {
                true => Ok(example),
                false => Err(Error::new(DataError::Ragged { found, wanted }).at(self.place(&example, None))),
            }
        };
        (1..).zip(rows).map(example).collect()
    }

    /// The place of a row, for an error about it.
    pub fn place(&self, example: &Example, column: Option<&str>) -> Place {
        Place::Row {
            file: self.parts.of(example.record).unwrap_or_else(|| self.data.clone()),
            line: example.line,
            record: example.record,
            batch: self.batches.of(example.record),
            column: column.map(str::to_owned),
        }
    }

    fn example(&self, record: u64, line: u64, fields: Vec<String>) -> Example {
        let label = self.label_of(&fields);
        Example { record, line, fields, label, values: None }
    }

    fn label_of(&self, fields: &[String]) -> Option<String> {
        self.label.map(|index| fields[index].clone()).filter(|label| !label.trim().is_empty())
    }
}

/// The usual column of texts.
pub const TEXT: &str = "text";

/// The usual column of labels.
pub const LABEL: &str = "label";

/// So long rows that somebody is still writing are waited for, from the first of them on.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// So long where rows are to be answered as soon as no other is at hand: a program writes the next within that.
const HARDLY: Duration = Duration::from_millis(5);

/// The column of identities: what a row is known by, in whatever order the rows come.
pub const ID: &str = "id";

/// The rows of an input, one at a time.
pub struct Rows {
    columns: Arc<Columns>,
    reader: Reader,
    bytes: Arc<AtomicU64>,
    adjust: Adjust,
    bad_rows: BadRows,
    /// Whether the column of labels was named.
    label_named: bool,
    labels_guessed: bool,
    /// Rows that were looked at before they were wanted, with the ends of batches among them.
    ahead: VecDeque<Ahead>,
    /// When the first of them came.
    came: Option<Instant>,
    /// So many rows at most are answered together, as soon as no other is at hand; as many as is fast where
    /// nothing is said.
    together: Option<usize>,
    /// Whether the rows come in batches that are answered one by one.
    by_batch: bool,
    /// Whether more of the batch is to come.
    in_batch: bool,
    /// The share of the rows that these are, if not all.
    share: Option<Share>,
}

/// What was looked at.
enum Ahead {
    Row(Result<Example>),
    EndOfBatch,
}

/// What comes next.
pub enum Next {
    /// A row, or why it cannot be read.
    Row(Result<Example>),
    /// No more rows of a batch: only in a stream of batches.
    EndOfBatch,
    /// Nothing yet.
    Later,
    /// No more rows.
    End,
}

/// A row as a reader gives it, or what is wrong with it, and what was there.
type Raw = Result<Example, (Error, Vec<String>)>;

/// What a reader gives.
enum Step {
    Row(Raw),
    EndOfBatch,
}

/// A reader that counts what went through it.
struct Counted<R> {
    input: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.bytes.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

enum Reader {
    Delimited(delimited::Reader),
    Json(jsonl::Reader),
    Batches(Box<batches::Reader>),
    Parts(Box<parts::Reader>),
    Sheet(Box<sheet::Reader>),
    /// A row that is there already.
    Given(Option<Vec<String>>),
    Background(Background),
}

impl Reader {
    /// The next row, as long as that takes.
    fn next(&mut self, columns: &Columns) -> Option<Raw> {
        match self {
            Reader::Delimited(reader) => {
                let row = reader.next(columns)?;
                Some(row.map_err(|error| (error, reader.last())))
            }
            Reader::Json(reader) => {
                let row = reader.next(columns)?;
                Some(row.map_err(|error| (error, reader.last())))
            }
            Reader::Batches(reader) => reader.next(columns),
            Reader::Sheet(reader) => {
                let row = reader.next(columns)?;
                Some(row.map_err(|error| (error, reader.last())))
            }
            Reader::Parts(reader) => reader.next(columns),
            Reader::Given(fields) => fields.take().map(|fields| Ok(columns.example(1, 1, fields))),
            Reader::Background(rows) => loop {
                match rows.next(None) {
                    Come::Row(row) => return Some(row),
                    Come::EndOfBatch => {}
                    Come::Nothing | Come::End => return None,
                }
            },
        }
    }

    /// The same with the ends of batches, where these are told.
    fn step(&mut self, columns: &Columns) -> Option<Step> {
        match self {
            Reader::Batches(reader) => reader.step(columns),
            reader => reader.next(columns).map(Step::Row),
        }
    }
}

impl Rows {
    /// Rows of any reader, which messages call `name`.
    ///
    /// ```
    /// use cloze::text::data::{Format, Rows};
    /// let mut rows = Rows::read(Box::new("text,label\n\"a, b\",x\n".as_bytes()), "demo", Format::Csv, None)?;
    /// let first = rows.next().unwrap()?;
    /// assert_eq!((first.fields[0].as_str(), first.label.as_deref()), ("a, b", Some("x")));
    /// # Ok::<(), cloze::error::Error>(())
    /// ```
    pub fn read(
        input: Box<dyn Read + Send>,
        name: &str,
        format: Format,
        label_column: Option<&str>,
    ) -> Result<Rows> {
        let reading = Reading { label_column: label_column.map(str::to_owned), ..Reading::default() };
        Rows::of(input, name, Some(format), &reading)
    }

    /// One row, its fields under their columns' names.
    pub fn given(name: &str, fields: Vec<(String, String)>, reading: &Reading) -> Result<Rows> {
        let (names, fields): (Vec<String>, Vec<String>) = fields.into_iter().unzip();
        let columns = Columns::of_file(name, names, reading)?;
        Ok(Rows::with(Reader::Given(Some(fields)), columns, Arc::default(), reading))
    }

    /// One text, whatever a pattern calls the only column that it reads.
    pub fn of_text(name: &str, text: String, reading: &Reading) -> Result<Rows> {
        let mut columns = Columns::of_file(name, vec![TEXT.to_owned()], reading)?;
        columns.by_any_name = true;
        // Names are for the columns of files that are read beside it.
        columns.unmapped.clear();
        Ok(Rows::with(Reader::Given(Some(vec![text])), columns, Arc::default(), reading))
    }

    /// Rows of several files, or of parts of them.
    fn of_pieces(pieces: Vec<Piece>, name: &str, reading: &Reading) -> Result<Rows> {
        let bytes = Arc::new(AtomicU64::new(0));
        let (reader, columns) = parts::Reader::open(pieces, name, bytes.clone(), reading)?;
        Ok(Rows::with(Reader::Parts(Box::new(reader)), columns, bytes, reading))
    }

    /// Rows of a file that can be read at any place.
    fn of_file(file: File, name: &str, told: Option<Format>, reading: &Reading) -> Result<Rows> {
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        match reading.format.or(told) {
            Some(Format::Parquet) if is_file => {
                let bytes = Arc::new(AtomicU64::new(0));
                let source = parquet_file::Source::open(file, name, bytes.clone())?;
                Rows::of_batches(batches::Source::Parquet(source), name, bytes, reading)
            }
            Some(Format::Xlsx) if is_file => {
                let bytes = Arc::new(AtomicU64::new(0));
                let (reader, columns) = sheet::Reader::open(file, name, bytes.clone(), reading)?;
                Ok(Rows::with(Reader::Sheet(Box::new(reader)), columns, bytes, reading))
            }
            _ => Rows::of(Box::new(file), name, told, reading),
        }
    }

    fn of_batches(
        source: batches::Source,
        name: &str,
        bytes: Arc<AtomicU64>,
        reading: &Reading,
    ) -> Result<Rows> {
        let (reader, columns) = batches::Reader::open(source, name, reading)?;
        Ok(Rows::with(Reader::Batches(Box::new(reader)), columns, bytes, reading))
    }

    /// Reads the header of an input, whose name may tell its format.
    fn of(input: Box<dyn Read + Send>, name: &str, told: Option<Format>, reading: &Reading) -> Result<Rows> {
        if reading.format.or(told) == Some(Format::Arrow) {
            let bytes = Arc::new(AtomicU64::new(0));
            let input = recognise::unpacked(Box::new(Counted { input, bytes: bytes.clone() }));
            let input = input.map_err(|error| stream_error(name, &error))?;
            let source = arrow_stream::Source::open(Box::new(input), name)?;
            return Rows::of_batches(batches::Source::Arrow(Box::new(source)), name, bytes, reading);
        }
        let needs_file = match reading.format.or(told) {
            Some(Format::Parquet) => Some("Parquet"),
            Some(Format::Xlsx) => Some("Excel"),
            _ => None,
        };
        if let Some(format) = needs_file {
            return Err(DataError::NeedsFile { data: name.to_owned(), format }.into());
        }
        let bytes = Arc::new(AtomicU64::new(0));
        let layout = &reading.adjust.layout;
        let mut tell = |guess: Guess| log::info!(target: guess.target(), "{name}: {guess}");
        let counted = Box::new(Counted { input, bytes: bytes.clone() });
        let (mut input, encoding) = recognise::text(counted, name, layout, &mut tell)?;
        let (reader, columns) = match reading.format(name, told)? {
            format @ (Format::Csv | Format::Tsv) => {
                let table = recognise::table(&mut input, name, format, layout, &mut tell)?;
                let (reader, columns) = delimited::Reader::open(input, name, (table, encoding), reading)?;
                (Reader::Delimited(reader), columns)
            }
            format => {
                let is_array = format == Format::Json && recognise::is_array(&mut input, name)?;
                let (reader, columns) = jsonl::Reader::open(input, name, (is_array, encoding), reading)?;
                (Reader::Json(reader), columns)
            }
        };
        Ok(Rows::with(reader, columns, bytes, reading))
    }

    fn with(reader: Reader, columns: Columns, bytes: Arc<AtomicU64>, reading: &Reading) -> Rows {
        let (adjust, bad_rows) = (reading.adjust.clone(), reading.bad_rows.clone());
        let label_named = reading.label_column.is_some();
        let (columns, ahead, labels_guessed) = (Arc::new(columns), VecDeque::new(), false);
        let (came, together, by_batch, in_batch) = (None, None, false, false);
        Rows {
            columns,
            reader,
            bytes,
            adjust,
            bad_rows,
            label_named,
            labels_guessed,
            ahead,
            came,
            together,
            by_batch,
            in_batch,
            share: None,
        }
    }

    /// Reads some row groups only, of Parquet.
    fn only_groups(&mut self, groups: Range<usize>) {
        if let Reader::Batches(reader) = &mut self.reader {
            reader.only_groups(groups);
        }
    }

    /// The share of the rows that these are, if not all.
    pub fn share(&self) -> Option<&Share> {
        self.share.as_ref()
    }

    /// Whether a record is one of these rows, where they are dealt out in turn.
    fn is_own(&self, record: u64) -> bool {
        match &self.share {
            Some(Share { shard, cut: Cut::Rows, .. }) => shard.has(record),
            _ => true,
        }
    }

    /// The same rows, waited for on a thread of their own: for an input that somebody is still writing.
    #[must_use]
    pub fn in_background(mut self) -> Rows {
        if let Reader::Batches(reader) = &mut self.reader {
            reader.tell_ends();
            self.by_batch = true;
        }
        let reader = Reader::Background(Background::start(self.reader, self.columns.clone()));
        Rows { reader, ..self }
    }

    /// The same rows, so many answered together at most, and those that came as soon as no other is at hand.
    #[must_use]
    pub fn flushed_after(self, rows: Option<usize>) -> Rows {
        Rows { together: rows, ..self }
    }

    /// The most rows to answer together, where that is said.
    pub fn together(&self) -> Option<usize> {
        self.together
    }

    /// Whether the rows come in batches that are answered one by one: a stream on standard input.
    pub fn by_batch(&self) -> bool {
        self.by_batch
    }

    /// Whether more rows of a batch are to come, which takes no longer than to read them.
    pub fn in_batch(&self) -> bool {
        self.in_batch
    }

    /// How much of the input has been read, in bytes.
    pub fn bytes_read(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The columns.
    pub fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    /// Leaves the fields of other columns than these, and of labels, empty, and does not read them where the
    /// format lets them be: of a wide file only what is asked about costs time.
    #[must_use]
    pub fn only(mut self, names: &[String]) -> Rows {
        self.leave_out_but(names);
        self
    }

    fn leave_out_but(&mut self, names: &[String]) {
        match &mut self.reader {
            Reader::Batches(reader) => {
                let label = self.columns.label();
                let wanted = |name: &String| names.contains(name) || Some(name.as_str()) == label;
                reader.only(self.columns.names.iter().map(wanted).collect());
            }
            Reader::Parts(reader) => reader.only(names),
            _ => {}
        }
    }

    /// The first rows that are still to come, so many at most, up to the first that cannot be read, or the end
    /// of a batch; they come all the same. Rows that somebody is still writing are waited for until
    /// [`PATIENCE`] ends, and the first of them as long as it takes.
    pub fn look_ahead(&mut self, most: usize) -> impl Iterator<Item = &Example> {
        while self.ahead.len() < most && matches!(self.ahead.back(), None | Some(Ahead::Row(Ok(_)))) {
            let came = self.came.filter(|_| !self.ahead.is_empty());
            let wait = came.map(|came| self.patience().saturating_sub(came.elapsed()));
            match self.read_next(wait) {
                Next::Row(row) => self.ahead.push_back(Ahead::Row(row)),
                Next::EndOfBatch => self.ahead.push_back(Ahead::EndOfBatch),
                Next::Later | Next::End => break,
            }
            self.came = came.or_else(|| Some(Instant::now()));
        }
        self.ahead.iter().take(most).filter_map(|ahead| match ahead {
            Ahead::Row(row) => row.as_ref().ok(),
            Ahead::EndOfBatch => None,
        })
    }

    /// So long others are waited for with a row that has come.
    fn patience(&self) -> Duration {
        if self.together.is_some() { HARDLY } else { PATIENCE }
    }

    /// The same rows with another column of labels, or with none.
    #[must_use]
    pub fn labelled_by(mut self, column: Option<&str>) -> Rows {
        let mut columns = Columns::clone(&self.columns);
        columns.label = columns.names.iter().position(|name| Some(name.as_str()) == column);
        for ahead in &mut self.ahead {
            if let Ahead::Row(Ok(row)) = ahead {
                row.label = self.adjust.label(columns.label_of(&row.fields));
            }
        }
        Rows { columns: Arc::new(columns), ..self }
    }

    /// Whether it was said that no row has a label.
    pub fn have_no_labels(&self) -> bool {
        self.adjust.no_labels
    }

    /// Leaves out a row that this error is about, where such rows are left out; else gives the error back.
    pub fn leave_out(&self, error: Error, row: &Example) -> Result<()> {
        self.bad_rows.skip(error, &row.fields)
    }

    /// How many rows of this input were left out so far.
    pub fn left_out(&self) -> u64 {
        let parts = self.columns.parts.names();
        let parts: u64 = parts.iter().map(|part| self.bad_rows.of(part)).sum();
        parts + self.bad_rows.of(self.columns.data())
    }

    /// The same rows, where nobody said that their column of labels is one: others than the classes are none.
    #[must_use]
    pub fn with_guessed_labels(self) -> Rows {
        Rows { labels_guessed: !self.label_named, ..self }
    }

    /// Whether nobody said that the column of labels is one.
    pub fn labels_guessed(&self) -> bool {
        self.labels_guessed
    }

    /// Until when others are waited for with the row that has just been given: rows that were looked at have
    /// been waited for already.
    pub fn patience_ends(&mut self) -> Instant {
        self.came.take().unwrap_or_else(Instant::now) + self.patience()
    }

    /// The next row, waited for at most so long; without a time, as long as it takes. Only rows that somebody
    /// is still writing are waited for.
    pub fn next_within(&mut self, wait: Option<Duration>) -> Next {
        let next = match self.ahead.pop_front() {
            Some(Ahead::Row(row)) => Next::Row(row),
            Some(Ahead::EndOfBatch) => Next::EndOfBatch,
            None => self.read_next(wait),
        };
        match next {
            Next::Row(_) => self.in_batch = self.by_batch,
            Next::EndOfBatch => self.in_batch = false,
            Next::Later | Next::End => {}
        }
        next
    }

    fn read_next(&mut self, wait: Option<Duration>) -> Next {
        loop {
            let raw = match &mut self.reader {
                Reader::Background(rows) => match rows.next(wait) {
                    Come::Row(row) => row,
                    Come::EndOfBatch => return Next::EndOfBatch,
                    Come::Nothing => return Next::Later,
                    Come::End => return Next::End,
                },
                reader => match reader.next(&self.columns) {
                    Some(row) => row,
                    None => return Next::End,
                },
            };
            let skipped = match raw {
                Ok(row) if !self.is_own(row.record) => continue,
                // Whose row it is tells of it, but for what ends all rows.
                Err((error, _)) if BadRows::is_of_one(&error).is_some_and(|record| !self.is_own(record)) => {
                    continue;
                }
                Ok(row) => {
                    let label = self.columns.label_of(&row.fields);
                    return Next::Row(Ok(Example { label: self.adjust.label(label), ..row }));
                }
                Err((error, fields)) => self.bad_rows.skip(error, &fields),
            };
            if let Err(error) = skipped {
                return Next::Row(Err(error));
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Example>;

    fn next(&mut self) -> Option<Result<Example>> {
        loop {
            match self.next_within(None) {
                Next::Row(row) => return Some(row),
                Next::EndOfBatch => {}
                Next::Later | Next::End => return None,
            }
        }
    }
}

/// The error of reading from an open input.
fn stream_error(name: &str, error: &io::Error) -> Error {
    Error::reading(Path::new(name), error)
}
