//! One way of tuning over several seeds, with what it must beat beside it: from a manifest to a table of
//! results.

mod baselines;
mod cells;
mod metrics;
mod numbers;
mod prepare;
mod request;
mod several;
mod trainings;

use std::ops::ControlFlow;
use std::time::Instant;

use crate::error::{Result, TrainingError};
use crate::learn::dataset::LabelledDataset;
use crate::learn::run::{History, Manifest, RunFolder, Select};
use crate::learn::sample;
use crate::learn::start::Start;
use crate::learn::train::{ClassLoss, Event, Plan, Trainer};
use crate::model::dtype::Dtype;
use crate::model::threads::Threads;
use crate::model::values::is_finite;
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::output::PredictionWriter;
use crate::predict::report::{Evaluation, Prediction, Tally};
use crate::predict::score::{Scored, Scorer, batch_tokens};
use crate::predict::task::TaskSet;
use crate::study::warning::Warning;
use crate::text::data::Example;
use crate::text::dataset::Dataset;
use crate::text::table::Destination;
use crate::text::whole_file::{make_folder_of, write_table};
use crate::tune::{Learned, Tuning};
use metrics::Found;
use trainings::{BASELINES, Trainings};

pub use metrics::{BaselineMetrics, Metrics, SeedMetrics};
pub use numbers::{NumberBaseline, NumberDifference, NumberMetrics};
pub use request::{DescriptionFiles, TrainRequest};
pub use several::LabelTruths;
pub use trainings::{CLS, setfit_steps};

/// Everything that a run needs.
pub struct Experiment {
    /// What to do.
    pub manifest: Manifest,
    /// The base model.
    pub base: VerbalizedLm,
    /// The patterns as the method has them; for `cls` the columns.
    pub patterns: TaskSet,
    /// The patterns as they are written; none where a method needs none.
    pub written: Option<TaskSet>,
    /// The columns that `cls` reads.
    pub columns: TaskSet,
    /// Rows to sample from; none where there are descriptions alone.
    pub train: Dataset,
    /// Texts that describe the classes, or null inputs, as rows of the same columns: every seed learns from
    /// all of them.
    pub descriptions: Option<Dataset>,
    /// Rows to sample development rows from, where they are not left over from the train rows.
    pub dev: Option<Dataset>,
    /// Rows to evaluate on.
    pub test: Option<Dataset>,
    /// The rows' labels, where they have several.
    pub several: Option<LabelTruths>,
    /// The earlier run that it starts from, if from one.
    pub start: Option<Start>,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: usize,
}

