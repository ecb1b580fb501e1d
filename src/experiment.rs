//! One way of tuning over several seeds, with what it must beat beside it: from a manifest to a table of results.

use std::time::Instant;

use serde::Serialize;

use crate::baseline;
use crate::classifier::{Base, Classifier};
use crate::compare::{OverSeeds, PairedBootstrap};
use crate::data::{Columns, Example};
use crate::error::{Kind, Result};
use crate::output::{PredictionWriter, WholeFile, write_table};
use crate::parameters::WORD_EMBEDDINGS;
use crate::report::{Evaluation, Prediction, Tally};
use crate::run::{Events, History, Manifest, RunFolder, SeedEvent, Select};
use crate::sample::{self, Candidate};
use crate::score::Scorer;
use crate::soft::{SoftTokens, common_words};
use crate::task::Task;
use crate::train::{Event, Flow, Labelled, Plan, State, Trainer};
use crate::tuning::{Cls, Tuning};

/// Rows that training or evaluating needs whole.
pub struct RowSet {
    /// Their columns.
    pub columns: std::sync::Arc<Columns>,
    /// The rows.
    pub examples: Vec<Example>,
    /// The class of each, where it has a label.
    pub truths: Vec<Option<usize>>,
}

/// Patterns with the vectors of their soft tokens.
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

/// The table of results.
#[derive(Debug, Clone, Serialize)]
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
}

/// One seed's part of the table.
#[derive(Debug, Clone, Serialize)]
pub struct SeedMetrics {
    /// The seed.
    pub seed: u64,
    /// Rows that it was trained on.
    pub train_rows: usize,
    /// How the training went.
    #[serde(flatten)]
    pub history: History,
    /// Seconds of training; none if a stopped run was gone on with.
    pub seconds: Option<f64>,
    /// On the test rows.
    pub evaluation: Option<Evaluation>,
}

/// A baseline's part of the table.
#[derive(Debug, Clone, Serialize)]
pub struct BaselineMetrics {
    /// Which.
    pub name: String,
    /// Its accuracy for each seed; one for all where it knows no seed.
    pub accuracies: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// The method less this baseline.
    pub difference: Option<PairedBootstrap>,
}

/// Which rows a seed is trained on and which are held out.
struct Split {
    train: Vec<usize>,
    held_out: Option<Rows>,
    short: Vec<sample::Shortage>,
}

/// Rows of their own, as the trainer takes them.
struct Rows {
    columns: std::sync::Arc<Columns>,
    examples: Vec<Example>,
    truths: Vec<usize>,
}

impl Rows {
    fn of(set: &RowSet, chosen: &[usize]) -> Rows {
        Rows {
            columns: set.columns.clone(),
            examples: chosen.iter().map(|&row| set.examples[row].clone()).collect(),
            // Sampled rows have labels.
            truths: chosen.iter().map(|&row| set.truths[row].unwrap_or_default()).collect(),
        }
    }

    fn labelled(&self) -> Labelled<'_> {
        Labelled { columns: &self.columns, examples: &self.examples, truths: &self.truths }
    }
}

/// Folds of a cross-validation.
pub const FOLDS: usize = 4;

