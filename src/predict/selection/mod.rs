//! Which rows to label next: active learning's choice out of a pool of rows without labels.
//!
//! Two kinds of strategy. By what the model says of a row: its entropy or margin (Lewis and Gale 1994; Scheffer
//! et al. 2001), or how much its patterns disagree (McCallum and Nigam 1998). By where a row lies among the
//! others: the greedy k-center (Sener and Savarese 2018), or the least sure row of each cluster, near its
//! middle, as PATRON begins when there are no labels (Yu et al. 2023, without its second step, which moves rows
//! of neighbouring clusters apart).
//!
//! A share of the rows is drawn evenly at random, whatever the strategy: on them alone an honest accuracy can
//! be measured later, since a strategy prefers rows that are hard or unlike the rest.

// where rows lie
mod clusters;

// rows of a pool as the model sees them
mod pool;

use rand::seq::SliceRandom as _;

use crate::predict::report::Prediction;
use crate::seed;

pub use clusters::{farthest_first, k_means};
pub use pool::{Pool, PoolRequest};

/// How much the distance from its cluster's middle, squared, counts against a row's entropy, in nats: vectors
/// have length 1, so that it is at most 4.
const NEARNESS: f64 = 0.5;

/// What a row is chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Strategy {
    /// The least sure row near the middle of each cluster of rows: to begin with (Yu et al. 2023)
    Clusters,
    /// The highest entropy of the classes' probabilities
    Entropy,
    /// The smallest distance between the two likeliest classes
    Margin,
    /// The patterns that disagree most: the mean Kullback–Leibler divergence from their mean
    Disagreement,
    /// The row that is farthest from all that are labelled or chosen
    KCenter,
    /// Each row is as likely as any other
    Random,
}

impl Strategy {
    /// Its name, as it is written in tables.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Random => "random",
            Strategy::Entropy => "entropy",
            Strategy::Margin => "margin",
            Strategy::Disagreement => "disagreement",
            Strategy::KCenter => "k-center",
            Strategy::Clusters => "clusters",
        }
    }

    /// Whether it looks at where rows lie.
    pub fn needs_vectors(self) -> bool {
        matches!(self, Strategy::KCenter | Strategy::Clusters)
    }

    /// Whether it looks at what the model says of rows.
    pub fn needs_predictions(self) -> bool {
        !matches!(self, Strategy::Random | Strategy::KCenter)
    }
}

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// So many rows, or all if there are fewer.
    pub count: usize,
    /// What they are chosen by.
    pub strategy: Strategy,
    /// The share of them that is drawn at random, from 0 to 1.
    pub random_share: f64,
    /// For what is drawn.
    pub seed: u64,
}

/// A row of a pool, as far as a strategy looks at it.
#[derive(Debug, Clone, Default)]
pub struct Candidate {
    /// What the patterns say together.
    pub prediction: Prediction,
    /// What each says.
    pub by_pattern: Vec<Prediction>,
    /// Where the row lies: a vector of length 1 `[H]`.
    pub vector: Vec<f32>,
}

/// A row that was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// Its place in the pool.
    pub index: usize,
    /// What it was chosen by.
    pub by: Strategy,
    /// What the strategy measured of it, if it measures.
    pub score: Option<f64>,
}

/// Chooses rows, those to label first in front; the random ones stand between the others in even distances.
/// `labelled` are the vectors of rows that have labels already.
///
/// ```
/// use cloze::predict::report::Prediction;
/// use cloze::predict::selection::{Candidate, Strategy, Wish, select};
/// let pool = [0.9, 0.55, 0.7].map(|up| Candidate {
///     prediction: Prediction { probabilities: vec![up, 1.0 - up] },
///     ..Candidate::default()
/// });
/// let wish = Wish { count: 2, strategy: Strategy::Margin, random_share: 0.0, seed: 0 };
/// let chosen = select(&pool, &[], wish);
/// assert_eq!(chosen.iter().map(|row| row.index).collect::<Vec<_>>(), [1, 2]);
/// assert!((chosen[0].score.unwrap() - 0.1).abs() < 1e-12);
/// ```
pub fn select(pool: &[Candidate], labelled: &[Vec<f32>], wish: Wish) -> Vec<Chosen> {
    let count = wish.count.min(pool.len());
    let is_random = |place: usize| {
        wish.strategy == Strategy::Random
            || drawn(place + 1, wish.random_share) > drawn(place, wish.random_share)
    };
    let at_random = (0..count).filter(|place| is_random(*place)).count();
    let mut shuffled: Vec<usize> = (0..pool.len()).collect();
    let mut dice = seed::generator(wish.seed, "rows to label");
    shuffled.shuffle(&mut dice);
    let rest = &shuffled[at_random..];
    let mut random =
        shuffled[..at_random].iter().map(|&index| Chosen { index, by: Strategy::Random, score: None });
    let mut best = by_strategy(pool, rest, labelled, count - at_random, wish).into_iter();
    (0..count).filter_map(|place| if is_random(place) { random.next() } else { best.next() }).collect()
}

