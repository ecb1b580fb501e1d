//! Part files of one set, read one behind the other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::part_files::Piece;
use super::reading::Reading;
use super::{Columns, Example, Raw, Rows};
use crate::error::{DataError, Place, Result};

/// Which part each row is in, as far as they were opened: the number of rows before a part, and its name.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts(Arc<Mutex<Vec<(u64, String)>>>);

/// Where rows are is nothing that columns differ in.
impl PartialEq for Parts {
    fn eq(&self, _: &Parts) -> bool {
        true
    }
}

impl Eq for Parts {}

impl Parts {
    fn begin(&self, before: u64, name: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((before, name));
    }

    /// The part that a row is in.
    pub(super) fn of(&self, record: u64) -> Option<String> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().rev().find(|(before, _)| *before < record).map(|(_, name)| name.clone())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, name)| name.clone()).collect()
    }
}

pub(super) struct Reader {
    coming: VecDeque<Piece>,
    part: Rows,
    reading: Reading,
    parts: Parts,
    /// Rows of the part at hand, and of those before it.
    records: u64,
    before: u64,
    bytes: Arc<AtomicU64>,
    bytes_before: u64,
    /// Where the columns of the first part stand in this one, if not in their order.
    order: Option<Vec<usize>>,
    /// The columns whose texts are wanted, if not all.
    only: Option<Vec<String>>,
    ended: bool,
}

impl Reader {
    pub(super) fn open(
        pieces: Vec<Piece>,
        name: &str,
        bytes: Arc<AtomicU64>,
        reading: &Reading,
    ) -> Result<(Reader, Columns)> {
        let mut coming = VecDeque::from(pieces);
        let first = next_filled(&mut coming).ok_or_else(|| DataError::Empty { data: name.to_owned() })?;
        let part = reading.open_piece(&first)?;
        let (parts, before) = (Parts::default(), first.rows_before.unwrap_or(0));
        parts.begin(before, first.path.display().to_string());
        let columns = Columns { data: name.to_owned(), parts: parts.clone(), ..(**part.columns()).clone() };
        let (reading, order, only) = (reading.clone(), None, None);
        let (records, bytes_before, ended) = (0, 0, false);
        let reader =
            Reader { coming, part, reading, parts, records, before, bytes, bytes_before, order, only, ended };
        Ok((reader, columns))
    }

    /// Leaves the texts of other columns than these empty.
    pub(super) fn only(&mut self, names: &[String]) {
        self.part.leave_out_but(names);
        self.only = Some(names.to_vec());
    }

    pub(super) fn next(&mut self, columns: &Columns) -> Option<Raw> {
        while !self.ended {
            let row = self.part.reader.next(&self.part.columns);
            self.bytes.store(self.bytes_before + self.part.bytes_read(), Ordering::Relaxed);
            match row {
                Some(row) => return Some(self.numbered(columns, row)),
                None => match self.next_part(columns) {
                    Ok(true) => {}
                    Ok(false) => self.ended = true,
                    Err(error) => {
                        self.ended = true;
                        return Some(Err((error, Vec::new())));
                    }
                },
            }
        }
        None
    }

    /// Numbers a row through, and puts its fields into the first part's order.
    fn numbered(&mut self, columns: &Columns, row: Raw) -> Raw {
        match row {
            Ok(row) => {
                self.records = row.record;
                let fields = match &self.order {
                    Some(order) => order.iter().map(|place| row.fields[*place].clone()).collect(),
                    None => row.fields,
                };
                let label = columns.label_of(&fields);
                Ok(Example { record: self.before + row.record, fields, label, ..row })
            }
            Err((error, fields)) => {
                let error = match error.place().clone() {
                    Place::Row { file, line, record: record @ 1.., batch, column } => {
                        self.records = record;
                        error.at(Place::Row { file, line, record: self.before + record, batch, column })
                    }
                    _ => error,
                };
                Err((error, fields))
            }
        }
    }

    fn next_part(&mut self, columns: &Columns) -> Result<bool> {
        let Some(piece) = next_filled(&mut self.coming) else { return Ok(false) };
        let part = self.reading.open_piece(&piece)?;
        self.order = order(columns, part.columns(), &self.parts.names()[0])?;
        self.before = piece.rows_before.unwrap_or(self.before + self.records);
        self.records = 0;
        self.bytes_before += self.part.bytes_read();
        self.parts.begin(self.before, piece.path.display().to_string());
        self.part = part;
        if let Some(names) = &self.only {
            self.part.leave_out_but(names);
        }
        Ok(true)
    }
}

/// The next file with anything in it.
fn next_filled(pieces: &mut VecDeque<Piece>) -> Option<Piece> {
    std::iter::from_fn(|| pieces.pop_front()).find(Piece::is_filled)
}

/// Where the columns of a set stand in a part, if not in their order. Both must have the same, and types that
/// are kept must be the same.
fn order(set: &Columns, part: &Columns, first: &str) -> Result<Option<Vec<usize>>> {
    let (wanted, found) = (set.in_file(), part.in_file());
    let (data, first) = (part.data().to_owned(), first.to_owned());
    if let Some(column) = wanted.iter().find(|column| !found.contains(column)) {
        return Err(DataError::PartWithout { data, column: column.clone(), first }.into());
    }
    if let Some(column) = found.iter().find(|column| !wanted.contains(column)) {
        return Err(DataError::PartWithMore { data, column: column.clone(), first }.into());
    }
    if let (Some(wanted), Some(found)) = (set.types(), part.types()) {
        let differs = |index: &usize| {
            let (wanted, found) = (wanted.fields().get(*index), found.fields().get(*index));
            let what = |field: &arrow_schema::FieldRef| (field.name().clone(), field.data_type().clone());
            wanted.map(what) != found.map(what)
        };
        let most = wanted.fields().len().max(found.fields().len());
        if let Some(index) = (0..most).find(differs) {
            let field = wanted.fields().get(index).or(found.fields().get(index));
            let column = field.map(|field| field.name().clone()).unwrap_or_default();
            return Err(DataError::PartTypes { data, column, first }.into());
        }
    }
    let same = wanted == found;
    let place = |column: &String| found.iter().position(|found| found == column).unwrap_or_default();
    Ok((!same).then(|| wanted.iter().map(place).collect()))
}
