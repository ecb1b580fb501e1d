//! Scores of label words of several tokens, by a blank that grows to as many masks.

use tch::{Kind as Type, Tensor};

use super::PromptModel;
use crate::model::encoder::Mode;
use crate::model::features::Features;
use crate::model::values::values;
use crate::predict::label_words::Several;
use crate::text::verbalizer::Scoring;

impl PromptModel {
    /// The words' scores by their [`Scoring`]. One batch for each length of words, and with [`Scoring::Pll`]
    /// and [`Scoring::Greedy`] one for each further token of each word.
    ///
    /// # Shapes
    /// B inputs, K words → `[B,K]`
    pub(super) fn word_scores(&self, inputs: &[&Features], several: &Several, mode: Mode) -> Tensor {
        if several.multi_token.scoring == Scoring::Pieces {
            return self.piece_scores(inputs, several, mode);
        }
        let mask = self.tokenizer().special().mask;
        let mut scores: Vec<Option<Tensor>> = several.words.iter().map(|_| None).collect();
        for (length, words) in several.by_length() {
            // Nothing is read at masks that are all empty where each is read with the others filled.
            let empty = match several.multi_token.scoring {
                Scoring::Pll if length > 1 => None,
                _ => {
                    let logits = self.logits_in_blank(inputs, |_| vec![mask; length], None, mode);
                    Some(if several.multi_token.scoring == Scoring::MeanLogit {
                        logits
                    } else {
                        logits.log_softmax(-1, Type::Float)
                    })
                }
            };
            for word in words {
                let tokens = &several.words[word];
                let sum = match (&empty, several.multi_token.scoring) {
                    (None, _) => self.each_with_the_others(inputs, tokens, mode),
                    (Some(empty), Scoring::Greedy) => self.most_probable_first(inputs, tokens, empty, mode),
                    (Some(empty), _) => {
                        picked(empty, tokens).sum_dim_intlist([1].as_slice(), false, Type::Float)
                    }
                };
                scores[word] = Some(if several.multi_token.normalised { sum / length as f64 } else { sum });
            }
        }
        Tensor::stack(&scores.into_iter().flatten().collect::<Vec<_>>(), 1)
    }

    /// `Σ l_1(t_i)`, for all words at once.
    ///
    /// # Shapes
    /// B inputs, K words → `[B,K]`
    fn piece_scores(&self, inputs: &[&Features], several: &Several, mode: Mode) -> Tensor {
        let logits = self.logits_at_masks(inputs, mode).squeeze_dim(1);
        let of_word = |tokens: &Vec<i64>| {
            let tokens = Tensor::from_slice(tokens).to_device(logits.device());
            let own = logits.index_select(1, &tokens);
            match several.multi_token.normalised {
                true => own.mean_dim([1].as_slice(), false, Type::Float),
                false => own.sum_dim_intlist([1].as_slice(), false, Type::Float),
            }
        };
        Tensor::stack(&several.words.iter().map(of_word).collect::<Vec<_>>(), 1)
    }

    /// The logits of the whole vocabulary at the places of a blank, or at one of them, that is filled for
    /// each input.
    ///
    /// # Shapes
    /// B inputs → `[B,M,V]`
    fn logits_in_blank(
        &self,
        inputs: &[&Features],
        blank: impl Fn(usize) -> Vec<i64>,
        at: Option<usize>,
        mode: Mode,
    ) -> Tensor {
        let filled = inputs.iter().enumerate().map(|(row, input)| {
            let filled = input.with_blank(&blank(row));
            at.map_or_else(|| filled.clone(), |at| filled.clone().read_at(at))
        });
        let filled: Vec<Features> = filled.collect();
        self.logits_at_masks(&filled.iter().collect::<Vec<_>>(), mode)
    }

    /// `Σ ln p(t_i | the others)`
    ///
    /// # Shapes
    /// B inputs → `[B]`
    fn each_with_the_others(&self, inputs: &[&Features], tokens: &[i64], mode: Mode) -> Tensor {
        let of_token = |(at, &token): (usize, &i64)| {
            let mut blank = tokens.to_vec();
            blank[at] = self.tokenizer().special().mask;
            picked(
                &self.logits_in_blank(inputs, |_| blank.clone(), Some(at), mode).log_softmax(-1, Type::Float),
                &[token],
            )
        };
        let found: Vec<Tensor> = tokens.iter().enumerate().map(of_token).collect();
        Tensor::cat(&found, 1).sum_dim_intlist([1].as_slice(), false, Type::Float)
    }

    /// `Σ ln p(t_i | those filled before)`, from the log probabilities `[B,M,V]` at empty masks. The first of
    /// equals is filled first.
    ///
    /// # Shapes
    /// B inputs → `[B]`
    fn most_probable_first(
        &self,
        inputs: &[&Features],
        tokens: &[i64],
        empty: &Tensor,
        mode: Mode,
    ) -> Tensor {
        let mask = self.tokenizer().special().mask;
        let mut blanks = vec![vec![mask; tokens.len()]; inputs.len()];
        let mut open = vec![vec![true; tokens.len()]; inputs.len()];
        let mut found = picked(empty, tokens);
        let mut filled = Vec::with_capacity(tokens.len());
        for left in (0..tokens.len()).rev() {
            let values: Vec<f64> = values(&found.detach());
            let chosen: Vec<i64> = values
                .chunks(tokens.len())
                .zip(&open)
                .map(|(values, open)| first_largest(values, open) as i64)
                .collect();
            let index = Tensor::from_slice(&chosen).to_device(found.device()).unsqueeze(1);
            filled.push(found.gather(1, &index, false));
            for (row, &place) in chosen.iter().enumerate() {
                blanks[row][place as usize] = tokens[place as usize];
                open[row][place as usize] = false;
            }
            if left > 0 {
                let logits = self.logits_in_blank(inputs, |row| blanks[row].clone(), None, mode);
                found = picked(&logits.log_softmax(-1, Type::Float), tokens);
            }
        }
        Tensor::cat(&filled, 1).sum_dim_intlist([1].as_slice(), false, Type::Float)
    }
}

/// What stands for the i-th token at the i-th place.
///
/// # Shapes
/// `[B,M,V]` → `[B,M]`
fn picked(values: &Tensor, tokens: &[i64]) -> Tensor {
    let vocabulary = values.size()[2];
    let index: Vec<i64> = (0..).zip(tokens).map(|(place, token)| place * vocabulary + token).collect();
    values.flatten(1, 2).index_select(1, &Tensor::from_slice(&index).to_device(values.device()))
}

/// The first of the largest values that are open.
fn first_largest(values: &[f64], open: &[bool]) -> usize {
    let places = (0..values.len()).filter(|&place| open[place]);
    places.reduce(|best, next| if values[next] > values[best] { next } else { best }).unwrap_or(0)
}
