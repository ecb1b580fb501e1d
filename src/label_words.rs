//! Label words as ids of one model, and the way from their logits to class scores.

use tch::{Device, Kind as Type, Tensor};

use crate::error::{Error, Kind};
use crate::shared::Shared;
use crate::tokenizer::Tokenizer;
use crate::verbalizer::{Aggregate, Verbalizer};

/// A verbalizer's words in a model's vocabulary: C classes, W words in the largest.
#[derive(Clone)]
pub struct LabelWords {
    aggregate: Aggregate,
    /// The ids of all classes' words, `[C·W]`; a class with fewer words than W repeats its first.
    ids: Shared,
    /// `[C,W]`, 0 where a class has fewer words.
    weights: Shared,
}

impl LabelWords {
    /// Looks every word up: each must be one token of the vocabulary, and no two classes' words the same one. All problems at once.
    pub fn check(verbalizer: &Verbalizer, tokenizer: &Tokenizer, device: Device) -> Result<LabelWords, Vec<Error>> {
        let mut problems = Vec::new();
        let mut known: Vec<(i64, &str, &str)> = Vec::new();
        let widest = verbalizer.classes().iter().map(|class| class.words.len()).max().unwrap_or(0);
        let mut ids = Vec::new();
        let mut weights = Vec::new();
        for class in verbalizer.classes() {
            let mut class_ids = Vec::with_capacity(widest);
            for word in &class.words {
                let tokens: Vec<i64> = tokenizer.tokenize(word.word()).iter().map(|token| token.id).collect();
                let id = match tokens[..] {
                    [id] if id != tokenizer.special().unk => id,
                    [_] | [] => {
                        problems.push(word.error(Kind::WordUnknown { word: word.word().to_owned() }));
                        continue;
                    }
                    _ => {
                        let pieces = tokens.iter().map(|id| tokenizer.token(*id).to_owned()).collect();
                        problems.push(word.error(Kind::WordSplits { word: word.word().to_owned(), pieces }));
                        continue;
                    }
                };
                if let Some((_, first_word, first)) = known.iter().find(|(known, ..)| *known == id) {
                    problems.push(word.error(Kind::WordsSameToken {
                        first_word: (*first_word).to_owned(),
                        first: (*first).to_owned(),
                        second_word: word.word().to_owned(),
                        second: class.label.clone(),
                        token: tokenizer.token(id).to_owned(),
                    }));
                }
                known.push((id, word.word(), &class.label));
                class_ids.push(id);
                weights.push(word.weight());
            }
            let first = class_ids.first().copied().unwrap_or_default();
            weights.extend(std::iter::repeat_n(0.0, widest - class_ids.len()));
            class_ids.resize(widest, first);
            ids.extend(class_ids);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let shape = [-1, i64::try_from(widest).unwrap_or(i64::MAX)];
        Ok(LabelWords {
            aggregate: verbalizer.aggregate(),
            ids: Tensor::from_slice(&ids).to_device(device).into(),
            weights: Tensor::from_slice(&weights).to_kind(Type::Float).view(shape).to_device(device).into(),
        })
    }

    /// The vocabulary ids to compute logits of, `[C·W]`.
    pub fn ids(&self) -> &Tensor {
        &self.ids
    }

    /// Every label word's id once, in the classes' order.
    pub fn distinct_ids(&self) -> Vec<i64> {
        // Of int64 by construction.
        let mut ids = Vec::<i64>::try_from(&*self.ids).unwrap_or_default();
        let mut seen = std::collections::BTreeSet::new();
        ids.retain(|id| seen.insert(*id));
        ids
    }

    /// Class scores by the verbalizer's [`Aggregate`]; their softmax over the classes are the class probabilities.
    ///
    /// # Shapes
    /// logits `[B,C·W]` in the order of [`LabelWords::ids`] → `[B,C]`
    pub fn class_scores(&self, logits: &Tensor) -> Tensor {
        let size = self.weights.size();
        let logits = logits.view([-1, size[0], size[1]]);
        let present = self.weights.gt(0.0);
        let absent = present.logical_not();
        match self.aggregate {
            Aggregate::MeanLogit => self.weighted_mean(&logits),
            Aggregate::MeanLogProb => {
                let normaliser = logits.masked_fill(&absent, f64::NEG_INFINITY).flatten(1, 2).logsumexp([1], true);
                self.weighted_mean(&(logits - normaliser.unsqueeze(2)))
            }
            Aggregate::LogSumExp => (logits + self.weights.log()).logsumexp([2], false),
            Aggregate::Max => logits.masked_fill(&absent, f64::NEG_INFINITY).amax([2], false),
        }
    }

    /// `[B,C,W] → [B,C]`
    fn weighted_mean(&self, values: &Tensor) -> Tensor {
        (values * &*self.weights).sum_dim_intlist([2].as_slice(), false, Type::Float)
            / self.weights.sum_dim_intlist([1].as_slice(), false, Type::Float)
    }
}
