//! The table of predictions.

use std::io::Write;

use crate::error::Result;
use crate::predict::report::Prediction;
use crate::text::data::{Columns, Example};
use crate::text::kept::Kept;
use crate::text::table::{Cell, Column, Destination, Holds, TableWriter};
use crate::text::verbalizer::{Order, Structure, ValueRange};

/// What a row is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The class probabilities.
    pub prediction: Prediction,
    /// Whether the likeliest class is likely enough to be said.
    pub answered: bool,
    /// The classes that the row may have, where sets were asked for.
    pub set: Option<Vec<usize>>,
}

impl From<Prediction> for Answer {
    fn from(prediction: Prediction) -> Answer {
        Answer { prediction, answered: true, set: None }
    }
}

/// Predictions as a table: `row`, `predicted`, `confidence`, then `p_<label>` for each class in class order,
/// then `expected`, the expected value, of classes in an order, `set` and the input's columns if asked for. In a
/// range of numbers `predicted` is a number, and there is no confidence.
pub struct PredictionWriter<W: Write + Send> {
    table: TableWriter<W>,
    labels: Vec<String>,
    /// The order that the classes stand in, if they do.
    order: Option<Order>,
    /// The range of numbers that they are the ends of, if they are.
    range: Option<ValueRange>,
    /// Whether rows have sets of classes.
    sets: bool,
    kept: Option<Kept>,
}

impl<W: Write + Send> PredictionWriter<W> {
    /// Writes the header.
    pub fn create(
        to: Destination<W>,
        labels: Vec<String>,
        sets: bool,
        columns: &Columns,
        keep_columns: bool,
    ) -> Result<PredictionWriter<W>> {
        PredictionWriter::create_structured(to, labels, &Structure::default(), sets, columns, keep_columns)
    }

    /// The same of classes in an order, or of a range of numbers.
    pub fn create_structured(
        to: Destination<W>,
        labels: Vec<String>,
        structure: &Structure,
        sets: bool,
        columns: &Columns,
        keep_columns: bool,
    ) -> Result<PredictionWriter<W>> {
        let (order, range) = (structure.order.clone(), structure.range);
        let mut header = vec![Column::new("row", Holds::Whole)];
        header.extend(match range {
            Some(_) => vec![Column::new("predicted", Holds::Share)],
            None => vec![
                Column::new("predicted", Holds::Word(labels.clone())),
                Column::new("confidence", Holds::Share),
            ],
        });
        header.extend(labels.iter().map(|label| Column::new(format!("p_{label}"), Holds::Share)));
        header.extend(order.is_some().then(|| Column::new("expected", Holds::Share)));
        header.extend(sets.then(|| Column::new("set", Holds::List)));
        let kept = keep_columns.then(|| Kept::behind(&mut header, columns, to.format)).transpose()?;
        let table = TableWriter::create(to, &header)?;
        Ok(PredictionWriter { table, labels, order, range, sets, kept })
    }

    /// Writes a row's answer; where it has none, `predicted` is empty.
    pub fn write(&mut self, example: &Example, answer: &Answer) -> Result<()> {
        let prediction = &answer.prediction;
        let label = |class: usize| self.labels[class].clone();
        let predicted = if answer.answered { Cell::Text(label(prediction.class())) } else { Cell::Nothing };
        let mut row = vec![Cell::Number(example.record.to_string())];
        row.extend(match &self.range {
            Some(range) => vec![Cell::Share(range.expected(&prediction.probabilities))],
            None => vec![predicted, Cell::Share(prediction.confidence())],
        });
        row.extend(prediction.probabilities.iter().map(|probability| Cell::Share(*probability)));
        row.extend(self.order.iter().map(|order| Cell::Share(order.expected(&prediction.probabilities))));
        if self.sets {
            row.push(Cell::List(answer.set.iter().flatten().map(|class| label(*class)).collect()));
        }
        row.extend(self.kept.iter().flat_map(|kept| kept.cells(example)));
        self.table.write(&row)
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
