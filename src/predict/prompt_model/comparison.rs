//! Texts compared with label words: the cosine similarity of the means of their last states.

use std::sync::PoisonError;

use tch::{Kind as Type, Tensor, no_grad};

use super::{Engine, PromptModel};
use crate::model::batch::{Batch, small_batches};
use crate::model::encoder::{Encoder, Mode};
use crate::model::features::Features;
use crate::model::shared::Shared;
use crate::predict::label_words::LabelWords;

/// What cosines are multiplied by before they are class scores. With the default model, on 200 rows of
/// BANKING77 and together with the answers at blanks, 5 and 10 did best, 20 and more less well.
const SCALE: f64 = 10.0;

impl PromptModel {
    /// The class scores of texts without a blank: each the cosine of the text's vector with the class's,
    /// times a constant. A class's vector is the mean of its words'; where it has texts too, half of that and
    /// half of theirs, which did better on three sets than either of them alone, or nearly so.
    ///
    /// # Shapes
    /// B inputs → `[B,C]`
    pub(super) fn similarities(&self, inputs: &[&Features], words: &LabelWords) -> Tensor {
        let Engine::Cloze(encoder, _) = &self.engine else {
            unreachable!("rust-bert's model is refused where a text is to be compared")
        };
        no_grad(|| {
            self.mean_vectors(encoder, inputs, Mode::Score).matmul(&self.label_vectors(encoder, words).tr())
                * SCALE
        })
    }

    /// The classes' vectors, each of length 1. They are made once, and kept for all threads.
    ///
    /// # Shapes
    /// `[C,H]`
    fn label_vectors(&self, encoder: &Encoder, words: &LabelWords) -> Shared {
        let mut kept = self.label_vectors.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert_with(|| {
            let special = self.tokenizer().special();
            let room = usize::try_from(self.room()).unwrap_or_default().saturating_sub(2);
            let input = |tokens: &Vec<i64>| {
                let tokens = &tokens[..tokens.len().min(room)];
                compared([&[special.cls], tokens, &[special.sep]].concat())
            };
            let mean = |texts: &[Vec<i64>]| {
                let inputs: Vec<Features> = texts.iter().map(input).collect();
                let vectors =
                    small_batches(&inputs).map(|inputs| self.mean_vectors(encoder, &inputs, Mode::Score));
                let vectors = Tensor::cat(&vectors.collect::<Vec<_>>(), 0);
                vectors.mean_dim([0].as_slice(), true, Type::Float)
            };
            let of_class = |(words, texts): (Vec<Vec<i64>>, &Vec<Vec<i64>>)| match texts.is_empty() {
                true => mean(&words),
                false => (mean(&words) + mean(texts)) / 2.0,
            };
            let classes = words.tokens_of_classes().into_iter().zip(words.texts());
            of_length_one(&Tensor::cat(&classes.map(of_class).collect::<Vec<_>>(), 0)).into()
        })
        .clone()
    }

    /// The means of the last states over each input's tokens, as vectors of length 1.
    ///
    /// # Shapes
    /// B inputs → `[B,H]`
    pub(super) fn mean_vectors(&self, encoder: &Encoder, inputs: &[&Features], mode: Mode) -> Tensor {
        let batch = Batch::collate(inputs, self.tokenizer().special().pad, self.device);
        let states = encoder.forward(&batch, &self.additions, mode).to_kind(Type::Float);
        let own = states * batch.attention.unsqueeze(2);
        of_length_one(&own.sum_dim_intlist([1].as_slice(), false, Type::Float))
    }
}

/// An input that is compared.
fn compared(ids: Vec<i64>) -> Features {
    let second_segment = ids.len();
    Features {
        ids,
        second_segment,
        mask: 0,
        masks: 0,
        is_bare: false,
        priors: 0,
        removed: 0,
        left_out: 0,
        windows: 1,
        soft: Vec::new(),
    }
}

/// # Shapes
/// `[B,H]` → `[B,H]`
fn of_length_one(vectors: &Tensor) -> Tensor {
    let squares = vectors.square().sum_dim_intlist([1].as_slice(), true, Type::Float);
    vectors / squares.sqrt().clamp_min(1e-12)
}
