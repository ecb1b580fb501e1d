//! Chains: a template's steps asked one after another, each word of a step a row of its own for the next (the
//! masked model's chain of thought; Wei et al. 2022 for models that write).

use tch::{Kind as Type, Tensor, no_grad};

use super::Scorer;
use crate::error::{EncodeError, Error, Result, TemplateError};
use crate::model::features::Features;
use crate::model::tokenizer::Tokenizer;
use crate::model::values::rows;
use crate::predict::classifier::Classifier;
use crate::predict::encode::encode;
use crate::predict::task::Task;
use crate::text::data::{Columns, Example};
use crate::text::template::Fill;

/// A row with the words of all steps behind its fields, and how probable they are together.
pub type Chain = (Example, f64);

impl Scorer<'_> {
    /// Rows with the words that a task's steps put into their blanks, each with all its chains; their
    /// probabilities sum to 1.
    ///
    /// With W₁ … Wₙ the words of the steps, it takes 1 + W₁ + W₁·W₂ + … forward passes a row before the
    /// question itself, and the question W₁·…·Wₙ. An error names its row.
    pub fn chains(&self, task: &Task, columns: &Columns, examples: &[Example]) -> Result<Vec<Vec<Chain>>> {
        let mut chains: Vec<(usize, Chain)> =
            examples.iter().cloned().map(|example| (example, 1.0)).enumerate().collect();
        for (index, step) in task.template().steps().iter().enumerate() {
            let allowed = [false, true].map(|is_bare| words_of(step.fill(), self.tokenizer, is_bare));
            if allowed[0].is_empty() {
                return Err(step.template().error(TemplateError::StepUnfilled));
            }
            let encoded = chains.iter().map(|(_, (example, _))| {
                let features = encode(&task.wrap_step(index, example), self.tokenizer, self.max_length);
                features.map_err(|error| error.at(columns.place(example, None)))
            });
            let features: Vec<Features> = encoded.collect::<Result<_>>()?;
            let said = self.likeliest(&features, &allowed, step.words())?;
            let extend = |((row, (example, probability)), words): ((usize, Chain), Vec<(i64, f64)>)| {
                words.into_iter().map(move |(word, share)| {
                    let mut fields = example.fields.clone();
                    fields.push(self.tokenizer.letters(word).to_owned());
                    (row, (Example { fields, ..example.clone() }, probability * share))
                })
            };
            chains = chains.into_iter().zip(said).flat_map(extend).collect();
        }
        let mut by_row: Vec<Vec<Chain>> = examples.iter().map(|_| Vec::new()).collect();
        chains.into_iter().for_each(|(row, chain)| by_row[row].push(chain));
        Ok(by_row)
    }

    /// The likeliest of some words at each input's mask, by the models' mean, with their probabilities among
    /// those that are kept.
    fn likeliest(
        &self,
        inputs: &[Features],
        [words, bare]: &[Vec<i64>; 2],
        keep: usize,
    ) -> Result<Vec<Vec<(i64, f64)>>> {
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        // The words of a batch's inputs have the same pieces.
        order.sort_by_key(|&input| (inputs[input].is_bare, inputs[input].ids.len()));
        let mut found = vec![Vec::new(); inputs.len()];
        let alike = order.chunk_by(|&one, &other| inputs[one].is_bare == inputs[other].is_bare);
        for chosen in alike.flat_map(|alike| self.batches(inputs, alike, self.batch_tokens)) {
            let words = if inputs[chosen[0]].is_bare { bare } else { words };
            let ids = Tensor::from_slice(words);
            let batch: Vec<&Features> = chosen.iter().map(|&input| &inputs[input]).collect();
            let said = no_grad(|| {
                let of_model = |classifier: &Classifier| match classifier {
                    Classifier::Prompt(model, _) => model
                        .vocabulary_logits(&batch)
                        .softmax(-1, Type::Float)
                        .index_select(1, &ids.to_device(model.device())),
                    Classifier::Sequence(_) => {
                        unreachable!("a classifier on [CLS] reads no pattern, so it has no steps")
                    }
                };
                let sum = self.classifiers.iter().map(of_model).reduce(|sum, next| sum + next);
                sum.map(|sum| sum.topk(i64::try_from(keep.min(words.len())).unwrap_or(1), -1, true, true))
            });
            let Some((shares, places)) = said else { unreachable!("a scorer has a model") };
            let (shares, places) = (rows::<f64>(&shares), rows::<i64>(&places));
            for (input, (shares, places)) in chosen.iter().zip(shares.into_iter().zip(places)) {
                let sum: f64 = shares.iter().sum();
                if !(sum > 0.0 && sum.is_finite()) {
                    return Err(Error::new(EncodeError::ScoreNotFinite));
                }
                found[*input] = places
                    .into_iter()
                    .zip(shares)
                    .map(|(place, share)| (words[place as usize], share / sum))
                    .collect();
            }
        }
        Ok(found)
    }
}

/// The words that may fill a step's blank: those that it names, in the form that they have there where each
/// has one, or all whole words of the vocabulary.
fn words_of(fill: &Fill, tokenizer: &Tokenizer, is_bare: bool) -> Vec<i64> {
    match fill {
        // That each is one token was checked with the template.
        Fill::OneOf(words) => {
            let bare = |word: &str| match tokenizer.bare_word_ids(word).as_deref() {
                Some([id]) if *id != tokenizer.special().unk => Some(*id),
                _ => None,
            };
            let bare = is_bare.then(|| words.iter().map(|word| bare(&word.value)).collect::<Option<_>>());
            bare.flatten().unwrap_or_else(|| {
                words.iter().filter_map(|word| tokenizer.word_ids(&word.value).first().copied()).collect()
            })
        }
        Fill::Likeliest(_) => tokenizer.ids().filter(|id| tokenizer.is_word(*id)).collect(),
    }
}
