//! Results: predictions, counts of right and wrong, and the report made of them.

mod tally;

use serde::Serialize;

use crate::dtype::{Dtype, Trial};

pub use tally::{ClassMetrics, Confusion, Evaluation, Tally};

/// One row's class probabilities.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prediction {
    /// A probability for each class in the verbalizer's order; their sum is 1.
    pub probabilities: Vec<f64>,
}

impl Prediction {
    /// The likeliest class; the first of equals.
    pub fn class(&self) -> usize {
        let first_best = |best: usize, next: usize| if self.probabilities[next] > self.probabilities[best] { next } else { best };
        (0..self.probabilities.len()).reduce(first_best).unwrap_or(0)
    }

    /// The likeliest class's probability.
    pub fn confidence(&self) -> f64 {
        self.probabilities[self.class()]
    }

    /// The mean of several predictions, class by class.
    ///
    /// ```
    /// use cloze::report::Prediction;
    /// let members = [vec![0.8, 0.2], vec![0.3, 0.7]].map(|probabilities| Prediction { probabilities });
    /// let average = Prediction::average(&members);
    /// assert!((average.probabilities[0] - 0.55).abs() < 1e-12);
    /// assert_eq!(average.class(), 0);
    /// ```
    pub fn average(members: &[Prediction]) -> Prediction {
        if let [only] = members {
            return only.clone();
        }
        let classes = members.first().map_or(0, |member| member.probabilities.len());
        #[allow(clippy::cast_precision_loss)] // A handful of members.
        let count = members.len() as f64;
        let mean = |class: usize| members.iter().map(|member| member.probabilities[class]).sum::<f64>() / count;
        Prediction { probabilities: (0..classes).map(mean).collect() }
    }
}

/// What `score` found, for people and machines.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version of this format.
    pub version: u64,
    /// What was run.
    pub run: Run,
    /// Rows read.
    pub rows: u64,
    /// Rows with a label; only these are evaluated.
    pub labelled: u64,
    /// Rows of which some pattern had to cut a part.
    pub truncated_rows: u64,
    /// Seconds from the first row read to the last row written.
    pub seconds: f64,
    /// Rows a second in that time.
    pub rows_per_second: f64,
    /// How often each class was predicted, in class order, by the average.
    pub predicted: Vec<LabelCount>,
    /// The most frequent label and the accuracy of always answering it.
    pub majority: Option<Majority>,
    /// The average of the patterns' probabilities; with one pattern, that pattern.
    pub evaluation: Option<Evaluation>,
    /// Each pattern by itself.
    pub patterns: Vec<PatternReport>,
    /// Over the patterns.
    pub spread: Option<Spread>,
}

/// What was run on what.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct Run {
    pub cloze: String,
    pub data: String,
    pub model: String,
    pub engine: String,
    pub device: String,
    /// The type of numbers.
    pub dtype: Dtype,
    /// The types that it was chosen from, if it was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dtypes_tried: Vec<Trial>,
    pub threads: usize,
    pub verbalizer: String,
    pub aggregate: String,
    pub labels: Vec<String>,
    pub max_length: usize,
    pub batch_tokens: usize,
}

/// A class and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct LabelCount {
    pub label: String,
    pub rows: u64,
}

/// The most frequent label.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Majority {
    pub label: String,
    pub accuracy: f64,
}

/// One pattern's part of the report.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct PatternReport {
    pub template: String,
    pub pattern: String,
    pub truncated_rows: u64,
    pub evaluation: Option<Evaluation>,
}

/// Accuracies over the patterns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// The mean accuracy.
    pub mean: f64,
    /// The sample standard deviation (n - 1 below the sum of squares).
    pub standard_deviation: f64,
    /// The lowest accuracy.
    pub lowest: f64,
    /// The highest accuracy.
    pub highest: f64,
}

impl Spread {
    /// The spread of at least two accuracies.
    ///
    /// ```
    /// let spread = cloze::report::Spread::of(&[0.5, 0.7, 0.9]).unwrap();
    /// assert!((spread.mean - 0.7).abs() < 1e-12);
    /// assert!((spread.standard_deviation - 0.2).abs() < 1e-12);
    /// assert_eq!((spread.lowest, spread.highest), (0.5, 0.9));
    /// ```
    pub fn of(accuracies: &[f64]) -> Option<Spread> {
        if accuracies.len() < 2 {
            return None;
        }
        #[allow(clippy::cast_precision_loss)] // A handful of patterns.
        let count = accuracies.len() as f64;
        let mean = accuracies.iter().sum::<f64>() / count;
        let squares = accuracies.iter().map(|accuracy| (accuracy - mean).powi(2)).sum::<f64>();
        Some(Spread {
            mean,
            standard_deviation: (squares / (count - 1.0)).sqrt(),
            lowest: accuracies.iter().copied().fold(f64::INFINITY, f64::min),
            highest: accuracies.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}
