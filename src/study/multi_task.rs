//! One model for several tasks (instruction tuning: Wei et al. 2022, here on a masked language model): each
//! step learns one task's rows, and tasks that were not learned are scored too.

use std::path::{Path, PathBuf};

use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::source::Source;
use crate::error::{Error, Kind, Result};
use crate::learn::dataset::{RowSet, Rows};
use crate::learn::run::{DataFile, History, ModelFiles, RunFolder, StoredFile};
use crate::learn::sample;
use crate::learn::train::{Event, Flow, Plan, Trainer};
use crate::model::dtype::Dtype;
use crate::predict::classifier::{Base, Classifier};
use crate::predict::label_words::LabelWords;
use crate::predict::report::Prediction;
use crate::predict::score::{Scorer, batch_tokens};
use crate::seed;
use crate::study::compare::OverSeeds;
use crate::study::experiment::Patterns;
use crate::text::json::{self, Node, Text};
use crate::tune::{Learned, Tuning};

/// The version of files of tasks and of manifests that this cloze reads and writes.
pub const VERSION: u64 = 1;

/// A task as a file of tasks names it; its paths are from the file's folder.
#[derive(Debug, Clone)]
pub struct TaskFiles {
    /// Its name in the results.
    pub name: String,
    /// Its templates.
    pub templates: Vec<PathBuf>,
    /// Its verbalizer.
    pub verbalizer: PathBuf,
    /// Labelled rows to learn from; a task without any is only scored.
    pub train: Option<PathBuf>,
    /// Rows to score, and to evaluate on where they have labels.
    pub test: Option<PathBuf>,
    /// Rows of each class to learn from; all by default.
    pub shots: Option<usize>,
    /// How often a step is its, beside the others' shares; 1 by default.
    pub share: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTasks<'a> {
    #[serde(borrow, rename = "version")]
    _version: &'a RawValue,
    #[serde(borrow)]
    tasks: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTask<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
    templates: Vec<PathBuf>,
    verbalizer: PathBuf,
    train: Option<PathBuf>,
    test: Option<PathBuf>,
    shots: Option<usize>,
    #[serde(borrow)]
    share: Option<&'a RawValue>,
}

impl TaskFiles {
    /// Reads a file of tasks.
    ///
    /// ```json
    /// { "version": 1, "tasks": [
    ///   { "name": "mood", "templates": ["mood.json"], "verbalizer": "words.json", "train": "mood.csv", "shots": 16, "share": 2 },
    ///   { "name": "topic", "templates": ["topic.json"], "verbalizer": "topics.json", "test": "news.csv" } ] }
    /// ```
    pub fn read(path: &Path) -> Result<Vec<TaskFiles>> {
        let source = Source::new(path.display().to_string(), json::read_text(path)?);
        let root = Node::root(&source);
        root.check_version(VERSION)?;
        let raw: RawTasks = root.read_object()?;
        let list = root.key("tasks", raw.tasks);
        let values: Vec<&RawValue> = list.read()?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut tasks: Vec<TaskFiles> = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let node = list.element(index, value);
            let raw: RawTask = node.read_object()?;
            let name: Text = node.key("name", raw.name).text()?;
            if name.value.is_empty() || tasks.iter().any(|task| task.name == name.value) {
                return Err(name.whole_error(Kind::JointName { name: name.value.clone() }));
            }
            let share = raw.share.map_or(Ok(1.0), |share| {
                let node = node.key("share", share);
                let share: f64 = node.read()?;
                let wrong = || Kind::OptionOutOfRange {
                    name: "share".to_owned(),
                    found: share,
                    allowed: "above 0".to_owned(),
                };
                if share > 0.0 && share.is_finite() { Ok(share) } else { Err(node.error(wrong())) }
            })?;
            if raw.templates.is_empty() {
                return Err(node.error(Kind::TemplateNeeded { method: "a task" }));
            }
            if raw.train.is_none() && raw.test.is_none() {
                return Err(node.error(Kind::JointWithoutRows { name: name.value }));
            }
            let at = |path: PathBuf| folder.join(path);
            tasks.push(TaskFiles {
                name: name.value,
                templates: raw.templates.into_iter().map(at).collect(),
                verbalizer: at(raw.verbalizer),
                train: raw.train.map(at),
                test: raw.test.map(at),
                shots: raw.shots,
                share,
            });
        }
        if tasks.iter().all(|task| task.train.is_none()) {
            return Err(list.error(Kind::JointWithoutTraining));
        }
        Ok(tasks)
    }
}

