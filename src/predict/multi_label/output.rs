//! The table of rows with several labels each.

use std::io::Write;

use super::LabelsAnswer;
use crate::error::Result;
use crate::text::data::{Columns, Example, Format};
use crate::text::kept::Kept;
use crate::text::table::{Cell, Column, Destination, Holds, TableWriter};

/// Answers as a table: `row`, `predicted`, then `p_<label>` for each label, then `set` and the input's
/// columns if asked for. Labels stand with a separator between them, in JSON as a list.
pub struct LabelsWriter<W: Write + Send> {
    table: TableWriter<W>,
    labels: Vec<String>,
    separator: Option<String>,
    sets: bool,
    kept: Option<Kept>,
}

impl<W: Write + Send> LabelsWriter<W> {
    /// Writes the header.
    pub fn create(
        to: Destination<W>,
        labels: Vec<String>,
        separator: &str,
        sets: bool,
        columns: &Columns,
        keep_columns: bool,
    ) -> Result<LabelsWriter<W>> {
        let mut header = vec![Column::new("row", Holds::Whole), Column::new("predicted", Holds::List)];
        header.extend(labels.iter().map(|label| Column::new(format!("p_{label}"), Holds::Share)));
        header.extend(sets.then(|| Column::new("set", Holds::List)));
        let kept = keep_columns.then(|| Kept::behind(&mut header, columns, to.format)).transpose()?;
        let separator = matches!(to.format, Format::Csv | Format::Tsv).then(|| separator.to_owned());
        let table = TableWriter::create(to, &header)?;
        Ok(LabelsWriter { table, labels, separator, sets, kept })
    }

    /// Writes a row's answer.
    pub fn write(&mut self, example: &Example, answer: &LabelsAnswer) -> Result<()> {
        let mut row = vec![Cell::Number(example.record.to_string()), self.list(&answer.given)];
        row.extend(answer.probabilities.iter().map(|share| Cell::Share(*share)));
        if self.sets {
            row.push(self.list(answer.set.as_deref().unwrap_or_default()));
        }
        row.extend(self.kept.iter().flat_map(|kept| kept.cells(example)));
        self.table.write(&row)
    }

    fn list(&self, has: &[bool]) -> Cell {
        let names = self.labels.iter().zip(has).filter(|(_, has)| **has).map(|(label, _)| label.clone());
        let names: Vec<String> = names.collect();
        match &self.separator {
            Some(separator) => Cell::Text(names.join(separator)),
            None => Cell::List(names),
        }
    }

    /// Lets a stream of batches have one for each [`flush`](Self::flush), and no others.
    pub fn batches_as_told(&mut self) -> Result<()> {
        self.table.batches_as_told()
    }

    /// Hands what is written on, so that a reader at a pipe sees whole chunks.
    pub fn flush(&mut self) -> Result<()> {
        self.table.flush()
    }

    /// The output, all of it flushed.
    pub fn finish(self) -> Result<W> {
        self.table.finish()
    }
}
