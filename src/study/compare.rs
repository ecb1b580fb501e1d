//! Comparing methods: results over seeds, and two methods on the same test rows.

use std::collections::BTreeMap;

use rand::Rng as _;
use rand::distributions::Distribution;
use rand_distr::Binomial;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use crate::numbers::{self, Z, percentiles_95, wilson_of_mean};
use crate::predict::report::Spread;
use crate::seed;

/// The most additions for an exact p value: some thousand rows of one seed, some hundred of several.
const MOST_WORK: usize = 20_000_000;
/// Stands in tables where all seeds have one value, and no interval can be told.
pub const ALIKE: &str = "all alike";
/// Resamples of seeds and rows.
const RESAMPLES: usize = 2_000;

/// A measure over training samples, one for each seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverSeeds {
    /// The number of seeds.
    pub seeds: usize,
    /// Mean, sample standard deviation, lowest and highest.
    #[serde(flatten)]
    pub spread: Spread,
    /// The 95 % interval of the mean, mean ± t · standard deviation / √seeds (Student 1908), t with seeds - 1
    /// degrees of freedom. It speaks of other seeds, not of other test rows, and takes the values to be
    /// normally distributed; its ends may lie outside of 0 to 1. None where all seeds have one value: Student's
    /// t knows no spread then, and an interval without a width would say that others have the same.
    #[serde(default)]
    pub mean_95: Option<[f64; 2]>,
}

impl OverSeeds {
    /// Of at least two values.
    ///
    /// ```
    /// // By hand: mean 0.7, deviation 0.2, t 4.3027 with 2 degrees of freedom, 4.3027 · 0.2 / √3 = 0.4968.
    /// let over_seeds = cloze::study::compare::OverSeeds::of(&[0.5, 0.7, 0.9]).unwrap();
    /// let [low, high] = over_seeds.mean_95.unwrap();
    /// assert!((low - 0.2032).abs() < 1e-4 && (high - 1.1968).abs() < 1e-4);
    /// assert_eq!(cloze::study::compare::OverSeeds::of(&[0.7, 0.7]).unwrap().mean_95, None);
    /// ```
    pub fn of(values: &[f64]) -> Option<OverSeeds> {
        let spread = Spread::of(values)?;
        let count = values.len() as f64;
        let t = StudentsT::new(0.0, 1.0, count - 1.0).ok()?.inverse_cdf(0.975);
        let half = t * spread.standard_deviation / count.sqrt();
        let are_alike = spread.lowest >= spread.highest;
        let mean_95 = (!are_alike).then_some([spread.mean - half, spread.mean + half]);
        Some(OverSeeds { seeds: values.len(), mean_95, spread })
    }

    /// The interval in percent, as tables have it.
    pub fn interval(&self) -> String {
        self.mean_95.map_or_else(|| ALIKE.to_owned(), numbers::interval)
    }
}

/// Two methods on the same test rows.
///
/// A row's difference is the share of the seeds for which the first method is right on it, less that of the
/// second. Interval and p value speak of other test rows, not of other training samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// The test rows.
    pub rows: usize,
    /// The mean accuracy over its seeds of the first method, less that of the second.
    pub difference: f64,
    /// The difference's 95 % interval (Agresti & Min 2005, for rows that are right or wrong): the normal one
    /// once two rows are added, half a row for each of the four ways in which two answers can be right and
    /// wrong. It has a width also where no row differs, or every one.
    pub difference_95: [f64; 2],
    /// Two-sided, by [`PairedDifference::test`].
    pub p_value: f64,
    /// Rows that the first method does better, and rows that it does worse. None in results that are older
    /// than this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better_worse: Option<[usize; 2]>,
    /// Where the p value comes from.
    #[serde(default = "PairedTest::of_old_results")]
    pub test: PairedTest,
}

/// Where a p value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairedTest {
    /// The share of all ways to give the rows' differences signs in which the sum is at least as far from 0
    /// (Fisher 1935). Where a row is right or wrong it is McNemar's exact test. Three rows that differ give a
    /// quarter at best. It takes the differences to be symmetric about 0 if the methods are equally good.
    SignFlip,
    /// The normal distribution that the same shares come near with many rows, with the correction for
    /// continuity.
    Normal,
    /// The rows drawn again with replacement: results of earlier versions.
    Bootstrap,
}

impl PairedTest {
    fn of_old_results() -> PairedTest {
        PairedTest::Bootstrap
    }
}

