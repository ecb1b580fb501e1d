//! Rows of formats whose columns have types: they come batch by batch, and their values become text.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;

use super::reading::Reading;
use super::{Columns, Example, LABEL, Raw, Step, Values, arrow_stream, parquet_file};
use crate::error::{DataError, Error, Place, Result};
use crate::text::typed;

/// So many batches are known by the rows that they begin with: those that somebody may still ask about.
const BATCHES_KNOWN: usize = 1 << 16;

/// In which batch of a stream each row came: the number of rows before a batch.
#[derive(Debug, Clone, Default)]
pub(super) struct Batches(Arc<Mutex<Begun>>);

#[derive(Debug, Default)]
struct Begun {
    /// The number of batches that began before those.
    forgotten: u64,
    rows_before: VecDeque<u64>,
}

/// Where rows are is nothing that columns differ in.
impl PartialEq for Batches {
    fn eq(&self, _: &Batches) -> bool {
        true
    }
}

impl Eq for Batches {}

impl Batches {
    fn begin(&self, rows_before: u64) {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.rows_before.len() == BATCHES_KNOWN {
            begun.rows_before.pop_front();
            begun.forgotten += 1;
        }
        begun.rows_before.push_back(rows_before);
    }

    /// The batch that a row came in, from 1.
    pub(super) fn of(&self, record: u64) -> Option<u64> {
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Of batches without rows, the last begins where the row's own does.
        let batches = begun.rows_before.partition_point(|before| *before < record) as u64;
        (batches > 0).then(|| begun.forgotten + batches)
    }
}

pub(super) struct Reader {
    source: Source,
    /// The columns of the batch that was read last, none of one that is not wanted.
    arrays: Vec<Option<ArrayRef>>,
    /// How many rows it has, and how many of them were given.
    rows: usize,
    given: usize,
    /// For each column with a text: where it stands in the file.
    places: Vec<usize>,
    /// Whether its text is wanted.
    wanted: Vec<bool>,
    /// Where the columns of batches stand in the file, once reading has begun.
    read: Option<Vec<usize>>,
    /// Whether rows keep their values, and the batch that they are in.
    keeps: bool,
    batch: Option<Arc<RecordBatch>>,
    count: u64,
    /// Whether the ends of batches are told, and whether one has begun whose end was not.
    tells_ends: bool,
    open: bool,
    /// What stands between the entries of lists.
    lists: Option<String>,
    /// The most bytes that a record may have.
    most: u64,
    /// Whether nothing more comes.
    ended: bool,
}

/// Where batches come from.
pub(super) enum Source {
    Arrow(Box<arrow_stream::Source>),
    Parquet(parquet_file::Source),
}

impl Source {
    fn schema(&self) -> SchemaRef {
        match self {
            Source::Arrow(source) => source.schema(),
            Source::Parquet(source) => source.schema(),
        }
    }

    /// Begins to read, of these columns at least. Where those stand in the file that batches then have.
    fn start(&mut self, name: &str, wanted: Vec<usize>) -> Result<Vec<usize>> {
        match self {
            Source::Arrow(source) => Ok((0..source.schema().fields().len()).collect()),
            Source::Parquet(source) => source.start(name, &wanted).map(|()| wanted),
        }
    }

    fn next(&mut self, name: &str) -> Option<Result<RecordBatch>> {
        match self {
            Source::Arrow(source) => source.next(name),
            Source::Parquet(source) => source.next(name),
        }
    }
}

impl Reader {
    pub(super) fn open(source: Source, name: &str, reading: &Reading) -> Result<(Reader, Columns)> {
        let schema = source.schema();
        let (mut names, mut places, mut without_text) = (Vec::new(), Vec::new(), Vec::new());
        for (place, field) in schema.fields().iter().enumerate() {
            match typed::without_text(field.data_type(), reading.lists.is_some()) {
                Some(kind) => without_text.push((field.name().clone(), kind)),
                None => {
                    names.push(field.name().clone());
                    places.push(place);
                }
            }
        }
        let label = reading.label_column.as_deref().unwrap_or(LABEL);
        if let Some((column, kind)) = without_text.iter().find(|(column, _)| column == label)
            && !reading.adjust.no_labels
        {
            let (column, data) = (String::clone(column), name.to_owned());
            return Err(DataError::NoText { column, data, kind }.into());
        }
        let mut columns = Columns::of_file(name, names, reading)?;
        columns.without_text = without_text;
        columns.types = reading.keep_types.then_some(schema);
        let reader = Reader {
            source,
            arrays: Vec::new(),
            rows: 0,
            given: 0,
            wanted: vec![true; places.len()],
            places,
            read: None,
            keeps: reading.keep_types,
            batch: None,
            count: 0,
            tells_ends: false,
            open: false,
            lists: reading.lists.clone(),
            most: reading.adjust.layout.max_record(),
            ended: false,
        };
        Ok((reader, columns))
    }

