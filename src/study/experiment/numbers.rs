//! Rows with a number each: the measures over seeds, and what they must beat.

use serde::{Deserialize, Serialize};

use super::{Experiment, TrainRequest};
use crate::error::{Errors, TrainingError};
use crate::learn::dataset::LabelledDataset;
use crate::learn::run::Manifest;
use crate::learn::train::ClassLoss;
use crate::numbers::correlation::Pairs;
use crate::predict::report::{Evaluation, Prediction, RangeEvaluation, interval_of_draws, resamples};
use crate::study::compare::OverSeeds;
use crate::text::data::Example;
use crate::text::dataset::Dataset;
use crate::text::verbalizer::ValueRange;

/// The results of rows with a number each, beside those of each seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NumberMetrics {
    /// Pearson's correlation over the seeds, of two and more that have one.
    pub pearson: Option<OverSeeds>,
    /// Spearman's, in the same way.
    pub spearman: Option<OverSeeds>,
    /// The mean absolute error over the seeds.
    pub mean_absolute_error: Option<OverSeeds>,
    /// What it must beat, on the same rows.
    pub baselines: Vec<NumberBaseline>,
}

/// A baseline's part of the table: means over the seeds, where it knows any.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NumberBaseline {
    /// Which.
    pub name: String,
    /// Pearson's correlation; none where it says the same everywhere.
    pub pearson: Option<f64>,
    /// Spearman's.
    pub spearman: Option<f64>,
    /// The mean absolute error.
    pub mean_absolute_error: f64,
    /// The method's mean absolute error less this one's.
    pub difference: NumberDifference,
}

/// The difference of two mean absolute errors, each a mean over its seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NumberDifference {
    /// Below 0 where the first is nearer.
    pub mean_absolute_error: f64,
    /// Its 95 % percentile interval over other rows, drawn again with replacement for both alike; none with
    /// fewer than ten rows.
    pub interval_95: Option<[f64; 2]>,
}

/// Numbers that are said of the test rows, a list for each seed.
pub(super) struct Said {
    pub name: &'static str,
    pub numbers: Vec<Vec<f64>>,
}

impl Said {
    /// Of probabilities of both ends.
    pub(super) fn of(name: &'static str, range: &ValueRange, predictions: &[Vec<Prediction>]) -> Said {
        let number = |prediction: &Prediction| range.expected(&prediction.probabilities);
        Said { name, numbers: predictions.iter().map(|said| said.iter().map(number).collect()).collect() }
    }
}

impl NumberMetrics {
    /// Of what the method and the baselines say of all test rows.
    pub(super) fn of(
        range: &ValueRange,
        test: &Dataset,
        evaluations: &[&Evaluation],
        method: &Said,
        baselines: &[Said],
    ) -> NumberMetrics {
        let found: Vec<&RangeEvaluation> =
            evaluations.iter().filter_map(|evaluation| evaluation.range.as_ref()).collect();
        let over = |values: Vec<f64>| OverSeeds::of(&values);
        let truths: Vec<(usize, f64)> = test
            .shares(range)
            .into_iter()
            .enumerate()
            .filter_map(|(row, share)| Some((row, range.at(share?))))
            .collect();
        let known = if truths.is_empty() { &[] } else { baselines };
        let of_baseline = |said: &Said| (!said.numbers.is_empty()).then(|| measured(&truths, method, said));
        NumberMetrics {
            pearson: over(found.iter().filter_map(|found| Some(found.pearson?.value)).collect()),
            spearman: over(found.iter().filter_map(|found| Some(found.spearman?.value)).collect()),
            mean_absolute_error: over(found.iter().map(|found| found.mean_absolute_error.value).collect()),
            baselines: known.iter().filter_map(of_baseline).collect(),
        }
    }
}

