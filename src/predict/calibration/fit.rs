//! How weights and biases are found.

use std::ops::RangeInclusive;

use super::{Correction, Method, logarithms};
use crate::error::{CalibrationError, Result};
use crate::numbers::lbfgs::{Smooth, minimise};
use crate::numbers::softmax::{log_sum_exp, softmax};
use crate::predict::report::Prediction;

/// The mean loss's gradient at which weights and biases are good, as its length.
const TOLERANCE: f64 = 1e-9;

/// T is at most 100: with rows that a model answers worse than by chance a weight below 0 would fit best,
/// which answers the opposite.
const LEAST_WEIGHT: f64 = 0.01;

/// Keeps weights and biases finite where rows can be told apart without error: so much of half their squared
/// distance from no correction is added to the mean loss. Elsewhere it moves them by less than anyone can
/// see.
const PENALTY: f64 = 1e-6;

/// The largest `-ln p`, of a probability that counts as the smallest number above 0.
const LARGEST_LOG: f64 = 708.4;

/// Weights and biases are less than this away from no correction. With none the mean loss is at most
/// [`LARGEST_LOG`], and the penalty alone is as much at the distance `√(2 · 708.4 / PENALTY)`, about 37,640.
const FURTHEST: f64 = 37_650.0;

/// What can come out of a fit: numbers beyond were not fitted by this method.
impl Method {
    /// The least and the largest weight.
    pub(super) fn weights(self) -> RangeInclusive<f64> {
        match self {
            Method::Temperature => LEAST_WEIGHT..=1.0 + FURTHEST,
            Method::Dirichlet | Method::VectorScaling => 1.0 - FURTHEST..=1.0 + FURTHEST,
            _ => 1.0..=1.0,
        }
    }

    /// The least and the largest bias.
    pub(super) fn biases(self) -> RangeInclusive<f64> {
        match self {
            Method::Contextual | Method::Domain | Method::Batch | Method::Mixed | Method::Pmi => {
                0.0..=LARGEST_LOG
            }
            // Two biases differ by a row's largest difference of logarithms and the prior's logarithm, each
            // at most 745, and their mean is 0.
            Method::Prior => -1500.0..=1500.0,
            Method::Temperature => 0.0..=0.0,
            Method::Dirichlet | Method::VectorScaling => -FURTHEST..=FURTHEST,
        }
    }
}

impl Correction {
    /// Divides by the mean of what is said where nothing, or nothing in particular, is asked.
    ///
    /// # Panics
    /// If there are no predictions.
    pub fn dividing_by(said: &[Prediction]) -> Correction {
        assert!(!said.is_empty(), "nothing to divide by");
        Correction::of_biases(logarithms(&Prediction::average(said)).map(|log| -log).collect())
    }

    /// The correction halfway to another.
    ///
    /// ```
    /// use cloze::predict::calibration::Correction;
    /// let correction = |biases: [f64; 2]| Correction { weights: vec![1.0; 2], biases: biases.to_vec() };
    /// assert_eq!(correction([0.0, 2.0]).halfway(&correction([1.0, 4.0])), correction([0.5, 3.0]));
    /// ```
    #[must_use]
    pub fn halfway(&self, other: &Correction) -> Correction {
        let mean = |(one, other): (&f64, &f64)| f64::midpoint(*one, *other);
        Correction {
            weights: self.weights.iter().zip(&other.weights).map(mean).collect(),
            biases: self.biases.iter().zip(&other.biases).map(mean).collect(),
        }
    }

    /// The biases with which the mean probabilities of the rows are the prior: the lowest point of
    /// `mean_rows ln Σ_c p_c·exp(b_c) - Σ_c prior_c·b_c`, a convex function whose gradient is the mean less
    /// the prior. Their sum is 0.
    ///
    /// ```
    /// use cloze::predict::calibration::Correction;
    /// use cloze::predict::report::Prediction;
    /// // By hand: with the second class 6 times as likely, .9 : .1 is 9 : 6 and .6 : .4 is 9 : 36 fifteenths, .6 and .2; their mean is .4.
    /// let rows = [[0.9, 0.1], [0.6, 0.4]].map(|probabilities| Prediction { probabilities: probabilities.to_vec() });
    /// let found = Correction::to_prior(&rows, &[0.4, 0.6]);
    /// assert!(((found.biases[1] - found.biases[0]).exp() - 6.0).abs() < 1e-6);
    /// ```
    pub fn to_prior(rows: &[Prediction], prior: &[f64]) -> Correction {
        let rows: Vec<Vec<f64>> = rows.iter().map(|row| logarithms(row).collect()).collect();
        // Dividing by the mean is not far from it.
        let mut biases = minimise(&Matching { rows: &rows, prior }, vec![0.0; prior.len()], TOLERANCE);
        let mean = biases.iter().sum::<f64>() / biases.len() as f64;
        biases.iter_mut().for_each(|bias| *bias -= mean);
        Correction::of_biases(biases)
    }

    /// One weight for all classes, 1/T, with the lowest mean of `-ln p'` of the rows' classes.
    pub fn temperature(rows: &[Prediction], truths: &[usize]) -> Correction {
        let classes = rows.first().map_or(0, |row| row.probabilities.len());
        let scaling = Scaling::new(rows, truths, true);
        // The loss is convex in the weight: where its lowest point is beyond the bound, the bound is the best
        // that is allowed.
        let weight = minimise(&scaling, vec![1.0], TOLERANCE)[0].max(LEAST_WEIGHT);
        Correction { weights: vec![weight; classes], biases: vec![0.0; classes] }
    }

