//! The masked-language-model head: from a state at the mask to logits of vocabulary entries.

use tch::Tensor;

use crate::config::{Activation, Config};
use crate::encoder::{LayerNorm, Linear};
use crate::parameters::{DECODER_BIAS, Parameters};

/// Dense, activation, layer norm, then the decoder: one row of the word embeddings for each entry.
pub struct MlmHead {
    dense: Linear,
    activation: Activation,
    norm: LayerNorm,
    decoder: Tensor,
    bias: Tensor,
}

impl MlmHead {
    /// The head over these parameters.
    pub fn new(config: &Config, parameters: &Parameters) -> MlmHead {
        MlmHead {
            dense: Linear::of(parameters, "cls.predictions.transform.dense"),
            activation: config.hidden_act,
            norm: LayerNorm::of(parameters, "cls.predictions.transform.LayerNorm", config.layer_norm_eps),
            decoder: parameters.decoder().shallow_clone(),
            bias: parameters.get(DECODER_BIAS).shallow_clone(),
        }
    }

    /// The logits of K vocabulary entries.
    ///
    /// # Shapes
    /// states `[B,H]`, ids `[K]` → `[B,K]`
    pub fn logits_of(&self, states: &Tensor, ids: &Tensor) -> Tensor {
        self.transform(states).linear(&self.decoder.index_select(0, ids), Some(&self.bias.index_select(0, ids)))
    }

    /// The logits of the whole vocabulary.
    ///
    /// # Shapes
    /// states `[B,H]` → `[B,V]`
    pub fn logits(&self, states: &Tensor) -> Tensor {
        self.transform(states).linear(&self.decoder, Some(&self.bias))
    }

    fn transform(&self, states: &Tensor) -> Tensor {
        self.norm.forward(&self.activation.forward(&self.dense.forward(states)))
    }
}
