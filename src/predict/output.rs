//! The table of predictions.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, FileError, Result};
use crate::predict::report::Prediction;
use crate::text::data::{Columns, Example};

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

/// Predictions as CSV: `row`, `predicted`, `confidence`, then `p_<label>` for each class in class order, then
/// `set` and the input's columns if asked for.
pub struct PredictionWriter<W: Write> {
    records: csv::Writer<W>,
    name: PathBuf,
    labels: Vec<String>,
    /// Stands between the labels of a set, where there are sets.
    between: Option<&'static str>,
    keep_columns: bool,
}

impl<W: Write> PredictionWriter<W> {
    /// Writes the header. `name` is what messages call the output; `between` stands between the labels of a
    /// set, where there are sets.
    pub fn create(
        output: W,
        name: &Path,
        labels: Vec<String>,
        between: Option<&'static str>,
        columns: &Columns,
        keep_columns: bool,
    ) -> Result<PredictionWriter<W>> {
        let mut header: Vec<String> = ["row", "predicted", "confidence"].map(str::to_owned).to_vec();
        header.extend(labels.iter().map(|label| format!("p_{label}")));
        header.extend(between.map(|_| "set".to_owned()));
        if keep_columns {
            if let Some(column) = columns.names().iter().find(|column| header.contains(column)) {
                return Err(FileError::SameColumn { column: column.clone() }.into());
            }
            header.extend(columns.names().iter().cloned());
        }
        let mut writer = PredictionWriter {
            records: csv::Writer::from_writer(output),
            name: name.to_owned(),
            labels,
            between,
            keep_columns,
        };
        writer.record(&header)?;
        Ok(writer)
    }

    /// Writes a row's answer; where it has none, `predicted` is empty.
    pub fn write(&mut self, example: &Example, answer: &Answer) -> Result<()> {
        let prediction = &answer.prediction;
        let predicted = if answer.answered { self.labels[prediction.class()].clone() } else { String::new() };
        let mut record =
            vec![example.record.to_string(), predicted, format!("{:.6}", prediction.confidence())];
        record.extend(prediction.probabilities.iter().map(|probability| format!("{probability:.6}")));
        if let Some(between) = self.between {
            let set = answer.set.iter().flatten().map(|class| self.labels[*class].as_str());
            record.push(set.collect::<Vec<_>>().join(between));
        }
        if self.keep_columns {
            record.extend(example.fields.iter().cloned());
        }
        self.record(&record)
    }

    /// Hands what is written on, so that a reader at a pipe sees whole chunks.
    pub fn flush(&mut self) -> Result<()> {
        self.records.flush().map_err(|error| Error::writing(&self.name, &error))
    }

    /// The output, all of it flushed.
    pub fn finish(self) -> Result<W> {
        let name = self.name;
        self.records.into_inner().map_err(|error| Error::writing(&name, error.error()))
    }

    fn record(&mut self, record: &[String]) -> Result<()> {
        self.records.write_record(record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => Error::writing(&self.name, &error),
            other => Error::writing(&self.name, &io::Error::other(format!("{other:?}"))),
        })
    }
}
