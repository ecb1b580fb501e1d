//! Rows that cannot be used: refused, or left out and kept apart.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{DataError, Error, Kind, Place, Result};
use crate::numbers::counted;
use crate::text::table::{Cell, Column, Destination, Holds, TableWriter};
use crate::text::whole_file::WholeFile;

/// What becomes of rows that cannot be used: one that cannot be read, or has a label that is no class. By
/// default the first of them is an error. Copies share what they count.
#[derive(Clone, Default)]
pub struct BadRows(Option<Arc<Mutex<Log>>>);

/// What was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// So many rows.
    pub rows: u64,
    /// What is wrong with the first of them, and where.
    pub first: Option<String>,
}

impl Skipped {
    /// In words, where there are any.
    pub fn remark(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(format!("left out: {}; the first: {first}", counted(self.rows, "bad row")))
    }
}

#[derive(Default)]
struct Log {
    /// The records of each file: one may be read several times.
    records: BTreeMap<String, HashSet<u64>>,
    first: Option<String>,
    /// The file that they are written to, which is made when there is something to write.
    path: Option<PathBuf>,
    output: Option<TableWriter<WholeFile>>,
}

impl Log {
    fn output(&mut self) -> Result<Option<&mut TableWriter<WholeFile>>> {
        if let (None, Some(path)) = (&self.output, &self.path) {
            self.output = Some(TableWriter::create(Destination::create(path)?, &header())?);
        }
        Ok(self.output.as_mut())
    }
}

/// The columns of the file of rows that were left out.
fn header() -> [Column; 5] {
    [
        Column::new("file", Holds::Text),
        Column::new("line", Holds::Whole),
        Column::new("record", Holds::Whole),
        Column::new("problem", Holds::Text),
        Column::new("row", Holds::List),
    ]
}

impl std::fmt::Debug for BadRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "BadRows(skipped)" } else { "BadRows(refused)" })
    }
}

impl BadRows {
    /// They are left out.
    pub fn skipped() -> BadRows {
        BadRows(Some(Arc::default()))
    }

    /// They are left out, and written to a file: file, line, record, what is wrong, and the row.
    pub fn written_to(path: &Path) -> BadRows {
        BadRows(Some(Arc::new(Mutex::new(Log { path: Some(path.to_owned()), ..Log::default() }))))
    }

    /// Whether they are left out.
    pub fn are_skipped(&self) -> bool {
        self.0.is_some()
    }

    /// The record that an error is about, where it is about one and the rows go on behind it.
    pub(super) fn is_of_one(error: &Error) -> Option<u64> {
        // Behind some errors nobody knows where the next row begins.
        let is_last = matches!(
            error.kind(),
            Kind::Data(DataError::UnclosedQuote | DataError::QuotesJoinLines | DataError::NotArray { .. })
        );
        match error.place() {
            Place::Row { record: record @ 1.., .. } if !is_last => Some(*record),
            _ => None,
        }
    }

    /// Leaves a row out that this error is about, or gives the error back: where rows are refused, and where
    /// it is not about one row.
    pub fn skip(&self, error: Error, row: &[String]) -> Result<()> {
        let (Some(log), Place::Row { file, line, record, .. }, Some(_)) =
            (&self.0, error.place(), BadRows::is_of_one(&error))
        else {
            return Err(error);
        };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if !log.records.entry(file.clone()).or_default().insert(*record) {
            return Ok(());
        }
        if let Some(output) = log.output()? {
            let number = |number: &u64| Cell::Number(number.to_string());
            let problem = Cell::Text(error.kind().to_string());
            let row = Cell::List(row.to_vec());
            output.write(&[Cell::Text(file.clone()), number(line), number(record), problem, row])?;
        }
        log.first.get_or_insert_with(|| error.to_string());
        Ok(())
    }

    /// Gives the file of rows that were left out its name, and says what was left out so far.
    pub fn finish(&self) -> Result<Skipped> {
        let Some(log) = &self.0 else { return Ok(Skipped::default()) };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.output()?;
        log.output.take().map_or(Ok(()), |output| output.finish()?.commit())?;
        log.path = None;
        drop(log);
        Ok(self.so_far())
    }

    /// What was left out so far.
    pub fn so_far(&self) -> Skipped {
        let Some(log) = &self.0 else { return Skipped::default() };
        let log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = log.records.values().map(HashSet::len).sum::<usize>() as u64;
        Skipped { rows, first: log.first.clone() }
    }

    /// How many rows of one file were left out so far.
    pub fn of(&self, file: &str) -> u64 {
        let Some(log) = &self.0 else { return 0 };
        let log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.records.get(file).map_or(0, HashSet::len) as u64
    }
}
