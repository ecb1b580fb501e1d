//! Rows to vectors.

use super::Scorer;
use crate::error::{ModelError, Result};
use crate::predict::classifier::Classifier;
use crate::predict::similarity::{mean_states, words_of};
use crate::text::data::{Columns, Example};

impl Scorer<'_> {
    /// N rows → N · `[H]`: the means of the first model's last states over the columns that the first pattern
    /// reads, as vectors of length 1.
    pub fn states(
        &self,
        columns: &Columns,
        examples: &[Example],
        progress: &mut dyn FnMut(f64),
    ) -> Result<Vec<Vec<f32>>> {
        let Classifier::Prompt(model, _) = &self.classifiers[0] else {
            return Err(ModelError::NoStates.into());
        };
        let words = words_of(&self.tasks[0], columns)?;
        mean_states(model, &words, columns, examples, self.max_length, progress)
    }
}
