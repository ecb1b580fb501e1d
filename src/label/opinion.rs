//! A model that is asked what it thinks of rows.

use std::sync::Arc;

use crate::error::Result;
use crate::predict::prompt_classifier::PromptClassifier;
use crate::text::data::{Columns, Example};

/// The model that is asked for its opinion of a row.
pub struct Opinion {
    /// The model with its patterns and label words.
    pub classifier: PromptClassifier,
    /// The rows' columns, as the patterns know them.
    pub columns: Arc<Columns>,
}

impl Opinion {
    /// The labels of a row with their probabilities, the likeliest first.
    pub(super) fn of(&self, record: u64, fields: Vec<String>) -> Result<Vec<(String, f64)>> {
        let example = Example { record, line: record, fields, label: None, values: None };
        let answers = self.classifier.classify_in_detail(&self.columns, &[example])?;
        let shares = answers.iter().flat_map(|answer| &answer.answer.prediction.probabilities);
        let mut labels: Vec<(String, f64)> =
            self.classifier.labels().iter().cloned().zip(shares.copied()).collect();
        labels.sort_by(|one, other| other.1.total_cmp(&one.1));
        Ok(labels)
    }
}
