//! The pieces that layers are made of.

use tch::Tensor;

use crate::config::Activation;
use crate::parameters::Parameters;

/// Whether dropout acts. Gradients flow in both, if the parameters ask for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// No dropout.
    Score,
    /// Dropout with the configuration's probabilities, from libtorch's global generator.
    Train,
}

/// `x·Wᵀ + b`, `[…,in] → […,out]`.
pub struct Linear {
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
}

/// Layer normalisation over H (Ba et al. 2016).
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl Linear {
    /// Of a weight `[out,in]` and a bias `[out]`.
    pub fn new(weight: Tensor, bias: Tensor) -> Linear {
        Linear { weight, bias }
    }

    pub(crate) fn of(parameters: &Parameters, name: &str) -> Linear {
        Linear {
            weight: parameters.get(&format!("{name}.weight")).shallow_clone(),
            bias: parameters.get(&format!("{name}.bias")).shallow_clone(),
        }
    }

    /// # Shapes
    /// `[…,in] → […,out]`
    pub fn forward(&self, input: &Tensor) -> Tensor {
        input.linear(&self.weight, Some(&self.bias))
    }

    /// The outputs `start..start + length` alone.
    pub(crate) fn rows(&self, start: i64, length: i64) -> Linear {
        Linear { weight: self.weight.narrow(0, start, length), bias: self.bias.narrow(0, start, length) }
    }
}

impl LayerNorm {
    pub(crate) fn of(parameters: &Parameters, name: &str, epsilon: f64) -> LayerNorm {
        let Linear { weight, bias } = Linear::of(parameters, name);
        LayerNorm { weight, bias, epsilon }
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Tensor {
        input.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.epsilon, false)
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