/// All that is needed to use the run's model again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Manifest {
    pub version: u64,
    /// What kind of run it is: always [`EXPERIMENT`].
    pub experiment: String,
    pub cloze: String,
    pub command: Vec<String>,
    pub tasks: Vec<StoredTask>,
    pub model: ModelFiles,
    pub engine: String,
    pub max_length: usize,
    pub tuning: Tuning,
    pub plan: Plan,
    pub seeds: Vec<u64>,
}

/// The kind of these runs.
pub const EXPERIMENT: &str = "tasks";

/// A task with the texts of its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct StoredTask {
    pub name: String,
    pub templates: Vec<StoredFile>,
    pub verbalizer: StoredFile,
    pub train: Option<DataFile>,
    pub test: Option<DataFile>,
    pub shots: Option<usize>,
    pub share: f64,
}

impl Manifest {
    /// Reads the manifest in a run's folder.
    pub fn read(path: &Path) -> Result<Manifest> {
        let source = Source::new(path.display().to_string(), json::read_text(path)?);
        let root = Node::root(&source);
        root.check_version(VERSION)?;
        root.read_object()
    }

    /// Whether a text is that of such a manifest, and not of another kind of run.
    pub fn is_one(text: &str) -> bool {
        let kind = |value: &serde_json::Value| {
            value.get("experiment").and_then(|kind| kind.as_str().map(str::to_owned))
        };
        serde_json::from_str(text).ok().as_ref().and_then(kind).is_some_and(|kind| kind == EXPERIMENT)
    }
}

/// A task, read and checked.
pub struct JointTask {
    /// Its name.
    pub name: String,
    /// Its patterns as the method has them.
    pub patterns: Patterns,
    /// Its patterns as they are written.
    pub written: Patterns,
    /// Its label words.
    pub words: LabelWords,
    /// Rows to learn from.
    pub train: Option<RowSet>,
    /// Rows to score.
    pub test: Option<RowSet>,
    /// Rows of each class to learn from.
    pub shots: Option<usize>,
    /// How often a step is its.
    pub share: f64,
}

/// Everything about a training of several tasks.
pub struct Joint<'a> {
    /// What is kept of it.
    pub manifest: &'a Manifest,
    /// The base model with each task's label words, in the tasks' order.
    pub bases: Vec<Base>,
    /// The tasks.
    pub tasks: Vec<JointTask>,
}

/// What came of a task.
#[derive(Debug, Clone, Serialize)]
pub struct TaskMetrics {
    /// Its name.
    pub name: String,
    /// Whether it was learned.
    pub learned: bool,
    /// Its labelled test rows.
    pub test_rows: usize,
    /// The accuracy without training.
    pub before: Option<f64>,
    /// The accuracy of each seed.
    pub after: Vec<f64>,
    /// Over the seeds, of two and more.
    pub over_seeds: Option<OverSeeds>,
}

