//! The table of rows with several labels each.

use std::io::Write;

use super::LabelsAnswer;
use crate::error::{FileError, Result};
use crate::text::data::{Columns, Example, Format};
use crate::text::table::{Cell, Destination, TableWriter};

/// Answers as a table: `row`, `predicted`, then `p_<label>` for each label, then `set` and the input's
/// columns if asked for. Labels stand with a separator between them, in JSON as a list.
pub struct LabelsWriter<W: Write> {
    table: TableWriter<W>,
    labels: Vec<String>,
    separator: Option<String>,
    sets: bool,
    keep_columns: bool,
}

impl<W: Write> LabelsWriter<W> {
    /// Writes the header.
    pub fn create(
        to: Destination<W>,
        labels: Vec<String>,
        separator: &str,
        sets: bool,
        columns: &Columns,
        keep_columns: bool,
    ) -> Result<LabelsWriter<W>> {
        let mut header: Vec<String> = ["row", "predicted"].map(str::to_owned).to_vec();
        header.extend(labels.iter().map(|label| format!("p_{label}")));
        header.extend(sets.then(|| "set".to_owned()));
        if keep_columns {
            if let Some(column) = columns.in_file().iter().find(|column| header.contains(column)) {
                return Err(FileError::SameColumn { column: column.clone() }.into());
            }
            header.extend(columns.in_file().iter().cloned());
        }
        let separator = matches!(to.format, Format::Csv | Format::Tsv).then(|| separator.to_owned());
        let table = TableWriter::create(to, &header)?;
        Ok(LabelsWriter { table, labels, separator, sets, keep_columns })
    }

    /// Writes a row's answer.
    pub fn write(&mut self, example: &Example, answer: &LabelsAnswer) -> Result<()> {
        let share = |probability: &f64| Cell::Number(format!("{probability:.6}"));
        let mut row = vec![Cell::Number(example.record.to_string()), self.list(&answer.given)];
        row.extend(answer.probabilities.iter().map(share));
        if self.sets {
            row.push(self.list(answer.set.as_deref().unwrap_or_default()));
        }
        if self.keep_columns {
            row.extend(example.fields.iter().cloned().map(Cell::Text));
        }
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

    /// Hands what is written on, so that a reader at a pipe sees whole chunks.
    pub fn flush(&mut self) -> Result<()> {
        self.table.flush()
    }

    /// The output, all of it flushed.
    pub fn finish(self) -> Result<W> {
        self.table.finish()
    }
}