    /// A weight and a bias for each class, with the same loss.
    pub fn dirichlet(rows: &[Prediction], truths: &[usize]) -> Correction {
        Correction::vector_scaling(rows, &vec![0.0; rows.len()], truths)
    }

    /// The same for class scores, which are the rows' predictions and their levels: see
    /// [`Correction::apply_at`].
    pub fn vector_scaling(rows: &[Prediction], levels: &[f64], truths: &[usize]) -> Correction {
        let classes = rows.first().map_or(0, |row| row.probabilities.len());
        let mut scaling = Scaling::new(rows, truths, false);
        for (row, level) in scaling.rows.iter_mut().zip(levels) {
            row.iter_mut().for_each(|log| *log += level);
        }
        let start = (0..2 * classes).map(|index| f64::from(u8::from(index < classes))).collect();
        let mut weights = minimise(&scaling, start, TOLERANCE);
        let biases = weights.split_off(classes);
        Correction { weights, biases }
    }
}

/// Refuses shares that are no prior of so many classes: each above 0, their sum 1.
pub fn check_prior(prior: &[f64]) -> Result<()> {
    if let Some(share) = prior.iter().find(|share| !share.is_finite() || **share <= 0.0) {
        return Err(CalibrationError::PriorNotAbove { share: *share }.into());
    }
    let sum: f64 = prior.iter().sum();
    if (sum - 1.0).abs() > 1e-6 {
        return Err(CalibrationError::PriorNotOne { sum }.into());
    }
    Ok(())
}

/// Biases, and how far the rows' mean is from a prior.
struct Matching<'a> {
    rows: &'a [Vec<f64>],
    prior: &'a [f64],
}

impl Smooth for Matching<'_> {
    fn value(&self, biases: &[f64]) -> f64 {
        let raised = |row: &Vec<f64>| log_sum_exp(row.iter().zip(biases).map(|(log, bias)| log + bias));
        let mean = self.rows.iter().map(raised).sum::<f64>() / self.rows.len() as f64;
        mean - self.prior.iter().zip(biases).map(|(share, bias)| share * bias).sum::<f64>()
    }

    fn gradient(&self, biases: &[f64]) -> Vec<f64> {
        let mut gradient: Vec<f64> = self.prior.iter().map(|share| -share).collect();
        for row in self.rows {
            let said = softmax(row.iter().zip(biases).map(|(log, bias)| log + bias).collect());
            gradient.iter_mut().zip(said).for_each(|(sum, said)| *sum += said / self.rows.len() as f64);
        }
        gradient
    }
}

/// Weights and biases, or one weight, and the mean loss of labelled rows.
struct Scaling<'a> {
    rows: Vec<Vec<f64>>,
    truths: &'a [usize],
    one_weight: bool,
}

impl<'a> Scaling<'a> {
    fn new(rows: &[Prediction], truths: &'a [usize], one_weight: bool) -> Scaling<'a> {
        Scaling { rows: rows.iter().map(|row| logarithms(row).collect()).collect(), truths, one_weight }
    }

    fn scores(&self, point: &[f64], row: &[f64]) -> Vec<f64> {
        match self.one_weight {
            true => row.iter().map(|log| point[0] * log).collect(),
            false => {
                let (weights, biases) = point.split_at(row.len());
                row.iter()
                    .zip(weights.iter().zip(biases))
                    .map(|(log, (weight, bias))| weight * log + bias)
                    .collect()
            }
        }
    }

    /// How far each number is from that of no correction.
    fn distances<'p>(&self, point: &'p [f64]) -> impl Iterator<Item = f64> + 'p {
        let weights = if self.one_weight { 1 } else { point.len() / 2 };
        point
            .iter()
            .enumerate()
            .map(move |(index, number)| if index < weights { number - 1.0 } else { *number })
    }
}

impl Smooth for Scaling<'_> {
    fn value(&self, point: &[f64]) -> f64 {
        let loss = |(row, truth): (&Vec<f64>, &usize)| {
            let scores = self.scores(point, row);
            log_sum_exp(scores.iter().copied()) - scores[*truth]
        };
        let mean = self.rows.iter().zip(self.truths).map(loss).sum::<f64>() / self.rows.len() as f64;
        mean + PENALTY / 2.0 * self.distances(point).map(|distance| distance * distance).sum::<f64>()
    }

    fn gradient(&self, point: &[f64]) -> Vec<f64> {
        let mut gradient: Vec<f64> = self.distances(point).map(|distance| PENALTY * distance).collect();
        for (row, truth) in self.rows.iter().zip(self.truths) {
            let mut excess = softmax(self.scores(point, row));
            excess[*truth] -= 1.0;
            for (class, (log, excess)) in row.iter().zip(excess).enumerate() {
                let share = excess / self.rows.len() as f64;
                if self.one_weight {
                    gradient[0] += share * log;
                } else {
                    gradient[class] += share * log;
                    gradient[row.len() + class] += share;
                }
            }
        }
        gradient
    }
}
