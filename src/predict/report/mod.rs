//! Results: predictions, counts of right and wrong, and the report made of them.

mod order;
mod range;
mod tree;

mod tally;

use serde::{Deserialize, Serialize};

use crate::model::dtype::{Dtype, Trial};
use crate::numbers::softmax::{log, softmax};
use crate::text::verbalizer::ValueRange;

pub use order::{OrderEvaluation, OrderMeasures};
pub use range::{Measured, RangeEvaluation, interval as interval_of_draws, resamples};
pub use tally::{Bin, ClassMetrics, Confusion, Evaluation, Tally};
pub use tree::{LevelAccuracy, TreeEvaluation};

/// One row's class probabilities.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prediction {
    /// A probability for each class in the verbalizer's order; their sum is 1.
    pub probabilities: Vec<f64>,
}

impl Prediction {
    /// The likeliest class; the first of equals.
    pub fn class(&self) -> usize {
        let first_best = |best: usize, next: usize| {
            if self.probabilities[next] > self.probabilities[best] { next } else { best }
        };
        (0..self.probabilities.len()).reduce(first_best).unwrap_or(0)
    }

    /// The likeliest class's probability.
    pub fn confidence(&self) -> f64 {
        self.probabilities[self.class()]
    }

    /// The mean of several predictions, class by class.
    ///
    /// ```
    /// use cloze::predict::report::Prediction;
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
        let mean =
            |class: usize| members.iter().map(|member| member.probabilities[class]).sum::<f64>() / count;
        Prediction { probabilities: (0..classes).map(mean).collect() }
    }

    /// The sum of some, each times its weight.
    pub fn weighted<'a>(members: impl IntoIterator<Item = (&'a Prediction, f64)>) -> Prediction {
        let mut probabilities: Vec<f64> = Vec::new();
        for (member, weight) in members {
            probabilities.resize(member.probabilities.len(), 0.0);
            probabilities.iter_mut().zip(&member.probabilities).for_each(|(sum, own)| *sum += weight * own);
        }
        Prediction { probabilities }
    }

    /// What several windows on a text say together: the mean of their logarithms, or the largest of each
    /// class.
    ///
    /// ```
    /// use cloze::predict::report::{Pooling, Prediction};
    /// let windows = [vec![0.8, 0.2], vec![0.5, 0.5]].map(|probabilities| Prediction { probabilities });
    /// let pooled = |pool| Prediction::pooled(windows.iter().map(|window| (window, 0.5)), pool).probabilities[0];
    /// // √(.8 · .5) : √(.2 · .5) = 2 : 1, and .8 : .5.
    /// assert!((pooled(Pooling::Mean) - 2.0 / 3.0).abs() < 1e-12 && (pooled(Pooling::Max) - 0.8 / 1.3).abs() < 1e-12);
    /// ```
    pub fn pooled<'a>(windows: impl IntoIterator<Item = (&'a Prediction, f64)>, pool: Pooling) -> Prediction {
        let mut scores: Vec<f64> = Vec::new();
        for (window, weight) in windows {
            let start = if pool == Pooling::Mean { 0.0 } else { f64::NEG_INFINITY };
            scores.resize(window.probabilities.len(), start);
            for (score, own) in scores.iter_mut().zip(&window.probabilities) {
                *score = match pool {
                    Pooling::Mean => *score + weight * log(*own),
                    Pooling::Max => score.max(log(*own)),
                };
            }
        }
        Prediction { probabilities: softmax(scores) }
    }
}

/// How the probabilities of several windows on a text become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Pooling {
    /// The mean of their logarithms
    #[default]
    Mean,
    /// The largest of each class
    Max,
}

/// Rows that were too long, and in how many windows they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// Rows.
    pub rows: u64,
    /// Windows on them, in the pattern with most.
    pub windows: u64,
}

/// Labelled rows of which the nearest counted beside the label words.
#[derive(Debug, Clone, Serialize)]
pub struct NeighboursReport {
    /// Their file.
    pub data: String,
    /// How many they are.
    pub rows: u64,
    /// k: so many of the nearest counted.
    pub count: usize,
    /// How fast they count less with their distance.
    pub temperature: f64,
    /// λ: what they counted beside the label words.
    pub share: f64,
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
    /// Rows that were left out: they could not be read, or had an unknown label.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out_rows: u64,
    /// Labels that are their class's but for case, or blanks at the ends.
    #[serde(skip_serializing_if = "is_zero")]
    pub near_labels: u64,
    /// Rows of which some pattern had to cut a part.
    pub truncated_rows: u64,
    /// Rows beside which some pattern's demonstrations did not all have room.
    #[serde(skip_serializing_if = "is_zero")]
    pub crowded_rows: u64,
    /// Rows that are the same to the model as one shortly before them, and were not computed again.
    #[serde(skip_serializing_if = "is_zero")]
    pub repeated_rows: u64,
    /// Rows that the run was trained on, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<TrainedOn>,
    /// Rows whose labels a correction or the sets' thresholds were fitted on, where there are any: on them these
    /// look better than they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibrated_on: Option<TrainedOn>,
    /// Labelled rows of which the nearest counted beside the label words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<NeighboursReport>,
    /// Rows that were read in windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
    /// Seconds from the first row read to the last row written.
    pub seconds: f64,
    /// Rows a second in that time.
    pub rows_per_second: f64,
    /// How often each class was predicted, in class order, by the average; rows that were left without an
    /// answer are not counted.
    pub predicted: Vec<LabelCount>,
    /// The mean of the rows' probabilities, class by class.
    #[serde(skip)]
    pub mean: Vec<f64>,
    /// The range of numbers that rows are given in place of classes, if they are.
    #[serde(skip)]
    pub range: Option<ValueRange>,
    /// The most frequent label and the accuracy of always answering it.
    pub majority: Option<Majority>,
    /// The average of the patterns' probabilities; with one pattern, that pattern. Rows that were left
    /// without an answer are evaluated by their likeliest class.
    pub evaluation: Option<Evaluation>,
    /// Each pattern by itself.
    pub patterns: Vec<PatternReport>,
    /// Over the patterns.
    pub spread: Option<Spread>,
    /// How the probabilities were corrected, and what they were before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationReport>,
    /// Rows that were left without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abstention: Option<Abstention>,
    /// Prediction sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sets: Option<SetsReport>,
}

