//! The members of an ensemble's run as one classifier: each scores the rows in its turn, and their answers
//! are merged. It is the rows that stay in memory, one member's weights at a time beside them.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use tch::Device;

use crate::error::{EnsembleError, Errors, Result, RunError};
use crate::model::dtype::Dtype;
use crate::model::threads::Threads;
use crate::predict::output::Answer;
use crate::predict::prompt_classifier::Compute;
use crate::predict::report::{Prediction, Report, Run as Described};
use crate::predict::score::{Counts, Scored, batch_tokens};
use crate::study::ensemble::report::{EnsembleReport, Pattern};
use crate::study::ensemble::{self, Ensemble, EnsembleFolder, Manifest, Member};
use crate::study::pictures::RowSample;
use crate::study::run::{Contents, Run, Wanted, base};
use crate::text::data::{Columns, Example, Reading};
use crate::text::dataset::Dataset;

/// The last members of a run, and rows for them to answer.
pub struct Members {
    folder: EnsembleFolder,
    ensemble: Ensemble,
    report: EnsembleReport,
    seeds: Vec<u64>,
    rows: Dataset,
    /// So many rows were left out, and so many labels are a class's but for case or blanks.
    left_out: u64,
    near_labels: u64,
}

/// What members answered.
pub struct Answered {
    rows: Dataset,
    answers: Vec<Answer>,
    report: Report,
}

impl Members {
    /// Reads and checks rows and what the run keeps. All problems at once.
    pub fn open(run: &Run, wanted: &Wanted, rows: &Path, reading: &Reading) -> Result<Members, Errors> {
        let Contents::Ensemble(folder, manifest) = &run.contents else {
            return Err(EnsembleError::RunWithoutMembers { path: run.path().to_owned() }.into());
        };
        let seeds = run.chosen_seeds(wanted.seed)?;
        let report = EnsembleReport::of_run(run.path())?;
        // The manifest may have got a seed that was not run.
        if let Some(&seed) = seeds.iter().find(|seed| !report.setting.seeds.contains(seed)) {
            let (path, seeds) = (run.path().to_owned(), report.setting.seeds);
            return Err(RunError::WithoutSeed { path, seed, seeds }.into());
        }
        let Some(mut with) = manifest.run.clone() else {
            return Err(RunError::Unfinished { path: run.path().to_owned() }.into());
        };
        with.model.path = base(&with.model, wanted)?.path().to_owned();
        let manifest = Manifest {
            train: None,
            unlabeled: None,
            test: Some(rows.to_owned()),
            engine: wanted.options.engine,
            device: wanted.options.device.into(),
            max_length: wanted.max_length.or(manifest.max_length),
            student: None,
            ..(**manifest).clone()
        };
        let verbalizer = &Manifest::read_verbalizers(&with)?[0];
        // The warnings are about a training.
        let (mut ensemble, _) = Ensemble::prepare_reading(manifest, with, 1, reading)?;
        // Trained members are those of the run, though nothing is trained here.
        ensemble.first_trained = report.stages.iter().any(|stage| stage.generation == Some(0));
        let rows = ensemble.test.take();
        let Some(rows) = rows else { unreachable!("the rows were named") };
        let left_out = reading.bad_rows.of(rows.columns.data());
        let near_labels = rows.near_labels(verbalizer);
        Ok(Members { folder: folder.clone(), ensemble, report, seeds, rows, left_out, near_labels })
    }

    /// The base model's folder.
    pub fn model(&self) -> &Path {
        &self.ensemble.run.model.path
    }

    /// What a reader of their answers should know.
    pub fn warnings(&self) -> Vec<String> {
        self.ensemble.bases.iter().filter_map(|base| base.words.left_out()).collect()
    }

