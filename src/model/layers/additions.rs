//! What tuning puts beside a model's own weights in the forward pass.
//!
//! Letters: R rank, P prefix length, S soft tokens, D bottleneck, E embedding size.

use tch::{Kind as Type, Tensor};

use super::linear::{Activation, Linear, Mode, drop_out};
use crate::model::shared::Shared;
use crate::model::tensor_map::Role;

/// Everything that is added to a forward pass; nothing by default.
#[derive(Default, Clone)]
pub struct Additions {
    /// The soft tokens' vectors `[S,E]`, for the places that [`crate::model::batch::SoftPlaces`] names.
    pub soft: Option<Shared>,
    /// Layer by layer; empty if no layer has any.
    pub layers: Vec<LayerAdditions>,
    /// Beside the dense layer of the MLM head.
    pub transform: Option<LowRank>,
    /// In place of the decoder's rows of label words.
    pub verbalizer: Option<ClassVectors>,
    /// In place of the label words' weights, `[C,W]`: each class's are the softmax of its numbers.
    pub word_weights: Option<Shared>,
    /// The position of an input's first token. Prefixes take the positions before it, as they do in Hugging
    /// Face's BERT.
    pub first_position: i64,
}

impl Additions {
    /// What is added to a layer.
    pub(crate) fn of_layer(&self, index: usize) -> &LayerAdditions {
        self.layers.get(index).unwrap_or(LayerAdditions::NONE)
    }
}

/// What is added to one layer, to each of its linear layers by its role.
#[derive(Default, Clone)]
pub struct LayerAdditions {
    low_rank: [Option<LowRank>; Role::ALL.len()],
    adapters: [Option<Adapter>; Role::ALL.len()],
    /// Keys and values that every token attends to.
    pub prefix: Option<Prefix>,
}

impl LayerAdditions {
    /// Nothing.
    pub const NONE: &LayerAdditions = &LayerAdditions {
        low_rank: [const { None }; Role::ALL.len()],
        adapters: [const { None }; Role::ALL.len()],
        prefix: None,
    };

    /// What stands beside a linear layer.
    pub fn low_rank(&self, role: Role) -> Option<&LowRank> {
        self.low_rank[role as usize].as_ref()
    }

    /// Puts an update beside a linear layer.
    pub fn set_low_rank(&mut self, role: Role, low_rank: LowRank) {
        self.low_rank[role as usize] = Some(low_rank);
    }

    /// What stands behind a linear layer: behind the attention's output, or behind the feed-forward's.
    pub fn adapter(&self, role: Role) -> Option<&Adapter> {
        self.adapters[role as usize].as_ref()
    }

    /// Puts an adapter behind a linear layer.
    pub fn set_adapter(&mut self, role: Role, adapter: Adapter) {
        self.adapters[role as usize] = Some(adapter);
    }
}

/// A low-rank update of a linear layer (LoRA, Hu et al. 2021): `s·B·A·dropout(x)` beside `W·x`.
#[derive(Clone)]
pub struct LowRank {
    /// A, `[R,in]`.
    pub down: Shared,
    /// B, `[out,R]`.
    pub up: Shared,
    /// s.
    pub scale: f64,
    /// The probability of dropout on this branch's input.
    pub dropout: f64,
}

/// What stands for classes in place of label words.
#[derive(Clone)]
pub enum ClassVectors {
    /// A vector and a bias for each class (WARP: Hambardzumyan et al. 2021).
    Soft {
        /// `[C,E]`
        weight: Shared,
        /// `[C]`
        bias: Shared,
    },
    /// A prototype for each class, and the projection of states that it is compared with (ProtoVerb: Cui et
    /// al. 2022).
    Prototypes {
        /// `[P,E]`
        projection: Shared,
        /// `[C,P]`
        prototypes: Shared,
    },
}

/// One layer's prefix (Li & Liang 2021).
#[derive(Clone)]
pub struct Prefix {
    /// `[P,H]`
    pub key: Shared,
    /// `[P,H]`
    pub value: Shared,
}

/// A bottleneck, of h, what a linear layer gave, and x, what it is added to.
///
/// Before the add and norm `norm(h + W₂·σ(W₁·h) + x)`, with the model's activation σ (Houlsby et al. 2019);
/// behind it `norm(h + W₂·relu(W₁·norm(h + x)) + x)` (Pfeiffer et al. 2021). Where a family has no norm
/// there, the norm is left out.
#[derive(Clone)]
pub struct Adapter {
    /// W₁, `H → D`.
    pub down: Linear,
    /// W₂, `D → H`.
    pub up: Linear,
    /// Whether it stands behind the add and norm.
    pub behind_norm: bool,
}

impl LowRank {
    /// `projected` and the update for `input`.
    pub(crate) fn add(low_rank: Option<&LowRank>, projected: Tensor, input: &Tensor, mode: Mode) -> Tensor {
        match low_rank {
            None => projected,
            Some(low_rank) => projected + low_rank.forward(input, mode),
        }
    }

    /// In single precision, of the type of the input.
    ///
    /// # Shapes
    /// `[…,in] → […,out]`
    pub(crate) fn forward(&self, input: &Tensor, mode: Mode) -> Tensor {
        let wide = drop_out(input.to_kind(self.down.kind()), self.dropout, mode);
        // Scaled where the tensor is smallest.
        (wide.linear(&self.down, None::<Tensor>) * self.scale)
            .linear(&self.up, None::<Tensor>)
            .to_kind(input.kind())
    }
}

impl Adapter {
    /// What a linear layer gave, behind its adapter, if that stands before the add and norm.
    pub(crate) fn apply(adapter: Option<&Adapter>, activation: Activation, states: Tensor) -> Tensor {
        match adapter.filter(|adapter| !adapter.behind_norm) {
            None => states,
            Some(adapter) => {
                let wide = states.to_kind(Type::Float);
                (adapter.update(activation, &wide) + wide).to_kind(states.kind())
            }
        }
    }

    /// `norm(output + rows)`, with the adapter's part if it stands behind that.
    ///
    /// # Shapes
    /// output, rows `[…,H] → […,H]`
    pub(crate) fn behind(
        adapter: Option<&Adapter>,
        output: &Tensor,
        rows: &Tensor,
        norm: impl Fn(&Tensor) -> Tensor,
    ) -> Tensor {
        let sum = output + rows;
        match adapter.filter(|adapter| adapter.behind_norm) {
            None => norm(&sum),
            Some(adapter) => {
                let wide = norm(&sum).to_kind(Type::Float);
                norm(&(adapter.update(Activation::Relu, &wide) + &sum).to_kind(sum.kind()))
            }
        }
    }

    /// `W₂·σ(W₁·h)`, in single precision.
    fn update(&self, activation: Activation, wide: &Tensor) -> Tensor {
        self.up.forward(&activation.forward(&self.down.forward(wide)))
    }
}
