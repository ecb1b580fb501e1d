//! Counts that grow with each row, and the measures made of them: memory does not grow with the rows.

use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use super::order::{OrderEvaluation, OrderTally};
use super::range::{RangeEvaluation, RangeTally};
use super::tree::TreeEvaluation;
use super::{LabelCount, Majority, Prediction};
use crate::numbers::sum::Sum;
use crate::numbers::{counts, wilson};
use crate::text::verbalizer::{Structure, Tree, TreeNode, ValueRange};

/// Bins of equal width for the calibration error.
const BINS: usize = 10;

/// How often which true class was predicted as which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// The axes by name: what rows and columns of `counts` are.
    #[serde(skip_deserializing, default = "axes")]
    pub axes: [&'static str; 2],
    /// The labels along both axes.
    pub labels: Vec<String>,
    /// `[true, predicted]`
    pub counts: Vec<Vec<u64>>,
}

/// The axes of every confusion.
fn axes() -> [&'static str; 2] {
    ["true", "predicted"]
}

/// One class's measures (axes and zero division as in scikit-learn's `precision_recall_fscore_support` with
/// `zero_division=0`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The class.
    pub label: String,
    /// Of the rows predicted so, the share that is.
    pub precision: f64,
    /// Of the rows that are so, the share predicted.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
    /// Rows that are so.
    pub support: u64,
}

/// The measures over labelled rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The share of rows predicted right.
    pub accuracy: f64,
    /// The 95 % interval of the accuracy over other rows ([`wilson`]).
    pub accuracy_95: [f64; 2],
    /// The mean F1 over the classes that are true or predicted in some row, as scikit-learn's
    /// `f1_score(average="macro")`.
    pub macro_f1: f64,
    /// Expected calibration error (Guo et al. 2017) of the predicted class's probability, in 10 bins of equal
    /// width.
    pub expected_calibration_error: f64,
    /// Class by class.
    pub classes: Vec<ClassMetrics>,
    /// Which class was taken for which.
    pub confusion: Confusion,
    /// The bins of the calibration error that are not empty, for pages.
    #[serde(skip)]
    pub reliability: Vec<Bin>,
    /// Of classes in an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderEvaluation>,
    /// Of classes in a tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeEvaluation>,
    /// Of rows with a number each; then all else is of the two halves of the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeEvaluation>,
}

/// Rows whose predicted class has a probability of this range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Bin {
    pub from: f64,
    pub to: f64,
    pub rows: u64,
    /// The mean probability of the predicted class.
    pub confidence: f64,
    /// The share that is right.
    pub accuracy: f64,
}

