//! Logistic regression: `Σ -ln softmax(x·W + b)[truth] + penalty / 2 · |W|²` over the training rows,
//! minimised over W and b by L-BFGS (Liu & Nocedal 1989).

use super::Training;
use super::tf_idf::SparseRow;
use crate::numbers::lbfgs::{Smooth, minimise};
use crate::numbers::softmax::{log_sum_exp, softmax};

/// The mean loss's gradient at which the weights are good, as its length: a thousandth of scikit-learn's
/// `tol`. Much less is below the loss's rounding errors from 20,000 rows on, and the line search would go
/// astray in them.
const TOLERANCE: f64 = 1e-7;
/// The weights: for each word one for each class, and last the intercepts, `[words + 1, classes]` in a row.
pub(super) struct Logistic {
    weights: Vec<f64>,
    classes: usize,
}

impl Logistic {
    /// A score for each class.
    pub(super) fn scores(&self, row: &SparseRow) -> Vec<f64> {
        scores(&self.weights, self.classes, row)
    }
}

pub(super) fn fit(training: &Training<'_>) -> Logistic {
    let classes = training.classes;
    let start = vec![0.0; (training.words + 1) * classes];
    Logistic { weights: minimise(&Loss { training }, start, TOLERANCE * training.rows.len() as f64), classes }
}

/// The loss, over the training rows.
struct Loss<'a> {
    training: &'a Training<'a>,
}

impl Loss<'_> {
    /// 1, but 2 for two classes: scikit-learn gives those one vector v of weights, which is the difference of
    /// our two. Ours come out as v/2 and -v/2, with half the square of v.
    fn penalty(&self) -> f64 {
        if self.training.classes == 2 { 2.0 } else { 1.0 }
    }

    /// All weights but the intercepts.
    fn penalised<'w>(&self, weights: &'w [f64]) -> &'w [f64] {
        &weights[..self.training.words * self.training.classes]
    }

    fn rows(&self) -> impl Iterator<Item = (&SparseRow, usize)> {
        self.training.rows.iter().zip(self.training.truths.iter().copied())
    }
}

impl Smooth for Loss<'_> {
    fn value(&self, weights: &[f64]) -> f64 {
        let of_row = |(row, truth): (&SparseRow, usize)| {
            let scores = scores(weights, self.training.classes, row);
            log_sum_exp(scores.iter().copied()) - scores[truth]
        };
        let squares: f64 = self.penalised(weights).iter().map(|weight| weight * weight).sum();
        self.rows().map(of_row).sum::<f64>() + self.penalty() / 2.0 * squares
    }

    fn gradient(&self, weights: &[f64]) -> Vec<f64> {
        let classes = self.training.classes;
        let mut gradient: Vec<f64> =
            self.penalised(weights).iter().map(|weight| self.penalty() * weight).collect();
        gradient.resize(weights.len(), 0.0);
        for (row, truth) in self.rows() {
            let mut excess = softmax(scores(weights, classes, row));
            excess[truth] -= 1.0;
            for (word, value) in with_intercept(row, self.training.words) {
                let of_word = &mut gradient[word * classes..(word + 1) * classes];
                of_word.iter_mut().zip(&excess).for_each(|(sum, excess)| *sum += value * excess);
            }
        }
        gradient
    }
}

/// A row's entries, and a last one of 1 for the intercepts.
fn with_intercept(row: &SparseRow, words: usize) -> impl Iterator<Item = (usize, f64)> {
    row.iter().copied().chain([(words, 1.0)])
}

/// `x·W + b`, `[classes]`
fn scores(weights: &[f64], classes: usize, row: &SparseRow) -> Vec<f64> {
    let mut scores = vec![0.0; classes];
    for (word, value) in with_intercept(row, weights.len() / classes - 1) {
        let of_word = &weights[word * classes..(word + 1) * classes];
        scores.iter_mut().zip(of_word).for_each(|(score, weight)| *score += value * weight);
    }
    scores
}
