//! Where rows lie among each other.

use rand::Rng as _;
use rand::distributions::{Distribution as _, WeightedIndex};

use crate::seed;

/// Rounds of Lloyd's, at most: clusters hardly move after a dozen.
const ROUNDS: usize = 50;

/// Clusters of vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// The cluster of each vector.
    pub clusters: Vec<usize>,
    /// The middle of each cluster `[H]`.
    pub middles: Vec<Vec<f32>>,
}

/// The square of the Euclidean distance.
pub(super) fn squared_distance(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(one, other)| f64::from(one - other).powi(2)).sum()
}

/// Up to `count` clusters of N vectors `[H]`, by k-means (Lloyd 1982) from middles that are drawn as k-means++
/// does (Arthur and Vassilvitskii 2007). Fewer where fewer vectors differ; no cluster is empty.
///
/// ```
/// use cloze::predict::selection::k_means;
/// let vectors: [&[f32]; 5] = [&[0.0], &[9.0], &[0.2], &[9.4], &[9.2]];
/// let found = k_means(&vectors, 2, 7);
/// assert_eq!(found.clusters[0], found.clusters[2]);
/// assert!([1, 3, 4].iter().all(|place| found.clusters[*place] != found.clusters[0]));
/// assert!((found.middles[found.clusters[1]][0] - 9.2).abs() < 1e-6);
/// ```
pub fn k_means(vectors: &[&[f32]], count: usize, seed: u64) -> Clusters {
    let mut middles = first_middles(vectors, count, seed);
    // In none yet.
    let mut clusters = vec![usize::MAX; vectors.len()];
    for _ in 0..ROUNDS {
        let next: Vec<usize> = vectors.iter().map(|vector| nearest(vector, &middles).0).collect();
        if next == clusters {
            break;
        }
        clusters = next;
        means(vectors, &clusters, &mut middles);
    }
    without_empty(clusters, middles)
}

fn first_middles(vectors: &[&[f32]], count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut dice = seed::generator(seed, "k-means++");
    let mut middles: Vec<Vec<f32>> = Vec::with_capacity(count);
    if vectors.is_empty() || count == 0 {
        return middles;
    }
    middles.push(vectors[dice.gen_range(0..vectors.len())].to_vec());
    let mut away: Vec<f64> = vectors.iter().map(|vector| squared_distance(vector, &middles[0])).collect();
    while middles.len() < count {
        // Without weights all that is left stands on a middle.
        let Ok(weights) = WeightedIndex::new(&away) else { break };
        let middle = vectors[weights.sample(&mut dice)].to_vec();
        for (away, vector) in away.iter_mut().zip(vectors) {
            *away = away.min(squared_distance(vector, &middle));
        }
        middles.push(middle);
    }
    middles
}

/// The nearest middle, the first of equals, and the square of its distance.
fn nearest(vector: &[f32], middles: &[Vec<f32>]) -> (usize, f64) {
    let distances = middles.iter().map(|middle| squared_distance(vector, middle)).enumerate();
    distances.reduce(|best, next| if next.1 < best.1 { next } else { best }).unwrap_or((0, f64::INFINITY))
}

/// Moves each middle to the mean of its vectors; one without vectors stays.
fn means(vectors: &[&[f32]], clusters: &[usize], middles: &mut [Vec<f32>]) {
    let mut sums: Vec<(usize, Vec<f64>)> =
        middles.iter().map(|middle| (0, vec![0.0; middle.len()])).collect();
    for (vector, cluster) in vectors.iter().zip(clusters) {
        let (count, sum) = &mut sums[*cluster];
        *count += 1;
        sum.iter_mut().zip(*vector).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    for (middle, (count, sum)) in middles.iter_mut().zip(sums).filter(|(_, (count, _))| *count > 0) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        // A mean of single precision.
        middle.iter_mut().zip(sum).for_each(|(value, sum)| *value = (sum / count as f64) as f32);
    }
}

fn without_empty(clusters: Vec<usize>, middles: Vec<Vec<f32>>) -> Clusters {
    let mut names: Vec<Option<usize>> = vec![None; middles.len()];
    clusters.iter().for_each(|cluster| names[*cluster] = Some(0));
    names.iter_mut().flatten().enumerate().for_each(|(number, name)| *name = number);
    let middles =
        middles.into_iter().zip(&names).filter(|(_, name)| name.is_some()).map(|(middle, _)| middle);
    let middles = middles.collect();
    let clusters = clusters.into_iter().map(|cluster| names[cluster].unwrap_or(0)).collect();
    Clusters { clusters, middles }
}

/// Up to `count` of N vectors `[H]`, each the farthest from those before it and from `from`: the greedy
/// k-center (Gonzalez 1985), whose radius is at most twice the best one. With nothing to be far from, the first
/// is the one nearest to the mean of all. Gives the places and their distances.
///
/// ```
/// use cloze::predict::selection::farthest_first;
/// let vectors: [&[f32]; 4] = [&[0.0], &[1.0], &[8.0], &[10.0]];
/// assert_eq!(farthest_first(&vectors, &[vec![0.0]], 2), [(3, 10.0), (2, 2.0)]);
/// ```
pub fn farthest_first(vectors: &[&[f32]], from: &[Vec<f32>], count: usize) -> Vec<(usize, f64)> {
    let mut away: Vec<f64> = vectors.iter().map(|vector| nearest(vector, from).1).collect();
    let mut taken = vec![false; vectors.len()];
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count.min(vectors.len()) {
        let (place, distance) = if chosen.is_empty() && from.is_empty() {
            in_the_middle(vectors)
        } else {
            let free = away.iter().enumerate().filter(|(place, _)| !taken[*place]);
            let far = free.reduce(|best, next| if next.1 > best.1 { next } else { best });
            far.map_or((0, 0.0), |(place, away)| (place, away.sqrt()))
        };
        taken[place] = true;
        chosen.push((place, distance));
        for (away, vector) in away.iter_mut().zip(vectors) {
            *away = away.min(squared_distance(vector, vectors[place]));
        }
    }
    chosen
}

/// The vector nearest to the mean of all, and its distance from it.
fn in_the_middle(vectors: &[&[f32]]) -> (usize, f64) {
    let mut mean = [vec![0.0; vectors.first().map_or(0, |vector| vector.len())]];
    means(vectors, &vec![0; vectors.len()], &mut mean);
    let distances = vectors.iter().map(|vector| squared_distance(vector, &mean[0])).enumerate();
    let middle = distances.reduce(|best, next| if next.1 < best.1 { next } else { best });
    middle.map_or((0, 0.0), |(place, away)| (place, away.sqrt()))
}