/// What has been counted so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tally {
    labels: Vec<String>,
    /// `[true, predicted]`
    #[serde(with = "counts")]
    counts: Array2<u64>,
    predicted: Vec<u64>,
    /// The sums of the probabilities.
    probabilities: Vec<Sum>,
    bins: [BinCounts; BINS],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order: Option<OrderTally>,
    /// Each class's path in its tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tree: Option<Vec<Vec<TreeNode>>>,
    /// Rows with a number each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    range: Option<RangeTally>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct BinCounts {
    rows: u64,
    right: u64,
    confidence: Sum,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(labels: impl IntoIterator<Item = String>) -> Tally {
        let labels: Vec<String> = labels.into_iter().collect();
        let classes = labels.len();
        Tally {
            labels,
            counts: Array2::zeros((classes, classes)),
            predicted: vec![0; classes],
            probabilities: vec![Sum::default(); classes],
            bins: [BinCounts::default(); BINS],
            order: None,
            tree: None,
            range: None,
        }
    }

    /// The same, which measures too what stands between the classes.
    #[must_use]
    pub fn structured(self, structure: &Structure) -> Tally {
        let paths = |tree: &Tree| (0..tree.classes()).map(|class| tree.path(class)).collect();
        let (order, tree) =
            (structure.order.clone().map(OrderTally::new), structure.tree.as_ref().map(paths));
        Tally { order, tree, range: structure.range.map(RangeTally::new), ..self }
    }

    /// Whether it is of these labels, and whole: one that was read may be anything.
    pub(crate) fn is_of(&self, labels: &[String]) -> bool {
        let classes = labels.len();
        let paths = self.tree.iter().flatten();
        self.labels == labels
            && self.counts.dim() == (classes, classes)
            && [self.predicted.len(), self.probabilities.len()] == [classes; 2]
            && self.order.as_ref().is_none_or(|order| order.is_of(classes))
            && self.tree.as_ref().is_none_or(|paths| paths.len() == classes)
            && self.range.as_ref().is_none_or(RangeTally::is_whole)
            && paths.into_iter().all(|path| !path.is_empty())
    }

    /// Counts the rows of another too: as if these had been counted here, to the bit. Both are of the same
    /// labels and structure.
    pub fn merge(&mut self, other: &Tally) {
        self.counts += &other.counts;
        self.predicted.iter_mut().zip(&other.predicted).for_each(|(own, other)| *own += other);
        let sums = self.probabilities.iter_mut().zip(&other.probabilities);
        sums.for_each(|(own, other)| *own = own.and(*other));
        for (own, other) in self.bins.iter_mut().zip(&other.bins) {
            own.rows += other.rows;
            own.right += other.right;
            own.confidence = own.confidence.and(other.confidence);
        }
        if let (Some(own), Some(other)) = (&mut self.order, &other.order) {
            own.merge(other);
        }
        if let (Some(own), Some(other)) = (&mut self.range, &other.range) {
            own.merge(other);
        }
    }

    /// Counts a row; `truth` is its true class, if known.
    pub fn add(&mut self, prediction: &Prediction, truth: Option<usize>) {
        let class = prediction.class();
        self.predicted[class] += 1;
        let sums = self.probabilities.iter_mut().zip(&prediction.probabilities);
        sums.for_each(|(sum, own)| *sum = sum.plus(*own));
        let Some(truth) = truth else { return };
        self.counts[[truth, class]] += 1;
        let confidence = prediction.confidence();
        // Bins are closed below and open above, [0, 0.1) to [0.9, 1]; 1 itself belongs to the last.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to 10 by construction.
        let bin = &mut self.bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        bin.rows += 1;
        bin.right += u64::from(truth == class);
        bin.confidence = bin.confidence.plus(confidence);
        self.order.iter_mut().for_each(|order| order.add(prediction, truth));
    }

    /// Keeps a row's number too, by where it lies between the ends of the range, from 0 to 1.
    pub fn add_number(&mut self, prediction: &Prediction, share: f64) {
        self.range.iter_mut().for_each(|range| range.add(&prediction.probabilities, share));
    }

    /// How often each class was predicted, unlabelled rows included.
    pub fn predicted(&self) -> Vec<LabelCount> {
        self.labels
            .iter()
            .zip(&self.predicted)
            .map(|(label, rows)| LabelCount { label: label.clone(), rows: *rows })
            .collect()
    }

    /// The mean probabilities, unlabelled rows included.
    pub fn mean(&self) -> Vec<f64> {
        let rows = self.predicted.iter().sum::<u64>().max(1) as f64;
        self.probabilities.iter().map(|sum| sum.value() / rows).collect()
    }

    /// The range of numbers that rows are given, if they are.
    pub fn range(&self) -> Option<ValueRange> {
        self.range.as_ref().map(RangeTally::range)
    }

    /// Labelled rows counted.
    pub fn labelled(&self) -> u64 {
        self.counts.sum()
    }

    /// The most frequent true label; none without labelled rows.
    pub fn majority(&self) -> Option<Majority> {
        let support = self.counts.sum_axis(Axis(1));
        let best = (0..support.len())
            .reduce(|best, next| if support[next] > support[best] { next } else { best })?;
        (support[best] > 0).then(|| Majority {
            label: self.labels[best].clone(),
            accuracy: ratio(support[best], self.labelled()),
        })
    }

    /// The bins of the calibration error that are not empty.
    pub fn reliability(&self) -> Vec<Bin> {
        let edge = |index: usize| index as f64 / BINS as f64;
        let bins = self.bins.iter().enumerate().filter(|(_, bin)| bin.rows > 0);
        let bin = |(index, bin): (usize, &BinCounts)| Bin {
            from: edge(index),
            to: edge(index + 1),
            rows: bin.rows,
            confidence: bin.confidence.value() / bin.rows as f64,
            accuracy: ratio(bin.right, bin.rows),
        };
        bins.map(bin).collect()
    }

    /// The measures; none without labelled rows.
    pub fn evaluate(&self) -> Option<Evaluation> {
        let rows = self.labelled();
        if rows == 0 {
            return None;
        }
        let support = self.counts.sum_axis(Axis(1));
        let predicted = self.counts.sum_axis(Axis(0));
        let right = self.counts.diag().sum();
        let classes: Vec<ClassMetrics> = (0..self.labels.len())
            .map(|class| {
                let hits = self.counts[[class, class]];
                ClassMetrics {
                    label: self.labels[class].clone(),
                    precision: ratio(hits, predicted[class]),
                    recall: ratio(hits, support[class]),
                    f1: ratio(2 * hits, predicted[class] + support[class]),
                    support: support[class],
                }
            })
            .collect();
        let seen = (0..classes.len()).filter(|&class| support[class] + predicted[class] > 0);
        let (sum, count) =
            seen.fold((0.0, 0_u64), |(sum, count), class| (sum + classes[class].f1, count + 1));
        let error = |bin: &BinCounts| {
            if bin.rows == 0 { 0.0 } else { (bin.right as f64 - bin.confidence.value()).abs() }
        };
        Some(Evaluation {
            accuracy: ratio(right, rows),
            accuracy_95: wilson(right, rows),
            macro_f1: sum / count as f64,
            expected_calibration_error: self.bins.iter().map(error).sum::<f64>() / rows as f64,
            classes,
            confusion: Confusion {
                axes: ["true", "predicted"],
                labels: self.labels.clone(),
                counts: self.counts.outer_iter().map(|row| row.to_vec()).collect(),
            },
            reliability: self.reliability(),
            order: self.order.as_ref().map(|order| order.evaluate(&self.counts)),
            tree: self.tree.as_ref().map(|tree| TreeEvaluation::of(&self.counts, tree)),
            range: self.range.as_ref().and_then(RangeTally::evaluate),
        })
    }
}

/// A share; 0 of 0 is 0.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
