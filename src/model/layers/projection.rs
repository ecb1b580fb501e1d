//! From states to queries, keys and values.

use tch::Tensor;

use super::int8::Range;
use super::linear::Linear;

/// How states become queries, keys and values; the query's rows are scaled by 1/√D.
#[derive(Clone)]
pub(crate) enum Projection {
    /// In one product, `[3H,H]`.
    Joined(Linear),
    /// In two, `[H,H]` and `[2H,H]`: of the last layer, whose queries are wanted at the masks alone.
    Apart(Linear, Linear),
}

impl Projection {
    /// Queries of the rows, which are all of the states where the projection is joined; keys and values of
    /// the states.
    ///
    /// # Shapes
    /// rows `[B,R,H]`, states `[B,L,H]` → `[B,R,H]`, `[B,L,2H]`
    pub(crate) fn apart(&self, rows: &Tensor, states: &Tensor) -> [Tensor; 2] {
        match self {
            Projection::Joined(joined) => {
                let all = joined.forward(states);
                let hidden = states.size()[2];
                [all.narrow(-1, 0, hidden), all.narrow(-1, hidden, 2 * hidden)]
            }
            Projection::Apart(query, key_value) => [query.forward(rows), key_value.forward(states)],
        }
    }

    /// Its linear layers with the range of their inputs in int8, and whether their layer computes all rows.
    pub(crate) fn linears(&mut self) -> (Vec<(&mut Linear, Option<Range>)>, bool) {
        match self {
            Projection::Joined(joined) => (vec![(joined, Some(Range::Even))], true),
            Projection::Apart(query, key_value) => {
                (vec![(query, None), (key_value, Some(Range::Even))], false)
            }
        }
    }
}
