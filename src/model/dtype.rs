//! Types of numbers that a forward pass is computed in.

use serde::{Deserialize, Serialize};
use tch::Kind;

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