impl PairedDifference {
    /// Of what each method got right: for each seed, for each test row. A method without seeds has one list.
    /// None without rows or without a list, or where the lists are not all of one length.
    ///
    /// ```
    /// use cloze::study::compare::{PairedDifference, PairedTest};
    /// // The first is right on three rows more: of the eight ways to give them signs two are as far from 0.
    /// let (first, second) = (vec![true; 10], [vec![false; 3], vec![true; 7]].concat());
    /// let found = PairedDifference::of(&[first], &[second]).unwrap();
    /// assert!((found.difference - 0.3).abs() < 1e-12);
    /// assert_eq!((found.p_value, found.test, found.better_worse), (0.25, PairedTest::SignFlip, Some([3, 0])));
    /// // By hand: 3 / 12 ± 1.96 · √((4 / 12 - 1 / 16) / 12).
    /// assert!((found.difference_95[0] + 0.0444).abs() < 1e-4 && (found.difference_95[1] - 0.5444).abs() < 1e-4);
    /// ```
    pub fn of(first: &[Vec<bool>], second: &[Vec<bool>]) -> Option<PairedDifference> {
        let rows = first.first()?.len();
        if rows == 0 || second.is_empty() || first.iter().chain(second).any(|list| list.len() != rows) {
            return None;
        }
        // In whole numbers, so that a difference of 0 is 0: a row counts (right first) · (seeds of second) -
        // the other way round.
        let right = |lists: &[Vec<bool>], row: usize| lists.iter().filter(|list| list[row]).count() as i64;
        let (first_seeds, second_seeds) = (first.len() as i64, second.len() as i64);
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        for row in 0..rows {
            *counts
                .entry(right(first, row) * second_seeds - right(second, row) * first_seeds)
                .or_default() += 1;
        }
        let whole = (first_seeds * second_seeds) as f64;
        let sum: i64 = counts.iter().map(|(value, count)| value * *count as i64).sum();
        let squares: i64 = counts.iter().map(|(value, count)| value * value * *count as i64).sum();
        let of_sign = |sign: i64| {
            counts.iter().filter(|(value, _)| value.signum() == sign).map(|(_, count)| count).sum::<usize>()
        };
        let (p_value, test) = sign_flip(&counts, sum);
        Some(PairedDifference {
            rows,
            difference: sum as f64 / (rows as f64 * whole),
            difference_95: interval(sum as f64 / whole, squares as f64 / (whole * whole), rows as f64),
            p_value,
            better_worse: Some([of_sign(1), of_sign(-1)]),
            test,
        })
    }
}

/// The interval of a mean from the sum of the rows' differences and that of their squares: half a row more of
/// 1, half a row more of -1, and a row more of 0.
fn interval(sum: f64, squares: f64, rows: f64) -> [f64; 2] {
    let mean = sum / (rows + 2.0);
    let variance = (squares + 1.0) / (rows + 2.0) - mean * mean;
    let half = Z * (variance / (rows + 2.0)).sqrt();
    [(mean - half).max(-1.0), (mean + half).min(1.0)]
}

/// How likely a sum at least as far from 0 is, if each difference has either sign with the same chance.
fn sign_flip(counts: &BTreeMap<i64, usize>, sum: i64) -> (f64, PairedTest) {
    if sum == 0 {
        return (1.0, PairedTest::SignFlip);
    }
    let differing = || counts.iter().filter(|(value, _)| **value != 0);
    // In steps of what divides them all: one seed each has steps of 1, three seeds each of 3.
    let step = differing().fold(0, |step, (value, _)| gcd(step, value.unsigned_abs()));
    let sizes = || differing().map(|(value, count)| ((value.unsigned_abs() / step) as usize, *count));
    let most: usize = sizes().map(|(size, count)| size * count).sum();
    let far = (sum.unsigned_abs() / step) as usize;
    let rows: usize = sizes().map(|(_, count)| count).sum();
    // The sum of those with a minus: the whole sum is as far from 0 as `far` where it is `least` at most.
    let least = (most - far) / 2;
    if rows.saturating_mul(least + 1) > MOST_WORK {
        let deviation = sizes().map(|(size, count)| (size * size) as f64 * count as f64).sum::<f64>().sqrt();
        let p = 2.0 * Normal::standard().sf((far as f64 - 1.0) / deviation);
        return (p.clamp(f64::MIN_POSITIVE, 1.0), PairedTest::Normal);
    }
    let mut chances = vec![0.0; least + 1];
    chances[0] = 1.0_f64;
    for (size, count) in sizes() {
        for _ in 0..count {
            for sum in (0..=least).rev() {
                let with = if sum >= size { chances[sum - size] } else { 0.0 };
                chances[sum] = (chances[sum] + with) / 2.0;
            }
        }
    }
    let p = 2.0 * chances.iter().sum::<f64>();
    (p.clamp(f64::MIN_POSITIVE, 1.0), PairedTest::SignFlip)
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

/// Holm's correction (1979): p values so that the chance of one below a level, where no method is better than
/// another, is that level for all of them together. In their order; with one it is itself.
///
/// ```
/// // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
/// let found = cloze::study::compare::holm(&[0.01, 0.04, 0.03, 0.005]);
/// for (found, wanted) in found.iter().zip([0.03, 0.06, 0.06, 0.02]) {
///     assert!((found - wanted).abs() < 1e-12);
/// }
/// assert_eq!(cloze::study::compare::holm(&[0.3]), [0.3]);
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&one, &other| p_values[one].total_cmp(&p_values[other]));
    let (mut corrected, mut highest) = (vec![0.0; p_values.len()], 0.0_f64);
    for (place, index) in order.into_iter().enumerate() {
        highest = highest.max(((p_values.len() - place) as f64 * p_values[index]).min(1.0));
        corrected[index] = highest;
    }
    corrected
}