/// A baseline against a method, on the rows with a number.
fn measured(truths: &[(usize, f64)], method: &Said, baseline: &Said) -> NumberBaseline {
    let all = vec![1.0; truths.len()];
    let pairs: Vec<Pairs> = baseline
        .numbers
        .iter()
        .map(|said| Pairs::new(values(truths), truths.iter().map(|(row, _)| said[*row]).collect()))
        .collect();
    let mean = |of: &dyn Fn(&Pairs) -> Option<f64>| {
        let found: Option<Vec<f64>> = pairs.iter().map(of).collect();
        found.map(|found| found.iter().sum::<f64>() / found.len() as f64)
    };
    // Row by row, the mean over the seeds.
    let errors = |said: &Said, row: usize, truth: f64| {
        said.numbers.iter().map(|said| (said[row] - truth).abs()).sum::<f64>() / said.numbers.len() as f64
    };
    let differences: Vec<f64> = truths
        .iter()
        .map(|(row, truth)| errors(method, *row, *truth) - errors(baseline, *row, *truth))
        .collect();
    let rows = truths.len() as f64;
    let weighted = |weights: &[f64]| {
        differences.iter().zip(weights).map(|(difference, weight)| difference * weight).sum::<f64>() / rows
    };
    NumberBaseline {
        name: baseline.name.to_owned(),
        pearson: mean(&|pairs| pairs.pearson(&all)),
        spearman: mean(&|pairs| pairs.spearman(&all)),
        mean_absolute_error: mean(&|pairs| Some(pairs.mean_absolute_difference(&all))).unwrap_or_default(),
        difference: NumberDifference {
            mean_absolute_error: weighted(&all),
            interval_95: interval_of_draws(
                resamples(truths.len()).map(|weights| weighted(&weights)).collect(),
            ),
        },
    }
}

fn values(truths: &[(usize, f64)]) -> Vec<f64> {
    truths.iter().map(|(_, truth)| *truth).collect()
}

impl Experiment {
    /// The numbers that rows have in place of classes, if they have.
    pub(super) fn range(&self) -> Option<ValueRange> {
        self.base.words.structure().range
    }

    /// Rows with their numbers as targets, where they have any.
    pub(super) fn with_numbers(&self, rows: LabelledDataset) -> LabelledDataset {
        match &self.range() {
            Some(range) => rows.with_numbers(range),
            None => rows,
        }
    }

    /// The mean of the train rows' numbers.
    pub(super) fn mean_number(&self, range: &ValueRange, rows: &LabelledDataset) -> f64 {
        let numbers = of_rows(range, rows);
        numbers.iter().sum::<f64>() / numbers.len().max(1) as f64
    }
}

/// The numbers of train rows, all of which have one.
pub(super) fn of_rows(range: &ValueRange, rows: &LabelledDataset) -> Vec<f64> {
    let share = |row: &Example| range.share_of(row.label.as_deref()?);
    rows.examples.iter().filter_map(share).map(|share| range.at(share)).collect()
}

/// What a training on numbers has no place for.
pub(super) fn check(manifest: &Manifest) -> Result<(), Errors> {
    if manifest.verbalizer()?.structure().range.is_none() {
        return Ok(());
    }
    refused([
        manifest.several_labels.is_some(),
        manifest.descriptions.is_some(),
        manifest.null_inputs.is_some(),
        manifest.setfit_baseline,
        manifest.lstm_baseline,
        manifest.plan.loss == ClassLoss::Adapet,
    ])
}

/// The same before there is a manifest, of which more would go wrong.
pub(super) fn check_request(request: &TrainRequest) -> Result<(), Errors> {
    refused([
        request.several_labels.is_some(),
        request.descriptions.is_some(),
        request.null_inputs.is_some(),
        request.setfit_baseline,
        request.lstm_baseline,
        request.plan.loss == ClassLoss::Adapet,
    ])
}

/// Which of these is asked for, in this order.
const NOT_WITH_NUMBERS: [&str; 6] =
    ["a row with several labels", "a description", "a null input", "SetFit", "the LSTM", "ADAPET"];

fn refused(asked: [bool; 6]) -> Result<(), Errors> {
    let asked = NOT_WITH_NUMBERS.into_iter().zip(asked).filter(|(_, is_asked)| *is_asked);
    let errors: Errors = asked.map(|(what, _)| TrainingError::NotWithNumbers { what }.into()).collect();
    errors.none()
}
