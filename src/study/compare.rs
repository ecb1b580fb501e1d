//! Comparing methods: results over seeds, and two methods on the same test rows.

use std::collections::BTreeMap;

use rand::distributions::Distribution;
use rand_distr::Binomial;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::predict::report::Spread;
use crate::seed;

/// Resamples for interval and p value, as many as for the accuracy's interval.
const RESAMPLES: usize = 10_000;

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
    /// normally distributed; its ends may lie outside of 0 to 1.
    pub mean_95: [f64; 2],
}

impl OverSeeds {
    /// Of at least two values.
    ///
    /// ```
    /// // By hand: mean 0.7, deviation 0.2, t 4.3027 with 2 degrees of freedom, 4.3027 · 0.2 / √3 = 0.4968.
    /// let over_seeds = cloze::study::compare::OverSeeds::of(&[0.5, 0.7, 0.9]).unwrap();
    /// assert!((over_seeds.mean_95[0] - 0.2032).abs() < 1e-4 && (over_seeds.mean_95[1] - 1.1968).abs() < 1e-4);
    /// ```
    pub fn of(values: &[f64]) -> Option<OverSeeds> {
        let spread = Spread::of(values)?;
        let count = values.len() as f64;
        let t = StudentsT::new(0.0, 1.0, count - 1.0).ok()?.inverse_cdf(0.975);
        let half = t * spread.standard_deviation / count.sqrt();
        Some(OverSeeds { seeds: values.len(), mean_95: [spread.mean - half, spread.mean + half], spread })
    }
}

/// Two methods on the same test rows, by the paired bootstrap (Efron & Tibshirani 1993; Koehn 2004 in
/// language processing).
///
/// The rows are resampled, the seeds are not: it speaks of other test rows, not of other training samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedBootstrap {
    /// The test rows.
    pub rows: usize,
    /// The mean accuracy over its seeds of the first method, less that of the second.
    pub difference: f64,
    /// The difference's 95 % percentile interval.
    pub difference_95: [f64; 2],
    /// Two-sided: `2 (1 + min(resamples ≤ 0, resamples ≥ 0)) / (1 + resamples)`, 1 at most. The ones are for
    /// the rows themselves, as one more resample (Davison & Hinkley 1997), so that no p value is 0.
    pub p_value: f64,
}

impl PairedBootstrap {
    /// Of what each method got right: for each seed, for each test row. A method without seeds has one list.
    /// None without rows or without a list, or where the lists are not all of one length.
    ///
    /// ```
    /// use cloze::study::compare::PairedBootstrap;
    /// // The first is right on three rows more. The chance that ten draws miss all of these three is 0.7¹⁰ = 0.028.
    /// let (first, second) = (vec![true; 10], [vec![false; 3], vec![true; 7]].concat());
    /// let found = PairedBootstrap::of(&[first], &[second]).unwrap();
    /// assert!((found.difference - 0.3).abs() < 1e-12);
    /// assert!((found.p_value - 0.056).abs() < 0.01);
    /// ```
    pub fn of(first: &[Vec<bool>], second: &[Vec<bool>]) -> Option<PairedBootstrap> {
        let rows = first.first()?.len();
        if rows == 0 || second.is_empty() || first.iter().chain(second).any(|list| list.len() != rows) {
            return None;
        }
        // In whole numbers, so that a difference of 0 is 0: a row counts (right first) · (seeds of second) -
        // the other way round.
        let right = |lists: &[Vec<bool>], row: usize| lists.iter().filter(|list| list[row]).count() as i64;
        let (first_seeds, second_seeds) = (first.len() as i64, second.len() as i64);
        let mut rows_of: BTreeMap<i64, u64> = BTreeMap::new();
        for row in 0..rows {
            *rows_of
                .entry(right(first, row) * second_seeds - right(second, row) * first_seeds)
                .or_default() += 1;
        }
        let mut sums = resampled_sums(&rows_of, rows as u64);
        sums.sort_unstable();
        let share = |sum: i64| sum as f64 / (rows as i64 * first_seeds * second_seeds) as f64;
        let at = |place: f64| share(sums[((RESAMPLES - 1) as f64 * place).round() as usize]);
        let (not_above, not_below) =
            (sums.partition_point(|sum| *sum <= 0), RESAMPLES - sums.partition_point(|sum| *sum < 0));
        Some(PairedBootstrap {
            rows,
            difference: share(rows_of.iter().map(|(value, count)| value * *count as i64).sum()),
            difference_95: [at(0.025), at(0.975)],
            p_value: (2.0 * (1 + not_above.min(not_below)) as f64 / (1 + RESAMPLES) as f64).min(1.0),
        })
    }
}

/// The sums of resamples of all rows, drawn with replacement. Rows of one value cannot be told apart, so that
/// it is drawn how many there are of each value, from a multinomial distribution by one binomial after the
/// other, instead of row by row.
fn resampled_sums(rows_of: &BTreeMap<i64, u64>, rows: u64) -> Vec<i64> {
    let mut generator = seed::generator(0, "paired bootstrap");
    let mut sum = || {
        let (mut to_draw, mut left, mut sum) = (rows, rows, 0);
        for (value, count) in rows_of {
            let share = *count as f64 / left as f64;
            let drawn = Binomial::new(to_draw, share).map_or(0, |drawn| drawn.sample(&mut generator));
            to_draw -= drawn;
            left -= count;
            sum += value * drawn as i64;
        }
        sum
    };
    (0..RESAMPLES).map(|_| sum()).collect()
}
