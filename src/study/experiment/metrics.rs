//! The table of results of one way of tuning.

use serde::{Deserialize, Serialize};

use crate::learn::run::{History, Manifest};
use crate::numbers::multi_label::MultiLabelMetrics;
use crate::predict::calibration::Correction;
use crate::predict::report::{Evaluation, Prediction};
use crate::predict::score::Scored;
use crate::predict::zero_shot::ROWS_TO_CORRECT_BY;
use crate::study::baseline::Regression;
use crate::study::compare::{OverSeeds, PairedDifference};
use crate::text::dataset::Dataset;
use crate::text::verbalizer::ValueRange;

use super::numbers::{NumberMetrics, Said};

/// The table of results.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Metrics {
    /// The version of this format.
    pub version: u64,
    /// The method.
    pub method: String,
    /// Numbers that moved.
    pub trained_parameters: usize,
    /// Test rows with a label.
    pub test_rows: usize,
    /// Each seed by itself.
    pub seeds: Vec<SeedMetrics>,
    /// The accuracy over the seeds, of two and more.
    pub accuracy: Option<OverSeeds>,
    /// Macro-F1 over the seeds, of two and more.
    pub macro_f1: Option<OverSeeds>,
    /// What it must beat, on the same rows.
    pub baselines: Vec<BaselineMetrics>,
    /// What a reader of the numbers should know.
    pub warnings: Vec<String>,
    /// Where rows have several labels: what the model says without training, at a threshold of a half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_shot_labels: Option<MultiLabelMetrics>,
    /// Where rows have a number each: then there are no measures of classes over the seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<NumberMetrics>,
}

/// One seed's part of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeedMetrics {
    /// The seed.
    pub seed: u64,
    /// Rows that it was trained on.
    pub train_rows: usize,
    /// How the training went.
    #[serde(flatten)]
    pub history: History,
    /// Seconds of training. Of a run that was stopped and gone on with, those of its steps alone: reading rows
    /// and looking at held-out ones are left out.
    pub seconds: Option<f64>,
    /// On the test rows.
    pub evaluation: Option<Evaluation>,
    /// The same where rows have several labels, at a threshold of a half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub several_labels: Option<MultiLabelMetrics>,
}

/// A baseline's part of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BaselineMetrics {
    /// Which.
    pub name: String,
    /// Its accuracy for each seed; one for all where it knows no seed.
    pub accuracies: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Of a logistic regression: one over its penalty for each seed, chosen on that seed's train rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub c: Vec<Option<f64>>,
    /// The method less this baseline.
    pub difference: Option<PairedDifference>,
}

/// Predictions as they come, a list for each seed.
#[derive(Default)]
pub(super) struct Found {
    pub seeds: Vec<SeedMetrics>,
    pub method: Vec<Vec<Prediction>>,
    pub naive_bayes: Vec<Vec<Prediction>>,
    pub logistic_regression: Vec<Regression>,
    pub states: Vec<Regression>,
    pub cls: Vec<Vec<Prediction>>,
    pub setfit: Vec<Regression>,
    pub lstm: Vec<Vec<Prediction>>,
    /// The means of the untrained model's last states of the test rows, N · `[H]`, once they are there.
    pub states_of_test: Vec<Vec<f32>>,
    pub zero_shot: Option<Vec<Prediction>>,
    pub corrected: Option<Vec<Prediction>>,
    /// The mean number of each seed's train rows, where rows have one.
    pub mean_numbers: Vec<f64>,
    pub ridge: Vec<Vec<f64>>,
    pub zero_shot_labels: Option<MultiLabelMetrics>,
}

impl Found {
    /// What is said without training; where there are enough rows, also with each pattern's bias taken out by
    /// the mean of what it says of these rows, whose labels are not looked at (batch calibration, Zhou et al.
    /// 2023). Much of what training seems to bring comes of that alone.
    pub(super) fn add_zero_shot(&mut self, scored: Vec<Scored>) {
        let patterns = scored.first().map_or(0, |row| row.by_pattern.len());
        if scored.len() >= ROWS_TO_CORRECT_BY {
            let correction = |pattern: usize| {
                let said: Vec<Prediction> =
                    scored.iter().map(|row| row.by_pattern[pattern].clone()).collect();
                Correction::dividing_by(&said)
            };
            let corrections: Vec<Correction> = (0..patterns).map(correction).collect();
            let corrected = |row: &Scored| {
                let by_pattern = row.by_pattern.iter().zip(&corrections);
                let by_pattern = by_pattern.map(|(said, correction)| correction.apply(said));
                Prediction::average(&by_pattern.collect::<Vec<_>>())
            };
            self.corrected = Some(scored.iter().map(corrected).collect());
        }
        self.zero_shot = Some(scored.into_iter().map(|row| row.average).collect());
    }

