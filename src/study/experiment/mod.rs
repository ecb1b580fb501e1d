//! One way of tuning over several seeds, with what it must beat beside it: from a manifest to a table of
//! results.

mod metrics;

use std::time::Instant;

use crate::error::{Kind, Result};
use crate::learn::dataset::{RowSet, Rows};
use crate::learn::job::{Job, Moment};
use crate::learn::run::{History, Manifest, RunFolder, Select};
use crate::learn::sample;
use crate::learn::train::{Event, Flow, Labelled, Plan, State, Trainer};
use crate::model::dtype::Dtype;
use crate::model::parameters::WORD_EMBEDDINGS;
use crate::model::tokenizer::common_words;
use crate::predict::classifier::{Base, Classifier};
use crate::predict::output::PredictionWriter;
use crate::predict::report::{Evaluation, Prediction, Tally};
use crate::predict::score::{Scorer, batch_tokens};
use crate::predict::similarity::with_likeness;
use crate::predict::task::Task;
use crate::study::baseline;
use crate::text::data::Example;
use crate::text::demonstrations::Strategy;
use crate::text::whole_file::{WholeFile, write_table};
use crate::tune::soft::SoftTokens;
use crate::tune::{Cls, Tuning};
use metrics::Found;

pub use metrics::{BaselineMetrics, Metrics, SeedMetrics};

/// Patterns with the vectors of their soft tokens.
#[derive(Clone)]
pub struct Patterns {
    /// The patterns.
    pub tasks: Vec<Task>,
    /// Their soft tokens.
    pub soft: SoftTokens,
}

/// Everything that a run needs.
pub struct Experiment<'a> {
    /// What to do.
    pub manifest: &'a Manifest,
    /// The base model.
    pub base: &'a Base,
    /// The patterns as the method has them; for `cls` the columns.
    pub patterns: Patterns,
    /// The patterns as they are written; none where a method needs none.
    pub written: Option<Patterns>,
    /// The columns that `cls` reads.
    pub columns: Patterns,
    /// Rows to sample from.
    pub train: RowSet,
    /// Rows to sample development rows from, where they are not left over from the train rows.
    pub dev: Option<RowSet>,
    /// Rows to evaluate on.
    pub test: Option<RowSet>,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: usize,
}

/// What happens, for whoever watches.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum Progress<'a> {
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
    held_out: Option<Rows>,
    short: Vec<sample::Shortage>,
}

/// Folds of a cross-validation.
pub const FOLDS: usize = 4;

