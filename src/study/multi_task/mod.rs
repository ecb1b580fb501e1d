//! One model for several tasks (instruction tuning: Wei et al. 2022, here on a masked language model): each
//! step learns one task's rows, or texts beside them, and tasks that were not learned are scored too. They
//! share all that moves but the soft tokens of a task's patterns and the vectors of its verbalizer.

mod files;
mod manifest;
mod metrics;
mod prepare;

use std::cell::RefCell;
use std::ops::ControlFlow;

use crate::error::{Error, Result, TaskError, TrainingError};
use crate::learn::dataset::LabelledDataset;
use crate::learn::job::{Job, JobEvent};
use crate::learn::objective::{CombinedLoss, Mixture, Objective, PackedLanguageModelling, Term};
use crate::learn::run::{History, RunFolder};
use crate::learn::sample;
use crate::learn::start::Start;
use crate::learn::texts::{HeldOutText, Texts};
use crate::learn::train::{Event, HeldOut, Look, Together, Trainer};
use crate::model::threads::Threads;
use crate::model::values::is_finite;
use crate::numbers::softmax::log;
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::label_words::LabelWords;
use crate::predict::task::TaskSet;
use crate::text::dataset::Dataset;
use crate::tune::{Learned, of_task};

use metrics::Answers;

pub use files::{LanguageModellingFiles, TaskFiles, TasksFile, VERSION};
pub use manifest::{Manifest, StoredTask, StoredTexts};
pub use metrics::TaskMetrics;
pub use prepare::TasksRequest;

/// What texts beside tasks are called in the events.
pub const LANGUAGE_MODELLING: &str = "language modelling";

/// A task, read and checked.
pub struct TaskData {
    /// Its name.
    pub name: String,
    /// Its classes.
    pub labels: Vec<String>,
    /// Its patterns as the method has them.
    pub patterns: TaskSet,
    /// Its patterns as they are written.
    pub written: TaskSet,
    /// Its label words.
    pub words: LabelWords,
    /// Rows to learn from.
    pub train: Option<Dataset>,
    /// Rows to look at on the way.
    pub dev: Option<Dataset>,
    /// Rows to score.
    pub test: Option<Dataset>,
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
    /// The earlier run that it starts from, if from one.
    pub start: Option<Start>,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: usize,
}

