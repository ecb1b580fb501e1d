//! Tables of columns with types: Parquet, and Arrow as a file or a stream.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Time32SecondType, TimestampSecondType};
use arrow_array::{
    Array as _, ArrayRef, DictionaryArray, RecordBatch, StringArray, Time32MillisecondArray,
    TimestampMillisecondArray, new_empty_array,
};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::text::column::{Cell, Column, Holds};

/// So many rows make a batch, or so many bytes of text.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 16 << 20;
/// A row group of Parquet is written when it has so many bytes: until then it stays in memory.
const GROUP_BYTES: usize = 32 << 20;

/// How such a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Parquet,
    ArrowFile,
    ArrowStream,
}

pub(super) struct TypedWriter<W: Write + Send> {
    schema: SchemaRef,
    columns: Vec<Values>,
    rows: usize,
    /// Bytes of text in the rows at hand.
    bytes: usize,
    /// Whether batches end only where somebody says so.
    as_told: bool,
    output: Output<W>,
}

enum Output<W: Write + Send> {
    Parquet(Box<ArrowWriter<Lent<W>>>),
    File(Box<FileWriter<W>>),
    Stream(Box<StreamWriter<W>>),
}

/// The values of a column that are at hand.
enum Values {
    Text(StringBuilder),
    Whole(Int64Builder),
    Share(Float32Builder),
    /// Keys of words, and the words.
    Word(Int32Builder, HashMap<String, i32>, ArrayRef),
    List(ListBuilder<StringBuilder>),
    /// Values of the input, each with its place in the array that it came in.
    Kept {
        arrays: Vec<ArrayRef>,
        places: Vec<(usize, usize)>,
        kind: DataType,
        change: Change,
    },
}

/// What a kept value becomes where the format cannot have it as it is.
#[derive(Debug, Clone, Copy)]
enum Change {
    None,
    /// An Arrow file has one dictionary for all of its batches: dictionaries are unpacked.
    Unpacked,
    /// Parquet has no times in whole seconds: they are in thousandths.
    Thousandths,
}

impl Change {
    fn of(kind: &DataType, form: Form) -> Change {
        match (form, kind) {
            (Form::ArrowFile, DataType::Dictionary(..)) => Change::Unpacked,
            (
                Form::Parquet,
                DataType::Timestamp(TimeUnit::Second, _) | DataType::Time32(TimeUnit::Second),
            ) => Change::Thousandths,
            _ => Change::None,
        }
    }

    fn kind(self, kind: &DataType) -> DataType {
        match (self, kind) {
            (Change::Unpacked, DataType::Dictionary(_, values)) => values.as_ref().clone(),
            (Change::Thousandths, DataType::Timestamp(_, zone)) => {
                DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
            }
            (Change::Thousandths, DataType::Time32(_)) => DataType::Time32(TimeUnit::Millisecond),
            _ => kind.clone(),
        }
    }

    fn array(self, values: ArrayRef) -> Result<ArrayRef, ArrowError> {
        Ok(match (self, values.data_type()) {
            (Change::Unpacked, DataType::Dictionary(..)) => {
                let dictionary = values.as_any_dictionary();
                take(dictionary.values(), dictionary.keys(), None)?
            }
            // Seconds beyond every calendar are none.
            (Change::Thousandths, DataType::Timestamp(_, zone)) => {
                let seconds = values.as_primitive::<TimestampSecondType>();
                let array: TimestampMillisecondArray = seconds.unary_opt(|second| second.checked_mul(1000));
                Arc::new(array.with_timezone_opt(zone.clone()))
            }
            (Change::Thousandths, DataType::Time32(_)) => {
                let seconds = values.as_primitive::<Time32SecondType>();
                let array: Time32MillisecondArray = seconds.unary_opt(|second| second.checked_mul(1000));
                Arc::new(array)
            }
            _ => values,
        })
    }
}

impl Values {
    fn new(holds: &Holds, form: Form) -> Values {
        match holds {
            Holds::Text => Values::Text(StringBuilder::new()),
            Holds::Whole => Values::Whole(Int64Builder::new()),
            Holds::Share => Values::Share(Float32Builder::new()),
            Holds::Word(words) => {
                let keys = words.iter().cloned().zip(0..).collect();
                Values::Word(Int32Builder::new(), keys, Arc::new(StringArray::from_iter_values(words)))
            }
            Holds::List => Values::List(ListBuilder::new(StringBuilder::new())),
            Holds::Kept(kind) => {
                let change = Change::of(kind, form);
                Values::Kept { arrays: Vec::new(), places: Vec::new(), kind: change.kind(kind), change }
            }
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Values::Text(_) => DataType::Utf8,
            Values::Whole(_) => DataType::Int64,
            Values::Share(_) => DataType::Float32,
            Values::Word(..) => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Values::List(_) => DataType::new_list(DataType::Utf8, true),
            Values::Kept { kind, .. } => kind.clone(),
        }
    }