    /// The table.
    pub(super) fn metrics(
        self,
        manifest: &Manifest,
        range: Option<&ValueRange>,
        test: Option<&Dataset>,
        warnings: Vec<String>,
    ) -> Metrics {
        let numbers = range.zip(test).map(|(range, test)| self.of_numbers(range, test));
        let right = |predictions: &Vec<Prediction>| {
            test.map_or_else(Vec::new, |test| test.right(|row| predictions[row].class()))
        };
        let truths: Vec<usize> =
            test.iter().flat_map(|test| test.labelled().map(|(_, truth)| truth)).collect();
        let method: Vec<Vec<bool>> = self.method.iter().map(right).collect();
        let mut baselines = Vec::new();
        let mut add = |name: &str, correct: Vec<Vec<bool>>, c: Vec<Option<f64>>| {
            if correct.is_empty() || truths.is_empty() || range.is_some() {
                return;
            }
            let share =
                |list: &Vec<bool>| list.iter().filter(|right| **right).count() as f64 / list.len() as f64;
            let accuracies: Vec<f64> = correct.iter().map(share).collect();
            baselines.push(BaselineMetrics {
                name: name.to_owned(),
                mean: accuracies.iter().sum::<f64>() / accuracies.len() as f64,
                accuracies,
                c,
                difference: PairedDifference::of(&method, &correct),
            });
        };
        // The first of equals.
        let count = |class: usize| truths.iter().filter(|truth| **truth == class).count();
        let majority = (0..manifest.classes.len())
            .reduce(|best, next| if count(next) > count(best) { next } else { best })
            .unwrap_or(0);
        let regressions = |found: &[Regression]| {
            let c = found.iter().map(|found| found.c).collect();
            (found.iter().map(|found| right(&found.predictions)).collect(), c)
        };
        let none = Vec::new;
        add("majority class", vec![truths.iter().map(|truth| *truth == majority).collect()], none());
        add("TF-IDF + naive Bayes", self.naive_bayes.iter().map(right).collect(), none());
        let (correct, c) = regressions(&self.logistic_regression);
        add("TF-IDF + logistic regression", correct, c);
        let (correct, c) = regressions(&self.states);
        add("states + logistic regression", correct, c);
        add("zero-shot", self.zero_shot.iter().map(right).collect(), none());
        add("zero-shot, corrected", self.corrected.iter().map(right).collect(), none());
        add("cls", self.cls.iter().map(right).collect(), none());
        let (correct, c) = regressions(&self.setfit);
        add("SetFit", correct, c);
        add("word vectors + LSTM", self.lstm.iter().map(right).collect(), none());
        let of = |measure: fn(&Evaluation) -> f64| -> Vec<f64> {
            let seeds = self.seeds.iter().filter(|_| range.is_none());
            seeds.filter_map(|seed| seed.evaluation.as_ref().map(measure)).collect()
        };
        let labelled = |seed: &SeedMetrics| seed.several_labels.as_ref().map(|found| found.rows as usize);
        let several = self.seeds.iter().find_map(labelled).unwrap_or(0);
        Metrics {
            version: 1,
            method: manifest.tuning.name().to_owned(),
            trained_parameters: self.seeds.first().map_or(0, |seed| seed.history.trained_parameters),
            test_rows: truths.len().max(several),
            accuracy: OverSeeds::of(&of(|evaluation| evaluation.accuracy)),
            macro_f1: OverSeeds::of(&of(|evaluation| evaluation.macro_f1)),
            seeds: self.seeds,
            baselines,
            warnings,
            zero_shot_labels: self.zero_shot_labels,
            numbers,
        }
    }

    /// The table of rows with a number each.
    fn of_numbers(&self, range: &ValueRange, test: &Dataset) -> NumberMetrics {
        let evaluations: Vec<&Evaluation> =
            self.seeds.iter().filter_map(|seed| seed.evaluation.as_ref()).collect();
        let means = self.mean_numbers.iter().map(|mean| vec![*mean; test.examples.len()]);
        let zero_shot: Vec<Vec<Prediction>> = self.zero_shot.iter().cloned().collect();
        let baselines = [
            Said { name: "train rows' mean", numbers: means.collect() },
            Said { name: "states + ridge", numbers: self.ridge.clone() },
            Said::of("zero-shot", range, &zero_shot),
            Said::of("cls", range, &self.cls),
        ];
        let method = Said::of("method", range, &self.method);
        NumberMetrics::of(range, test, &evaluations, &method, &baselines)
    }
}
