//! What an ensemble experiment found: `report.json`, and all that the page `report.html` shows.

use serde::{Deserialize, Serialize};

use super::agreement::Agreement;
use crate::numbers;
use crate::predict::report::Bin;
use crate::study::compare::{ALIKE, OverSeeds};

/// The version of reports that this cloze writes and reads.
pub const VERSION: u64 = 1;

/// The results of an experiment, stage by stage. Lists "by seed" have the order of `seeds`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleReport {
    /// The version of this format.
    pub version: u64,
    /// What was run.
    pub setting: Setting,
    /// The patterns with their label words: the members of each seed's ensemble.
    pub patterns: Vec<Pattern>,
    /// What came of each stage: without training where that was asked for or is there for comparison, then
    /// each generation.
    pub stages: Vec<Stage>,
    /// How the losses fell.
    pub curves: Vec<Curve>,
    /// Members and students that could not be trained; the rest went on without them.
    pub failures: Vec<Failure>,
    /// What a reader of the numbers should know.
    pub warnings: Vec<String>,
    /// Where the time went: alone of all that stands here not the same in a run that was stopped and gone on
    /// with.
    pub seconds: Vec<Seconds>,
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Setting {
    /// The version of cloze.
    pub cloze: String,
    /// The base model's folder.
    pub model: String,
    /// The members' method; none where nothing is trained.
    pub method: Option<String>,
    /// What the student is: its method, or none without distillation.
    pub student: Option<String>,
    /// The labels in class order.
    pub classes: Vec<String>,
    /// The seeds; each draws its own train rows.
    pub seeds: Vec<u64>,
    /// Rows of each class to learn from; none where all were taken.
    pub shots: Option<usize>,
    /// Train rows, by seed.
    pub train_rows: Vec<usize>,
    pub unlabeled_rows: usize,
    /// Test rows with a label.
    pub test_rows: usize,
    /// Of the test file's bytes: runs with the same can be compared row by row.
    pub test_sha256: Option<String>,
    /// How members are merged: `probabilities` or `logits`.
    pub merge: String,
    /// `uniform` or `accuracy`.
    pub weights: String,
    /// How members are corrected before: `batch` or `prior`; none if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<String>,
    /// Of the soft labels.
    pub temperature: f64,
    /// The share of the masked-language-model loss; none without it.
    pub mlm_weight: Option<f64>,
    /// Generations after the first (iPET).
    pub generations: usize,
    /// Which rows further generations are given: `proportional` or `surest`; none without any, or where a
    /// report is older than the choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<String>,
}

/// A pattern with label words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// The template's name.
    pub template: String,
    /// Its text.
    pub pattern: String,
    /// The verbalizer's name.
    pub verbalizer: String,
    /// What its scores weigh in the last ensemble, by seed; the sum over the patterns that could be trained
    /// is 1.
    pub weights: Vec<f64>,
}

/// A stage: the members as they are without training, or a generation of trained ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The generation, from 0; none for the members without training.
    pub generation: Option<usize>,
    /// Rows that a member of the stage learned from, by seed; 0 without training.
    pub train_rows: Vec<usize>,
    /// Each pattern, in the report's order; none where no member of any seed was trained, or without test
    /// labels.
    pub patterns: Vec<Option<Measured>>,
    /// The mean over the patterns that have a member of each seed, seed by seed, then over the seeds.
    pub mean_pattern: Option<Accuracies>,
    /// The pattern with the lowest mean accuracy over the seeds, as an index into `patterns`.
    pub worst: Option<usize>,
    /// The pattern with the highest, which only the test labels tell.
    pub best: Option<usize>,
    /// The members together.
    pub ensemble: Option<Measured>,
    /// The classifier that learned their soft labels.
    pub student: Option<Measured>,
    /// How far the members agree on the test rows (on the unlabelled rows without a test file).
    pub agreement: Option<Agreement>,
}

/// Accuracies over the seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracies {
    /// By seed, none where there was nothing to measure; one alone for what knows no seed.
    pub by_seed: Vec<Option<f64>>,
    /// The mean of those that there are.
    pub mean: f64,
    /// Their sample standard deviation, of two and more.
    pub standard_deviation: Option<f64>,
    /// The 95 % interval of the mean over other seeds (Student's t), of two and more that are not all alike.
    pub mean_95: Option<[f64; 2]>,
}

impl Accuracies {
    /// Of seeds of which one at least was measured.
    pub fn of(by_seed: Vec<Option<f64>>) -> Option<Accuracies> {
        let measured: Vec<f64> = by_seed.iter().copied().flatten().collect();
        let over = OverSeeds::of(&measured);
        (!measured.is_empty()).then(|| Accuracies {
            mean: measured.iter().sum::<f64>() / measured.len() as f64,
            standard_deviation: over.as_ref().map(|over| over.spread.standard_deviation),
            mean_95: over.and_then(|over| over.mean_95),
            by_seed,
        })
    }

    /// The interval in percent, as tables have it, of two seeds and more.
    pub fn interval(&self) -> Option<String> {
        let alike = self.standard_deviation.map(|_| ALIKE.to_owned());
        self.mean_95.map(numbers::interval).or(alike)
    }
}

/// A classifier on the test rows, over the seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The accuracy.
    pub accuracy: Accuracies,
    /// The 95 % interval of the mean accuracy over other test rows: see
    /// [`crate::study::compare::accuracy_95`]. In reports of earlier versions by bootstrap.
    pub accuracy_95: [f64; 2],
    /// The mean macro-F1.
    pub macro_f1: f64,
    /// The mean expected calibration error (Guo et al. 2017).
    pub expected_calibration_error: f64,
    /// The bins of the calibration error, all seeds together; empty ones are left out.
    pub reliability: Vec<Bin>,
    /// `[true, predicted]`, all seeds together.
    pub confusion: Vec<Vec<u64>>,
    /// For each seed that was measured a character for each labelled test row: `1` right, `0` wrong. For
    /// paired tests.
    pub right: Vec<String>,
}

/// The loss of a training, the mean over the seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// The generation.
    pub generation: usize,
    /// The pattern, as an index into the report's; none for the student.
    pub pattern: Option<usize>,
    /// The steps, at most 100, each standing for those since the one before.
    pub steps: Vec<usize>,
    /// The mean loss of these steps.
    pub losses: Vec<f64>,
}

/// A model that could not be trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Failure {
    pub seed: u64,
    pub generation: usize,
    /// The member's name, `TEMPLATE+VERBALIZER`, or `student`.
    pub name: String,
    pub reason: String,
}

/// Time spent on one kind of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seconds {
    /// `members without training`, `training generation 0`, `scoring generation 0`,
    /// `students of generation 0`, …
    pub step: String,
    /// How long.
    pub seconds: f64,
}
