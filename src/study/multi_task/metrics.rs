//! What came of tasks: before and after, on the same rows.

use serde::{Deserialize, Serialize};

use super::{MultiTask, TaskData};
use crate::error::Result;
use crate::model::dtype::Dtype;
use crate::predict::classifier::Classifier;
use crate::predict::report::{Evaluation, Prediction, Tally};
use crate::predict::score::Scorer;
use crate::predict::task::TaskSet;
use crate::study::compare::{OverSeeds, PairedDifference};
use crate::text::dataset::Dataset;

/// What came of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskMetrics {
    /// Its name.
    pub name: String,
    /// Whether it was learned.
    pub learned: bool,
    /// Its labelled test rows.
    pub test_rows: usize,
    /// The accuracy without training.
    pub before: Option<f64>,
    /// Its 95 % interval over the rows.
    #[serde(default)]
    pub before_95: Option<[f64; 2]>,
    /// The accuracy of each seed.
    pub after: Vec<f64>,
    /// Its 95 % interval over the rows, of each seed.
    #[serde(default)]
    pub after_95: Vec<[f64; 2]>,
    /// Over the seeds, of two and more.
    pub over_seeds: Option<OverSeeds>,
    /// After less before, on the same rows.
    #[serde(default)]
    pub difference: Option<PairedDifference>,
}

impl TaskMetrics {
    /// The mean accuracy over the seeds.
    pub fn mean_after(&self) -> Option<f64> {
        (!self.after.is_empty()).then(|| self.after.iter().sum::<f64>() / self.after.len() as f64)
    }
}

/// A task's answers, as they come.
pub(super) struct Answers {
    before: Option<Answered>,
    after: Vec<Answered>,
}

/// What a model answered to a task's labelled test rows.
struct Answered {
    evaluation: Evaluation,
    right: Vec<bool>,
}

impl Answers {
    /// Of the model before training.
    pub(super) fn before(training: &MultiTask, index: usize) -> Result<Answers> {
        let task = &training.tasks[index];
        let seed = training.manifest.header.seeds.first().copied().unwrap_or_default();
        let classifier = training.bases[index].untrained(&task.written.soft, seed)?;
        let written = training.showing(index, &task.written, seed)?;
        let before = training.answers(index, &written, task.test.as_ref(), classifier)?;
        Ok(Answers { before: before.map(|found| Answered::of(task, &found)), after: Vec::new() })
    }

    /// Adds those of a seed's model.
    pub(super) fn add(
        &mut self,
        training: &MultiTask,
        index: usize,
        seed: u64,
        classifier: Classifier,
    ) -> Result<()> {
        let task = &training.tasks[index];
        let patterns = training.showing(index, &task.patterns, seed)?;
        let after = training.answers(index, &patterns, task.test.as_ref(), classifier)?;
        self.after.extend(after.map(|found| Answered::of(task, &found)));
        Ok(())
    }

    /// What came of them.
    pub(super) fn metrics(&self, task: &TaskData) -> TaskMetrics {
        let accuracies: Vec<f64> = self.after.iter().map(|found| found.evaluation.accuracy).collect();
        let right = |found: &Answered| found.right.clone();
        let difference = self.before.as_ref().filter(|_| !self.after.is_empty()).and_then(|before| {
            PairedDifference::of(&self.after.iter().map(right).collect::<Vec<_>>(), &[right(before)])
        });
        TaskMetrics {
            name: task.name.clone(),
            learned: task.train.is_some(),
            test_rows: task.test.as_ref().map_or(0, |test| test.labelled().count()),
            before: self.before.as_ref().map(|before| before.evaluation.accuracy),
            before_95: self.before.as_ref().map(|before| before.evaluation.accuracy_95),
            over_seeds: OverSeeds::of(&accuracies),
            after: accuracies,
            after_95: self.after.iter().map(|found| found.evaluation.accuracy_95).collect(),
            difference,
        }
    }
}

impl Answered {
    fn of(task: &TaskData, (evaluation, predictions): &(Evaluation, Vec<Prediction>)) -> Answered {
        let right = task.test.as_ref().map(|test| test.right(|row| predictions[row].class()));
        Answered { evaluation: evaluation.clone(), right: right.unwrap_or_default() }
    }
}

impl MultiTask {
    /// What a classifier answers to some of a task's rows; none where no row has a label.
    pub(super) fn answers(
        &self,
        index: usize,
        patterns: &TaskSet,
        rows: Option<&Dataset>,
        classifier: Classifier,
    ) -> Result<Option<(Evaluation, Vec<Prediction>)>> {
        let Some(rows) = rows.filter(|rows| rows.labelled().next().is_some()) else { return Ok(None) };
        let (base, task) = (&self.bases[index], &self.tasks[index]);
        let classifiers = [classifier.prepared(Dtype::F32)?];
        let scorer = Scorer::of(base, &classifiers, &patterns.tasks, patterns.max_length);
        let scored = scorer.score(&rows.columns, &rows.examples, &mut |_| {})?;
        let found: Vec<Prediction> = scored.into_iter().map(|row| row.average).collect();
        let mut tally = Tally::new(task.labels.iter().cloned()).structured(base.words.structure());
        found.iter().zip(&rows.truths).for_each(|(prediction, truth)| tally.add(prediction, *truth));
        Ok(tally.evaluate().map(|evaluation| (evaluation, found)))
    }
}
