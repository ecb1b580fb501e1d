//! Rows: CSV, TSV and JSON Lines, read one at a time, so that memory does not grow with the file.

mod delimited;
mod jsonl;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Error, FileError, Kind, Place, Result};

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
}

/// The columns of a data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    data: String,
    names: Vec<String>,
    label: Option<usize>,
}

impl Columns {
    /// Columns of the data that messages call `data`; two of one name are refused, and so is a label column
    /// that was asked for and is not there.
    pub fn check(data: &str, names: Vec<String>, label_column: Option<&str>) -> Result<Columns> {
        if let Some(twice) =
            names.iter().enumerate().find_map(|(index, name)| names[..index].contains(name).then_some(name))
        {
            return Err(DataError::SameColumn { column: twice.clone() }.into());
        }
        let label = names.iter().position(|name| name == label_column.unwrap_or("label"));
        match (label, label_column) {
            (None, Some(column)) => Err(DataError::NoLabelColumn {
                column: column.to_owned(),
                data: data.to_owned(),
                columns: names,
            }
            .into()),
            _ => Ok(Columns { data: data.to_owned(), names, label }),
        }
    }

    /// The same columns with the label column of others, by its name.
    #[must_use]
    pub fn with_label_of(mut self, other: &Columns) -> Columns {
        self.label = self.names.iter().position(|name| Some(name.as_str()) == other.label());
        self
    }

    /// The data's name in messages.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The columns' names in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The label column's name, if there is one.
    pub fn label(&self) -> Option<&str> {
        self.label.map(|index| self.names[index].as_str())
    }

    /// The place of a row, for an error about it.
    pub fn place(&self, example: &Example, column: Option<&str>) -> Place {
        Place::Row {
            file: self.data.clone(),
            line: example.line,
            record: example.record,
            column: column.map(str::to_owned),
        }
    }

    fn example(&self, record: u64, line: u64, fields: Vec<String>) -> Example {
        let label = self.label_of(&fields);
        Example { record, line, fields, label }
    }

    fn label_of(&self, fields: &[String]) -> Option<String> {
        self.label.map(|index| fields[index].clone()).filter(|label| !label.is_empty())
    }
}

/// The column of identities: what a row is known by, in whatever order the rows come.
pub const ID: &str = "id";

/// How a file of rows is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The format, where its name does not tell.
    pub format: Option<Format>,
    /// The column of labels, if not `label`.
    pub label_column: Option<String>,
}

impl Reading {
    /// Opens a file, or standard input for `-`.
    pub fn open(&self, path: &Path) -> Result<Rows> {
        Rows::open(&Input::of(path), self.format, self.label_column.as_deref())
    }
}

/// How rows are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values as in RFC 4180: quotes round fields with commas, quotes (doubled) or line ends.
    /// Blank lines are no rows, also where there is one column only: an empty text there is `""`.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Csv,
    /// The same with tabs for commas.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Tsv,
    /// One JSON object a line.
    #[serde(rename = "jsonl")]
    #[cfg_attr(feature = "cli", value(name = "jsonl", help = None::<&'static str>))]
    JsonLines,
}

impl Format {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::JsonLines => "jsonl",
        }
    }

    /// The format that a file's name tells.
    pub fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "tsv" | "tab" => Some(Format::Tsv),
            "jsonl" | "ndjson" => Some(Format::JsonLines),
            _ => None,
        }
    }
}

/// Where rows come from.
#[derive(Debug, Clone)]
pub enum Input {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl Input {
    /// What a path means: `-` is standard input.
    pub fn of(path: &Path) -> Input {
        if path == Path::new("-") { Input::Stdin } else { Input::File(path.to_owned()) }
    }

    /// The input's name in messages.
    pub fn name(&self) -> String {
        match self {
            Input::File(path) => path.display().to_string(),
            Input::Stdin => "standard input".to_owned(),
        }
    }

    /// The size in bytes, where it is known before reading.
    pub fn size(&self) -> Option<u64> {
        match self {
            Input::File(path) => {
                std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
            }
            Input::Stdin => None,
        }
    }
}

/// The rows of an input, one at a time.
pub struct Rows {
    columns: Arc<Columns>,
    reader: Reader,
    bytes: Arc<AtomicU64>,
    /// Rows that were looked at before they were wanted.
    ahead: VecDeque<Result<Example>>,
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
    JsonLines(jsonl::Reader),
}

impl Rows {
    /// Opens an input and reads its header. `format` outranks the file's name; `label_column` (default
    /// `label`, which may be absent) names the column of labels.
    pub fn open(input: &Input, format: Option<Format>, label_column: Option<&str>) -> Result<Rows> {
        match input {
            Input::File(path) => {
                let format = format.or_else(|| Format::of(path));
                let file = File::open(path).map_err(|error| Error::reading(path, &error))?;
                if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
                    return Err(FileError::FolderForFile { path: path.clone() }.into());
                }
                let format =
                    format.ok_or_else(|| Kind::Data(DataError::FormatUnknown { data: input.name() }))?;
                Rows::read(Box::new(file), &input.name(), format, label_column)
            }
            Input::Stdin => {
                Rows::read(Box::new(io::stdin()), &input.name(), format.unwrap_or(Format::Csv), label_column)
            }
        }
    }

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
        let bytes = Arc::new(AtomicU64::new(0));
        let input = Box::new(Counted { input, bytes: bytes.clone() });
        let (reader, columns) = match format {
            Format::Csv | Format::Tsv => {
                let (reader, columns) = delimited::Reader::open(
                    input,
                    name,
                    if format == Format::Csv { b',' } else { b'\t' },
                    label_column,
                )?;
                (Reader::Delimited(reader), columns)
            }
            Format::JsonLines => {
                let (reader, columns) = jsonl::Reader::open(input, name, label_column)?;
                (Reader::JsonLines(reader), columns)
            }
        };
        Ok(Rows { columns: Arc::new(columns), reader, bytes, ahead: VecDeque::new() })
    }

    /// How much of the input has been read, in bytes.
    pub fn bytes_read(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The columns.
    pub fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    /// The first rows that are still to come, so many at most, up to the first that cannot be read; they come all
    /// the same.
    pub fn look_ahead(&mut self, most: usize) -> impl Iterator<Item = &Example> {
        while self.ahead.len() < most && self.ahead.back().is_none_or(Result::is_ok) {
            let Some(row) = self.read_next() else { break };
            self.ahead.push_back(row);
        }
        self.ahead.iter().take(most).filter_map(|row| row.as_ref().ok())
    }

    /// The same rows with another column of labels, or with none.
    #[must_use]
    pub fn labelled_by(mut self, column: Option<&str>) -> Rows {
        let mut columns = Columns::clone(&self.columns);
        columns.label = columns.names.iter().position(|name| Some(name.as_str()) == column);
        for row in self.ahead.iter_mut().flatten() {
            row.label = columns.label_of(&row.fields);
        }
        Rows { columns: Arc::new(columns), ..self }
    }

    fn read_next(&mut self) -> Option<Result<Example>> {
        match &mut self.reader {
            Reader::Delimited(reader) => reader.next(&self.columns),
            Reader::JsonLines(reader) => reader.next(&self.columns),
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Example>;

    fn next(&mut self) -> Option<Result<Example>> {
        self.ahead.pop_front().or_else(|| self.read_next())
    }
}

/// The error of reading from an open input.
fn stream_error(name: &str, error: &io::Error) -> Error {
    Error::reading(Path::new(name), error)
}
