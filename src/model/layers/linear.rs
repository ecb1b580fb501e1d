//! Linear layers, layer norms and what stands between them.

use serde::Deserialize;
use tch::{Device, Kind as Type, Tensor};

use super::int8::{Observed, Quantized, Range};
use super::kernels::Arranged;
use crate::model::dtype::Dtype;
use crate::model::parameters::Parameters;
use crate::model::shared::Shared;
use crate::model::tensor_map::Module;

/// Whether dropout acts. Gradients flow in both, if the parameters ask for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// No dropout.
    Score,
    /// Dropout with the configuration's probabilities, from libtorch's global generator.
    Train,
}

/// A non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x·Φ(x)`, by the error function.
    #[default]
    #[serde(alias = "gelu_python")]
    Gelu,
    /// The same by its approximation with tanh.
    #[serde(alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluNew,
    /// `max(0, x)`.
    Relu,
    /// `x·σ(x)`.
    #[serde(alias = "swish")]
    Silu,
}

/// `x·Wᵀ + b`, or without b, `[…,in] → […,out]`.
#[derive(Clone)]
pub struct Linear {
    weight: Weight,
    bias: Option<Shared>,
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
    bias: Option<Shared>,
    epsilon: f64,
}

impl Linear {
    /// Of a weight `[out,in]` and a bias `[out]`, if there is one.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Linear {
        Linear { weight: Weight::Plain(weight.into()), bias: bias.map(Shared::from) }
    }

    pub(crate) fn of(parameters: &Parameters, module: Module) -> Linear {
        let bias = parameters.bias(module).map(Tensor::shallow_clone);
        Linear::new(parameters.weight(module).shallow_clone(), bias)
    }

    /// # Shapes
    /// `[…,in] → […,out]`
    pub fn forward(&self, input: &Tensor) -> Tensor {
        let bias = self.bias.as_deref();
        match &self.weight {
            Weight::Plain(weight) => input.linear(weight, bias),
            Weight::Arranged(weight) => weight.linear(input, bias),
            Weight::Observed(observed) => {
                observed.see(input);
                input.linear(&observed.weight, bias)
            }
            Weight::Quantized(weight) => weight.linear(input, bias),
        }
    }

    /// The same layer for inputs in bfloat16, with gradients.
    pub(crate) fn narrowed(&self) -> Linear {
        let bias = self.bias.as_ref().map(|bias| bias.to_kind(Type::BFloat16));
        Linear::new(self.plain().to_kind(Type::BFloat16), bias)
    }

    /// The same layer for inputs of a type, as near as that type can be and as fast as libtorch can do it
    /// here, without gradients.
    pub(crate) fn prepared(&self, dtype: Dtype) -> Linear {
        let weight = self.plain().detach().to_kind(dtype.kind());
        let bias = self.bias.as_ref().map(|bias| bias.detach().to_kind(dtype.kind()).into());
        let arranged = if weight.device() == Device::Cpu { Arranged::of(&weight) } else { None };
        let weight = arranged.map_or_else(|| Weight::Plain(weight.into()), Weight::Arranged);
        Linear { weight, bias }
    }

    /// The same layer, which takes note of its inputs: for [`Linear::quantized`].
    pub(crate) fn observed(&self) -> Linear {
        Linear {
            weight: Weight::Observed(Observed::new(self.plain().detach())),
            bias: self.bias.as_ref().map(|bias| bias.detach().into()),
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

impl LayerNorm {
    pub(crate) fn of(parameters: &Parameters, module: Module, epsilon: f64) -> LayerNorm {
        let bias = parameters.bias(module).map(|bias| bias.shallow_clone().into());
        LayerNorm { weight: parameters.weight(module).shallow_clone().into(), bias, epsilon }
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Tensor {
        input.layer_norm(self.weight.size(), Some(&*self.weight), self.bias.as_deref(), self.epsilon, false)
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

    /// Of a gate's one half, times its other half (Shazeer 2020).
    pub(crate) fn gated(self, input: &Tensor, gate: &Tensor, mode: Mode) -> Tensor {
        let mut active = self.forward(input);
        match mode {
            // In place: no gradient needs what was there.
            Mode::Score if !active.requires_grad() => active.g_mul_(gate),
            _ => active * gate,
        }
    }
}

pub(crate) fn drop_out(input: Tensor, probability: f64, mode: Mode) -> Tensor {
    match mode {
        Mode::Train if probability > 0.0 => input.dropout(probability, true),
        _ => input,
    }
}
