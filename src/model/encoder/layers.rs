//! The pieces that layers are made of.

use tch::{Device, Kind as Type, Tensor};

use super::int8::{Observed, Quantized, Range};
use super::kernels::Arranged;
use crate::model::config::Activation;
use crate::model::dtype::Dtype;
use crate::model::parameters::Parameters;
use crate::model::shared::Shared;

/// Whether dropout acts. Gradients flow in both, if the parameters ask for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// No dropout.
    Score,
    /// Dropout with the configuration's probabilities, from libtorch's global generator.
    Train,
}

/// `x·Wᵀ + b`, `[…,in] → […,out]`.
#[derive(Clone)]
pub struct Linear {
    weight: Weight,
    bias: Shared,
}

#[derive(Clone)]
enum Weight {
    /// `[out,in]`
    Plain(Shared),
    /// The same in oneDNN's arrangement, without gradients.
    Arranged(Arranged),
    /// On the way to int8.
    Observed(Observed),
    /// In int8, without gradients.
    Quantized(Quantized),
}

/// Layer normalisation over H (Ba et al. 2016).
#[derive(Clone)]
pub(crate) struct LayerNorm {
    weight: Shared,
    bias: Shared,
    epsilon: f64,
}

impl Linear {
    /// Of a weight `[out,in]` and a bias `[out]`.
    pub fn new(weight: Tensor, bias: Tensor) -> Linear {
        Linear { weight: Weight::Plain(weight.into()), bias: bias.into() }
    }

    pub(crate) fn of(parameters: &Parameters, name: &str) -> Linear {
        let [weight, bias] = weight_and_bias(parameters, name);
        Linear::new(weight, bias)
    }

    /// # Shapes
    /// `[…,in] → […,out]`
    pub fn forward(&self, input: &Tensor) -> Tensor {
        match &self.weight {
            Weight::Plain(weight) => input.linear(weight, Some(&*self.bias)),
            Weight::Arranged(weight) => weight.linear(input, &self.bias),
            Weight::Observed(observed) => {
                observed.see(input);
                input.linear(&observed.weight, Some(&*self.bias))
            }
            Weight::Quantized(weight) => weight.linear(input, &self.bias),
        }
    }

    /// The same layer for inputs in bfloat16, with gradients.
    pub(crate) fn narrowed(&self) -> Linear {
        Linear::new(self.plain().to_kind(Type::BFloat16), self.bias.to_kind(Type::BFloat16))
    }

    /// The same layer for inputs of a type, as near as that type can be and as fast as libtorch can do it
    /// here, without gradients.
    pub(crate) fn prepared(&self, dtype: Dtype) -> Linear {
        let weight = self.plain();
        let (weight, bias) =
            (weight.detach().to_kind(dtype.kind()), self.bias.detach().to_kind(dtype.kind()));
        let arranged = if weight.device() == Device::Cpu { Arranged::of(&weight) } else { None };
        let weight = arranged.map_or_else(|| Weight::Plain(weight.into()), Weight::Arranged);
        Linear { weight, bias: bias.into() }
    }

    /// The same layer, which takes note of its inputs: for [`Linear::quantized`].
    pub(crate) fn observed(&self) -> Linear {
        Linear {
            weight: Weight::Observed(Observed::new(self.plain().detach())),
            bias: self.bias.detach().into(),
        }
    }

    /// An observed layer in int8, for inputs of a range; none where libtorch has no such kernel.
    pub(crate) fn quantized(&self, range: Range) -> Option<Linear> {
        let Weight::Observed(observed) = &self.weight else {
            unreachable!("quantised without having been observed")
        };
        Some(Linear { weight: Weight::Quantized(observed.quantized(range)?), bias: self.bias.clone() })
    }

    fn plain(&self) -> &Tensor {
        match &self.weight {
            Weight::Plain(weight) => weight,
            Weight::Observed(_) | Weight::Arranged(_) | Weight::Quantized(_) => {
                unreachable!("prepared twice")
            }
        }
    }
}

/// The two tensors of a layer.
pub(super) fn weight_and_bias(parameters: &Parameters, name: &str) -> [Tensor; 2] {
    ["weight", "bias"].map(|part| parameters.get(&format!("{name}.{part}")).shallow_clone())
}

impl LayerNorm {
    pub(crate) fn of(parameters: &Parameters, name: &str, epsilon: f64) -> LayerNorm {
        let [weight, bias] = weight_and_bias(parameters, name);
        LayerNorm { weight: weight.into(), bias: bias.into(), epsilon }
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Tensor {
        input.layer_norm(self.weight.size(), Some(&*self.weight), Some(&*self.bias), self.epsilon, false)
    }
}

impl Activation {
    pub(crate) fn forward(self, input: &Tensor) -> Tensor {
        match self {
            Activation::Gelu => input.gelu("none"),
            Activation::GeluNew => input.gelu("tanh"),
            Activation::Relu => input.relu(),
            Activation::Silu => input.silu(),
        }
    }
}

pub(crate) fn drop_out(input: Tensor, probability: f64, mode: Mode) -> Tensor {
    match mode {
        Mode::Train if probability > 0.0 => input.dropout(probability, true),
        _ => input,
    }
}
