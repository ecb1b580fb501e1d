//! A model that is asked what it thinks of rows.

use std::sync::Arc;

use super::project::ShownRow;
use crate::error::Result;
use crate::predict::prompt_classifier::PromptClassifier;
use crate::predict::report::Prediction;
use crate::text::data::{Columns, Example};

/// The model that is asked for its opinion of a row.
pub struct Opinion {
    /// The model with its patterns and label words.
    pub classifier: PromptClassifier,
    /// The rows' columns, as the patterns know them.
    pub columns: Arc<Columns>,
}

impl Opinion {
    /// What is thought of each of some rows.
    pub(super) fn of_rows(&self, rows: &[ShownRow]) -> Result<Vec<Prediction>> {
        let examples: Vec<Example> = rows.iter().map(|row| example(row.record, row.fields.clone())).collect();
        let answers = self.classifier.classify_in_detail(&self.columns, &examples)?;
        Ok(answers.into_iter().map(|answer| answer.answer.prediction).collect())
    }

    /// The labels of a row with their probabilities, the likeliest first.
    pub(super) fn of(&self, record: u64, fields: Vec<String>) -> Result<Vec<(String, f64)>> {
        let answers = self.classifier.classify_in_detail(&self.columns, &[example(record, fields)])?;
        let shares = answers.iter().flat_map(|answer| &answer.answer.prediction.probabilities);
        let mut labels: Vec<(String, f64)> =
            self.classifier.labels().iter().cloned().zip(shares.copied()).collect();
        labels.sort_by(|one, other| other.1.total_cmp(&one.1));
        Ok(labels)
    }
}

/// A row without a label, for a model.
pub(super) fn example(record: u64, fields: Vec<String>) -> Example {
    Example { record, line: record, fields, label: None, values: None }
}
