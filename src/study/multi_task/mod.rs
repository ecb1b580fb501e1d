//! One model for several tasks (instruction tuning: Wei et al. 2022, here on a masked language model): each
//! step learns one task's rows, and tasks that were not learned are scored too.

mod prepare;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::source::Source;
use crate::error::{Error, Errors, Kind, Result, TaskError, TrainingError, TuningError};
use crate::learn::dataset::LabelledDataset;
use crate::learn::objective::{CombinedLoss, Mixture};
use crate::learn::run::{
    self, DataFile, DataFiles, Device, Header, History, ModelFiles, Planned, RunFolder, RunKind, StoredFile,
    Written,
};
use crate::learn::sample;
use crate::learn::train::{Event, Plan, Trainer};
use crate::model::dtype::Dtype;
use crate::model::folder::EngineChoice;
use crate::model::threads::Threads;
use crate::model::values::is_finite;
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::label_words::LabelWords;
use crate::predict::report::Prediction;
use crate::predict::score::{Scorer, batch_tokens};
use crate::predict::task::TaskSet;
use crate::study::compare::OverSeeds;
use crate::text::dataset::Dataset;
use crate::text::json::{self, Node, Text};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;
use crate::tune::{Learned, Tuning};

pub use prepare::TasksRequest;

/// The version of files of tasks that this cloze reads.
pub const VERSION: u64 = 1;

/// A task as a file of tasks names it; its paths are from the file's folder.
#[derive(Debug, Clone)]
pub struct TaskFiles {
    /// Its name in the results.
    pub name: String,
    /// Its templates, by the names of files or folders, or by patterns of names.
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
                return Err(name.whole_error(TaskError::Name { name: name.value.clone() }));
            }
            let share = raw.share.map_or(Ok(1.0), |share| {
                let node = node.key("share", share);
                let share: f64 = node.read()?;
                let wrong = || TuningError::OptionOutOfRange {
                    name: "share".to_owned(),
                    found: share,
                    allowed: "above 0".to_owned(),
                };
                if share > 0.0 && share.is_finite() { Ok(share) } else { Err(node.error(wrong())) }
            })?;
            if raw.templates.is_empty() {
                return Err(node.error(TuningError::TemplateNeeded { method: "a task" }));
            }
            if raw.train.is_none() && raw.test.is_none() {
                return Err(node.error(TaskError::WithoutRows { name: name.value }));
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
            return Err(list.error(TaskError::WithoutTraining));
        }
        Ok(tasks)
    }
}

/// All that is needed to use the run's model again. As JSON it is the body that stands under `tasks`, below
/// the [`Header`]; [`Manifest::written`] is the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What every kind of run has.
    #[serde(skip)]
    pub header: Header,
    /// The tasks.
    pub tasks: Vec<StoredTask>,
    /// What moves.
    pub tuning: Tuning,
    /// How long and how fast.
    pub plan: Plan,
}

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

impl StoredTask {
    /// Its classes and their words.
    pub fn read_verbalizer(&self) -> Result<Verbalizer, Errors> {
        Verbalizer::parse(&self.verbalizer.name(), &self.verbalizer.file, &self.verbalizer.text)
    }

    /// Its templates as they are written.
    pub fn read_templates(&self) -> Result<Vec<Template>> {
        let parse = |stored: &StoredFile| Template::parse(&stored.name(), &stored.file, &stored.text);
        self.templates.iter().map(parse).collect()
    }
}

/// A manifest as 0.1.0 wrote it: without a header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct First {
    #[serde(rename = "version")]
    _version: u64,
    #[serde(rename = "experiment")]
    _experiment: String,
    cloze: String,
    command: Vec<String>,
    tasks: Vec<StoredTask>,
    model: ModelFiles,
    engine: EngineChoice,
    max_length: usize,
    tuning: Tuning,
    plan: Plan,
    seeds: Vec<u64>,
}

impl Planned for Manifest {
    const KIND: RunKind = RunKind::Tasks;
    type First = First;

    fn parts(&mut self) -> (&mut Header, &mut Plan) {
        (&mut self.header, &mut self.plan)
    }
}

