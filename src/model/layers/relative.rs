//! Relative positions: a vector for each distance between two tokens scores with the query of the one
//! (Shaw et al. 2018), or with the key of the other besides (Huang et al. 2020). In DeBERTa (He et al. 2021)
//! all layers have the same vectors, which become keys and queries as words do.
//!
//! Letters: B batch, R rows that look, L tokens, A heads, D size of a head, N most positions.

use tch::{Device, Kind as Type, Tensor};

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
        let length = size[2];
        let near = self.vectors.narrow(0, most - length, 2 * length - 1).to_kind(key.kind());
        let places = Tensor::arange(length, (Type::Int64, key.device()));
        let rows = positions.map_or_else(|| places.unsqueeze(0), Tensor::shallow_clone);
        // Each row's distances to all tokens, as places in `near`.
        let index = (rows.unsqueeze(2) - places + (length - 1)).unsqueeze(1);
        let scores = of_distances(query, &near, &index);
        match self.key_scale {
            None => scores,
            Some(scale) => scores + of_keys(&(key * scale), &near, &index),
        }
    }
}

/// What states score with the vectors of their distances, each with its own by the index.
///
/// # Shapes
/// states `[B,A,R,D]`, vectors `[N,D]` or `[1,A,N,D]`, index `[1 or B,1,R,L]` → `[B,A,R,L]`
fn of_distances(states: &Tensor, vectors: &Tensor, index: &Tensor) -> Tensor {
    let size = states.size();
    let scores = states.matmul(&vectors.transpose(-2, -1));
    scores.gather(3, &index.expand([size[0], size[1], -1, -1], false), false)
}

/// The same of keys, by the index of the rows that look at them.
///
/// # Shapes
/// key `[B,A,L,D]`, index `[1 or B,1,R,L]` → `[B,A,R,L]`
fn of_keys(key: &Tensor, vectors: &Tensor, index: &Tensor) -> Tensor {
    of_distances(key, vectors, &index.transpose(2, 3)).transpose(2, 3)
}

/// How distances share vectors: from 1-N to N-1 each has its own, or those far from 0 one for several, the
/// more the farther.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// There are so many vectors to either side.
    pub span: i64,
    /// Those beyond half of them stand for distances up to below this by their logarithms; none where each
    /// stands for one distance.
    pub farthest: Option<i64>,
}

impl Buckets {
    /// Of the distances from 0 to below L. What is computed, and in which type, is as in Hugging Face's code:
    /// where a logarithm is near a whole number, another order of things would be another bucket.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn of_distances(self, length: i64) -> Tensor {
        let distances = Tensor::arange(length, (Type::Int64, Device::Cpu));
        let Some(farthest) = self.farthest else { return distances };
        let middle = self.span / 2;
        let most = Tensor::from_slice(&[((farthest - 1) as f64 / middle as f64) as f32]).log();
        // Near ones are not looked at, and 0 has no logarithm.
        let far = distances.clamp_min(middle - 1).to_kind(Type::Float) / middle as f64;
        let far = ((far.log() / most) * (middle - 1) as f64).ceil() + middle as f64;
        far.to_kind(Type::Int64).where_self(&distances.gt(middle), &distances)
    }
}

/// The distances that occur among L tokens.
pub(crate) struct Near {
    /// Their vectors, `[N,H]`.
    pub vectors: Tensor,
    /// Which of them is between two tokens, `[L,L]`.
    index: Tensor,
}

impl Near {
    /// Of all vectors `[2S,H]`, from -S to S-1.
    pub(crate) fn new(all: &Tensor, buckets: Buckets, length: i64) -> Near {
        let behind = buckets.of_distances(length);
        let before = behind.narrow(0, 1, length - 1).flip([0]).neg();
        let table = Tensor::cat(&[before, behind], 0).clamp(-buckets.span, buckets.span - 1);
        let [first, last] = [0, 2 * length - 2].map(|at| table.int64_value(&[at]));
        let places = Tensor::arange(length, (Type::Int64, Device::Cpu));
        let distances = places.unsqueeze(1) - places + (length - 1);
        let index = table.index_select(0, &distances.flatten(0, 1)).view([length, length]) - first;
        Near {
            vectors: all.narrow(0, buckets.span + first, last - first + 1),
            index: index.to_device(all.device()),
        }
    }

    /// What is added to attention scores, of all rows or of those at positions: what queries score with keys
    /// made of the vectors, and keys with queries made of them, whichever there are.
    ///
    /// # Shapes
    /// query `[B,A,R,D]`, key `[B,A,L,D]`, those of the vectors `[1,A,N,D]`, positions `[B,R]` → `[B,A,R,L]`
    pub(crate) fn scores(
        &self,
        [query, key]: [&Tensor; 2],
        [near_query, near_key]: [Option<&Tensor>; 2],
        positions: Option<&Tensor>,
    ) -> Option<Tensor> {
        let index = match positions {
            None => self.index.unsqueeze(0),
            Some(positions) => {
                let (size, length) = (positions.size(), self.index.size()[0]);
                self.index.index_select(0, &positions.flatten(0, 1)).view([size[0], size[1], length])
            }
        };
        let index = index.unsqueeze(1);
        let with_keys = near_key.map(|near| of_distances(query, near, &index));
        let with_queries = near_query.map(|near| of_keys(key, near, &index));
        match (with_keys, with_queries) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        }
    }
}