/// The 95 % interval of a mean accuracy over other test rows, from what was right: for each seed, for each
/// row. None without rows, without a list, or where the lists are not all of one length.
///
/// Wilson's interval for as many rows as give the spread that the rows' shares have (Korn & Graubard 1998):
/// with one seed the rows themselves, with several more of them, up to one for each answer.
///
/// ```
/// use cloze::study::compare::accuracy_95;
/// let one = [vec![true, true, true, false]];
/// assert_eq!(accuracy_95(&one).unwrap(), cloze::numbers::wilson(3, 4));
/// // Seeds that agree on every row know no more than one of them.
/// assert_eq!(accuracy_95(&[one[0].clone(), one[0].clone()]).unwrap(), cloze::numbers::wilson(3, 4));
/// // All right is not all that there is.
/// assert!(accuracy_95(&[vec![true; 20], vec![true; 20]]).unwrap()[0] < 0.9);
/// ```
pub fn accuracy_95(right: &[Vec<bool>]) -> Option<[f64; 2]> {
    let rows = right.first()?.len();
    if rows == 0 || right.iter().any(|list| list.len() != rows) {
        return None;
    }
    let count = |row: usize| right.iter().filter(|list| list[row]).count();
    let (seeds, whole) = (right.len(), right.len() * rows);
    let sum: usize = (0..rows).map(count).sum();
    let squares: usize = (0..rows).map(|row| count(row) * count(row)).sum();
    // Both in whole numbers, so that seeds that agree are one to the bit: n (Σ Σ (S - Σ)) against the spread
    // of the rows' counts, n Σ c² - (Σ c)².
    let of_answers = sum * (whole - sum);
    let of_rows = rows * squares - sum * sum;
    let effective =
        if of_rows == 0 { f64::INFINITY } else { of_answers as f64 / of_rows as f64 * rows as f64 };
    let most = if of_answers == 0 { rows } else { rows * seeds };
    Some(wilson_of_mean(sum as f64 / whole as f64, effective.min(most as f64)))
}

/// The 95 % percentile interval of the difference of two methods over other test rows and other seeds: both
/// are drawn again with replacement, the seeds of each method by themselves, 2000 times. None where a method
/// has one seed alone, or where there is nothing to pair. With few seeds it is too narrow by about a factor
/// of √((seeds - 1) / seeds).
///
/// ```
/// use cloze::study::compare::over_seeds_and_rows;
/// // Seeds of 100 % and of 50 % against one of 50 % twice: what varies most are the seeds.
/// let half: Vec<bool> = (0..100).map(|row| row % 2 == 0).collect();
/// let [low, high] = over_seeds_and_rows(&[vec![true; 100], half.clone()], &[half.clone(), half.clone()]).unwrap();
/// assert!(low < 0.01 && high > 0.45);
/// assert_eq!(over_seeds_and_rows(&[vec![true; 100]], &[half.clone(), half]), None);
/// ```
pub fn over_seeds_and_rows(first: &[Vec<bool>], second: &[Vec<bool>]) -> Option<[f64; 2]> {
    let rows = first.first()?.len();
    if first.len() < 2
        || second.len() < 2
        || rows == 0
        || first.iter().chain(second).any(|list| list.len() != rows)
    {
        return None;
    }
    // Rows of one answer by all seeds cannot be told apart: how many are drawn of each kind is drawn.
    let mut kinds: BTreeMap<Vec<bool>, u64> = BTreeMap::new();
    for row in 0..rows {
        *kinds.entry(first.iter().chain(second).map(|list| list[row]).collect()).or_default() += 1;
    }
    let mut generator = seed::generator(0, "bootstrap over seeds and rows");
    let differences: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut weights = vec![0.0; first.len() + second.len()];
            for _ in first {
                weights[generator.gen_range(0..first.len())] += 1.0 / first.len() as f64;
            }
            for _ in second {
                weights[first.len() + generator.gen_range(0..second.len())] -= 1.0 / second.len() as f64;
            }
            let (mut to_draw, mut left, mut sum) = (rows as u64, rows as u64, 0.0);
            for (kind, count) in &kinds {
                let share = *count as f64 / left as f64;
                let drawn = Binomial::new(to_draw, share).map_or(0, |drawn| drawn.sample(&mut generator));
                (to_draw, left) = (to_draw - drawn, left - count);
                let difference: f64 =
                    kind.iter().zip(&weights).filter(|(right, _)| **right).map(|(_, weight)| weight).sum();
                sum += difference * drawn as f64;
            }
            sum / rows as f64
        })
        .collect();
    Some(percentiles_95(differences))
}
