//! Updates merged into the weights that they update: LoRA's products and IA³'s rescaling.

use tch::Tensor;

use crate::tune::options::Lora;

/// A linear layer's weight with a low-rank update within it, `W + s·B·A` (Hu et al. 2021).
///
/// # Shapes
/// weight `[out,in]`, down (A) `[r,in]`, up (B) `[out,r]` → `[out,in]`
pub(super) fn low_rank(weight: &Tensor, down: &Tensor, up: &Tensor, scale: f64) -> Tensor {
    weight + up.matmul(down) * scale
}

/// A linear layer's weight with its rows' directions turned by a low-rank update, and lengths of their own:
/// `m · V / ‖V‖`, V the weight with the update within it (DoRA: Liu et al. 2024). The norm counts as a
/// constant in gradients (their section 4.3).
///
/// # Shapes
/// updated (V) `[out,in]`, lengths (m) `[out]` → `[out,in]`
pub(super) fn of_lengths(updated: &Tensor, lengths: &Tensor) -> Tensor {
    updated * (lengths.unsqueeze(1) / self::lengths(&updated.detach()))
}

/// The lengths of a weight's rows.
///
/// # Shapes
/// `[out,in] → [out,1]`
pub(super) fn lengths(weight: &Tensor) -> Tensor {
    weight.norm_scalaropt_dim(2.0, [1].as_slice(), true)
}

/// s of `s·B·A`.
pub(super) fn scale(lora: &Lora, rank: i64) -> f64 {
    let rank = rank as f64;
    lora.alpha / if lora.rank_stabilized { rank.sqrt() } else { rank }
}

/// A linear layer's weight and bias with IA³'s rescaling within them (Liu et al. 2022). A vector of outputs
/// rescales the bias too; one of inputs comes before it.
///
/// # Shapes
/// weight `[out,in]`, bias `[out]`, rescaling `[out,1]` or `[1,in]`
pub(super) fn rescaled(
    weight: &Tensor,
    bias: Option<&Tensor>,
    rescaling: &Tensor,
) -> (Tensor, Option<Tensor>) {
    let bias = bias.filter(|_| rescaling.size()[0] > 1).map(|bias| bias * rescaling.flatten(0, -1));
    (weight * rescaling, bias)
}
