//! The masked-language-model head: from a state at the mask to logits of vocabulary entries.

use tch::{Kind as Type, Tensor};

use crate::model::arch::Config;
use crate::model::dtype::Dtype;
use crate::model::layers::{Activation, ClassVectors, LayerNorm, Linear, LowRank, Mode};
use crate::model::parameters::Parameters;
use crate::model::shared::Shared;
use crate::model::tensor_map::Module;

/// What cosines are divided by: between -1 and 1 they could not say that a class is sure. Cui et al. (2022)
/// have none.
pub const TEMPERATURE: f64 = 0.1;

fn of_length_1(rows: &Tensor) -> Tensor {
    rows / rows.square().sum_dim_intlist([-1].as_slice(), true, Type::Float).sqrt().clamp_min(1e-12)
}

/// Dense, activation, layer norm, then the decoder: one row of the word embeddings for each entry.
#[derive(Clone)]
pub struct MlmHead {
    dense: Linear,
    activation: Activation,
    norm: LayerNorm,
    decoder: Shared,
    bias: Shared,
    /// The type that the whole vocabulary's logits are computed in.
    kind: Type,
}

impl MlmHead {
    /// The head over these parameters.
    pub fn new(config: &Config, parameters: &Parameters) -> MlmHead {
        MlmHead {
            dense: Linear::of(parameters, Module::Transform),
            activation: config.head_act,
            norm: LayerNorm::of(parameters, Module::TransformNorm, config.layer_norm_eps),
            decoder: parameters.decoder().shallow_clone().into(),
            bias: parameters.decoder_bias().shallow_clone().into(),
            kind: Type::Float,
        }
    }

    /// Computes the product with the whole vocabulary in bfloat16 from now on, if that is what is computed in
    /// here ([`Dtype::on`]), and lets gradients through. All else stays in single precision: it costs little.
    pub fn narrow(&mut self) {
        self.kind = Dtype::Bf16.on(self.decoder.device()).kind();
    }

    /// The logits of K vocabulary entries. `added` stands beside the dense layer.
    ///
    /// # Shapes
    /// states `[B,H]`, ids `[K]` → `[B,K]`
    pub fn logits_of(&self, states: &Tensor, ids: &Tensor, added: Option<&LowRank>, mode: Mode) -> Tensor {
        self.transform(states, added, mode)
            .linear(&self.decoder.index_select(0, ids), Some(&self.bias.index_select(0, ids)))
    }

    /// The scores of classes that have vectors of their own, and with prototypes what these are compared
    /// with: the projected states, of length 1.
    ///
    /// # Shapes
    /// states `[B,H]`, C classes → `[B,C]`, `[B,P]`
    pub fn class_scores(
        &self,
        states: &Tensor,
        classes: &ClassVectors,
        added: Option<&LowRank>,
        mode: Mode,
    ) -> (Tensor, Option<Tensor>) {
        let states = self.transform(states, added, mode);
        match classes {
            ClassVectors::Soft { weight, bias } => (states.linear(weight, Some(&**bias)), None),
            ClassVectors::Prototypes { projection, prototypes } => {
                let vectors = of_length_1(&states.linear(projection, None::<Tensor>));
                (vectors.matmul(&of_length_1(prototypes).transpose(0, 1)) / TEMPERATURE, Some(vectors))
            }
        }
    }

    /// The logits of the whole vocabulary.
    ///
    /// # Shapes
    /// states `[…,H]` → `[…,V]`, in single precision
    pub fn logits(&self, states: &Tensor, added: Option<&LowRank>, mode: Mode) -> Tensor {
        let states = self.transform(states, added, mode).to_kind(self.kind);
        let bias = self.bias.to_kind(self.kind);
        states.linear(&self.decoder.to_kind(self.kind), Some(&bias)).to_kind(Type::Float)
    }

    fn transform(&self, states: &Tensor, added: Option<&LowRank>, mode: Mode) -> Tensor {
        let dense = LowRank::add(added, self.dense.forward(states), states, mode);
        self.norm.forward(&self.activation.forward(&dense))
    }
}