    /// Leaves the texts of other columns than these empty, and does not read them where the format lets them
    /// be.
    pub(super) fn only(&mut self, wanted: Vec<bool>) {
        self.wanted = wanted;
    }

    /// Reads some row groups only, and numbers their rows as they stand in the file.
    pub(super) fn only_groups(&mut self, groups: Range<usize>) {
        if let Source::Parquet(source) = &mut self.source {
            self.count = source.only(groups);
        }
    }

    /// Tells from now on where batches end.
    pub(super) fn tell_ends(&mut self) {
        self.tells_ends = true;
    }

    pub(super) fn step(&mut self, columns: &Columns) -> Option<Step> {
        while !self.ended && self.given == self.rows {
            if std::mem::take(&mut self.open) {
                return Some(Step::EndOfBatch);
            }
            match self.next_batch(columns.data()) {
                Some(Ok(())) if self.tells_ends => {
                    self.open = true;
                    columns.batches.begin(self.count);
                }
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Step::Row(Err((error, Vec::new()))));
                }
                None => self.ended = true,
            }
        }
        if self.ended {
            return None;
        }
        self.count += 1;
        self.given += 1;
        Some(Step::Row(self.example(columns).map_err(|error| (error, self.last()))))
    }

    pub(super) fn next(&mut self, columns: &Columns) -> Option<Raw> {
        loop {
            if let Step::Row(row) = self.step(columns)? {
                return Some(row);
            }
        }
    }

    /// Where the columns stand that are wanted.
    fn columns_to_read(&self) -> Vec<usize> {
        if self.keeps {
            return (0..self.source.schema().fields().len()).collect();
        }
        let wanted = self.places.iter().zip(&self.wanted).filter(|(_, wanted)| **wanted);
        wanted.map(|(place, _)| *place).collect()
    }

    fn next_batch(&mut self, name: &str) -> Option<Result<()>> {
        let read = match self.read.take() {
            Some(read) => read,
            None => match self.source.start(name, self.columns_to_read()) {
                Ok(read) => read,
                Err(error) => return Some(Err(error)),
            },
        };
        let read = self.read.insert(read);
        let batch = match self.source.next(name)? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let column = |(place, wanted): (&usize, &bool)| {
            let index = read.iter().position(|read| read == place).filter(|_| *wanted)?;
            Some(batch.column(index).clone())
        };
        self.arrays = self.places.iter().zip(&self.wanted).map(column).collect();
        (self.rows, self.given) = (batch.num_rows(), 0);
        self.batch = self.keeps.then(|| Arc::new(batch));
        Some(Ok(()))
    }

    /// The texts of the row that was given last, as far as there are any.
    fn last(&self) -> Vec<String> {
        let text = |index| self.text(index).unwrap_or_default();
        (0..self.places.len()).map(text).collect()
    }

    fn example(&self, columns: &Columns) -> Result<Example> {
        let at = |kind: DataError, column: Option<String>| {
            let (file, record) = (columns.data().to_owned(), self.count);
            let batch = columns.batches.of(record);
            Error::new(kind).at(Place::Row { file, line: record, record, batch, column })
        };
        let mut fields = Vec::with_capacity(self.places.len());
        let mut length = 0;
        for (index, column) in columns.in_file().iter().enumerate() {
            let text = self.text(index).ok_or_else(|| at(DataError::NoSuchDate, Some(column.clone())))?;
            length += text.len() as u64;
            fields.push(text);
        }
        if length > self.most {
            return Err(at(DataError::RecordTooLong { most: self.most >> 20 }, None));
        }
        // Such files have no lines: a row's number stands for its line.
        let values = self.batch.as_ref().map(|batch| Values::new(batch.clone(), self.given - 1));
        Ok(Example { values, ..columns.example(self.count, self.count, fields) })
    }

    /// The text of a column in the row that was given last; nothing of one that is not wanted.
    fn text(&self, index: usize) -> Option<String> {
        match self.arrays.get(index)? {
            Some(array) => typed::text(array, self.given - 1, self.lists.as_deref()),
            None => Some(String::new()),
        }
    }
}