impl Experiment<'_> {
    /// Refuses, before anything is trained or written, what would stop a training later; gives what a reader of the results should know.
    pub fn check(&self) -> Result<Vec<String>> {
        let Manifest { tuning, plan, classes, .. } = self.manifest;
        self.base.check_engine(tuning)?;
        if self.manifest.cls_baseline {
            self.base.check_engine(&CLS)?;
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
            let trainer = self.trainer(tuning, plan, &self.patterns, seed);
            trainer.check_rows(Rows::of(&self.train, &split.train).labelled())?;
            if let Some(held_out) = &split.held_out {
                trainer.check_rows(held_out.labelled())?;
            }
        }
        if let Some(test) = &self.test {
            let trainer = self.trainer(tuning, plan, &self.patterns, 0);
            let rows = Labelled { columns: &test.columns, examples: &test.examples, truths: &[] };
            trainer.check_rows(rows)?;
            // What is compared with reads the same rows, the zero-shot model at the very end.
            if let Some(written) = &self.written {
                self.trainer(&Tuning::Full, plan, written, 0).check_rows(rows)?;
            }
            if self.manifest.cls_baseline {
                self.trainer(&CLS, plan, &self.columns, 0).check_rows(rows)?;
            }
        }
        warnings.extend(self.leaks()?);
        Ok(warnings)
    }

    /// Runs what is not done yet, and puts the warnings of [`Experiment::check`] beside the results. None if `watch` said stop: the
    /// folder then holds where it stands.
    pub fn run(&self, folder: &RunFolder, warnings: Vec<String>, watch: &mut dyn FnMut(Progress<'_>) -> Flow) -> Result<Option<Metrics>> {
        let mut found = Found::default();
        for &seed in &self.manifest.seeds {
            let split = self.split(seed)?;
            let rows = Rows::of(&self.train, &split.train);
            let held_out = split.held_out.as_ref().map_or(0, |rows| rows.truths.len());
            watch(Progress::Seed { seed, train: rows.truths.len(), held_out });
            self.write_sample(folder, seed, &rows, split.held_out.as_ref())?;
            let started = Instant::now();
            let (learned, history, seconds) = if folder.learned(seed).exists() {
                let (learned, history) = folder.load_learned(seed)?;
                (learned, history, None)
            } else {
                let mut job = Job { experiment: self, folder, seed, resumed: false, watch };
                let Some(state) = job.fit(&rows, split.held_out.as_ref())? else { return Ok(None) };
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
            let predictions = self.predict(&self.patterns, classifier, &self.manifest.tuning, watch)?;
            if let (Some(test), Some(predictions)) = (&self.test, &predictions) {
                self.write_predictions(folder, seed, test, predictions)?;
                found.method.push(predictions.clone());
                self.baselines(&rows, test, &mut found);
            }
            if self.manifest.cls_baseline {
                let mut job = Job { experiment: self, folder, seed, resumed: false, watch };
                let Some(state) = job.fit_cls(&rows)? else { return Ok(None) };
                let classifier = self.base.learned(&CLS, &state.kept())?;
                found.cls.extend(self.predict(&self.columns, classifier, &CLS, watch)?);
            }
            folder.drop_checkpoints(seed);
            let evaluation = self.test.as_ref().zip(predictions.as_ref()).and_then(|(test, predictions)| self.evaluate(test, predictions));
            let metrics = SeedMetrics { seed, train_rows: rows.truths.len(), history, seconds, evaluation };
            watch(Progress::Done { metrics: &metrics });
            found.seeds.push(metrics);
        }
        if let (Some(written), Some(_)) = (&self.written, &self.test) {
            let words = self.base.parameters.get(WORD_EMBEDDINGS);
            let soft = (!written.soft.is_empty())
                .then(|| written.soft.vectors(words, &common_words(self.base.tokenizer()), self.manifest.seeds[0]));
            found.zero_shot = self.predict(written, self.base.zero_shot(soft)?, &Tuning::Full, watch)?;
        }
        let metrics = self.metrics(found, warnings);
        folder.finish(&metrics)?;
        Ok(Some(metrics))
    }

    /// A seed's rows: the same for every method.
    fn split(&self, seed: u64) -> Result<Split> {
        let classes = self.manifest.classes.len();
        let candidates = |set: &RowSet| -> Vec<Candidate> {
            set.examples
                .iter()
                .zip(&set.truths)
                .map(|(example, truth)| Candidate { identity: sample::identity(&set.columns, example), class: truth.unwrap_or_default() })
                .collect()
        };
        let train = candidates(&self.train);
        let shots = self.manifest.shots.unwrap_or(usize::MAX);
        let drawn = sample::k_shot(&train, classes, shots, seed);
        let short = if self.manifest.shots.is_some() { drawn.short } else { Vec::new() };
        if let Some(class) = (0..classes).find(|class| !drawn.rows.iter().any(|&row| train[row].class == *class)) {
            return Err(
                Kind::ClassWithoutRows { label: self.manifest.classes[class].clone(), data: self.train.columns.data().to_owned() }.into()
            );
        }
        let held_out = match (self.manifest.select, &self.dev) {
            (Select::Dev, Some(dev)) => Some((dev, sample::k_shot(&candidates(dev), classes, shots, seed))),
            (Select::Dev, None) => Some((&self.train, sample::k_shot_after(&train, classes, shots, shots, seed))),
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
        Ok(Split { train: drawn.rows, held_out: held_out.map(|(set, drawn)| Rows::of(set, &drawn.rows)), short })
    }

    fn trainer<'b>(&'b self, tuning: &'b Tuning, plan: &'b Plan, patterns: &'b Patterns, seed: u64) -> Trainer<'b> {
        Trainer {
            base: self.base,
            tuning,
            plan,
            tasks: &patterns.tasks,
            soft: &patterns.soft,
            max_length: tuning.length_left(self.manifest.max_length, &self.base.folder.config),
            classes: self.manifest.classes.len(),
            seed,
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
        let classifiers = [classifier];
        let scorer = Scorer {
            classifiers: &classifiers,
            tokenizer: self.base.tokenizer(),
            tasks: &patterns.tasks,
            max_length: tuning.length_left(self.manifest.max_length, &self.base.folder.config),
            batch_tokens: SCORE_TOKENS,
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
        let text = |columns: &Columns, example: &Example| {
            let place = |name: &String| columns.names().iter().position(|column| column == name);
            let fields = self.manifest.columns.iter().filter_map(place).map(|place| example.fields[place].as_str());
            fields.collect::<Vec<_>>().join(" ")
        };
        let train: Vec<(String, usize)> =
            rows.examples.iter().zip(&rows.truths).map(|(example, truth)| (text(&rows.columns, example), *truth)).collect();
        let texts: Vec<String> = test.examples.iter().map(|example| text(&test.columns, example)).collect();
        let classes = self.manifest.classes.len();
        found.naive_bayes.push(baseline::naive_bayes(&train, &texts, classes));
        found.logistic_regression.push(baseline::logistic_regression(&train, &texts, classes));
    }

    /// Test rows that stand in the train file too, as far as the columns that are read tell.
    fn leaks(&self) -> Result<Option<String>> {
        let Some(test) = &self.test else { return Ok(None) };
        let (columns, rows) = self.read_part(test)?;
        let (train_columns, train_rows) = self.read_part(&self.train)?;
        let shared = sample::shared((&columns, &rows), (&train_columns, &train_rows));
        let records: Vec<String> = shared.iter().take(5).map(|&row| rows[row].record.to_string()).collect();
        Ok((!shared.is_empty()).then(|| {
            format!(
                "{} of the {} rows of {} are in {} too (record{} {}{}): results on them say little",
                shared.len(),
                rows.len(),
                columns.data(),
                train_columns.data(),
                if shared.len() == 1 { "" } else { "s" },
                records.join(", "),
                if shared.len() > records.len() { ", …" } else { "" },
            )
        }))
    }

    /// Rows with the columns alone that are read.
    fn read_part(&self, set: &RowSet) -> Result<(Columns, Vec<Example>)> {
        let read = &self.manifest.columns;
        let places: Vec<usize> = read.iter().filter_map(|column| set.columns.names().iter().position(|name| name == column)).collect();
        let part =
            |example: &Example| Example { fields: places.iter().map(|&place| example.fields[place].clone()).collect(), ..example.clone() };
        let names = places.iter().map(|&place| set.columns.names()[place].clone()).collect();
        Ok((Columns::check(set.columns.data(), names, None)?, set.examples.iter().map(part).collect()))
    }

    fn metrics(&self, found: Found, warnings: Vec<String>) -> Metrics {
        let truths: Vec<usize> = self.test.iter().flat_map(|test| test.truths.iter().flatten().copied()).collect();
        let rows: Vec<usize> = self
            .test
            .iter()
            .flat_map(|test| test.truths.iter().enumerate().filter(|(_, truth)| truth.is_some()).map(|(row, _)| row))
            .collect();
        let right = |predictions: &Vec<Prediction>| -> Vec<bool> {
            rows.iter().zip(&truths).map(|(&row, truth)| predictions[row].class() == *truth).collect()
        };
        let method: Vec<Vec<bool>> = found.method.iter().map(right).collect();
        let mut baselines = Vec::new();
        let mut add = |name: &str, correct: Vec<Vec<bool>>| {
            if correct.is_empty() || rows.is_empty() {
                return;
            }
            let share = |list: &Vec<bool>| list.iter().filter(|right| **right).count() as f64 / list.len() as f64;
            let accuracies: Vec<f64> = correct.iter().map(share).collect();
            baselines.push(BaselineMetrics {
                name: name.to_owned(),
                mean: accuracies.iter().sum::<f64>() / accuracies.len() as f64,
                accuracies,
                difference: PairedBootstrap::of(&method, &correct),
            });
        };
        let mut counts = vec![0; self.manifest.classes.len()];
        truths.iter().for_each(|truth| counts[*truth] += 1);
        let majority = (0..counts.len()).reduce(|best, next| if counts[next] > counts[best] { next } else { best }).unwrap_or(0);
        add("majority class", vec![truths.iter().map(|truth| *truth == majority).collect()]);
        add("TF-IDF + naive Bayes", found.naive_bayes.iter().map(right).collect());
        add("TF-IDF + logistic regression", found.logistic_regression.iter().map(right).collect());
        add("zero-shot", found.zero_shot.iter().map(right).collect());
        add("cls", found.cls.iter().map(right).collect());
        let of = |measure: fn(&Evaluation) -> f64| -> Vec<f64> {
            found.seeds.iter().filter_map(|seed| seed.evaluation.as_ref().map(measure)).collect()
        };
        Metrics {
            version: 1,
            method: self.manifest.tuning.name().to_owned(),
            trained_parameters: found.seeds.first().map_or(0, |seed| seed.history.trained_parameters),
            test_rows: rows.len(),
            accuracy: OverSeeds::of(&of(|evaluation| evaluation.accuracy)),
            macro_f1: OverSeeds::of(&of(|evaluation| evaluation.macro_f1)),
            seeds: found.seeds,
            baselines,
            warnings,
        }
    }

    fn write_sample(&self, folder: &RunFolder, seed: u64, rows: &Rows, held_out: Option<&Rows>) -> Result<()> {
        let used = |rows: &Rows, used: &str| -> Vec<Vec<String>> {
            let record = |example: &Example| [vec![used.to_owned(), example.record.to_string()], example.fields.clone()].concat();
            rows.examples.iter().map(record).collect()
        };
        let header = [vec!["used_for".to_owned(), "record".to_owned()], rows.columns.names().to_vec()].concat();
        let mut records = used(rows, "train");
        // Development rows of another file have the same columns: that was checked.
        records.extend(held_out.iter().flat_map(|rows| used(rows, "dev")));
        write_table(&folder.sampled(seed), &header, &records)
    }

    fn write_predictions(&self, folder: &RunFolder, seed: u64, test: &RowSet, predictions: &[Prediction]) -> Result<()> {
        let path = folder.predictions(seed);
        let file = WholeFile::create(&path)?;
        let mut output = PredictionWriter::create(file, &path, self.manifest.classes.clone(), &test.columns, false)?;
        for (example, prediction) in test.examples.iter().zip(predictions) {
            output.write(example, prediction)?;
        }
        output.finish()?.commit()
    }
}

/// The tokens of a batch in scoring, `score`'s own default.
const SCORE_TOKENS: usize = 1024;

/// The baseline on `[CLS]`.
pub const CLS: Tuning = Tuning::Cls(Cls { frozen_encoder: false });

/// Predictions as they come, a list for each seed.
#[derive(Default)]
struct Found {
    seeds: Vec<SeedMetrics>,
    method: Vec<Vec<Prediction>>,
    naive_bayes: Vec<Vec<Prediction>>,
    logistic_regression: Vec<Vec<Prediction>>,
    cls: Vec<Vec<Prediction>>,
    zero_shot: Option<Vec<Prediction>>,
}

/// A seed's trainings.
struct Job<'a, 'w> {
    experiment: &'a Experiment<'a>,
    folder: &'a RunFolder,
    seed: u64,
    resumed: bool,
    watch: &'w mut dyn FnMut(Progress<'_>) -> Flow,
}

impl Job<'_, '_> {
    /// The training whose result is kept. None if it was stopped.
    fn fit(&mut self, rows: &Rows, held_out: Option<&Rows>) -> Result<Option<State>> {
        let Experiment { manifest, patterns, .. } = self.experiment;
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
        let defaults = CLS.defaults();
        let plan = Plan { steps: defaults.steps, learning_rate: defaults.learning_rate, ..manifest.plan.clone() };
        let trainer = self.experiment.trainer(&CLS, &plan, columns, self.seed);
        self.train(&trainer, "cls", rows, None, plan.steps)
    }

    /// The step whose mean accuracy over the folds is best, then the one with the lowest loss. None if it was stopped.
    fn best_of_folds(&mut self, rows: &Rows) -> Result<Option<usize>> {
        let Experiment { manifest, patterns, train: set, .. } = self.experiment;
        // Every fold goes to the end: looks at the same steps can be averaged.
        let plan = Plan { patience: usize::MAX, ..manifest.plan.clone() };
        let mut sums: Vec<(usize, f64, f64)> = Vec::new();
        for (number, fold) in sample::folds(&rows.truths, FOLDS, self.seed).into_iter().enumerate() {
            let part = |keep: &dyn Fn(usize) -> bool| {
                let chosen: Vec<usize> = (0..rows.truths.len()).filter(|row| keep(*row)).collect();
                Rows {
                    columns: set.columns.clone(),
                    examples: chosen.iter().map(|&row| rows.examples[row].clone()).collect(),
                    truths: chosen.iter().map(|&row| rows.truths[row]).collect(),
                }
            };
            let (train, held_out) = (part(&|row| !fold.contains(&row)), part(&|row| fold.contains(&row)));
            if held_out.truths.is_empty() || train.truths.is_empty() {
                continue;
            }
            let trainer = self.experiment.trainer(&manifest.tuning, &plan, patterns, self.seed);
            let Some(state) = self.train(&trainer, &format!("fold-{}", number + 1), &train, Some(&held_out), plan.steps)? else {
                return Ok(None);
            };
            let weight = held_out.truths.len() as f64;
            for (index, look) in state.looks.iter().enumerate() {
                if sums.len() <= index {
                    sums.push((look.step, 0.0, 0.0));
                }
                sums[index].1 += look.accuracy * weight;
                sums[index].2 += look.loss * weight;
            }
        }
        let better = |best: &(usize, f64, f64), next: &(usize, f64, f64)| next.1 > best.1 || (next.1 == best.1 && next.2 < best.2);
        let best = sums.into_iter().reduce(|best, next| if better(&best, &next) { next } else { best });
        Ok(Some(best.map_or(manifest.plan.steps, |(step, ..)| step)))
    }

    /// One training, gone on with where it was stopped, up to a step. None if it was stopped again.
    fn train(&mut self, trainer: &Trainer<'_>, part: &str, rows: &Rows, held_out: Option<&Rows>, last: usize) -> Result<Option<State>> {
        let mut state = trainer.begin()?;
        self.folder.resume(self.seed, part, &mut state)?;
        if state.step > 0 {
            self.resumed = true;
            (self.watch)(Progress::Resumed { part, steps: state.step });
        }
        let mut events = self.events(part, state.step)?;
        let mut stopped = false;
        let (folder, seed, every) = (self.folder, self.seed, self.experiment.checkpoint_every);
        if state.step < last {
            trainer.train(&mut state, rows.labelled(), held_out.map(Rows::labelled), &mut |event, state| {
                events.add(&SeedEvent { seed, part: part.to_owned(), event: event.clone() })?;
                // Once asked to stop, a step's look may follow, and whoever watches need not say it again there.
                stopped |= (self.watch)(Progress::Training { part, steps: last, event }) == Flow::Stop;
                let look_follows = held_out.is_some() && matches!(event, Event::Step { .. }) && trainer.looks_after(state.step);
                if look_follows {
                    return Ok(if stopped { Flow::Stop } else { Flow::On });
                }
                if state.step % every == 0 && state.step < last && !stopped {
                    folder.save_checkpoint(seed, part, state)?;
                }
                Ok(if stopped || state.step == last { Flow::Stop } else { Flow::On })
            })?;
        }
        if stopped && state.step < last {
            folder.save_checkpoint(seed, part, &state)?;
            return Ok(None);
        }
        if part != "run" {
            // What comes of it is needed again if a later training is stopped.
            folder.save_checkpoint(seed, part, &state)?;
        }
        Ok(Some(state))
    }

    /// The list of events without what this training will say again.
    fn events(&self, part: &str, step: usize) -> Result<Events> {
        self.folder.events(&|event: &SeedEvent| {
            let (Event::Step { step: at, .. } | Event::Evaluated { step: at, .. }) = &event.event;
            event.seed != self.seed || event.part != part || *at <= step
        })
    }
}
