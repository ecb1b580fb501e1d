//! Linear layers over int8 weights and activations that are quantised on the fly, each token with a scale of
//! its own.
//!
//! One scale for each token, not one for a batch: outliers of other tokens cost it no precision, and no row's
//! score depends on what else is in its batch. Few channels hold most of the error, and they are dealt with
//! in one of two ways, by what a model does on a sample of inputs. With m a channel's largest absolute input
//! and w its largest absolute weight:
//!
//! - Where inputs are as far below zero as above, large ones are made smaller before, and their weights
//!   larger (SmoothQuant, Xiao et al. 2022): s = m^α / w^(1-α).
//! - Behind an activation, the channels with the largest m·w, w in units of the output's usual weight, stay
//!   in single precision (LLM.int8(), Dettmers et al. 2022). A single weight of forty times the usual size
//!   costs all others of its output their precision.

use tch::{Kind as Type, Tensor};

use super::kernels::ArrangedBytes;
use crate::model::processor::adds_bytes_wide;
use crate::model::shared::Shared;

/// α of SmoothQuant: of .25 to 1 the one that strays least from f32.
const SMOOTHING: f64 = 0.6;

/// Inputs of a layer's first and second product differ in their range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// About as far below zero as above.
    Even,
    /// Little below zero: behind an activation.
    Raised,
}

impl Range {
    /// Which byte stands for 0, and how many steps the scale has above it.
    fn zero_and_steps(self) -> (i64, f64) {
        match self {
            Range::Even => (128, 127.0),
            Range::Raised => (51, 204.0),
        }
    }
}

/// A linear layer without its bias.
#[derive(Clone)]
pub(super) struct Quantized {
    arranged: ArrangedBytes,
    range: Range,
    channels: Channels,
}

/// What is done to a layer's channels before.
#[derive(Clone)]
enum Channels {
    /// Each is multiplied: by 1/s, `[in]`.
    Scaled(Shared),
    /// Some stay in single precision: which they are `[K]`, int64, their weights `[out,K]`, and 0 for them
    /// and 1 for the rest `[in]`.
    Kept { which: Shared, weights: Shared, rest: Shared },
}

/// K, the channels that stay in single precision.
const KEPT: i64 = 64;

/// A layer's weights, and how large its inputs were.
#[derive(Clone)]
pub(super) struct Observed {
    /// `[out,in]`
    pub(super) weight: Shared,
    /// m, `[in]`
    largest: Shared,
}

impl Observed {
    pub(super) fn new(weight: Tensor) -> Observed {
        let largest = Tensor::zeros([weight.size()[1]], (Type::Float, weight.device()));
        Observed { weight: weight.into(), largest: largest.into() }
    }

    /// Takes note of an input `[…,in]`.
    pub(super) fn see(&self, input: &Tensor) {
        let largest = input.abs().view([-1, self.largest.size()[0]]).amax([0], false);
        self.largest.shallow_clone().copy_(&self.largest.maximum(&largest));
    }

    /// The int8 layer; none where libtorch has no such kernel.
    pub(super) fn quantized(&self, range: Range) -> Option<Quantized> {
        let (channels, weight) = match range {
            Range::Even => self.scaled(),
            Range::Raised => self.kept(),
        };
        let scales = weight.abs().amax([1], false).clamp_min(LEAST) / f64::from(most());
        let bytes = (weight / scales.unsqueeze(1)).round().to_kind(Type::Int8);
        Some(Quantized { arranged: ArrangedBytes::of(&bytes, scales)?, range, channels })
    }

    /// SmoothQuant's scales, and the weights for inputs that are divided by them.
    fn scaled(&self) -> (Channels, Tensor) {
        let weights = self.weight.abs().amax([0], false).clamp_min(LEAST);
        let scales = self.largest.clamp_min(LEAST).pow_tensor_scalar(SMOOTHING)
            / weights.pow_tensor_scalar(1.0 - SMOOTHING);
        (Channels::Scaled(scales.reciprocal().into()), &*self.weight * scales)
    }

    /// The channels that matter most, and the weights without theirs.
    fn kept(&self) -> (Channels, Tensor) {
        let usual =
            self.weight.square().mean_dim(Some([1].as_slice()), true, Type::Float).sqrt().clamp_min(LEAST);
        let weights = (self.weight.abs() / usual).amax([0], false);
        let (_, which) = (weights * &*self.largest).topk(KEPT.min(self.largest.size()[0]), 0, true, true);
        let rest = self.largest.ones_like().index_fill(0, &which, 0.0);
        let weight = &*self.weight * &rest;
        let kept = Channels::Kept {
            weights: self.weight.index_select(1, &which).into(),
            which: which.into(),
            rest: rest.into(),
        };
        (kept, weight)
    }
}

/// No scale is smaller.
const LEAST: f64 = 1e-6;

/// The largest int8 weight: two products of bytes must not overflow where they are added in 16 bits.
fn most() -> i8 {
    if adds_bytes_wide() { 127 } else { 63 }
}

impl Quantized {
    /// # Shapes
    /// input `[…,in]`, bias `[out]` → `[…,out]`
    pub(super) fn linear(&self, input: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let mut size = input.size();
        let width = size.pop().unwrap_or_default();
        let input = input.view([-1, width]);
        let (input, wide) = match &self.channels {
            Channels::Scaled(inverse) => (&input * &**inverse, None),
            Channels::Kept { which, weights, rest } => {
                (&input * &**rest, Some(input.index_select(1, which).linear(weights, bias)))
            }
        };
        let (zero, steps) = self.range.zero_and_steps();
        let largest = match self.range {
            Range::Even => input.abs().amax([-1], true),
            Range::Raised => {
                input.amax([-1], true).maximum(&(input.amin([-1], true) * (-steps / zero as f64)))
            }
        };
        let step = largest.clamp_min(LEAST) / steps;
        let bytes = (input / &step).quantize_per_tensor(1.0, zero, Type::QUInt8).view_dtype(Type::Uint8);
        let product = self.arranged.linear(&bytes, zero);
        size.push(product.size()[1]);
        match wide.as_ref().or(bias) {
            Some(sum) => sum.addcmul(&product, &step),
            None => product * step,
        }
        .view(size.as_slice())
    }
}