/// So many of the first rows are drawn at random, if a share of all is.
///
/// ```
/// use cloze::predict::selection::drawn;
/// assert_eq!([9, 10, 11, 30].map(|places| drawn(places, 0.1)), [0, 1, 1, 3]);
/// ```
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // A few rows.
pub fn drawn(places: usize, share: f64) -> usize {
    // A hair more, for shares such as 0.1, whose tenfold is a little less than 1.
    (places as f64).mul_add(share, 1e-9).floor() as usize
}

fn by_strategy(
    pool: &[Candidate],
    rest: &[usize],
    labelled: &[Vec<f32>],
    count: usize,
    wish: Wish,
) -> Vec<Chosen> {
    let by = wish.strategy;
    let vectors = || rest.iter().map(|&index| pool[index].vector.as_slice()).collect::<Vec<_>>();
    match by {
        Strategy::Random => Vec::new(),
        Strategy::Entropy => highest(rest, count, by, |index| entropy(&pool[index].prediction)),
        Strategy::Disagreement => highest(rest, count, by, |index| disagreement(&pool[index])),
        Strategy::Margin => {
            let mut chosen = highest(rest, count, by, |index| -margin(&pool[index].prediction));
            chosen.iter_mut().for_each(|row| row.score = row.score.map(|score| -score));
            chosen
        }
        Strategy::KCenter => farthest_first(&vectors(), labelled, count)
            .into_iter()
            .map(|(place, distance)| Chosen { index: rest[place], by, score: Some(distance) })
            .collect(),
        Strategy::Clusters => of_clusters(pool, rest, &vectors(), count, wish.seed),
    }
}

/// The rows with the highest numbers; of equals the first in the order given, which is a random one.
fn highest(rest: &[usize], count: usize, by: Strategy, score: impl Fn(usize) -> f64) -> Vec<Chosen> {
    let mut scored: Vec<(usize, f64)> = rest.iter().map(|&index| (index, score(index))).collect();
    scored.sort_by(|one, other| other.1.total_cmp(&one.1));
    scored.truncate(count);
    scored.into_iter().map(|(index, score)| Chosen { index, by, score: Some(score) }).collect()
}

/// The least sure row near the middle of each cluster, that of the largest cluster first. Where vectors are
/// alike there are fewer clusters than rows are wanted: then the least sure of all others follow.
fn of_clusters(
    pool: &[Candidate],
    rest: &[usize],
    vectors: &[&[f32]],
    count: usize,
    seed: u64,
) -> Vec<Chosen> {
    let found = k_means(vectors, count, seed);
    let score = |place: usize| {
        let away = clusters::squared_distance(vectors[place], &found.middles[found.clusters[place]]);
        entropy(&pool[rest[place]].prediction) - NEARNESS * away
    };
    let scores: Vec<f64> = (0..rest.len()).map(score).collect();
    let mut sizes = vec![0_usize; found.middles.len()];
    found.clusters.iter().for_each(|cluster| sizes[*cluster] += 1);
    let mut order: Vec<usize> = (0..rest.len()).collect();
    order.sort_by(|one, other| scores[*other].total_cmp(&scores[*one]));
    let mut taken = vec![false; sizes.len()];
    let (mut first, others): (Vec<usize>, Vec<usize>) =
        order.into_iter().partition(|place| !std::mem::replace(&mut taken[found.clusters[*place]], true));
    first.sort_by_key(|place| std::cmp::Reverse(sizes[found.clusters[*place]]));
    let chosen = first.into_iter().chain(others).take(count);
    let by = Strategy::Clusters;
    chosen.map(|place| Chosen { index: rest[place], by, score: Some(scores[place]) }).collect()
}

/// `−Σ p ln p`, in nats.
fn entropy(prediction: &Prediction) -> f64 {
    let shares = prediction.probabilities.iter().filter(|share| **share > 0.0);
    -shares.map(|share| share * share.ln()).sum::<f64>()
}

fn margin(prediction: &Prediction) -> f64 {
    let mut shares = prediction.probabilities.clone();
    shares.sort_by(|one, other| other.total_cmp(one));
    shares.first().copied().unwrap_or(0.0) - shares.get(1).copied().unwrap_or(0.0)
}

/// The entropy of the patterns' mean less the mean of their entropies: what Kullback–Leibler divergences from
/// the mean come to, in nats, and what BALD asks of the members of an ensemble (Houlsby et al. 2011).
fn disagreement(candidate: &Candidate) -> f64 {
    #[allow(clippy::cast_precision_loss)] // A handful of patterns.
    let count = candidate.by_pattern.len().max(1) as f64;
    let mean = Prediction::average(&candidate.by_pattern);
    (entropy(&mean) - candidate.by_pattern.iter().map(entropy).sum::<f64>() / count).max(0.0)
}
