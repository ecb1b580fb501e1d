//! The masked-language-model head: from a state at the mask to logits of vocabulary entries.

use tch::Tensor;

use crate::config::{Activation, Config};
use crate::encoder::{ClassVectors, LayerNorm, Linear, LowRank, Mode};
use crate::parameters::{DECODER_BIAS, Parameters};
use crate::shared::Shared;

/// Dense, activation, layer norm, then the decoder: one row of the word embeddings for each entry.
#[derive(Clone)]
pub struct MlmHead {
    dense: Linear,
    activation: Activation,
    norm: LayerNorm,
    decoder: Shared,
    bias: Shared,
}

impl MlmHead {
    /// The head over these parameters.
    pub fn new(config: &Config, parameters: &Parameters) -> MlmHead {
        MlmHead {
            dense: Linear::of(parameters, "cls.predictions.transform.dense"),
            activation: config.hidden_act,
            norm: LayerNorm::of(parameters, "cls.predictions.transform.LayerNorm", config.layer_norm_eps),
            decoder: parameters.decoder().shallow_clone().into(),
            bias: parameters.get(DECODER_BIAS).shallow_clone().into(),
        }
    }

    /// The logits of K vocabulary entries. `added` stands beside the dense layer.
    ///
    /// # Shapes
    /// states `[B,H]`, ids `[K]` → `[B,K]`
    pub fn logits_of(&self, states: &Tensor, ids: &Tensor, added: Option<&LowRank>, mode: Mode) -> Tensor {
        self.transform(states, added, mode).linear(&self.decoder.index_select(0, ids), Some(&self.bias.index_select(0, ids)))
    }

    /// The scores of classes that have vectors of their own.
    ///
    /// # Shapes
    /// states `[B,H]`, C classes → `[B,C]`
    pub fn class_scores(&self, states: &Tensor, classes: &ClassVectors, added: Option<&LowRank>, mode: Mode) -> Tensor {
        self.transform(states, added, mode).linear(&classes.weight, Some(&*classes.bias))
    }

    /// The logits of the whole vocabulary.
    ///
    /// # Shapes
    /// states `[…,H]` → `[…,V]`
    pub fn logits(&self, states: &Tensor, added: Option<&LowRank>, mode: Mode) -> Tensor {
        self.transform(states, added, mode).linear(&self.decoder, Some(&*self.bias))
    }

    fn transform(&self, states: &Tensor, added: Option<&LowRank>, mode: Mode) -> Tensor {
        let dense = LowRank::add(added, self.dense.forward(states), states, mode);
        self.norm.forward(&self.activation.forward(&dense))
    }
}
