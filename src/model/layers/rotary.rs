//! Rotary positions (Su et al. 2021): queries and keys are turned by angles that grow with the place, so that
//! their products tell how far apart they stand. And windows, beyond which a token sees nothing.
//!
//! Letters: B batch, R rows that look, L tokens, A heads, D size of a head.

use tch::{Device, Kind as Type, Tensor};

use super::attention::attend;
use super::linear::Mode;

/// So many rows look at once where there is a window: each block of them sees little more than itself, so the
/// cost of a long text grows with its length, not with its square.
const BLOCK: i64 = 128;

/// What layers of a kind see: the angles of all places, and what hides some from others.
pub(crate) struct Sight {
    /// `[L,D]`
    cos: Tensor,
    /// `[L,D]`, of the first half less than 0: what the other half of a head is multiplied by.
    sin: Tensor,
    /// What hides padding, `[B,1,1,L]`.
    padding: Option<Tensor>,
    /// Beyond it, to either side, nothing is seen; none where all is within it.
    window: Option<i64>,
    /// What is added to all attention scores where there is a window, `[1|B,1,L,L]`; none where blocks of
    /// rows look.
    near: Option<Tensor>,
    /// Blocks of rows, where they are shorter than the text.
    blocks: Vec<Block>,
}

/// Rows that look at once, and what they see: from a place on so many.
struct Block {
    rows: [i64; 2],
    seen: [i64; 2],
    /// What is added to their attention scores, `[1|B,1,R,K]` of R rows and K that are seen.
    mask: Tensor,
}

impl Sight {
    /// Of L tokens from a place on, for heads of a size. Beyond the window, to either side, nothing is seen.
    pub(crate) fn new(
        [first, length, size]: [i64; 3],
        theta: f64,
        window: Option<i64>,
        padding: Option<&Tensor>,
        device: Device,
    ) -> Sight {
        let float = (Type::Float, device);
        let exponents = Tensor::arange_start_step(0, size, 2, float) / size as f64;
        let frequencies = (exponents * theta.ln()).exp().reciprocal();
        let angles = Tensor::arange_start(first, first + length, float).outer(&frequencies);
        let (cos, sin) = (angles.cos(), angles.sin());
        let [cos, sin] = [[&cos, &cos], [&-&sin, &sin]].map(|halves| Tensor::cat(&halves, 1));
        let padding = padding.map(Tensor::shallow_clone);
        let window = window.filter(|window| *window + 1 < length);
        let mut sight = Sight { cos, sin, padding, window, near: None, blocks: Vec::new() };
        match window {
            None => {}
            Some(window) if length > BLOCK + 2 * window => sight.blocks = sight.in_blocks(length, window),
            Some(window) => sight.near = Some(sight.hidden(&sight.places(0, length), [0, length], window)),
        }
        sight
    }

    fn in_blocks(&self, length: i64, window: i64) -> Vec<Block> {
        let starts = (0..length).step_by(usize::try_from(BLOCK).unwrap_or(usize::MAX));
        let block = |start: i64| {
            let rows = BLOCK.min(length - start);
            let first = (start - window).max(0);
            let seen = [first, (start + rows + window).min(length) - first];
            let mask = self.hidden(&self.places(start, rows), seen, window);
            Block { rows: [start, rows], seen, mask }
        };
        starts.map(block).collect()
    }

    /// So many places from one on.
    ///
    /// # Shapes
    /// `[R]`
    fn places(&self, first: i64, count: i64) -> Tensor {
        Tensor::arange_start(first, first + count, (Type::Int64, self.cos.device()))
    }

    /// What hides from rows the padding and what lies beyond the window, among so many places from one on.
    ///
    /// # Shapes
    /// rows `[R]` or `[B,R]` → `[1,1,R,K]` or `[B,1,R,K]`, of several rows with padding always the latter
    fn hidden(&self, rows: &Tensor, [first, count]: [i64; 2], window: i64) -> Tensor {
        let far = (rows.unsqueeze(-1) - self.places(first, count)).abs().gt(window);
        let far = if far.dim() == 2 { far.unsqueeze(0) } else { far };
        let hidden = far.unsqueeze(1).to_kind(Type::Float) * f64::from(f32::MIN);
        match &self.padding {
            // Not their sum, which may be below the lowest float.
            Some(padding) => hidden.minimum(&padding.narrow(3, first, count)),
            None => hidden,
        }
    }

    /// Attention of all rows in their blocks; none where they look all at once.
    ///
    /// # Shapes
    /// query, key and value `[B,A,L,D]` → `[B,A,L,D]`
    pub(crate) fn attend_near(
        &self,
        [query, key, value]: [&Tensor; 3],
        dropout: f64,
        mode: Mode,
    ) -> Option<Tensor> {
        let part = |states: &Tensor, [first, count]: [i64; 2]| states.narrow(2, first, count);
        let look = |block: &Block| {
            let [key, value] = [key, value].map(|states| part(states, block.seen));
            attend(&part(query, block.rows), &key, &value, Some(&block.mask), dropout, mode)
        };
        (!self.blocks.is_empty()).then(|| Tensor::cat(&self.blocks.iter().map(look).collect::<Vec<_>>(), 2))
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
    /// positions `[B,R]` → `[B,1,1,L]` or `[1|B,1,R,L]`
    pub(crate) fn mask(&self, positions: Option<&Tensor>) -> Option<Tensor> {
        let all = [0, self.cos.size()[0]];
        match (self.window, positions, &self.near) {
            (None, ..) => self.padding.as_ref().map(Tensor::shallow_clone),
            (Some(window), Some(positions), _) => Some(self.hidden(positions, all, window)),
            (Some(_), None, Some(near)) => Some(near.shallow_clone()),
            (Some(window), None, None) => Some(self.hidden(&self.places(0, all[1]), all, window)),
        }
    }
}

/// The first and the second half of each head are the two coordinates of D/2 points. What comes of the other
/// half is added in place: two passes over memory, not five.
fn turned(states: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    let wide = states.to_kind(Type::Float);
    let half = wide.size()[3] / 2;
    let turned = &wide * cos;
    for (start, other) in [(0, half), (half, 0)] {
        let part = |tensor: &Tensor, start| tensor.narrow(-1, start, half);
        let _ = part(&turned, start).addcmul_(&part(&wide, other), &part(sin, start));
    }
    turned.to_kind(states.kind())
}