impl From<First> for Manifest {
    fn from(first: First) -> Manifest {
        Manifest {
            header: Header {
                cloze: first.cloze,
                command: first.command,
                model: first.model,
                engine: first.engine,
                max_length: first.max_length,
                seeds: first.seeds,
                // 0.1.0 did not say where it ran, and no use of the run depends on it.
                data: DataFiles::default(),
                device: Device::default(),
                threads: 1,
            },
            tasks: first.tasks,
            tuning: first.tuning,
            plan: first.plan,
        }
    }
}

impl Manifest {
    /// Reads the manifest in a run's folder.
    pub fn read(path: &Path) -> Result<Manifest> {
        let source = Source::new(path.display().to_string(), json::read_text(path)?);
        let root = Node::root(&source);
        let manifest: Manifest = run::parse(path, &root)?;
        match manifest.check() {
            Ok(()) => Ok(manifest),
            Err(errors) => Err(errors.map(|error| manifest.place_error(error, &root)).into()),
        }
    }

    /// Refuses what no training of several tasks can be. All problems at once.
    fn check(&self) -> Result<(), Errors> {
        let mut errors = Errors::new();
        errors.keep(self.plan.check());
        errors.keep(self.header.check());
        if matches!(self.tuning, Tuning::Cls(_)) {
            errors.push(TuningError::ClsForTasks);
        }
        for (index, StoredTask { name, templates, .. }) in self.tasks.iter().enumerate() {
            if name.is_empty() || self.tasks[..index].iter().any(|other| other.name == *name) {
                errors.push(TaskError::Name { name: name.clone() });
            }
            if templates.is_empty() {
                errors.push(TuningError::TemplateNeeded { method: "a task" });
            }
        }
        errors.none()
    }

    fn place_error(&self, error: Error, root: &Node<'_>) -> Error {
        let at = |key: &str| root.at(&format!("tasks.{key}")).or_else(|| root.at(key));
        let node = match error.kind() {
            Kind::Task(_) | Kind::Tuning(TuningError::TemplateNeeded { .. }) => at("tasks"),
            Kind::Tuning(TuningError::ClsForTasks) => at("tuning"),
            _ => run::place(&error, root, RunKind::Tasks),
        };
        match node {
            Some(node) => error.at(node.place_of_all()),
            None => error,
        }
    }

    /// The manifest as its file has it.
    pub fn written(&self) -> Written<Manifest> {
        run::written(self)
    }
}

/// A task, read and checked.
pub struct TaskData {
    /// Its name.
    pub name: String,
    /// Its patterns as the method has them.
    pub patterns: TaskSet,
    /// Its patterns as they are written.
    pub written: TaskSet,
    /// Its label words.
    pub words: LabelWords,
    /// Rows to learn from.
    pub train: Option<Dataset>,
    /// Rows to score.
    pub test: Option<Dataset>,
    /// Rows of each class to learn from.
    pub shots: Option<usize>,
    /// How often a step is its.
    pub share: f64,
    /// What should be known of how its rows were read.
    pub remarks: Vec<String>,
}

/// Everything about a training of several tasks.
pub struct MultiTask {
    /// What is kept of it.
    pub manifest: Manifest,
    /// The base model with each task's label words, in the tasks' order.
    pub bases: Vec<VerbalizedLm>,
    /// The tasks.
    pub tasks: Vec<TaskData>,
}

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
    /// The accuracy of each seed.
    pub after: Vec<f64>,
    /// Over the seeds, of two and more.
    pub over_seeds: Option<OverSeeds>,
}

impl TaskMetrics {
    /// The mean accuracy over the seeds.
    pub fn mean_after(&self) -> Option<f64> {
        (!self.after.is_empty()).then(|| self.after.iter().sum::<f64>() / self.after.len() as f64)
    }
}

impl MultiTask {
    /// Refuses classes without rows, and rows that are too long for a pattern; gives what the first seed
    /// minimises, its rows encoded.
    pub fn check(&self) -> Result<Mixture> {
        let _threads = Threads::on(self.manifest.header.threads);
        for base in &self.bases {
            base.check_engine(&self.manifest.tuning, self.manifest.plan.bf16)?;
        }
        self.mixture(self.manifest.header.seeds.first().copied().unwrap_or_default())
    }