/// What happens in a training of several tasks, for whoever watches.
#[derive(Debug, Clone, Copy)]
pub enum TasksEvent<'a> {
    /// Tasks are scored, before the training or after a seed's; the name of the one at hand.
    Scoring(&'a str),
    /// A seed's training begins, or goes on after so many steps.
    Seed {
        /// The seed.
        seed: u64,
        /// Steps taken before.
        after: usize,
    },
    /// Texts are read as tokens, of which there are so many by now.
    Reading(usize),
    /// What a reader of the results should know of the texts.
    Remark(&'a str),
    /// A step of a seed, or a look at what is held out.
    Training(u64, &'a Event),
}

impl MultiTask {
    /// Refuses classes without rows, and rows that are too long for a pattern; gives the losses of the tasks
    /// of the first seed, their rows encoded.
    pub fn check(&self) -> Result<Vec<CombinedLoss>> {
        let _threads = Threads::on(self.manifest.header.threads);
        for base in &self.bases {
            base.check_engine(&self.manifest.tuning, self.manifest.plan.bf16)?;
        }
        if self.manifest.language_modelling.is_some() {
            self.bases[self.first()].check_language_modelling()?;
        }
        self.losses(self.manifest.header.seeds.first().copied().unwrap_or_default())
    }

    /// Trains and scores; `first` is what [`MultiTask::check`] gave. None if `watch` said stop: then it can
    /// be gone on with.
    pub fn run(
        &self,
        folder: &RunFolder,
        first: Vec<CombinedLoss>,
        watch: &mut dyn FnMut(TasksEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Vec<TaskMetrics>>> {
        let _threads = Threads::on(self.manifest.header.threads);
        let mut answers = Vec::with_capacity(self.tasks.len());
        for (index, task) in self.tasks.iter().enumerate() {
            if watch(TasksEvent::Scoring(&task.name)).is_break() {
                return Ok(None);
            }
            answers.push(Answers::before(self, index)?);
        }
        let mut first = Some(first);
        for &seed in &self.manifest.header.seeds {
            let encoded = first.take();
            let learned = match folder.learned(seed).exists() {
                true => folder.load_learned(seed)?.0,
                false => {
                    let losses = encoded.map_or_else(|| self.losses(seed), Ok)?;
                    let Some(learned) = self.learn(folder, seed, losses, watch)? else { return Ok(None) };
                    learned
                }
            };
            for (index, (task, answers)) in self.tasks.iter().zip(&mut answers).enumerate() {
                let _ = watch(TasksEvent::Scoring(&task.name));
                answers.add(self, index, seed, self.classifier(index, &learned)?)?;
            }
        }
        let metrics: Vec<TaskMetrics> =
            answers.iter().zip(&self.tasks).map(|(answers, task)| answers.metrics(task)).collect();
        Texts::clear(folder);
        folder.finish(&metrics)?;
        Ok(Some(metrics))
    }

    /// What a seed minimises of the tasks: each step the loss of one task's rows, drawn by the shares.
    fn losses(&self, seed: u64) -> Result<Vec<CombinedLoss>> {
        let mut losses = Vec::new();
        for (index, task) in self.tasks.iter().enumerate() {
            let stored = &self.manifest.tasks[index];
            let Some(rows) = task.rows(stored.shots, seed)? else { continue };
            let patterns = self.showing(index, &task.patterns, seed)?;
            let trainer = Trainer { tasks: &patterns.tasks, ..self.trainer(index, seed) };
            let objective = trainer.lessons(&rows, stored.lesson)?;
            losses.push(CombinedLoss {
                task: Some(task.name.clone()),
                share: stored.share,
                ..objective.into()
            });
        }
        Ok(losses)
    }

    /// The loss of the texts, the held-out ones among them, and what a reader should know.
    fn texts(
        &self,
        folder: &RunFolder,
        stored: &StoredTexts,
        seed: u64,
    ) -> Result<(CombinedLoss, Vec<HeldOutText>, Vec<String>)> {
        let tokenizer = self.bases[self.first()].tokenizer();
        let reading = self.manifest.header.data.reading();
        let (corpus, held_out, remarks) = stored.texts.open(folder, &reading, tokenizer, seed)?;
        let objective = PackedLanguageModelling::new(corpus, stored.texts.masking, stored.batch_size);
        let loss = CombinedLoss {
            task: Some(LANGUAGE_MODELLING.to_owned()),
            share: stored.share,
            first: Term { weight: stored.weight, objective: Objective::Packed(objective) },
            beside: Vec::new(),
        };
        Ok((loss, held_out, remarks))
    }

    /// What a seed learns. None if `watch` said stop.
    fn learn(
        &self,
        folder: &RunFolder,
        seed: u64,
        mut losses: Vec<CombinedLoss>,
        watch: &mut dyn FnMut(TasksEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Learned>> {
        // The tasks share all that moves; it starts as the first that is learned has it.
        let together = self.together();
        let trainer = Trainer { together: &together, ..self.trainer(self.first(), seed) };
        let mut held_out = Vec::new();
        if let Some(stored) = &self.manifest.language_modelling {
            let (reading, tokenizer) =
                (self.manifest.header.data.reading(), self.bases[self.first()].tokenizer());
            let go_on = &mut |tokens| watch(TasksEvent::Reading(tokens));
            if stored.texts.encode(folder, &reading, tokenizer, go_on)?.is_break() {
                return Ok(None);
            }
            let (loss, texts, remarks) = self.texts(folder, stored, seed)?;
            for remark in &remarks {
                let _ = watch(TasksEvent::Remark(remark));
            }
            losses.push(loss);
            held_out = texts;
        }
        let mut mixture = Mixture::new(losses, seed).ok_or(TaskError::WithoutTraining)?;
        let start = self.start.as_ref().map(|start| start.learned(seed)).transpose()?;
        let job = Job {
            folder,
            seed,
            part: "run",
            checkpoint_every: self.checkpoint_every,
            keep_end: false,
            start: start.as_ref(),
        };
        let showing = |index: usize| self.showing(index, &self.tasks[index].patterns, seed);
        let patterns = (0..self.tasks.len()).map(showing).collect::<Result<Vec<TaskSet>>>()?;
        let look = |learned: &Learned| self.look(&patterns, learned, &held_out);
        let looks = !held_out.is_empty() || self.tasks.iter().any(|task| task.dev.is_some());
        let held_out = looks.then_some(HeldOut::Looks(&look));
        let steps = self.manifest.plan.steps;
        let watch = RefCell::new(watch);
        let _ = watch.borrow_mut()(TasksEvent::Seed { seed, after: 0 });
        let state = job.train(&trainer, &mut mixture, held_out, steps, &mut |event| match event {
            JobEvent::Resumed(after) => watch.borrow_mut()(TasksEvent::Seed { seed, after }),
            JobEvent::Training(event) => watch.borrow_mut()(TasksEvent::Training(seed, event)),
        })?;
        let Some(state) = state else { return Ok(None) };
        let learned = state.kept();
        // The last step's update is in no loss.
        if !learned.values().all(is_finite) {
            return Err(TrainingError::LearnedNotFinite { step: state.step }.into());
        }
        folder.save_learned(seed, &learned, &History::of(&state))?;
        folder.drop_checkpoints(seed);
        Ok(Some(learned))
    }

    /// What is seen on development rows and on texts that are held out.
    fn look(&self, patterns: &[TaskSet], learned: &Learned, texts: &[HeldOutText]) -> Result<Vec<Look>> {
        let mut looks = Vec::new();
        for (index, task) in self.tasks.iter().enumerate().filter(|(_, task)| task.dev.is_some()) {
            let classifier = self.classifier(index, learned)?;
            let Some((evaluation, found)) =
                self.answers(index, &patterns[index], task.dev.as_ref(), classifier)?
            else {
                continue;
            };
            let labelled: Vec<(usize, usize)> = task.dev.iter().flat_map(Dataset::labelled).collect();
            let loss: f64 = labelled.iter().map(|&(row, truth)| -log(found[row].probabilities[truth])).sum();
            looks.push(Look {
                of: task.name.clone(),
                accuracy: Some(evaluation.accuracy),
                loss: loss / labelled.len() as f64,
                rows: labelled.len(),
            });
        }
        if !texts.is_empty() {
            let base = &self.bases[self.first()];
            let Classifier::Prompt(mut model, _) = base.learned(&self.manifest.tuning, learned)? else {
                unreachable!("cls is refused for several tasks")
            };
            model.prepare(crate::model::dtype::Dtype::F32)?;
            let budget = self.manifest.plan.batch_tokens;
            looks.extend(texts.iter().map(|text| text.look(&model, budget)));
        }
        Ok(looks)
    }

    /// The first task that is learned; where some have soft tokens in front, the first of these.
    fn first(&self) -> usize {
        let first = |wanted: &dyn Fn(&TaskData) -> bool| {
            self.tasks.iter().position(|task| task.train.is_some() && wanted(task))
        };
        first(&|task| task.patterns.soft.front() > 0).or_else(|| first(&|_| true)).unwrap_or(0)
    }

    /// The tasks that are learned.
    fn together(&self) -> Vec<Together<'_>> {
        let learned = self.tasks.iter().zip(&self.bases).filter(|(task, _)| task.train.is_some());
        learned.map(|(task, base)| Together { name: &task.name, base, soft: &task.patterns.soft }).collect()
    }

    /// A task's patterns with a seed's train rows shown, where they show any.
    fn showing(&self, index: usize, patterns: &TaskSet, seed: u64) -> Result<TaskSet> {
        let (task, stored) = (&self.tasks[index], &self.manifest.tasks[index]);
        let shows = patterns.tasks.iter().any(|task| task.template().demonstrations().is_some());
        let Some(drawing) = self.manifest.demonstrations.filter(|_| shows) else {
            return Ok(patterns.clone());
        };
        let Some(rows) = task.rows(stored.shots, seed)? else { return Ok(patterns.clone()) };
        rows.shown_in(patterns, &stored.read_verbalizer()?.first_words(), drawing, &self.bases[index])
    }

    /// What was learned, for one of the tasks.
    fn classifier(&self, index: usize, learned: &Learned) -> Result<Classifier> {
        let tuning = &self.manifest.tuning;
        self.bases[index].learned(tuning, &of_task(tuning, learned, &self.tasks[index].name))
    }

    fn trainer(&self, index: usize, seed: u64) -> Trainer<'_> {
        let task = &self.tasks[index];
        Trainer {
            base: &self.bases[index],
            tuning: &self.manifest.tuning,
            plan: &self.manifest.plan,
            tasks: &task.patterns.tasks,
            soft: &task.patterns.soft,
            together: &[],
            max_length: task.patterns.max_length,
            classes: task.words.classes(),
            seed,
        }
    }
}

impl TaskData {
    /// A seed's rows; none where the task is not learned.
    fn rows(&self, shots: Option<usize>, seed: u64) -> Result<Option<LabelledDataset>> {
        let Some(train) = &self.train else { return Ok(None) };
        let classes = self.words.classes();
        let drawn = sample::k_shot(&train.candidates(), classes, shots.unwrap_or(usize::MAX), seed).rows;
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
