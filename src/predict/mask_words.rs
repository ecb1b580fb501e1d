//! Which label words the model says at the masks of some rows: what carries their class scores.

use tch::no_grad;

use crate::error::Result;
use crate::model::values::values;
use crate::predict::classifier::Classifier;
use crate::predict::score::Scorer;
use crate::text::data::{Columns, Example};

/// A label word at the masks of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct WordShare {
    /// The word.
    pub word: String,
    /// Its class.
    pub class: usize,
    /// Its share of the probability of all label words, from 0 to 1: the mean over patterns and models.
    pub share: f64,
}

impl Scorer<'_> {
    /// The likeliest label words of each row, at most so many, the likeliest first; none where the models
    /// read no label words. Rows are asked one by one: this is for some of them.
    pub fn label_words(
        &self,
        columns: &Columns,
        examples: &[Example],
        most: usize,
    ) -> Result<Vec<Vec<WordShare>>> {
        let mut sums: Vec<Vec<f64>> = vec![Vec::new(); examples.len()];
        for task in self.tasks {
            for (sums, inputs) in sums.iter_mut().zip(self.encode(task, columns, examples)?) {
                for ((input, weight), classifier) in
                    inputs.iter().flat_map(|input| self.classifiers.iter().map(move |model| (input, model)))
                {
                    let Classifier::Prompt(model, words) = classifier else { continue };
                    let shares = no_grad(|| model.word_shares(input, words).map(|shares| values(&shares)));
                    let shares: Vec<f64> = shares.unwrap_or_default();
                    sums.resize(sums.len().max(shares.len()), 0.0);
                    sums.iter_mut().zip(&shares).for_each(|(sum, share)| *sum += weight * share);
                }
            }
        }
        let Some(Classifier::Prompt(_, words)) = self.classifiers.first() else {
            return Ok(vec![Vec::new(); examples.len()]);
        };
        let written = words.written(self.tokenizer);
        let of_row = |sums: Vec<f64>| {
            let all: f64 = sums.iter().sum();
            let share = |(word, sum): (&Option<(usize, String)>, f64)| {
                let (class, word) = word.clone()?;
                Some(WordShare { word, class, share: sum / all })
            };
            let mut shares: Vec<WordShare> = written.iter().zip(sums).filter_map(share).collect();
            shares.sort_by(|one, other| other.share.total_cmp(&one.share));
            shares.truncate(most);
            shares
        };
        Ok(sums.into_iter().map(of_row).collect())
    }
}
