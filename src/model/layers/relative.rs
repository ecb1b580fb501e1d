//! Relative positions: a vector for each distance between two tokens scores with the query of the one
//! (Shaw et al. 2018), or with the key of the other besides (Huang et al. 2020).
//!
//! Letters: B batch, R rows that look, L tokens, A heads, D size of a head, N most positions.

use tch::{Kind as Type, Tensor};

use crate::model::shared::Shared;

/// A layer's vectors of distances.
#[derive(Clone)]
pub(crate) struct Distances {
    /// From 1-N to N-1, `[2N-1,D]`.
    vectors: Shared,
    /// What keys are multiplied by, if they take part: queries are scaled already.
    key_scale: Option<f64>,
}

impl Distances {
    /// Of vectors `[2N-1,D]`.
    pub(crate) fn new(vectors: &Tensor, key_scale: Option<f64>) -> Distances {
        Distances { vectors: vectors.shallow_clone().into(), key_scale }
    }

    /// What is added to attention scores: of all rows, or of those at positions.
    ///
    /// # Shapes
    /// query `[B,A,R,D]`, key `[B,A,L,D]`, positions `[B,R]` → `[B,A,R,L]`
    pub(crate) fn scores(&self, query: &Tensor, key: &Tensor, positions: Option<&Tensor>) -> Tensor {
        let (size, most) = (key.size(), (self.vectors.size()[0] + 1) / 2);
        let (batch, heads, length) = (size[0], size[1], size[2]);
        let near = self.vectors.narrow(0, most - length, 2 * length - 1).to_kind(key.kind()).tr();
        let places = Tensor::arange(length, (Type::Int64, key.device()));
        let rows = positions.map_or_else(|| places.unsqueeze(0), Tensor::shallow_clone);
        // Each row's distances to all tokens, as places in `near`.
        let index = (rows.unsqueeze(2) - places + (length - 1)).unsqueeze(1);
        let of_distances = |states: &Tensor, index: &Tensor| {
            states.matmul(&near).gather(3, &index.expand([batch, heads, -1, -1], false), false)
        };
        let scores = of_distances(query, &index);
        match self.key_scale {
            None => scores,
            Some(scale) => scores + of_distances(&(key * scale), &index.transpose(2, 3)).transpose(2, 3),
        }
    }
}
