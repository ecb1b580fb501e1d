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