    /// Adds a cell; how many bytes of text it has.
    fn add(&mut self, cell: &Cell) -> Result<usize, ArrowError> {
        let text = cell.text();
        match self {
            Values::Text(values) => match cell {
                Cell::Nothing => values.append_null(),
                _ => values.append_value(&text),
            },
            Values::Whole(values) => values.append_option(text.parse().ok()),
            Values::Share(values) => values.append_option(match cell {
                Cell::Share(share) => Some(*share as f32),
                _ => text.parse().ok(),
            }),
            Values::Word(keys, known, _) => keys.append_option(known.get(text.as_ref()).copied()),
            Values::List(values) => {
                if let Cell::List(words) = cell {
                    words.iter().for_each(|word| values.values().append_value(word));
                }
                values.append(!matches!(cell, Cell::Nothing));
            }
            Values::Kept { arrays, places, .. } => {
                let Cell::Value(array, row) = cell else {
                    return Err(ArrowError::InvalidArgumentError("a value without a type".to_owned()));
                };
                // Rows of one batch come one behind the other.
                let known = arrays.last().is_some_and(|last| Arc::ptr_eq(last, array));
                if !known {
                    arrays.push(array.clone());
                }
                places.push((arrays.len() - 1, *row));
            }
        }
        Ok(text.len())
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Values::Text(values) => Arc::new(values.finish()),
            Values::Whole(values) => Arc::new(values.finish()),
            Values::Share(values) => Arc::new(values.finish()),
            Values::Word(keys, _, words) => {
                Arc::new(DictionaryArray::<Int32Type>::try_new(keys.finish(), words.clone())?)
            }
            Values::List(values) => Arc::new(values.finish()),
            Values::Kept { arrays, places, kind, change } => {
                let (arrays, places) = (std::mem::take(arrays), std::mem::take(places));
                let parts: Vec<_> = arrays.iter().map(AsRef::as_ref).collect();
                match &parts[..] {
                    [] => new_empty_array(kind),
                    _ => change.array(interleave(&parts, &places)?)?,
                }
            }
        })
    }
}

impl<W: Write + Send> TypedWriter<W> {
    pub(super) fn create(output: W, form: Form, columns: &[Column]) -> io::Result<TypedWriter<W>> {
        let values: Vec<Values> = columns.iter().map(|column| Values::new(&column.holds, form)).collect();
        let fields = columns.iter().zip(&values);
        let fields = fields.map(|(column, values)| Field::new(&column.name, values.data_type(), true));
        let schema = SchemaRef::new(Schema::new(fields.collect::<Vec<_>>()));
        let output = match form {
            Form::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .set_created_by(concat!("cloze ", env!("CARGO_PKG_VERSION")).to_owned());
                let output = Lent(Some(output));
                let writer = ArrowWriter::try_new(output, schema.clone(), Some(properties.build()));
                Output::Parquet(Box::new(writer.map_err(of_parquet)?))
            }
            Form::ArrowFile => {
                Output::File(Box::new(FileWriter::try_new(output, &schema).map_err(of_arrow)?))
            }
            Form::ArrowStream => {
                Output::Stream(Box::new(StreamWriter::try_new(output, &schema).map_err(of_arrow)?))
            }
        };
        Ok(TypedWriter { schema, columns: values, rows: 0, bytes: 0, as_told: false, output })
    }

    /// Lets a stream have a batch for each [`TypedWriter::flush`], whatever its rows, and no others; its head is
    /// handed on.
    pub(super) fn batches_as_told(&mut self) -> io::Result<()> {
        let Output::Stream(writer) = &mut self.output else { return Ok(()) };
        self.as_told = true;
        writer.flush().map_err(of_arrow)
    }

    pub(super) fn write(&mut self, row: &[Cell]) -> io::Result<()> {
        for (values, cell) in self.columns.iter_mut().zip(row) {
            self.bytes += values.add(cell).map_err(of_arrow)?;
        }
        self.rows += 1;
        let is_full = self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES;
        if is_full && !self.as_told { self.write_batch() } else { Ok(()) }
    }

    /// Hands the rows at hand on: a batch of a stream, which somebody may wait for.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.output {
            Output::Stream(_) if self.rows > 0 || self.as_told => self.write_batch()?,
            Output::Stream(_) | Output::Parquet(_) | Output::File(_) => return Ok(()),
        }
        match &mut self.output {
            Output::Stream(writer) => writer.flush().map_err(of_arrow),
            Output::Parquet(_) | Output::File(_) => Ok(()),
        }
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let arrays: Result<Vec<ArrayRef>, ArrowError> = self.columns.iter_mut().map(Values::finish).collect();
        let batch = arrays.and_then(|arrays| RecordBatch::try_new(self.schema.clone(), arrays));
        let batch = batch.map_err(of_arrow)?;
        (self.rows, self.bytes) = (0, 0);
        match &mut self.output {
            Output::Parquet(writer) => {
                writer.write(&batch).map_err(of_parquet)?;
                if writer.in_progress_size() > GROUP_BYTES {
                    writer.flush().map_err(of_parquet)
                } else {
                    Ok(())
                }
            }
            Output::File(writer) => writer.write(&batch).map_err(of_arrow),
            Output::Stream(writer) => writer.write(&batch).map_err(of_arrow),
        }
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        if self.rows > 0 {
            self.write_batch()?;
        }
        match self.output {
            Output::Parquet(mut writer) => {
                writer.finish().map_err(of_parquet)?;
                writer.inner_mut().0.take().ok_or_else(Lent::<W>::gone)
            }
            Output::File(writer) => writer.into_inner().map_err(of_arrow),
            Output::Stream(writer) => writer.into_inner().map_err(of_arrow),
        }
    }
}

/// An output that can be taken back: the writer of Parquet gives its own back with a text for an error.
struct Lent<W>(Option<W>);

impl<W> Lent<W> {
    fn gone() -> io::Error {
        io::Error::other("it was taken back")
    }
}

impl<W: Write> Write for Lent<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_mut().ok_or_else(Self::gone)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().ok_or_else(Self::gone)?.flush()
    }
}

/// The crates' own conversions forget of what kind an error is.
fn of_arrow(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::other(other.to_string()),
    }
}

fn of_parquet(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error.to_string()),
        },
        other => io::Error::other(other.to_string()),
    }
}
