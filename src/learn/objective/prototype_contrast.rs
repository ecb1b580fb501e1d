//! The contrast of rows and rows that a prototype verbalizer learns by (ProtoVerb: Cui et al. 2022).

use tch::{Kind as Type, Tensor};

use crate::learn::target::Target;
use crate::model::head::TEMPERATURE;

/// What a prototype verbalizer's rows lose beside the cross-entropy of their scores, which is the loss of
/// rows and prototypes: that of rows and rows. For a row i it is the mean over the other rows j of its class
/// of `-ln(exp(s_ij) / Σ_k exp(s_ik))`, s the cosines over [`TEMPERATURE`] and k all rows but i; 0 for a row
/// without another of its class (Cui et al. 2022, who count the row itself).
///
/// # Shapes
/// vectors `[B,P]` of length 1 → `[B]`
pub fn contrastive_losses(vectors: &Tensor, targets: &[&Target]) -> Tensor {
    let rows = targets.len() as i64;
    let device = vectors.device();
    let classes: Vec<i64> = targets.iter().map(|target| target.class() as i64).collect();
    let classes = Tensor::from_slice(&classes).to_device(device);
    let itself = Tensor::eye(rows, (Type::Bool, device));
    let alike = classes
        .unsqueeze(0)
        .eq_tensor(&classes.unsqueeze(1))
        .logical_and(&itself.logical_not())
        .to_kind(Type::Float);
    // Of a row alone nothing is left to compare with.
    let cosines =
        (vectors.matmul(&vectors.transpose(0, 1)) / TEMPERATURE).masked_fill(&itself, f64::from(f32::MIN));
    let logs = cosines.log_softmax(-1, Type::Float).masked_fill(&itself, 0.0);
    let count = alike.sum_dim_intlist([-1].as_slice(), false, Type::Float).clamp_min(1.0);
    -(logs * alike).sum_dim_intlist([-1].as_slice(), false, Type::Float) / count
}
