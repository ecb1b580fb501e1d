//! Scaled dot-product attention (Vaswani et al. 2017) by heads, with a prefix or without.
//!
//! Letters: B batch, R rows that look, L tokens, H hidden, A heads, D = H/A, P prefix length.

use tch::{Device, Kind as Type, Tensor};

use super::additions::Prefix;
use super::kernels;
use super::linear::{Mode, drop_out};

/// How states are shared out among A heads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    /// A
    count: i64,
    /// D
    size: i64,
    /// Of so many products is a score the sum.
    products: i64,
}

impl Heads {
    /// So many heads of a hidden size, which is a multiple of them.
    pub(crate) fn new(count: i64, hidden: i64) -> Heads {
        Heads { count, size: hidden / count, products: 1 }
    }

    /// The same where a score is the sum of so many products, each as large as another.
    pub(crate) fn summing(self, products: i64) -> Heads {
        Heads { products, ..self }
    }

    /// D
    pub(crate) fn size(self) -> i64 {
        self.size
    }

    /// 1/√D, or 1/√(D·N) where N products are summed
    #[allow(clippy::cast_precision_loss)] // Head sizes are small.
    pub(crate) fn scale(self) -> f64 {
        1.0 / ((self.size * self.products) as f64).sqrt()
    }

    /// # Shapes
    /// `[B,L,H] → [B,A,L,D]`
    pub(crate) fn split(self, projected: &Tensor) -> Tensor {
        let size = projected.size();
        projected.reshape([size[0], size[1], self.count, self.size]).transpose(1, 2)
    }

    /// Keys and values with the prefix before them, which no padding hides.
    ///
    /// # Shapes
    /// key and value `[B,A,L,D]`, mask `[B,1,R,L]` → `[B,A,P+L,D]`, `[B,1,R,P+L]`; R is 1 where all rows see
    /// the same
    pub(crate) fn with_prefix(
        self,
        prefix: Option<&Prefix>,
        key: Tensor,
        value: Tensor,
        mask: Option<&Tensor>,
    ) -> (Tensor, Tensor, Option<Tensor>) {
        let Some(prefix) = prefix else { return (key, value, mask.map(Tensor::shallow_clone)) };
        let (batch, length) = (key.size()[0], prefix.key.size()[0]);
        let join = |prefix: &Tensor, states: &Tensor| {
            let prefix =
                self.split(&prefix.unsqueeze(0)).expand([batch, -1, -1, -1], false).to_kind(states.kind());
            Tensor::cat(&[&prefix, states], 2)
        };
        let mask = mask.map(|mask| mask.constant_pad_nd([length, 0]));
        (join(&prefix.key, &key), join(&prefix.value, &value), mask)
    }
}

/// From this many tokens on, libtorch's fused attention is faster on a processor than two matrix products
/// with a softmax between them: 0.7 times the time at 128 tokens and a quarter at 256 and 512 (12 heads of
/// 32, fp32, one thread), but slower at 16 and 64.
const FUSED_FROM: i64 = 128;

/// Scaled dot-product attention; the scale is in the query already.
///
/// # Shapes
/// query `[B,A,R,D]`, key and value `[B,A,L,D]`, mask `[B,1,1,L]` or `[B,1,R,L]` → `[B,A,R,D]`
pub(crate) fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    mask: Option<&Tensor>,
    dropout: f64,
    mode: Mode,
) -> Tensor {
    let (on_processor, back) = (query.device() == Device::Cpu, value.kind());
    if mode == Mode::Score && (query.size()[2] >= FUSED_FROM || !on_processor) {
        // On a processor it is twice as fast in single precision as in bfloat16.
        let kind = if on_processor { Type::Float } else { value.kind() };
        let [query, key, value] = [query, key, value].map(|part| part.to_kind(kind));
        if let Some(context) =
            kernels::attend(&query, &key, &value, mask.map(|mask| mask.to_kind(kind)).as_ref())
        {
            return context.to_kind(back);
        }
    }
    let scores = query.matmul(&key.transpose(-2, -1));
    let scores = match mask {
        Some(mask) => scores + mask,
        None => scores,
    };
    drop_out(scores.softmax(-1, Type::Float), dropout, mode).to_kind(value.kind()).matmul(value)
}