    /// Lets the members answer the rows. `progress` is told which share of the work is done.
    pub fn score(mut self, compute: Compute, progress: &mut dyn FnMut(f64)) -> Result<Answered> {
        let threads = compute.threads.unwrap_or_else(Threads::usual);
        let _threads = Threads::on(threads);
        let device = self.ensemble.bases[0].model.device;
        self.ensemble.batch_tokens = compute.batch_tokens.unwrap_or_else(|| batch_tokens(device));
        let started = Instant::now();
        let mut by_seed = Vec::with_capacity(self.seeds.len());
        let mut done = 0.0;
        for seed in &self.seeds {
            let shares = self.shares(*seed)?;
            // Each member scores all rows in its turn.
            let watch = &mut |event: ensemble::EnsembleEvent<'_>| {
                if let ensemble::EnsembleEvent::Scoring { share } = event {
                    progress((done + share) / (self.seeds.len() * self.ensemble.members.len()) as f64);
                    done += f64::from(u8::from(share >= 1.0 - 1e-9));
                }
                ControlFlow::Continue(())
            };
            by_seed.push(self.ensemble.members_say(&self.folder, *seed, &self.rows, &shares, watch)?);
        }
        let mut counts = Counts::new(&self.ensemble.run.classes, 0);
        let mut answers = Vec::with_capacity(self.rows.examples.len());
        for (row, truth) in self.rows.truths.iter().enumerate() {
            let said: Vec<Prediction> = by_seed.iter().map(|seed| seed[row].0.clone()).collect();
            let scored = Scored {
                by_pattern: Vec::new(),
                levels: Vec::new(),
                average: Prediction::average(&said),
                truncated: vec![by_seed.iter().any(|seed| seed[row].1)],
                crowded: Vec::new(),
                windows: 1,
                // Nobody counts the tokens of members, nor what they had before.
                tokens: 0,
                repeated: false,
            };
            counts.add(&scored, *truth);
            answers.push(scored.average.into());
        }
        let (left_out_rows, near_labels) = (self.left_out, self.near_labels);
        let report = counts.report(self.described(threads), &[], started.elapsed().as_secs_f64());
        let report = Report { left_out_rows, near_labels, ..report };
        Ok(Answered { rows: self.rows, answers, report })
    }

    /// What each member counts with a seed, as the run's report has it.
    fn shares(&self, seed: u64) -> Result<Vec<f64>> {
        let place = self.report.setting.seeds.iter().position(|other| *other == seed);
        let share = |member: &Member| {
            let named =
                |pattern: &&Pattern| Member::name_of(&pattern.template, &pattern.verbalizer) == member.name;
            let pattern = self.report.patterns.iter().find(named);
            pattern.zip(place).map(|(pattern, place)| pattern.weights[place]).ok_or_else(|| {
                let (path, reason) = (self.folder.report(), format!("it has no weight of {}", member.name));
                RunError::FileDamaged { path, reason, checkpoint: false }.into()
            })
        };
        self.ensemble.members.iter().map(share).collect()
    }

    fn described(&self, threads: usize) -> Described {
        let Ensemble { manifest, run, bases, max_length, batch_tokens, .. } = &self.ensemble;
        Described {
            cloze: env!("CARGO_PKG_VERSION").to_owned(),
            data: self.rows.columns.data().to_owned(),
            model: run.model.path.display().to_string(),
            engine: manifest.engine.name().to_owned(),
            device: if bases[0].model.device == Device::Cpu { "cpu" } else { "cuda" }.to_owned(),
            dtype: Dtype::F32,
            dtypes_tried: None,
            threads,
            verbalizer: run.verbalizers.iter().map(|file| file.file.as_str()).collect::<Vec<_>>().join(", "),
            aggregate: manifest.merge.name().to_owned(),
            forwards_per_row: bases.iter().map(|base| base.words.forwards()).max().unwrap_or(1),
            labels: run.classes.clone(),
            max_length: *max_length,
            batch_tokens: *batch_tokens,
        }
    }
}

impl Answered {
    /// The rows' columns.
    pub fn columns(&self) -> &Columns {
        &self.rows.columns
    }

    /// The rows with their answers.
    pub fn rows(&self) -> impl Iterator<Item = (&Example, &Answer)> {
        self.rows.examples.iter().zip(&self.answers)
    }

    /// The rows as a page shows them: all their columns but the label's.
    pub fn sample(&self) -> RowSample {
        let names = self.rows.columns.names().iter().enumerate();
        let shown = names.filter(|(_, name)| self.rows.columns.label() != Some(name.as_str()));
        let mut sample =
            RowSample::new(shown.map(|(place, _)| place).collect(), self.report.run.labels.clone());
        for ((example, answer), truth) in self.rows().zip(&self.rows.truths) {
            sample.add(example, answer, *truth);
        }
        sample
    }

    /// What was run, and what came of it.
    pub fn report(&self) -> &Report {
        &self.report
    }
}