impl Joint<'_> {
    /// Trains and scores. `watch` is told each step, with the seed and the task's name.
    pub fn run(
        &self,
        folder: &RunFolder,
        watch: &mut dyn FnMut(u64, &str, &Event),
    ) -> Result<Vec<TaskMetrics>> {
        let mut metrics: Vec<TaskMetrics> =
            (0..self.tasks.len()).map(|task| self.before(task)).collect::<Result<_>>()?;
        for &seed in &self.manifest.seeds {
            let learned = self.learn(folder, seed, watch)?;
            for (task, metrics) in metrics.iter_mut().enumerate() {
                let classifier = self.bases[task].learned(&self.manifest.tuning, &learned)?;
                metrics.after.extend(self.accuracy(task, &self.tasks[task].patterns, classifier)?);
            }
        }
        for task in &mut metrics {
            task.over_seeds = OverSeeds::of(&task.after);
        }
        folder.finish(&metrics)?;
        Ok(metrics)
    }

    /// Refuses rows that are too long for a pattern, and classes without rows.
    pub fn check(&self) -> Result<()> {
        let first = self.manifest.seeds.first().copied().unwrap_or_default();
        for (task, base) in self.tasks.iter().zip(&self.bases) {
            base.check_engine(&self.manifest.tuning, self.manifest.plan.bf16)?;
            if let Some(rows) = task.rows(first)? {
                self.trainer(base, task, first).check_rows(rows.labelled())?;
            }
        }
        Ok(())
    }

    /// What a seed learns. Each step is one task's, drawn by the shares.
    fn learn(
        &self,
        folder: &RunFolder,
        seed: u64,
        watch: &mut dyn FnMut(u64, &str, &Event),
    ) -> Result<Learned> {
        let rows: Vec<Option<Rows>> = self.tasks.iter().map(|task| task.rows(seed)).collect::<Result<_>>()?;
        let trainers: Vec<Trainer<'_>> =
            self.bases.iter().zip(&self.tasks).map(|(base, task)| self.trainer(base, task, seed)).collect();
        let learning: Vec<usize> = (0..self.tasks.len()).filter(|&task| rows[task].is_some()).collect();
        let sum: f64 = learning.iter().map(|&task| self.tasks[task].share).sum();
        let mut state = trainers[learning[0]].begin()?;
        while state.step < self.manifest.plan.steps {
            let mut place =
                seed::generator(seed, &format!("task of step {}", state.step)).gen_range(0.0..sum);
            let drawn = learning.iter().copied().find(|&task| {
                place -= self.tasks[task].share;
                place < 0.0
            });
            let task = drawn.unwrap_or(learning[0]);
            let Some(rows) = &rows[task] else { unreachable!("only tasks with rows are learned") };
            trainers[task].train(&mut state, rows.labelled(), None, &mut |event, _| {
                watch(seed, &self.tasks[task].name, event);
                Ok(Flow::Stop)
            })?;
        }
        let learned = state.kept();
        // The last step's update is in no loss.
        if !learned.values().all(|tensor| tensor.isfinite().all().int64_value(&[]) != 0) {
            return Err(Kind::LearnedNotFinite { step: state.step }.into());
        }
        folder.save_learned(seed, &learned, &History::of(&state))?;
        Ok(learned)
    }

    fn before(&self, task: usize) -> Result<TaskMetrics> {
        let own = &self.tasks[task];
        let before = self.accuracy(task, &own.written, self.bases[task].zero_shot(None)?)?;
        let test_rows = own.test.as_ref().map_or(0, |test| test.truths.iter().flatten().count());
        Ok(TaskMetrics {
            name: own.name.clone(),
            learned: own.train.is_some(),
            test_rows,
            before,
            after: Vec::new(),
            over_seeds: None,
        })
    }

    /// The share of labelled test rows that are right; none where there are none.
    fn accuracy(&self, task: usize, patterns: &Patterns, classifier: Classifier) -> Result<Option<f64>> {
        let base = &self.bases[task];
        let Some(test) =
            self.tasks[task].test.as_ref().filter(|test| test.truths.iter().any(Option::is_some))
        else {
            return Ok(None);
        };
        let classifiers = [classifier.prepared(Dtype::F32)?];
        let scorer = Scorer {
            classifiers: &classifiers,
            tokenizer: base.tokenizer(),
            tasks: &patterns.tasks,
            max_length: self.manifest.tuning.length_left(self.manifest.max_length, &base.folder.config),
            batch_tokens: batch_tokens(base.device),
        };
        let scored = scorer.score(&test.columns, &test.examples, &mut |_| {})?;
        let said: Vec<Prediction> = scored.into_iter().map(|row| row.average).collect();
        let right = test.right(|row| said[row].class());
        Ok(Some(right.iter().filter(|right| **right).count() as f64 / right.len() as f64))
    }

    fn trainer<'b>(&'b self, base: &'b Base, task: &'b JointTask, seed: u64) -> Trainer<'b> {
        Trainer {
            base,
            tuning: &self.manifest.tuning,
            plan: &self.manifest.plan,
            tasks: &task.patterns.tasks,
            soft: &task.patterns.soft,
            max_length: self.manifest.tuning.length_left(self.manifest.max_length, &base.folder.config),
            classes: task.words.of_classes().len(),
            seed,
            auxiliary: None,
        }
    }
}

impl JointTask {
    /// A seed's rows; none where the task is not learned.
    fn rows(&self, seed: u64) -> Result<Option<Rows>> {
        let Some(train) = &self.train else { return Ok(None) };
        let classes = self.words.of_classes().len();
        let drawn = sample::k_shot(&train.candidates(), classes, self.shots.unwrap_or(usize::MAX), seed).rows;
        let rows = train.pick(&drawn);
        let found = rows.classes();
        match (0..classes).find(|class| !found.contains(class)) {
            Some(class) => {
                let kind = Kind::ClassWithoutRows {
                    label: format!("{} (of {})", class + 1, self.name),
                    data: train.columns.data().to_owned(),
                };
                Err(Error::from(kind))
            }
            None => Ok(Some(rows)),
        }
    }
}
