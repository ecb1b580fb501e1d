//! Rows to class probabilities: wrapped, encoded, sorted by length, batched by a budget of tokens, and given back in their order.

use tch::{Kind as Type, no_grad};

use crate::data::{Columns, Example};
use crate::encode::{Features, encode};
use crate::error::{Error, Kind, Result};
use crate::label_words::LabelWords;
use crate::prompt_model::PromptModel;
use crate::report::Prediction;
use crate::task::Task;

/// A model, patterns and label words, ready to score rows.
pub struct Scorer<'a> {
    /// The model.
    pub model: &'a PromptModel,
    /// The patterns; with several, their probabilities are averaged.
    pub tasks: &'a [Task],
    /// The label words.
    pub words: &'a LabelWords,
    /// The longest input, in tokens.
    pub max_length: usize,
    /// The most tokens in a batch, padding counted; one input is always taken.
    pub batch_tokens: usize,
}

/// What was found for one row.
#[derive(Debug, Clone)]
pub struct Scored {
    /// Each pattern's prediction.
    pub by_pattern: Vec<Prediction>,
    /// Their average.
    pub average: Prediction,
    /// Which patterns had to cut the row.
    pub truncated: Vec<bool>,
}

impl Scorer<'_> {
    /// Scores rows; the results come in the rows' order. An error names its row.
    pub fn score(&self, columns: &Columns, examples: &[Example]) -> Result<Vec<Scored>> {
        let mut by_pattern = Vec::with_capacity(self.tasks.len());
        let mut truncated = Vec::with_capacity(self.tasks.len());
        for task in self.tasks {
            let features = examples
                .iter()
                .map(|example| {
                    encode(&task.wrap(example), self.model.tokenizer(), self.max_length)
                        .map_err(|error| error.at(columns.place(example, None)))
                })
                .collect::<Result<Vec<Features>>>()?;
            by_pattern.push(self.predict(&features).map_err(|(row, error)| error.at(columns.place(&examples[row], None)))?);
            truncated.push(features.iter().map(|features| features.removed > 0).collect::<Vec<bool>>());
        }
        Ok((0..examples.len())
            .map(|row| {
                let members: Vec<Prediction> = by_pattern.iter().map(|predictions| predictions[row].clone()).collect();
                Scored {
                    average: Prediction::average(&members),
                    by_pattern: members,
                    truncated: truncated.iter().map(|cut| cut[row]).collect(),
                }
            })
            .collect())
    }

    /// The predictions for encoded inputs, in their order; an error comes with its input's index.
    fn predict(&self, features: &[Features]) -> Result<Vec<Prediction>, (usize, Error)> {
        let mut order: Vec<usize> = (0..features.len()).collect();
        order.sort_by_key(|&row| features[row].ids.len());
        let mut predictions = vec![Prediction::default(); features.len()];
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(self.batch_size(features, rest));
            rest = later;
            let inputs: Vec<&Features> = batch.iter().map(|&row| &features[row]).collect();
            let probabilities = no_grad(|| self.model.class_scores(&inputs, self.words).softmax(-1, Type::Double));
            // Of the shape [B,C] by construction.
            let values = Vec::<f64>::try_from(probabilities.flatten(0, 1)).unwrap_or_default();
            for (&row, row_values) in batch.iter().zip(values.chunks(values.len() / batch.len())) {
                if row_values.iter().any(|value| !value.is_finite()) {
                    return Err((row, Kind::ScoreNotFinite.into()));
                }
                predictions[row] = Prediction { probabilities: row_values.to_vec() };
            }
        }
        Ok(predictions)
    }

    /// How many of the shortest remaining inputs fit the budget, at least one.
    fn batch_size(&self, features: &[Features], rest: &[usize]) -> usize {
        let fitting = rest.iter().enumerate().take_while(|(index, row)| (index + 1) * features[**row].ids.len() <= self.batch_tokens);
        fitting.count().max(1)
    }
}
