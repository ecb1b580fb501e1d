//! Rotary positions (Su et al. 2021): queries and keys are turned by angles that grow with the place, so that
//! their products tell how far apart they stand. And windows, beyond which a token sees nothing.
//!
//! Letters: B batch, R rows that look, L tokens, A heads, D size of a head.

use tch::{Device, Kind as Type, Tensor};

use crate::model::values::rows_at;

/// What layers of a kind see: the angles of all places, and what hides some from others.
pub(crate) struct Sight {
    /// `[L,D]`
    cos: Tensor,
    /// `[L,D]`
    sin: Tensor,
    /// What is added to attention scores, `[B,1,1,L]`, or `[B,1,L,L]` with a window.
    mask: Option<Tensor>,
}

impl Sight {
    /// Of L tokens from a place on, for heads of a size. Beyond the window, to either side, nothing is seen.
    pub(crate) fn new(
        [first, length, size]: [i64; 3],
        theta: f64,
        window: Option<i64>,
        mask: Option<&Tensor>,
        device: Device,
    ) -> Sight {
        let float = (Type::Float, device);
        let exponents = Tensor::arange_start_step(0, size, 2, float) / size as f64;
        let frequencies = (exponents * theta.ln()).exp().reciprocal();
        let places = Tensor::arange_start(first, first + length, float);
        let angles = places.outer(&frequencies);
        let angles = Tensor::cat(&[&angles, &angles], 1);
        let hidden = window.filter(|window| *window + 1 < length).map(|window| {
            let far = (places.unsqueeze(1) - places.unsqueeze(0)).abs().gt(window as f64);
            (far.to_kind(Type::Float) * f64::from(f32::MIN)).unsqueeze(0).unsqueeze(0)
        });
        let mask = match (mask, hidden) {
            // Not their sum, which may be below the lowest float.
            (Some(mask), Some(hidden)) => Some(mask.minimum(&hidden)),
            (mask, hidden) => mask.map(Tensor::shallow_clone).or(hidden),
        };
        Sight { cos: angles.cos(), sin: angles.sin(), mask }
    }

    /// Rows at all places turned.
    ///
    /// # Shapes
    /// `[B,A,L,D]` → `[B,A,L,D]`
    pub(crate) fn turn(&self, states: &Tensor) -> Tensor {
        turned(states, &self.cos, &self.sin)
    }

    /// Rows at positions turned.
    ///
    /// # Shapes
    /// states `[B,A,R,D]`, positions `[B,R]` → `[B,A,R,D]`
    pub(crate) fn turn_at(&self, states: &Tensor, positions: &Tensor) -> Tensor {
        let size = positions.size();
        let at = |angles: &Tensor| {
            angles.index_select(0, &positions.flatten(0, -1)).view([size[0], size[1], -1]).unsqueeze(1)
        };
        turned(states, &at(&self.cos), &at(&self.sin))
    }

    /// What is added to attention scores: of all rows, or of those at positions.
    ///
    /// # Shapes
    /// positions `[B,R]` → `[B,1,1,L]` or `[B,1,R,L]`
    pub(crate) fn mask(&self, positions: Option<&Tensor>) -> Option<Tensor> {
        let mask = self.mask.as_ref()?;
        match positions {
            Some(positions) if mask.size()[2] > 1 => {
                let length = mask.size()[3];
                let all = mask.squeeze_dim(1).expand([positions.size()[0], length, length], false);
                Some(rows_at(&all, positions).unsqueeze(1))
            }
            _ => Some(mask.shallow_clone()),
        }
    }
}

/// The first and the second half of each head are the two coordinates of D/2 points.
fn turned(states: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    let wide = states.to_kind(Type::Float);
    let halves = wide.chunk(2, -1);
    let across = Tensor::cat(&[-&halves[1], halves[0].shallow_clone()], -1);
    (&wide * cos + across * sin).to_kind(states.kind())
}
