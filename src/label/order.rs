//! The order in which rows are shown: fixed when a project begins.

use rand::seq::SliceRandom as _;

use crate::error::Result;
use crate::predict::selection::{Chosen, Pool, Strategy, Wish, drawn};
use crate::seed;
use crate::text::data::Example;

/// How rows are put in order.
#[derive(Debug, Clone, Copy)]
pub struct OrderRequest {
    /// What the first rows are chosen by.
    pub strategy: Strategy,
    /// So many of them; the others follow at random.
    pub count: usize,
    /// So many rows at most are looked at to choose them, drawn at random.
    pub looked_at: usize,
    /// The share of all rows, drawn at random, that is kept to test on, from 0 to 1.
    pub held_out_share: f64,
    /// For what is drawn.
    pub seed: u64,
}

/// A row at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The row.
    pub example: Example,
    /// What it was chosen by.
    pub by: Strategy,
    /// What the strategy measured of it, if it measures.
    pub score: Option<f64>,
    /// Whether it is kept to test on: drawn from all rows before any strategy chose.
    pub held_out: bool,
}

/// All rows of a pool in the order in which they are shown. First those to test on are drawn, then `choose`
/// is asked for the best of a sample of the others; those to test on stand between them in even distances.
///
/// # Errors
/// Those of `choose`, which is not asked where all is random.
pub fn order(
    pool: &Pool,
    asked: &OrderRequest,
    choose: impl FnOnce(&Pool, Wish) -> Result<Vec<Chosen>>,
) -> Result<Vec<Placed>> {
    let rows = pool.examples.len();
    let mut shuffled: Vec<usize> = (0..rows).collect();
    shuffled.shuffle(&mut seed::generator(asked.seed, "the order of rows to label"));
    let (held_out, others) = shuffled.split_at(drawn(rows, asked.held_out_share));
    let (looked_at, _) = others.split_at(asked.looked_at.min(others.len()));
    let wish = Wish { count: asked.count, strategy: asked.strategy, random_share: 0.0, seed: asked.seed };
    let chosen = match asked.strategy {
        Strategy::Random => Vec::new(),
        _ if looked_at.is_empty() => Vec::new(),
        _ => choose(&pool.part(looked_at), wish)?,
    };
    let mut is_chosen = vec![false; rows];
    chosen.iter().for_each(|row| is_chosen[looked_at[row.index]] = true);
    let placed = |index: usize, by, score, held_out| Placed {
        example: pool.examples[index].clone(),
        by,
        score,
        held_out,
    };
    let best = chosen.iter().map(|row| placed(looked_at[row.index], row.by, row.score, false));
    let rest = others.iter().filter(|index| !is_chosen[**index]);
    let mut to_train = best.chain(rest.map(|index| placed(*index, Strategy::Random, None, false)));
    let mut to_test = held_out.iter().map(|index| placed(*index, Strategy::Random, None, true));
    let share = asked.held_out_share;
    let at = |place| match drawn(place + 1, share) > drawn(place, share) {
        true => to_test.next().or_else(|| to_train.next()),
        false => to_train.next().or_else(|| to_test.next()),
    };
    Ok((0..rows).filter_map(at).collect())
}
