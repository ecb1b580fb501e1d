//! Parquet: batches of a file whose directory stands at its end.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::{Counted, stream_error};
use crate::error::{DataError, Error, Result};
use crate::text::guarded::guarded;

/// What such a file begins and ends with.
const MAGIC: &[u8] = b"PAR1";
/// The same of one whose directory is encrypted.
const ENCRYPTED: &[u8] = b"PARE";

/// A batch has so many bytes, about: pages of a file are larger or smaller.
const BATCH_BYTES: i64 = 4 << 20;
/// And so many rows at most.
const BATCH_ROWS: i64 = 4096;

pub(super) struct Source {
    schema: SchemaRef,
    /// How many rows each row group has.
    groups: Vec<u64>,
    /// Which of them are read; all where nothing is said.
    only: Option<Range<usize>>,
    state: State,
}

enum State {
    Waiting(Box<ParquetRecordBatchReaderBuilder<Chunks>>),
    Reading(Box<ParquetRecordBatchReader>),
    Ended,
}

impl Source {
    pub(super) fn open(mut file: File, name: &str, bytes: Arc<AtomicU64>) -> Result<Source> {
        check(&mut file, name)?;
        let builder = guarded(|| ParquetRecordBatchReaderBuilder::try_new(Chunks { file, bytes }));
        let builder = whole(name, builder)?;
        let rows = builder.metadata().row_groups().iter().map(|group| group.num_rows().max(0).unsigned_abs());
        let groups = rows.collect();
        let schema = builder.schema().clone();
        Ok(Source { schema, groups, only: None, state: State::Waiting(Box::new(builder)) })
    }

    /// How many rows each row group has.
    pub(super) fn groups(&self) -> Vec<u64> {
        self.groups.clone()
    }

    /// Reads these row groups only. How many rows stand before them.
    pub(super) fn only(&mut self, groups: Range<usize>) -> u64 {
        let before = self.groups.iter().take(groups.start).sum();
        self.only = Some(groups);
        before
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Begins to read some columns.
    pub(super) fn start(&mut self, name: &str, columns: &[usize]) -> Result<()> {
        let State::Waiting(builder) = std::mem::replace(&mut self.state, State::Ended) else { return Ok(()) };
        let groups = builder.metadata().row_groups();
        let bytes: i64 =
            groups.iter().map(|group| group.total_byte_size().max(0)).fold(0, i64::saturating_add);
        let rows = builder.metadata().file_metadata().num_rows().max(1);
        let batch = (BATCH_BYTES / (bytes / rows).max(1)).clamp(1, BATCH_ROWS);
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let only = self.only.clone();
        let reader = guarded(|| {
            let builder = builder.with_projection(mask).with_batch_size(batch as usize);
            match only {
                Some(groups) => builder.with_row_groups(groups.collect()).build(),
                None => builder.build(),
            }
        });
        self.state = State::Reading(Box::new(whole(name, reader)?));
        Ok(())
    }

    pub(super) fn next(&mut self, name: &str) -> Option<Result<RecordBatch>> {
        let State::Reading(reader) = &mut self.state else { return None };
        match guarded(|| reader.next()) {
            Ok(batch) => batch.map(|batch| batch.map_err(|error| broken(name, error.to_string()))),
            Err(message) => Some(Err(broken(name, message))),
        }
    }
}

/// Refuses what is no Parquet file, or not all of one.
fn check(file: &mut File, name: &str) -> Result<()> {
    let read = |file: &mut File, from: SeekFrom| -> io::Result<[u8; 4]> {
        let mut bytes = [0; 4];
        file.seek(from)?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    let other = || DataError::OtherFormat { data: name.to_owned(), format: "Parquet" };
    let length = Length::len(file);
    if length < 4 {
        return Err(other().into());
    }
    let first = read(file, SeekFrom::Start(0)).map_err(|error| stream_error(name, &error))?;
    let last = read(file, SeekFrom::End(-4)).map_err(|error| stream_error(name, &error))?;
    if [first, last].iter().any(|mark| mark == ENCRYPTED) {
        return Err(DataError::Encrypted { data: name.to_owned() }.into());
    }
    if first != MAGIC {
        return Err(other().into());
    }
    // Two marks, and the length of the directory.
    if last != MAGIC || length < 12 {
        return Err(DataError::Cut { data: name.to_owned(), end: "a Parquet file's directory" }.into());
    }
    Ok(())
}

/// What the crate made, which panics on some damage.
fn whole<T>(name: &str, made: std::result::Result<parquet::errors::Result<T>, String>) -> Result<T> {
    made.map_err(|message| broken(name, message))?.map_err(|error| error_of(name, error))
}

fn error_of(name: &str, error: ParquetError) -> Error {
    match error {
        ParquetError::External(error) if error.is::<io::Error>() => error
            .downcast::<io::Error>()
            .map_or_else(|error| broken(name, error.to_string()), |error| stream_error(name, &error)),
        error => broken(name, error.to_string()),
    }
}

fn broken(name: &str, message: String) -> Error {
    // Of a compression that this build has not, the crate says by which of its features it would come.
    let message = match message.rsplit_once("Disabled feature at compile time: ") {
        Some((_, packing)) => format!("it is compressed by {packing}"),
        None => message,
    };
    DataError::Broken { data: name.to_owned(), format: "Parquet", message }.into()
}

/// A file that counts what is read of it.
struct Chunks {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        Length::len(&self.file)
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<Counted<File>>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let mut input = self.file.try_clone()?;
        input.seek(SeekFrom::Start(start))?;
        Ok(BufReader::new(Counted { input, bytes: self.bytes.clone() }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        // A damaged directory may name any length: no memory for what is not there.
        if start.checked_add(length as u64).is_none_or(|end| end > Length::len(self)) {
            let message = format!("{length} bytes are to stand at byte {start}, behind the end of the file");
            return Err(ParquetError::EOF(message));
        }
        self.bytes.fetch_add(length as u64, Ordering::Relaxed);
        self.file.get_bytes(start, length)
    }
}
