//! The measures of rows with a number each: how far predictions are off, and whether they rise where the truth
//! does.

use rand::Rng as _;
use serde::{Deserialize, Serialize};

use crate::numbers::correlation::Pairs;
use crate::numbers::percentiles_95;
use crate::seed;
use crate::text::verbalizer::ValueRange;

/// Resamples of the rows.
const RESAMPLES: usize = 1000;
/// With fewer rows there is no interval: resamples of them show less than there is.
const LEAST_ROWS: usize = 10;

/// What is measured of rows with a number each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RangeEvaluation {
    /// The numbers that rows may have, from the lowest to the highest.
    pub range: [f64; 2],
    /// Rows with a number.
    pub rows: u64,
    /// Pearson's correlation of true and predicted numbers; none where one of both is the same in all rows.
    pub pearson: Option<Measured>,
    /// Spearman's rank correlation, equals with their mean rank; none as above.
    pub spearman: Option<Measured>,
    /// The mean distance of true and predicted numbers.
    pub mean_absolute_error: Measured,
    /// The same where the mean of these rows' true numbers is always predicted.
    pub mean_absolute_error_of_mean: f64,
}

/// A measure with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The measure.
    pub value: f64,
    /// Its 95 % percentile interval over other rows: the rows drawn again with replacement, 1000 times. None
    /// with fewer than ten rows, and where a measure cannot be told of half the draws.
    pub interval_95: Option<[f64; 2]>,
}

impl RangeEvaluation {
    /// Of true and predicted numbers, the same in any order of the rows; none without rows.
    ///
    /// ```
    /// use cloze::predict::report::RangeEvaluation;
    /// use cloze::text::verbalizer::ValueRange;
    /// let range = ValueRange::new([0.0, 4.0])?;
    /// let found = RangeEvaluation::of(&range, &[0.0, 1.0, 4.0], &[0.5, 1.5, 3.5]).unwrap();
    /// assert_eq!((found.mean_absolute_error.value, found.mean_absolute_error.interval_95), (0.5, None));
    /// assert!(found.spearman.unwrap().value > 1.0 - 1e-12);
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn of(range: &ValueRange, truths: &[f64], predicted: &[f64]) -> Option<RangeEvaluation> {
        if truths.is_empty() {
            return None;
        }
        let rows = truths.len();
        let mut pairs: Vec<(f64, f64)> = truths.iter().copied().zip(predicted.iter().copied()).collect();
        pairs.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
        let (truths, predicted): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let mean = truths.iter().sum::<f64>() / rows as f64;
        let of_mean = truths.iter().map(|truth| (truth - mean).abs()).sum::<f64>() / rows as f64;
        let pairs = Pairs::new(truths, predicted);
        let mut draws = [const { Vec::new() }; 3];
        for weights in resamples(rows) {
            let found = [
                pairs.pearson(&weights),
                pairs.spearman(&weights),
                Some(pairs.mean_absolute_difference(&weights)),
            ];
            draws.iter_mut().zip(found).for_each(|(draws, found)| draws.extend(found));
        }
        let all = vec![1.0; rows];
        let [of_pearson, of_spearman, of_error] = draws.map(interval);
        Some(RangeEvaluation {
            range: range.ends(),
            rows: rows as u64,
            pearson: pairs.pearson(&all).map(|value| Measured { value, interval_95: of_pearson }),
            spearman: pairs.spearman(&all).map(|value| Measured { value, interval_95: of_spearman }),
            mean_absolute_error: Measured {
                value: pairs.mean_absolute_difference(&all),
                interval_95: of_error,
            },
            mean_absolute_error_of_mean: of_mean,
        })
    }
}

/// How often each of so many rows is drawn, draw by draw; no draws where there are few rows.
pub fn resamples(rows: usize) -> impl Iterator<Item = Vec<f64>> {
    let mut generator = seed::generator(0, "bootstrap over rows with numbers");
    (0..if rows < LEAST_ROWS { 0 } else { RESAMPLES }).map(move |_| {
        let mut weights = vec![0.0; rows];
        (0..rows).for_each(|_| weights[generator.gen_range(0..rows)] += 1.0);
        weights
    })
}

/// The 95 % percentile interval of what was found in the draws.
pub fn interval(found: Vec<f64>) -> Option<[f64; 2]> {
    (found.len() >= RESAMPLES / 2).then(|| percentiles_95(found))
}

/// What is kept of each row: memory grows with the rows that have a number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RangeTally {
    range: ValueRange,
    truths: Vec<f64>,
    predicted: Vec<f64>,
}

impl RangeTally {
    pub(super) fn new(range: ValueRange) -> RangeTally {
        RangeTally { range, truths: Vec::new(), predicted: Vec::new() }
    }

    pub(super) fn range(&self) -> ValueRange {
        self.range
    }

    /// A row's probabilities, with where its number lies, from 0 to 1.
    pub(super) fn add(&mut self, probabilities: &[f64], share: f64) {
        self.truths.push(self.range.at(share));
        self.predicted.push(self.range.expected(probabilities));
    }

    pub(super) fn evaluate(&self) -> Option<RangeEvaluation> {
        RangeEvaluation::of(&self.range, &self.truths, &self.predicted)
    }

    /// Keeps the rows of another too, of the same range.
    pub(super) fn merge(&mut self, other: &RangeTally) {
        self.truths.extend(&other.truths);
        self.predicted.extend(&other.predicted);
    }

    /// Whether each row has both numbers.
    pub(super) fn is_whole(&self) -> bool {
        self.truths.len() == self.predicted.len()
    }
}