/// Rows that the model was trained on, or chosen by: what is measured on them says little.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainedOn {
    /// How many.
    pub rows: u64,
    /// The first of them, by their numbers in the file, from 1.
    pub records: Vec<u64>,
}

/// How probabilities were corrected.
#[derive(Debug, Clone, Serialize)]
pub struct CalibrationReport {
    /// The method's name.
    pub method: String,
    /// What it was fitted on.
    pub fitted_on: String,
    /// On so many rows, or inputs without content.
    pub fitted_rows: u64,
    /// The shares of classes that it was made to fit, where they were given.
    #[serde(skip)]
    pub prior: Option<Vec<f64>>,
    /// Each pattern's weights and biases, class by class.
    pub patterns: Vec<PatternCorrection>,
    /// The same rows before.
    pub before: Before,
}

/// A pattern's weights and biases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PatternCorrection {
    pub template: String,
    pub weights: Vec<f64>,
    pub biases: Vec<f64>,
}

/// What a report would say without the correction.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct Before {
    pub predicted: Vec<LabelCount>,
    pub evaluation: Option<Evaluation>,
    pub patterns: Vec<PatternReport>,
    pub spread: Option<Spread>,
}

/// Rows that were left without an answer, because no class was likely enough.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Abstention {
    /// The least probability of an answer.
    pub below: f64,
    /// Rows with an answer.
    pub answered: u64,
    /// Labelled ones among them.
    pub labelled: u64,
    /// Of these, how many are right.
    pub right: u64,
    /// Their share.
    pub accuracy: Option<f64>,
}

impl Abstention {
    /// Counts a row. Returns whether it gets an answer.
    pub fn add(&mut self, prediction: &Prediction, truth: Option<usize>) -> bool {
        let answered = prediction.confidence() >= self.below;
        if answered {
            self.answered += 1;
            self.labelled += u64::from(truth.is_some());
            self.right += u64::from(truth == Some(prediction.class()));
            self.measure();
        }
        answered
    }

    /// Counts the rows of another too, with the same bound.
    pub fn merge(&mut self, other: &Abstention) {
        self.answered += other.answered;
        self.labelled += other.labelled;
        self.right += other.right;
        self.measure();
    }

    fn measure(&mut self) {
        self.accuracy = (self.labelled > 0).then(|| self.right as f64 / self.labelled as f64);
    }
}

/// Prediction sets, and how often they hold the truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetsReport {
    /// α: the share of rows whose set may lack the truth.
    pub alpha: f64,
    /// Whether that was promised class by class.
    pub by_class: bool,
    /// The labelled rows that the thresholds come from.
    pub fitted_rows: u64,
    /// The mean number of classes in a set.
    pub mean_size: f64,
    /// The share of sets without a class.
    pub empty: f64,
    /// The share of labelled rows whose set has their class.
    pub coverage: Option<SetCoverage>,
    /// The same class by class.
    pub classes: Vec<(String, Option<SetCoverage>)>,
}

/// A share of rows with its exact binomial 95 % interval (Clopper & Pearson 1934).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct SetCoverage {
    pub rows: u64,
    pub covered: u64,
    pub share: f64,
    pub interval_95: [f64; 2],
}

/// What was run on what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Run {
    pub cloze: String,
    pub data: String,
    pub model: String,
    pub engine: String,
    pub device: String,
    /// The type of numbers.
    pub dtype: Dtype,
    /// The types that it was chosen from, if it was; none of them where that was put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtypes_tried: Option<Vec<Trial>>,
    pub threads: usize,
    pub verbalizer: String,
    pub aggregate: String,
    /// Forward passes for a row in a pattern: more than one where label words have several tokens, or
    /// demonstrations are drawn several times.
    pub forwards_per_row: usize,
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

/// A pattern by its template's name, and as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PatternName {
    pub template: String,
    pub pattern: String,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// let spread = cloze::predict::report::Spread::of(&[0.5, 0.7, 0.9]).unwrap();
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

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks so.
fn is_zero(number: &u64) -> bool {
    *number == 0
}
