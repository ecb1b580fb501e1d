//! Rows to class probabilities: wrapped, encoded, sorted by length, batched by a budget of tokens, and given back in their order.

use tch::{Kind as Type, no_grad};

use crate::classifier::Classifier;
use crate::data::{Columns, Example};
use crate::encode::{Features, encode};
use crate::encoder::Mode;
use crate::error::{Error, Kind, Result};
use crate::report::{PatternReport, Prediction, Report, Run, Spread, Tally};
use crate::task::Task;
use crate::tokenizer::Tokenizer;

/// Models and patterns, ready to score rows.
pub struct Scorer<'a> {
    /// The models; with several, their probabilities are averaged.
    pub classifiers: &'a [Classifier],
    /// The tokenizer of all of them.
    pub tokenizer: &'a Tokenizer,
    /// The patterns; with several, their probabilities are averaged.
    pub tasks: &'a [Task],
    /// The longest input, in tokens.
    pub max_length: usize,
    /// The most tokens in a batch, padding counted; one input is always taken.
    pub batch_tokens: usize,
}

/// What was found for one row.
#[derive(Debug, Clone)]
pub struct Scored {
    /// Each pattern's prediction.
    pub by_pattern: Vec<Prediction>,
    /// Their average.
    pub average: Prediction,
    /// Which patterns had to cut the row.
    pub truncated: Vec<bool>,
}

impl Scorer<'_> {
    /// Scores rows; the results come in the rows' order. An error names its row. `progress` is told, after each batch, which share of
    /// the work is done, from 0 to 1.
    pub fn score(&self, columns: &Columns, examples: &[Example], progress: &mut dyn FnMut(f64)) -> Result<Vec<Scored>> {
        let work = (self.tasks.len() * self.classifiers.len() * examples.len()) as f64;
        let mut done = 0;
        let mut by_pattern = Vec::with_capacity(self.tasks.len());
        let mut truncated = Vec::with_capacity(self.tasks.len());
        for task in self.tasks {
            let features = self.encode(task, columns, examples)?;
            let mut members = Vec::with_capacity(self.classifiers.len());
            for classifier in self.classifiers {
                let mut scored = |inputs| {
                    done += inputs;
                    progress(done as f64 / work);
                };
                let predictions = self.predict(classifier, &features, &mut scored);
                members.push(predictions.map_err(|(row, error)| error.at(columns.place(&examples[row], None)))?);
            }
            by_pattern.push(average(members));
            truncated.push(features.iter().map(|features| features.removed > 0).collect::<Vec<bool>>());
        }
        Ok((0..examples.len())
            .map(|row| {
                let members: Vec<Prediction> = by_pattern.iter().map(|predictions| predictions[row].clone()).collect();
                Scored {
                    average: Prediction::average(&members),
                    by_pattern: members,
                    truncated: truncated.iter().map(|cut| cut[row]).collect(),
                }
            })
            .collect())
    }

    /// The rows in a pattern, as ids. An error names its row.
    pub fn encode(&self, task: &Task, columns: &Columns, examples: &[Example]) -> Result<Vec<Features>> {
        let encode = |example| encode(&task.wrap(example), self.tokenizer, self.max_length);
        examples.iter().map(|example| encode(example).map_err(|error| error.at(columns.place(example, None)))).collect()
    }

    /// The predictions for encoded inputs, in their order; an error comes with its input's index. `scored` is told the size of each batch.
    fn predict(
        &self,
        classifier: &Classifier,
        features: &[Features],
        scored: &mut dyn FnMut(usize),
    ) -> Result<Vec<Prediction>, (usize, Error)> {
        let mut order: Vec<usize> = (0..features.len()).collect();
        order.sort_by_key(|&row| features[row].ids.len());
        let mut predictions = vec![Prediction::default(); features.len()];
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(self.batch_size(features, rest));
            rest = later;
            let inputs: Vec<&Features> = batch.iter().map(|&row| &features[row]).collect();
            let probabilities = no_grad(|| classifier.class_scores(&inputs, Mode::Score).softmax(-1, Type::Double));
            // Of the shape [B,C] by construction.
            let values = Vec::<f64>::try_from(probabilities.flatten(0, 1)).unwrap_or_default();
            for (&row, row_values) in batch.iter().zip(values.chunks(values.len() / batch.len())) {
                if row_values.iter().any(|value| !value.is_finite()) {
                    return Err((row, Kind::ScoreNotFinite.into()));
                }
                predictions[row] = Prediction { probabilities: row_values.to_vec() };
            }
            scored(batch.len());
        }
        Ok(predictions)
    }

    /// How many of the shortest remaining inputs fit the budget, at least one.
    fn batch_size(&self, features: &[Features], rest: &[usize]) -> usize {
        let fitting = rest.iter().enumerate().take_while(|(index, row)| (index + 1) * features[**row].ids.len() <= self.batch_tokens);
        fitting.count().max(1)
    }
}

/// Row by row the mean of several models' predictions.
fn average(mut members: Vec<Vec<Prediction>>) -> Vec<Prediction> {
    if members.len() == 1 {
        return members.remove(0);
    }
    let rows = members.first().map_or(0, Vec::len);
    (0..rows).map(|row| Prediction::average(&members.iter().map(|member| member[row].clone()).collect::<Vec<_>>())).collect()
}

/// What a report is made of, counted row by row: memory does not grow with the rows.
pub struct Counts {
    average: Tally,
    patterns: Vec<(Tally, u64)>,
    rows: u64,
    truncated: u64,
}

impl Counts {
    /// Nothing counted yet, for classes of these labels and so many patterns.
    pub fn new(labels: &[String], patterns: usize) -> Counts {
        let tally = Tally::new(labels.iter().cloned());
        Counts { patterns: vec![(tally.clone(), 0); patterns], average: tally, rows: 0, truncated: 0 }
    }

    /// Counts a row; `truth` is its true class, if known.
    pub fn add(&mut self, scored: &Scored, truth: Option<usize>) {
        self.rows += 1;
        self.truncated += u64::from(scored.truncated.contains(&true));
        self.average.add(&scored.average, truth);
        for ((tally, truncated), (prediction, cut)) in self.patterns.iter_mut().zip(scored.by_pattern.iter().zip(&scored.truncated)) {
            tally.add(prediction, truth);
            *truncated += u64::from(*cut);
        }
    }

    /// The report.
    pub fn report(self, run: Run, tasks: &[Task], seconds: f64) -> Report {
        let patterns: Vec<PatternReport> = tasks
            .iter()
            .zip(&self.patterns)
            .map(|(task, (tally, truncated_rows))| PatternReport {
                template: task.template().name().to_owned(),
                pattern: task.template().pattern().to_owned(),
                truncated_rows: *truncated_rows,
                evaluation: tally.evaluate(),
            })
            .collect();
        let accuracies: Vec<f64> = patterns.iter().filter_map(|pattern| Some(pattern.evaluation.as_ref()?.accuracy)).collect();
        Report {
            version: 1,
            run,
            rows: self.rows,
            labelled: self.average.labelled(),
            truncated_rows: self.truncated,
            seconds,
            rows_per_second: self.rows as f64 / seconds.max(1e-9),
            predicted: self.average.predicted(),
            majority: self.average.majority(),
            evaluation: self.average.evaluate(),
            patterns,
            spread: Spread::of(&accuracies),
        }
    }
}
