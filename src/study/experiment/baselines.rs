//! What a method must beat, on the same train rows: classifiers of words, of the model's states and of its word
//! vectors.

use std::ops::ControlFlow;

use super::metrics::Found;
use super::{Experiment, ExperimentEvent, numbers};
use crate::error::{ModelError, Result};
use crate::learn::dataset::LabelledDataset;
use crate::model::dtype::Dtype;
use crate::predict::classifier::Classifier;
use crate::predict::encode::encode;
use crate::predict::pvp::Pvp;
use crate::predict::report::Prediction;
use crate::predict::similarity::mean_states;
use crate::study::baseline::{self, BiLstm, Regression, WordVectors, lstm_steps};
use crate::text::data::{Columns, Example};
use crate::text::dataset::Dataset;
use crate::text::template::Template;
use crate::text::verbalizer::ValueRange;

/// What the steps of the LSTM are called for whoever watches.
const LSTM_PART: &str = "lstm";

impl Experiment {
    /// The classical baselines on the same train rows.
    pub(super) fn baselines(&self, rows: &LabelledDataset, test: &Dataset, found: &mut Found) {
        let read = &self.manifest.columns;
        let train: Vec<(String, usize)> = rows
            .examples
            .iter()
            .map(|example| Dataset::text(&rows.columns, example, read))
            .zip(rows.classes())
            .collect();
        let texts: Vec<String> =
            test.examples.iter().map(|example| Dataset::text(&test.columns, example, read)).collect();
        let classes = self.manifest.classes.len();
        found.naive_bayes.push(baseline::naive_bayes(&train, &texts, classes));
        found.logistic_regression.push(baseline::logistic_regression(&train, &texts, classes, None));
    }

    /// A regression on the states of the model as it is; rust-bert's gives none.
    pub(super) fn baseline_of_states(
        &self,
        rows: &LabelledDataset,
        test: &Dataset,
        found: &mut Found,
        watch: &mut dyn FnMut(ExperimentEvent<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let Some(untrained) = self.with_states_of_test(test, found, watch)? else { return Ok(()) };
        let regression = self.regression(&untrained, rows, &found.states_of_test, None, watch)?;
        found.states.push(regression);
        Ok(())
    }

    /// A ridge regression on the same states, where rows have a number each; its numbers are kept in the
    /// range.
    pub(super) fn ridge_of_states(
        &self,
        range: &ValueRange,
        rows: &LabelledDataset,
        test: &Dataset,
        found: &mut Found,
        watch: &mut dyn FnMut(ExperimentEvent<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let Some(untrained) = self.with_states_of_test(test, found, watch)? else { return Ok(()) };
        let states = self.mean_states(&untrained, &rows.columns, &rows.examples, watch)?;
        let train: Vec<(Vec<f32>, f64)> = states.into_iter().zip(numbers::of_rows(range, rows)).collect();
        let [low, high] = range.ends();
        let said = baseline::ridge(&train, &found.states_of_test).numbers;
        found.ridge.push(said.into_iter().map(|number| number.clamp(low, high)).collect());
        Ok(())
    }

    /// The model as it is, with the test rows' states found once for all seeds. None of rust-bert's, which
    /// gives none.
    pub(super) fn with_states_of_test(
        &self,
        test: &Dataset,
        found: &mut Found,
        watch: &mut dyn FnMut(ExperimentEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Classifier>> {
        if self.base.check_states().is_err() {
            return Ok(None);
        }
        let untrained = self.base.zero_shot(None)?.prepared(Dtype::F32)?;
        if found.states_of_test.is_empty() {
            found.states_of_test = self.mean_states(&untrained, &test.columns, &test.examples, watch)?;
        }
        Ok(Some(untrained))
    }

    /// The means of a model's last states over the columns that are read.
    pub(super) fn mean_states(
        &self,
        classifier: &Classifier,
        columns: &Columns,
        examples: &[Example],
        watch: &mut dyn FnMut(ExperimentEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Vec<Vec<f32>>> {
        let Classifier::Prompt(model, _) = classifier else { return Err(ModelError::NoStates.into()) };
        let words = Pvp::plain(Template::of_columns(&self.manifest.columns))?.on(columns)?;
        mean_states(model, &words, columns, examples, self.patterns.max_length, &mut |share| {
            let _ = watch(ExperimentEvent::Scoring { share });
        })
    }

    /// A logistic regression on such means of a seed's train rows, of test rows that have theirs. C is chosen
    /// where none is given.
    pub(super) fn regression(
        &self,
        classifier: &Classifier,
        rows: &LabelledDataset,
        test: &[Vec<f32>],
        c: Option<f64>,
        watch: &mut dyn FnMut(ExperimentEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Regression> {
        let train = self.mean_states(classifier, &rows.columns, &rows.examples, watch)?;
        let train: Vec<(Vec<f32>, usize)> = train.into_iter().zip(rows.classes()).collect();
        let classes = self.manifest.classes.len();
        Ok(baseline::logistic_regression_on_vectors(&train, test, classes, c))
    }

    /// What an LSTM on the model's own word vectors says of the test rows. It is fast, and begins anew where
    /// it was stopped. None if it is stopped.
    pub(super) fn baseline_of_words(
        &self,
        rows: &LabelledDataset,
        test: &Dataset,
        seed: u64,
        watch: &mut dyn FnMut(ExperimentEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Vec<Prediction>>> {
        let Classifier::Prompt(model, _) = self.base.zero_shot(None)? else {
            return Err(ModelError::NoStates.into());
        };
        let ids = |columns: &Columns, examples: &[Example]| -> Result<Vec<Vec<i64>>> {
            let words = Pvp::plain(Template::of_columns(&self.manifest.columns))?.on(columns)?;
            let of_example = |example: &Example| {
                encode(&words.wrap(example), model.tokenizer(), self.patterns.max_length)
                    .map(|features| features.ids)
                    .map_err(|error| error.at(columns.place(example, None)))
            };
            examples.iter().map(of_example).collect()
        };
        let (train, test) = (ids(&rows.columns, &rows.examples)?, ids(&test.columns, &test.examples)?);
        let texts = train.iter().chain(&test).map(Vec::as_slice);
        let words = WordVectors::of(texts, |ids| model.word_vectors(ids)).ok_or(ModelError::NoStates)?;
        let train: Vec<(&[i64], usize)> = train.iter().map(Vec::as_slice).zip(rows.classes()).collect();
        let steps = lstm_steps(train.len());
        let classes = self.manifest.classes.len();
        let fitted = BiLstm::fit(&train, &words, classes, seed, &mut |event| {
            watch(ExperimentEvent::Training { part: LSTM_PART, steps, event })
        });
        let test: Vec<&[i64]> = test.iter().map(Vec::as_slice).collect();
        Ok(fitted.map(|lstm| lstm.predictions(&words, &test)))
    }
}
