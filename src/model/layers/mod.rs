//! The pieces that the forward passes of all families are made of: linear layers and what tuning puts beside
//! them, layer norms, attention.

mod additions;
mod attention;
mod int8;
mod kernels;
mod linear;
mod projection;
mod relative;
mod rotary;

pub use additions::{Adapter, Additions, ClassVectors, LayerAdditions, LowRank, Prefix};
pub(crate) use attention::{Heads, attend};
pub(crate) use int8::Range;
pub(crate) use kernels::Moved;
pub use kernels::load_kernels;
pub use linear::{Activation, Linear, Mode};
pub(crate) use linear::{LayerNorm, drop_out};
pub(crate) use projection::Projection;
pub use relative::Buckets;
pub(crate) use relative::{Distances, Near};
pub(crate) use rotary::Sight;
