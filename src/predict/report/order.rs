//! The measures of classes in an order: how far wrong answers are off.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::Prediction;
use crate::numbers::counts;
use crate::numbers::sum::Sum;
use crate::text::verbalizer::Order;

/// What is measured of classes in an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderEvaluation {
    /// Of the likeliest class.
    pub likeliest: OrderMeasures,
    /// Of the median of the probabilities ([`Order::median`]).
    pub median: OrderMeasures,
    /// Of the class nearest to the expected value.
    pub nearest: OrderMeasures,
    /// Of the expected value itself: the mean distance from the true class's value.
    pub expected_absolute_error: f64,
    /// The root of the mean square of these distances.
    pub expected_root_square_error: f64,
}

/// The measures of one way to choose a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderMeasures {
    /// The share of rows that are right.
    pub accuracy: f64,
    /// The mean distance between the values of the true and the chosen class.
    pub mean_absolute_error: f64,
    /// Cohen's kappa with weights that grow with the square of the difference of places in the order (Cohen
    /// 1968), as scikit-learn's `cohen_kappa_score(weights="quadratic")` with all classes as its `labels`;
    /// none where all rows are of one class and chosen so.
    pub quadratic_kappa: Option<f64>,
    /// Spearman's rank correlation of the true and the chosen classes, equals with their mean rank; none
    /// where one of both is the same in all rows.
    pub spearman: Option<f64>,
}

impl OrderMeasures {
    /// Of how often which class was chosen for which, `[true, chosen]` in class order; there must be a row.
    pub fn of(counts: &Array2<u64>, order: &Order) -> OrderMeasures {
        let rows = counts.sum() as f64;
        let values = order.values();
        let distance = |((truth, class), count): ((usize, usize), &u64)| {
            *count as f64 * (values[truth] - values[class]).abs()
        };
        OrderMeasures {
            accuracy: counts.diag().sum() as f64 / rows,
            mean_absolute_error: counts.indexed_iter().map(distance).sum::<f64>() / rows,
            quadratic_kappa: kappa(&in_order(counts, order)),
            spearman: spearman(&in_order(counts, order)),
        }
    }
}

/// The counts with both axes from the lowest class to the highest.
fn in_order(counts: &Array2<u64>, order: &Order) -> Array2<f64> {
    let ascending = order.ascending();
    Array2::from_shape_fn(counts.dim(), |(truth, class)| counts[[ascending[truth], ascending[class]]] as f64)
}

/// `1 - Σ (i-j)²·n_ij / Σ (i-j)²·e_ij`, with `e` the counts that are expected by chance.
fn kappa(counts: &Array2<f64>) -> Option<f64> {
    let (of_truths, of_classes) = sums(counts);
    let rows: f64 = of_truths.iter().sum();
    let square = |(truth, class): (usize, usize)| (truth as f64 - class as f64).powi(2);
    let found: f64 = counts.indexed_iter().map(|(place, count)| square(place) * count).sum();
    let by_chance: f64 = counts
        .indexed_iter()
        .map(|(place, _)| square(place) * of_truths[place.0] * of_classes[place.1] / rows)
        .sum();
    (by_chance > 0.0).then(|| 1.0 - found / by_chance)
}

/// Pearson's correlation of the ranks.
fn spearman(counts: &Array2<f64>) -> Option<f64> {
    let (of_truths, of_classes) = sums(counts);
    let middle = (of_truths.iter().sum::<f64>() + 1.0) / 2.0;
    let (truths, classes) = (ranks(&of_truths), ranks(&of_classes));
    let off = |ranks: &[f64], at: usize| ranks[at] - middle;
    let together: f64 = counts
        .indexed_iter()
        .map(|((truth, class), count)| count * off(&truths, truth) * off(&classes, class))
        .sum();
    let squares = |of: &[f64], ranks: &[f64]| -> f64 {
        of.iter().enumerate().map(|(at, count)| count * off(ranks, at).powi(2)).sum()
    };
    let both = squares(&of_truths, &truths) * squares(&of_classes, &classes);
    (both > 0.0).then(|| together / both.sqrt())
}

/// Rows by their true class, and by the chosen one.
fn sums(counts: &Array2<f64>) -> (Vec<f64>, Vec<f64>) {
    (
        counts.outer_iter().map(|row| row.sum()).collect(),
        counts.columns().into_iter().map(|c| c.sum()).collect(),
    )
}

/// The mean rank of each class's rows, from 1.
fn ranks(of_classes: &[f64]) -> Vec<f64> {
    let mut before = 0.0;
    let rank = |count: &f64| {
        before += count;
        before - (count - 1.0) / 2.0
    };
    of_classes.iter().map(rank).collect()
}

/// What is counted row by row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OrderTally {
    order: Order,
    /// `[true, chosen]`
    #[serde(with = "counts")]
    median: Array2<u64>,
    #[serde(with = "counts")]
    nearest: Array2<u64>,
    absolute: Sum,
    square: Sum,
}

impl OrderTally {
    pub(super) fn new(order: Order) -> OrderTally {
        let classes = order.values().len();
        let counts = Array2::zeros((classes, classes));
        OrderTally {
            order,
            median: counts.clone(),
            nearest: counts,
            absolute: Sum::default(),
            square: Sum::default(),
        }
    }

    /// Whether it is of so many classes.
    pub(super) fn is_of(&self, classes: usize) -> bool {
        self.order.values().len() == classes
            && [&self.median, &self.nearest].iter().all(|counts| counts.dim() == (classes, classes))
    }

    /// Counts the rows of another too, of the same order.
    pub(super) fn merge(&mut self, other: &OrderTally) {
        self.median += &other.median;
        self.nearest += &other.nearest;
        self.absolute = self.absolute.and(other.absolute);
        self.square = self.square.and(other.square);
    }

    pub(super) fn add(&mut self, prediction: &Prediction, truth: usize) {
        let expected = self.order.expected(&prediction.probabilities);
        self.median[[truth, self.order.median(&prediction.probabilities)]] += 1;
        self.nearest[[truth, self.order.nearest(expected)]] += 1;
        let off = (expected - self.order.values()[truth]).abs();
        self.absolute = self.absolute.plus(off);
        self.square = self.square.plus(off * off);
    }

    /// The measures, with those of the likeliest class.
    pub(super) fn evaluate(&self, likeliest: &Array2<u64>) -> OrderEvaluation {
        let rows = likeliest.sum() as f64;
        let of = |counts: &Array2<u64>| OrderMeasures::of(counts, &self.order);
        OrderEvaluation {
            likeliest: of(likeliest),
            median: of(&self.median),
            nearest: of(&self.nearest),
            expected_absolute_error: self.absolute.value() / rows,
            expected_root_square_error: (self.square.value() / rows).sqrt(),
        }
    }
}