/// What happens, for whoever watches.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum ExperimentEvent<'a> {
    /// A seed begins, with so many train and held-out rows.
    Seed { seed: u64, train: usize, held_out: usize },
    /// A seed's training goes on, which was stopped after so many steps.
    Resumed { part: &'a str, steps: usize },
    /// A training of so many steps, or fewer if nothing gets better.
    Training { part: &'a str, steps: usize, event: &'a Event },
    /// Test rows are scored; the share that is done.
    Scoring { share: f64 },
    /// A seed is done.
    Done { metrics: &'a SeedMetrics },
}

/// Which rows a seed is trained on and which are held out.
struct Split {
    train: Vec<usize>,
    held_out: Option<LabelledDataset>,
    short: Vec<sample::Shortage>,
}

/// Folds of a cross-validation.
pub const FOLDS: usize = 4;

impl Experiment {
    /// Refuses, before anything is trained or written, what would stop a training later; gives what a reader
    /// of the results should know.
    pub fn check(&self) -> Result<Vec<Warning>> {
        let _threads = Threads::on(self.manifest.header.threads);
        let Manifest { tuning, plan, classes, .. } = &self.manifest;
        self.base.check_engine(tuning, plan.bf16)?;
        self.check_loss()?;
        if self.manifest.cls_baseline {
            self.base.check_engine(&CLS, plan.bf16)?;
        }
        if self.manifest.setfit_baseline || self.manifest.lstm_baseline {
            self.base.check_states()?;
        }
        if let Tuning::Prefix(options) | Tuning::PTuningV2(options) = tuning {
            options.init.starts(options.length, &self.base.words.distinct_ids(), self.base.tokenizer())?;
        }
        let mut warnings: Vec<Warning> =
            plan.remark(self.base.model.device).into_iter().map(Warning::Other).collect();
        for &seed in &self.manifest.header.seeds {
            let split = self.split(seed)?;
            for shortage in &split.short {
                let warning = Warning::FewRows {
                    data: self.train.columns.data().to_owned(),
                    found: shortage.found,
                    asked: self.manifest.shots.unwrap_or_default(),
                    label: classes[shortage.class].clone(),
                };
                warning.beside(&mut warnings);
            }
            let rows = self.rows(&split);
            let patterns = self.showing(&self.patterns, &rows)?;
            let trainer = self.trainer(tuning, plan, &patterns, seed);
            trainer.check_rows(&rows.columns, &rows.examples)?;
            if let Some(held_out) = &split.held_out {
                trainer.check_rows(&held_out.columns, &held_out.examples)?;
            }
        }
        if let Some(test) = &self.test {
            // Any train rows will do: demonstrations give way to a row.
            let shown = self.rows(&self.split(self.manifest.header.seeds[0])?);
            let patterns = self.showing(&self.patterns, &shown)?;
            let trainer = self.trainer(tuning, plan, &patterns, 0);
            let check = |trainer: Trainer<'_>| trainer.check_rows(&test.columns, &test.examples);
            check(trainer)?;
            // What is compared with reads the same rows, the zero-shot model at the very end.
            if let Some(written) = &self.written {
                check(self.trainer(&Tuning::Full, plan, &self.showing(written, &shown)?, 0))?;
            }
            if self.manifest.cls_baseline {
                check(self.trainer(&CLS, plan, &self.columns, 0))?;
            }
        }
        if let Some(test) = &self.test {
            for learned in [&self.train].into_iter().chain(&self.descriptions) {
                let shared =
                    test.shared_with(learned, &self.manifest.columns, "results on them say little")?;
                warnings.extend(shared.map(Warning::Other));
            }
        }
        Ok(warnings)
    }

    /// Refuses ADAPET where classes are more or less than words at one mask.
    fn check_loss(&self) -> Result<()> {
        let words = &self.base.words;
        let reason = match () {
            () if self.manifest.plan.loss != ClassLoss::Adapet => return Ok(()),
            () if matches!(self.manifest.tuning, Tuning::Cls(_)) => "cls reads no words",
            () if self.several.is_some() => "rows have several labels",
            () if words.several().is_some() => "label words have several tokens",
            () if words.structure().tree.is_some() => "classes stand in a tree",
            () if words.learns_of_classes() => "the verbalizer learns vectors of classes or weights of words",
            () => return Ok(()),
        };
        Err(TrainingError::NotForAdapet { reason }.into())
    }

    /// Runs what is not done yet, and puts the warnings of [`Experiment::check`] beside the results. None if
    /// `watch` said stop: the folder then holds where it stands.
    pub fn run(
        &self,
        folder: &RunFolder,
        warnings: Vec<String>,
        watch: &mut dyn FnMut(ExperimentEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Metrics>> {
        let _threads = Threads::on(self.manifest.header.threads);
        let mut found = Found::default();
        for &seed in &self.manifest.header.seeds {
            let split = self.split(seed)?;
            let rows = self.rows(&split);
            let held_out = split.held_out.as_ref().map_or(0, |rows| rows.targets.len());
            let _ = watch(ExperimentEvent::Seed { seed, train: rows.targets.len(), held_out });
            let patterns = self.showing(&self.patterns, &rows)?;
            self.write_sample(folder, seed, &split)?;
            let Some((learned, history, seconds)) =
                self.learn(folder, seed, (&patterns, &rows, split.held_out.as_ref()), watch)?
            else {
                return Ok(None);
            };
            let classifier = self.base.learned(&self.manifest.tuning, &learned)?;
            let predictions = self.predict(&patterns, classifier, watch)?;
            if let (Some(test), Some(predictions)) = (&self.test, &predictions) {
                if let Some(truths) = &self.several {
                    self.write_labels(&folder.predictions(seed), truths, test, predictions)?;
                } else {
                    self.write_predictions(folder, seed, test, predictions)?;
                    found.method.push(predictions.clone());
                    if let Some(range) = self.range() {
                        found.mean_numbers.push(self.mean_number(&range, &rows));
                        self.ridge_of_states(&range, &rows, test, &mut found, watch)?;
                    } else if self.manifest.null_inputs.is_none() {
                        // Null inputs have no classes to learn.
                        self.baselines(&rows, test, &mut found);
                        self.baseline_of_states(&rows, test, &mut found, watch)?;
                    }
                }
            }
            if self.manifest.cls_baseline {
                let start = None;
                let mut job = Trainings { experiment: self, folder, seed, start, resumed: false, watch };
                let Some(state) = job.fit_cls(&rows)? else { return Ok(None) };
                let classifier = self.base.learned(&CLS, &state.kept())?;
                found.cls.extend(self.predict(&self.columns, classifier, watch)?);
            }
            if let Some(test) = self.test.as_ref().filter(|_| self.manifest.setfit_baseline) {
                let start = None;
                let mut job = Trainings { experiment: self, folder, seed, start, resumed: false, watch };
                let Some(state) = job.fit_setfit(&rows)? else { return Ok(None) };
                let learned = self.base.learned(&Tuning::Full, &state.kept())?.prepared(Dtype::F32)?;
                let states = self.mean_states(&learned, &test.columns, &test.examples, watch)?;
                found.setfit.push(self.regression(&learned, &rows, &states, Some(1.0), watch)?);
            }
            if let Some(test) = self.test.as_ref().filter(|_| self.manifest.lstm_baseline) {
                let Some(predictions) = self.baseline_of_words(&rows, test, seed, watch)? else {
                    return Ok(None);
                };
                found.lstm.push(predictions);
            }
            if !folder.has_cells() {
                folder.drop_checkpoints(seed);
            }
            let evaluation = self
                .test
                .as_ref()
                .zip(predictions.as_ref())
                .and_then(|(test, predictions)| self.evaluate(test, predictions));
            let several_labels = self.several.as_ref().zip(predictions.as_ref());
            let several_labels =
                several_labels.and_then(|(truths, predictions)| self.evaluate_several(truths, predictions));
            let train_rows = rows.targets.len();
            let metrics = SeedMetrics { seed, train_rows, history, seconds, evaluation, several_labels };
            let _ = watch(ExperimentEvent::Done { metrics: &metrics });
            found.seeds.push(metrics);
        }
        if let (Some(written), Some(_)) = (&self.written, &self.test) {
            // What is shown without training are the first seed's rows.
            let rows = self.rows(&self.split(self.manifest.header.seeds[0])?);
            let scored = self.score(
                &self.showing(written, &rows)?,
                self.base.untrained(&written.soft, self.manifest.header.seeds[0])?,
                watch,
            )?;
            found.add_zero_shot(scored.unwrap_or_default());
        }
        let zero_shot = self.several.as_ref().zip(found.zero_shot.as_ref());
        found.zero_shot_labels =
            zero_shot.and_then(|(truths, predictions)| self.evaluate_several(truths, predictions));
        if self.several.is_some() {
            (found.zero_shot, found.corrected) = (None, None);
        }
        let metrics = found.metrics(&self.manifest, self.range().as_ref(), self.test.as_ref(), warnings);
        folder.finish(&metrics)?;
        Ok(Some(metrics))
    }

    /// What a seed learns by the method itself: from its file if it is there. None if it was stopped.
    fn learn(
        &self,
        folder: &RunFolder,
        seed: u64,
        (patterns, rows, held_out): (&TaskSet, &LabelledDataset, Option<&LabelledDataset>),
        watch: &mut dyn FnMut(ExperimentEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Option<(Learned, History, Option<f64>)>> {
        let of_steps = || folder.seconds_of_steps(seed, &|part| !BASELINES.contains(&part));
        if folder.learned(seed).exists() {
            let (learned, history) = folder.load_learned(seed)?;
            return Ok(Some((learned, history, of_steps()?)));
        }
        let started = Instant::now();
        let start = self.start.as_ref().map(|start| start.learned(seed)).transpose()?;
        let mut job = Trainings { experiment: self, folder, seed, start, resumed: false, watch };
        let Some(state) = job.fit(patterns, rows, held_out)? else { return Ok(None) };
        let (learned, history) = (state.kept(), History::of(&state));
        let seconds = match job.resumed {
            true => of_steps()?,
            false => Some(started.elapsed().as_secs_f64()),
        };
        // The last step's update is in no loss.
        if !learned.values().all(is_finite) {
            return Err(TrainingError::LossNotFinite { step: history.steps + 1, records: Vec::new() }.into());
        }
        folder.save_learned(seed, &learned, &history)?;
        Ok(Some((learned, history, seconds)))
    }

    /// A seed's rows: the same for every method.
    fn split(&self, seed: u64) -> Result<Split> {
        if let Some(truths) = &self.several {
            return self.split_of_several(truths, seed);
        }
        let classes = self.manifest.classes.len();
        let train = self.train.candidates();
        let shots = self.manifest.shots.unwrap_or(usize::MAX);
        let drawn = sample::k_shot(&train, classes, shots, seed);
        let short = if self.manifest.shots.is_some() { drawn.short } else { Vec::new() };
        let drawn_of = |class: usize| drawn.rows.iter().any(|&row| train[row].class == class);
        // Of descriptions there is one of each class.
        let has_classes = self.descriptions.is_none() && self.range().is_none();
        if let (true, Some(class)) = (has_classes, (0..classes).find(|class| !drawn_of(*class))) {
            return Err(TrainingError::ClassWithoutRows {
                label: self.manifest.classes[class].clone(),
                data: self.train.columns.data().to_owned(),
            }
            .into());
        }
        let held_out = match (self.manifest.select, &self.dev) {
            (Select::Dev, Some(dev)) => Some((dev, sample::k_shot(&dev.candidates(), classes, shots, seed))),
            (Select::Dev, None) => {
                Some((&self.train, sample::k_shot_after(&train, classes, shots, shots, seed)))
            }
            _ => None,
        };
        if held_out.as_ref().is_some_and(|(_, drawn)| drawn.rows.is_empty()) {
            let descriptions = self.descriptions.as_ref().filter(|_| self.train.examples.is_empty());
            let data = descriptions.unwrap_or(&self.train).columns.data().to_owned();
            return Err(TrainingError::NoDevRows { data }.into());
        }
        if let Some((set, drawn)) = &held_out
            && let Some(shortage) = drawn.short.first().filter(|_| self.manifest.shots.is_some())
        {
            return Err(TrainingError::TooFewDevRows {
                label: self.manifest.classes[shortage.class].clone(),
                data: set.columns.data().to_owned(),
                found: shortage.found,
                wanted: shots,
            }
            .into());
        }
        let held_out = held_out.map(|(set, drawn)| self.with_numbers(set.pick(&drawn.rows)));
        Ok(Split { train: drawn.rows, held_out, short })
    }

    /// What a seed learns from: its rows, and all descriptions.
    fn rows(&self, split: &Split) -> LabelledDataset {
        let mut rows = self.with_numbers(self.train.pick(&split.train));
        if let Some(truths) = &self.several {
            return several::with_labels(rows, &truths.train, &split.train);
        }
        if let Some(descriptions) = &self.descriptions {
            let all = descriptions.pick(&(0..descriptions.examples.len()).collect::<Vec<_>>());
            rows.examples.extend(all.examples);
            rows.targets.extend(all.targets);
        }
        rows
    }

    /// The patterns with a seed's train rows shown, where they show any.
    fn showing(&self, patterns: &TaskSet, rows: &LabelledDataset) -> Result<TaskSet> {
        let Some(drawing) = self.manifest.demonstrations else { return Ok(patterns.clone()) };
        let words = self.manifest.verbalizer()?.first_words();
        rows.shown_in(patterns, &words, drawing, &self.base)
    }

    fn trainer<'b>(
        &'b self,
        tuning: &'b Tuning,
        plan: &'b Plan,
        patterns: &'b TaskSet,
        seed: u64,
    ) -> Trainer<'b> {
        Trainer {
            base: &self.base,
            tuning,
            plan,
            tasks: &patterns.tasks,
            soft: &patterns.soft,
            together: &[],
            max_length: patterns.max_length,
            classes: self.manifest.classes.len(),
            seed,
        }
    }

    /// The test rows' predictions.
    fn predict(
        &self,
        patterns: &TaskSet,
        classifier: Classifier,
        watch: &mut dyn FnMut(ExperimentEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Vec<Prediction>>> {
        let scored = self.score(patterns, classifier, watch)?;
        Ok(scored.map(|scored| scored.into_iter().map(|scored| scored.average).collect()))
    }

    /// The test rows, pattern by pattern.
    fn score(
        &self,
        patterns: &TaskSet,
        classifier: Classifier,
        watch: &mut dyn FnMut(ExperimentEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Vec<Scored>>> {
        let Some(test) = &self.test else { return Ok(None) };
        let classifiers = [classifier.prepared(Dtype::F32)?];
        let scorer = Scorer {
            classifiers: &classifiers,
            tokenizer: self.base.tokenizer(),
            tasks: &patterns.tasks,
            max_length: patterns.max_length,
            batch_tokens: batch_tokens(self.base.model.device),
            threads: Threads::usual(),
            long: Default::default(),
            pool: Default::default(),
            neighbours: None,
        };
        let scored = scorer.score(&test.columns, &test.examples, &mut |share| {
            let _ = watch(ExperimentEvent::Scoring { share });
        })?;
        Ok(Some(scored))
    }

    fn evaluate(&self, test: &Dataset, predictions: &[Prediction]) -> Option<Evaluation> {
        let structure = self.base.words.structure();
        let mut tally = Tally::new(self.manifest.classes.iter().cloned()).structured(structure);
        for (prediction, truth) in predictions.iter().zip(&test.truths) {
            tally.add(prediction, *truth);
        }
        if let Some(range) = &structure.range {
            let numbers = predictions.iter().zip(test.shares(range));
            numbers.for_each(|(said, share)| share.iter().for_each(|share| tally.add_number(said, *share)));
        }
        tally.evaluate()
    }

    fn write_sample(&self, folder: &RunFolder, seed: u64, split: &Split) -> Result<()> {
        let used = |examples: &[Example], used: &str| -> Vec<Vec<String>> {
            let record = |example: &Example| {
                [vec![used.to_owned(), example.record.to_string()], example.fields.clone()].concat()
            };
            examples.iter().map(record).collect()
        };
        let names = self.train.columns.names().to_vec();
        let header = [vec!["used_for".to_owned(), "record".to_owned()], names].concat();
        let mut records = used(&self.train.pick(&split.train).examples, "train");
        let called = self.manifest.null_inputs.as_ref().map_or("description", |_| "null input");
        records.extend(self.descriptions.iter().flat_map(|texts| used(&texts.examples, called)));
        // Development rows of another file have the same columns: that was checked.
        records.extend(split.held_out.iter().flat_map(|rows| used(&rows.examples, "dev")));
        let path = folder.sampled(seed);
        make_folder_of(&path)?;
        write_table(&path, &header, &records)
    }

    fn write_predictions(
        &self,
        folder: &RunFolder,
        seed: u64,
        test: &Dataset,
        predictions: &[Prediction],
    ) -> Result<()> {
        let path = folder.predictions(seed);
        make_folder_of(&path)?;
        let to = Destination::create(&path)?;
        let labels = self.manifest.classes.clone();
        let mut output = PredictionWriter::create_structured(
            to,
            labels,
            self.base.words.structure(),
            false,
            &test.columns,
            false,
        )?;
        for (example, prediction) in test.examples.iter().zip(predictions) {
            output.write(example, &prediction.clone().into())?;
        }
        output.finish()?.commit()
    }
}