    /// Trains and scores; `first` is what [`MultiTask::check`] gave. `watch` is told each step, with the
    /// seed.
    pub fn run(
        &self,
        folder: &RunFolder,
        first: Mixture,
        watch: &mut dyn FnMut(u64, &Event),
    ) -> Result<Vec<TaskMetrics>> {
        let _threads = Threads::on(self.manifest.header.threads);
        let mut metrics: Vec<TaskMetrics> =
            (0..self.tasks.len()).map(|task| self.before(task)).collect::<Result<_>>()?;
        let mut first = Some(first);
        for &seed in &self.manifest.header.seeds {
            let mut mixture = first.take().map_or_else(|| self.mixture(seed), Ok)?;
            let learned = self.learn(folder, seed, &mut mixture, watch)?;
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

    /// What a seed minimises: each step the loss of one task's rows, drawn by the shares.
    fn mixture(&self, seed: u64) -> Result<Mixture> {
        let mut losses = Vec::new();
        for (task, base) in self.tasks.iter().zip(&self.bases) {
            let Some(rows) = task.rows(seed)? else { continue };
            let objective = self.trainer(base, task, seed).classification(&rows)?;
            losses.push(CombinedLoss {
                task: Some(task.name.clone()),
                share: task.share,
                ..objective.into()
            });
        }
        Mixture::new(losses).ok_or_else(|| TaskError::WithoutTraining.into())
    }

    /// What a seed learns.
    fn learn(
        &self,
        folder: &RunFolder,
        seed: u64,
        mixture: &mut Mixture,
        watch: &mut dyn FnMut(u64, &Event),
    ) -> Result<Learned> {
        // The tasks share all that moves; it starts as the first that is learned has it.
        let first = self.tasks.iter().position(|task| task.train.is_some()).unwrap_or(0);
        let trainer = self.trainer(&self.bases[first], &self.tasks[first], seed);
        let mut state = trainer.begin()?;
        trainer.train(&mut state, mixture, None, &mut |event, _| {
            watch(seed, event);
            Ok(ControlFlow::Continue(()))
        })?;
        let learned = state.kept();
        // The last step's update is in no loss.
        if !learned.values().all(is_finite) {
            return Err(TrainingError::LearnedNotFinite { step: state.step }.into());
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
    fn accuracy(&self, task: usize, patterns: &TaskSet, classifier: Classifier) -> Result<Option<f64>> {
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
            max_length: patterns.max_length,
            batch_tokens: batch_tokens(base.model.device),
            threads: Threads::usual(),
            long: Default::default(),
            pool: Default::default(),
        };
        let scored = scorer.score(&test.columns, &test.examples, &mut |_| {})?;
        let said: Vec<Prediction> = scored.into_iter().map(|row| row.average).collect();
        let right = test.right(|row| said[row].class());
        Ok(Some(right.iter().filter(|right| **right).count() as f64 / right.len() as f64))
    }

    fn trainer<'b>(&'b self, base: &'b VerbalizedLm, task: &'b TaskData, seed: u64) -> Trainer<'b> {
        Trainer {
            base,
            tuning: &self.manifest.tuning,
            plan: &self.manifest.plan,
            tasks: &task.patterns.tasks,
            soft: &task.patterns.soft,
            max_length: task.patterns.max_length,
            classes: task.words.of_classes().len(),
            seed,
        }
    }
}

impl TaskData {
    /// A seed's rows; none where the task is not learned.
    fn rows(&self, seed: u64) -> Result<Option<LabelledDataset>> {
        let Some(train) = &self.train else { return Ok(None) };
        let classes = self.words.of_classes().len();
        let drawn = sample::k_shot(&train.candidates(), classes, self.shots.unwrap_or(usize::MAX), seed).rows;
        let rows = train.pick(&drawn);
        let found = rows.classes();
        match (0..classes).find(|class| !found.contains(class)) {
            Some(class) => {
                let kind = TrainingError::ClassWithoutRows {
                    label: format!("{} (of {})", class + 1, self.name),
                    data: train.columns.data().to_owned(),
                };
                Err(Error::from(kind))
            }
            None => Ok(Some(rows)),
        }
    }
}
