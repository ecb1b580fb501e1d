//! Types of numbers that a forward pass is computed in.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use crate::model::processor;

/// The type of numbers that a forward pass is computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Single precision, as the weights are
    ///
    /// Every score is transformers' to rounding.
    #[default]
    F32,
    /// bfloat16: half the memory for states, about three digits
    ///
    /// States and weights of the layers; sums of products are in single precision.
    Bf16,
    /// int8 weights, and states quantised on the fly: two digits
    ///
    /// In the layers' products; everything else is in single precision.
    Int8,
}

impl Dtype {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::Bf16 => "bf16",
            Dtype::Int8 => "int8",
        }
    }

    /// The type that is computed in where this one is asked for: single precision in place of bfloat16, on a
    /// processor without instructions for it. The products take 2.5 times as long there as in single precision
    /// (AVX-512) or 30 times (AVX2), and all that comes of it is fewer digits.
    #[must_use]
    pub fn on(self, device: Device) -> Dtype {
        match self {
            Dtype::Bf16 if device == Device::Cpu && !processor::has_bf16() => Dtype::F32,
            dtype => dtype,
        }
    }

    /// What a reader of results should know, where another type is computed in than this one.
    pub fn remark(self, device: Device) -> Option<String> {
        let (asked, computed) = (self.name(), self.on(device).name());
        (asked != computed).then(|| {
            format!(
                "there are no instructions for {asked} here, and without them it takes 3 to 30 times as long as \
                 {computed}: it is computed as {computed}"
            )
        })
    }

    /// The type of the states.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Dtype::F32 | Dtype::Int8 => Kind::Float,
            Dtype::Bf16 => Kind::BFloat16,
        }
    }
}

/// What was measured for a type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The type.
    pub dtype: Dtype,
    /// Milliseconds for the sample, on one thread.
    pub milliseconds: f64,
    /// The largest difference of a probability from that in single precision.
    pub largest_difference: f64,
}