impl Experiment<'_> {
    /// Refuses, before anything is trained or written, what would stop a training later; gives what a reader
    /// of the results should know.
    pub fn check(&self) -> Result<Vec<String>> {
        let Manifest { tuning, plan, classes, .. } = self.manifest;
        self.base.check_engine(tuning, plan.bf16)?;
        if self.manifest.cls_baseline {
            self.base.check_engine(&CLS, plan.bf16)?;
        }
        if let Tuning::Prefix(options) | Tuning::PTuningV2(options) = tuning {
            options.init.starts(options.length, &self.base.words.distinct_ids(), self.base.tokenizer())?;
        }
        // Of one file the same rows are missing for every seed.
        let mut warnings: Vec<String> = Vec::new();
        for &seed in &self.manifest.seeds {
            let split = self.split(seed)?;
            for shortage in &split.short {
                let warning = format!(
                    "{} has {} of the {} rows of {:?} that --shots asks for: all are taken",
                    self.train.columns.data(),
                    shortage.found,
                    self.manifest.shots.unwrap_or_default(),
                    classes[shortage.class]
                );
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
            let rows = self.train.pick(&split.train);
            let patterns = self.showing(&self.patterns, &rows)?;
            let trainer = self.trainer(tuning, plan, &patterns, seed);
            trainer.check_rows(rows.labelled())?;
            if let Some(held_out) = &split.held_out {
                trainer.check_rows(held_out.labelled())?;
            }
        }
        if let Some(test) = &self.test {
            // Any train rows will do: demonstrations give way to a row.
            let shown = self.train.pick(&self.split(self.manifest.seeds[0])?.train);
            let patterns = self.showing(&self.patterns, &shown)?;
            let trainer = self.trainer(tuning, plan, &patterns, 0);
            let rows = Labelled { columns: &test.columns, examples: &test.examples, targets: &[] };
            trainer.check_rows(rows)?;
            // What is compared with reads the same rows, the zero-shot model at the very end.
            if let Some(written) = &self.written {
                self.trainer(&Tuning::Full, plan, &self.showing(written, &shown)?, 0).check_rows(rows)?;
            }
            if self.manifest.cls_baseline {
                self.trainer(&CLS, plan, &self.columns, 0).check_rows(rows)?;
            }
        }
        if let Some(test) = &self.test {
            warnings.extend(test.shared_with(
                &self.train,
                &self.manifest.columns,
                "results on them say little",
            )?);
        }
        Ok(warnings)
    }

    /// Runs what is not done yet, and puts the warnings of [`Experiment::check`] beside the results. None if
    /// `watch` said stop: the folder then holds where it stands.
    pub fn run(
        &self,
        folder: &RunFolder,
        warnings: Vec<String>,
        watch: &mut dyn FnMut(Progress<'_>) -> Flow,
    ) -> Result<Option<Metrics>> {
        let mut found = Found::default();
        for &seed in &self.manifest.seeds {
            let split = self.split(seed)?;
            let rows = self.train.pick(&split.train);
            let held_out = split.held_out.as_ref().map_or(0, |rows| rows.targets.len());
            watch(Progress::Seed { seed, train: rows.targets.len(), held_out });
            let patterns = self.showing(&self.patterns, &rows)?;
            self.write_sample(folder, seed, &rows, split.held_out.as_ref())?;
            let started = Instant::now();
            let (learned, history, seconds) = if folder.learned(seed).exists() {
                let (learned, history) = folder.load_learned(seed)?;
                (learned, history, None)
            } else {
                let mut job = Trainings { experiment: self, folder, seed, resumed: false, watch };
                let Some(state) = job.fit(&patterns, &rows, split.held_out.as_ref())? else {
                    return Ok(None);
                };
                let (learned, history) = (state.kept(), History::of(&state));
                let seconds = (!job.resumed).then(|| started.elapsed().as_secs_f64());
                // The last step's update is in no loss.
                if !learned.values().all(|tensor| tensor.isfinite().all().int64_value(&[]) != 0) {
                    return Err(Kind::LossNotFinite { step: history.steps + 1, records: Vec::new() }.into());
                }
                folder.save_learned(seed, &learned, &history)?;
                (learned, history, seconds)
            };
            let classifier = self.base.learned(&self.manifest.tuning, &learned)?;
            let predictions = self.predict(&patterns, classifier, &self.manifest.tuning, watch)?;
            if let (Some(test), Some(predictions)) = (&self.test, &predictions) {
                self.write_predictions(folder, seed, test, predictions)?;
                found.method.push(predictions.clone());
                self.baselines(&rows, test, &mut found);
            }
            if self.manifest.cls_baseline {
                let mut job = Trainings { experiment: self, folder, seed, resumed: false, watch };
                let Some(state) = job.fit_cls(&rows)? else { return Ok(None) };
                let classifier = self.base.learned(&CLS, &state.kept())?;
                found.cls.extend(self.predict(&self.columns, classifier, &CLS, watch)?);
            }
            folder.drop_checkpoints(seed);
            let evaluation = self
                .test
                .as_ref()
                .zip(predictions.as_ref())
                .and_then(|(test, predictions)| self.evaluate(test, predictions));
            let metrics = SeedMetrics { seed, train_rows: rows.targets.len(), history, seconds, evaluation };
            watch(Progress::Done { metrics: &metrics });
            found.seeds.push(metrics);
        }
        if let (Some(written), Some(_)) = (&self.written, &self.test) {
            let words = self.base.parameters.get(WORD_EMBEDDINGS);
            let soft = (!written.soft.is_empty()).then(|| {
                written.soft.vectors(words, &common_words(self.base.tokenizer()), self.manifest.seeds[0])
            });
            // What is shown without training are the first seed's rows.
            let rows = self.train.pick(&self.split(self.manifest.seeds[0])?.train);
            found.zero_shot = self.predict(
                &self.showing(written, &rows)?,
                self.base.zero_shot(soft)?,
                &Tuning::Full,
                watch,
            )?;
        }
        let metrics = found.metrics(self.manifest, self.test.as_ref(), warnings);
        folder.finish(&metrics)?;
        Ok(Some(metrics))
    }

    /// A seed's rows: the same for every method.
    fn split(&self, seed: u64) -> Result<Split> {
        let classes = self.manifest.classes.len();
        let train = self.train.candidates();
        let shots = self.manifest.shots.unwrap_or(usize::MAX);
        let drawn = sample::k_shot(&train, classes, shots, seed);
        let short = if self.manifest.shots.is_some() { drawn.short } else { Vec::new() };
        if let Some(class) =
            (0..classes).find(|class| !drawn.rows.iter().any(|&row| train[row].class == *class))
        {
            return Err(Kind::ClassWithoutRows {
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
            return Err(Kind::NoDevRows { data: self.train.columns.data().to_owned() }.into());
        }
        if let Some((set, drawn)) = &held_out
            && let Some(shortage) = drawn.short.first().filter(|_| self.manifest.shots.is_some())
        {
            return Err(Kind::TooFewDevRows {
                label: self.manifest.classes[shortage.class].clone(),
                data: set.columns.data().to_owned(),
                found: shortage.found,
                wanted: shots,
            }
            .into());
        }
        Ok(Split { train: drawn.rows, held_out: held_out.map(|(set, drawn)| set.pick(&drawn.rows)), short })
    }

    /// Patterns that show a seed's train rows, where they show any.
    fn showing(&self, patterns: &Patterns, rows: &Rows) -> Result<Patterns> {
        let Some(drawing) = self.manifest.demonstrations else { return Ok(patterns.clone()) };
        let words = self.manifest.verbalizer().map_err(|mut errors| errors.swap_remove(0))?.first_words();
        let shown: Vec<(Example, usize)> = rows.examples.iter().cloned().zip(rows.classes()).collect();
        let tasks =
            patterns.tasks.iter().map(|task| task.clone().with_support(&shown, &words, drawing)).collect();
        let length = self.manifest.tuning.length_left(self.manifest.max_length, &self.base.folder.config);
        let tasks = match drawing.strategy {
            Strategy::Similar => with_likeness(tasks, &self.base.zero_shot(None)?, &rows.columns, length)?,
            _ => tasks,
        };
        Ok(Patterns { tasks, soft: patterns.soft.clone() })
    }

    fn trainer<'b>(
        &'b self,
        tuning: &'b Tuning,
        plan: &'b Plan,
        patterns: &'b Patterns,
        seed: u64,
    ) -> Trainer<'b> {
        Trainer {
            base: self.base,
            tuning,
            plan,
            tasks: &patterns.tasks,
            soft: &patterns.soft,
            max_length: tuning.length_left(self.manifest.max_length, &self.base.folder.config),
            classes: self.manifest.classes.len(),
            seed,
            auxiliary: None,
        }
    }

    /// The test rows' predictions.
    fn predict(
        &self,
        patterns: &Patterns,
        classifier: Classifier,
        tuning: &Tuning,
        watch: &mut dyn FnMut(Progress<'_>) -> Flow,
    ) -> Result<Option<Vec<Prediction>>> {
        let Some(test) = &self.test else { return Ok(None) };
        let classifiers = [classifier.prepared(Dtype::F32)?];
        let scorer = Scorer {
            classifiers: &classifiers,
            tokenizer: self.base.tokenizer(),
            tasks: &patterns.tasks,
            max_length: tuning.length_left(self.manifest.max_length, &self.base.folder.config),
            batch_tokens: batch_tokens(self.base.device),
        };
        let scored = scorer.score(&test.columns, &test.examples, &mut |share| {
            watch(Progress::Scoring { share });
        })?;
        Ok(Some(scored.into_iter().map(|scored| scored.average).collect()))
    }

    fn evaluate(&self, test: &RowSet, predictions: &[Prediction]) -> Option<Evaluation> {
        let mut tally = Tally::new(self.manifest.classes.iter().cloned());
        for (prediction, truth) in predictions.iter().zip(&test.truths) {
            tally.add(prediction, *truth);
        }
        tally.evaluate()
    }

    /// The classical baselines on the same train rows.
    fn baselines(&self, rows: &Rows, test: &RowSet, found: &mut Found) {
        let read = &self.manifest.columns;
        let train: Vec<(String, usize)> = rows
            .examples
            .iter()
            .map(|example| RowSet::text(&rows.columns, example, read))
            .zip(rows.classes())
            .collect();
        let texts: Vec<String> =
            test.examples.iter().map(|example| RowSet::text(&test.columns, example, read)).collect();
        let classes = self.manifest.classes.len();
        found.naive_bayes.push(baseline::naive_bayes(&train, &texts, classes));
        found.logistic_regression.push(baseline::logistic_regression(&train, &texts, classes));
    }

    fn write_sample(
        &self,
        folder: &RunFolder,
        seed: u64,
        rows: &Rows,
        held_out: Option<&Rows>,
    ) -> Result<()> {
        let used = |rows: &Rows, used: &str| -> Vec<Vec<String>> {
            let record = |example: &Example| {
                [vec![used.to_owned(), example.record.to_string()], example.fields.clone()].concat()
            };
            rows.examples.iter().map(record).collect()
        };
        let header =
            [vec!["used_for".to_owned(), "record".to_owned()], rows.columns.names().to_vec()].concat();
        let mut records = used(rows, "train");
        // Development rows of another file have the same columns: that was checked.
        records.extend(held_out.iter().flat_map(|rows| used(rows, "dev")));
        write_table(&folder.sampled(seed), &header, &records)
    }

    fn write_predictions(
        &self,
        folder: &RunFolder,
        seed: u64,
        test: &RowSet,
        predictions: &[Prediction],
    ) -> Result<()> {
        let path = folder.predictions(seed);
        let file = WholeFile::create(&path)?;
        let mut output =
            PredictionWriter::create(file, &path, self.manifest.classes.clone(), None, &test.columns, false)?;
        for (example, prediction) in test.examples.iter().zip(predictions) {
            output.write(example, &prediction.clone().into())?;
        }
        output.finish()?.commit()
    }
}

/// The baseline on `[CLS]`.
pub const CLS: Tuning = Tuning::Cls(Cls { frozen_encoder: false });

/// A seed's trainings.
struct Trainings<'a, 'w> {
    experiment: &'a Experiment<'a>,
    folder: &'a RunFolder,
    seed: u64,
    resumed: bool,
    watch: &'w mut dyn FnMut(Progress<'_>) -> Flow,
}

impl Trainings<'_, '_> {
    /// The training whose result is kept. None if it was stopped.
    fn fit(&mut self, patterns: &Patterns, rows: &Rows, held_out: Option<&Rows>) -> Result<Option<State>> {
        let Experiment { manifest, .. } = self.experiment;
        let last = match manifest.select {
            Select::Cv => match self.best_of_folds(rows)? {
                Some(step) => step,
                None => return Ok(None),
            },
            Select::None | Select::Dev => manifest.plan.steps,
        };
        let trainer = self.experiment.trainer(&manifest.tuning, &manifest.plan, patterns, self.seed);
        self.train(&trainer, "run", rows, held_out, last)
    }

    /// Fine-tuning on `[CLS]`, with its own defaults and the rest of the plan.
    fn fit_cls(&mut self, rows: &Rows) -> Result<Option<State>> {
        let Experiment { manifest, columns, .. } = self.experiment;
        let defaults = CLS.defaults(manifest.classes.len());
        let plan =
            Plan { steps: defaults.steps, learning_rate: defaults.learning_rate, ..manifest.plan.clone() };
        let trainer = self.experiment.trainer(&CLS, &plan, columns, self.seed);
        self.train(&trainer, "cls", rows, None, plan.steps)
    }

    /// The step whose mean accuracy over the folds is best, then the one with the lowest loss. None if it was
    /// stopped.
    fn best_of_folds(&mut self, rows: &Rows) -> Result<Option<usize>> {
        let Experiment { manifest, patterns, .. } = self.experiment;
        // Every fold goes to the end: looks at the same steps can be averaged.
        let plan = Plan { patience: usize::MAX, ..manifest.plan.clone() };
        let mut sums: Vec<(usize, f64, f64)> = Vec::new();
        for (number, fold) in sample::folds(&rows.classes(), FOLDS, self.seed).into_iter().enumerate() {
            let (held_out, train): (Vec<usize>, Vec<usize>) =
                (0..rows.targets.len()).partition(|row| fold.contains(row));
            let (held_out, train) = (rows.pick(&held_out), rows.pick(&train));
            if held_out.targets.is_empty() || train.targets.is_empty() {
                continue;
            }
            let patterns = self.experiment.showing(patterns, &train)?;
            let trainer = self.experiment.trainer(&manifest.tuning, &plan, &patterns, self.seed);
            let Some(state) =
                self.train(&trainer, &format!("fold-{}", number + 1), &train, Some(&held_out), plan.steps)?
            else {
                return Ok(None);
            };
            let weight = held_out.targets.len() as f64;
            for (index, look) in state.looks.iter().enumerate() {
                if sums.len() <= index {
                    sums.push((look.step, 0.0, 0.0));
                }
                sums[index].1 += look.accuracy * weight;
                sums[index].2 += look.loss * weight;
            }
        }
        let better = |best: &(usize, f64, f64), next: &(usize, f64, f64)| {
            next.1 > best.1 || (next.1 == best.1 && next.2 < best.2)
        };
        let best = sums.into_iter().reduce(|best, next| if better(&best, &next) { next } else { best });
        Ok(Some(best.map_or(manifest.plan.steps, |(step, ..)| step)))
    }

    /// One training, gone on with where it was stopped, up to a step. None if it was stopped again.
    fn train(
        &mut self,
        trainer: &Trainer<'_>,
        part: &str,
        rows: &Rows,
        held_out: Option<&Rows>,
        last: usize,
    ) -> Result<Option<State>> {
        let job = Job {
            folder: self.folder,
            seed: self.seed,
            part,
            checkpoint_every: self.experiment.checkpoint_every,
            keep_end: part != "run",
        };
        let (resumed, watch) = (&mut self.resumed, &mut self.watch);
        job.train(trainer, rows, held_out, last, &mut |moment| match moment {
            Moment::Resumed(steps) => {
                *resumed = true;
                watch(Progress::Resumed { part, steps })
            }
            Moment::Event(event) => watch(Progress::Training { part, steps: last, event }),
        })
    }
}
