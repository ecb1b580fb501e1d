//! Pattern-ensemble experiments: PET, iPET and distillation (Schick & Schütze 2021, arXiv 2001.07676).
//!
//! For each seed: draw labelled rows, train a member for each pattern and verbalizer, let the members label
//! unlabelled rows together, and teach a student those soft labels. In iPET, members of the next generation
//! learn from rows that the others labelled before.

pub mod agreement;
mod check;
mod folder;
pub mod growth;
mod manifest;
mod measure;
pub mod merge;
pub mod page;
mod prepare;
pub mod read;
pub mod report;
mod resolve;
mod steps;
pub mod summary;
mod turns;
mod written;

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;

use rand::Rng as _;

use crate::error::{EnsembleError, Error, Result};
use crate::learn::dataset::LabelledDataset;
use crate::learn::target::Target;
use crate::learn::train::Event;
use crate::model::tensor_file;
use crate::model::threads::Threads;
use crate::predict::calibration::Correction;
use crate::predict::classifier::VerbalizedLm;
use crate::predict::report::Prediction;
use crate::predict::task::TaskSet;
use crate::seed;
use crate::text::data::{Columns, Example};
use crate::text::dataset::Dataset;
use crate::text::template::Template;

pub use folder::{EnsembleFolder, Generation, STUDENT, Scores};
pub use manifest::{
    ANNOTATORS, Experiment, GROWTH, Manifest, RunWith, STUDENT_STEPS, Student, TEMPERATURE, VERSION,
};
pub use resolve::ResolveWith;

use growth::Draw;
use merge::{Weights, shares};
use report::EnsembleReport;

/// A member: a pattern with label words.
pub struct Member {
    /// `TEMPLATE+VERBALIZER`
    pub name: String,
    /// The template.
    pub template: Template,
    /// Which of the verbalizers.
    pub verbalizer: usize,
    /// As it is trained.
    pub trained: TaskSet,
    /// As it is written, for scoring without training.
    pub written: TaskSet,
}

/// The student, ready to learn.
pub struct StudentModel {
    /// Its base model, if it is not the members'.
    pub base: Option<VerbalizedLm>,
    /// What it reads: a pattern, or for `cls` the columns.
    pub patterns: TaskSet,
}

/// Everything that an experiment needs.
pub struct Ensemble {
    /// What to do.
    pub manifest: Manifest,
    /// What it is run with.
    pub run: RunWith,
    /// The base model, once for each verbalizer; the weights are shared.
    pub bases: Vec<VerbalizedLm>,
    /// The members of each seed.
    pub members: Vec<Member>,
    /// The student, unless the members are the classifier.
    pub student: Option<StudentModel>,
    /// Whether there are members of generation 0, which labelled rows make: without any, it is the base model
    /// as it is.
    pub first_trained: bool,
    /// Labelled rows to draw from.
    pub train: Option<Dataset>,
    /// Those that each seed draws: see [`Ensemble::draw`]. None without labelled rows.
    pub drawn: BTreeMap<u64, LabelledDataset>,
    /// Rows for the members to label.
    pub unlabeled: Option<Dataset>,
    /// Rows to evaluate on.
    pub test: Option<Dataset>,
    /// The longest input, in tokens.
    pub max_length: usize,
    /// The most tokens in a batch of scoring.
    pub batch_tokens: usize,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: usize,
}

/// What happens, for whoever watches.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum EnsembleEvent<'a> {
    /// A model's turn: so many of all are done, those of an earlier run included.
    Begins { done: usize, all: usize, seed: Option<u64>, generation: Generation, name: &'a str },
    /// Its training goes on, which was stopped after so many steps.
    Resumed { steps: usize },
    /// Its training of so many steps.
    Training { steps: usize, event: &'a Event },
    /// It scores rows; the share that is done.
    Scoring { share: f64 },
    /// It could not be trained; the others go on.
    Failed { reason: &'a str },
}

type Watch<'w> = &'w mut dyn FnMut(EnsembleEvent<'_>) -> ControlFlow<()>;

impl Member {
    /// A member's name, which stands for it in files and in its seed.
    pub fn name_of(template: &str, verbalizer: &str) -> String {
        format!("{template}+{verbalizer}")
    }

    /// The seed of a generation's member: it depends on names alone, so that another pattern, another order
    /// and another start of the same run change no other member.
    pub fn seed(&self, seed: u64, generation: usize) -> u64 {
        seed::generator(seed, &format!("member {} of generation {generation}", self.name)).r#gen()
    }
}

impl Ensemble {
    /// Does what is not done yet. None if `watch` said stop: the folder then holds where it stands.
    pub fn run(
        &self,
        folder: &EnsembleFolder,
        warnings: Vec<String>,
        watch: Watch<'_>,
    ) -> Result<Option<EnsembleReport>> {
        let _threads = Threads::on(self.manifest.threads.unwrap_or(1));
        for &seed in &self.manifest.seeds {
            self.write_sample(folder, seed)?;
        }
        let turns = self.turns();
        for (done, &turn) in turns.iter().enumerate() {
            if self.take(folder, turn, (done, turns.len()), watch)?.is_break() {
                return Ok(None);
            }
        }
        for &seed in &self.manifest.seeds {
            self.write_predictions(folder, seed)?;
        }
        let first = self.stages()[0];
        if self.manifest.seeds.iter().all(|&seed| self.alive(folder, first, seed).is_empty()) {
            return Err(EnsembleError::NoMembers.into());
        }
        let report = measure::report(self, folder, warnings)?;
        folder.finish(&report)?;
        Ok(Some(report))
    }

    /// The stages whose members are an ensemble of their own: without labelled rows the base model, then each
    /// generation.
    pub fn stages(&self) -> Vec<Generation> {
        let first = self.first_trained.then_some(0);
        std::iter::once(first).chain((1..=self.manifest.generations).map(Some)).collect()
    }

    /// The stage whose members label rows for a generation; the first has none.
    fn before(&self, generation: usize) -> Option<Generation> {
        let before = generation.checked_sub(1)?;
        Some((before > 0 || self.first_trained).then_some(before))
    }

    /// The last of them.
    pub fn last_stage(&self) -> Generation {
        self.stages().pop().flatten()
    }

    /// How many labelled rows of each class a seed has.
    fn labelled_rows(&self, seed: u64) -> Vec<usize> {
        let mut labelled = vec![0; self.run.classes.len()];
        self.drawn
            .get(&seed)
            .into_iter()
            .flat_map(LabelledDataset::classes)
            .for_each(|class| labelled[class] += 1);
        labelled
    }

    /// How many rows of each class a generation is given by others.
    fn wanted(&self, seed: u64, generation: usize) -> Vec<usize> {
        growth::wanted(&self.labelled_rows(seed), self.manifest.growth, generation)
    }

    /// What a member of a generation learns from: the labelled rows, and those that others labelled.
    fn rows_of(
        &self,
        folder: &EnsembleFolder,
        seed: u64,
        generation: usize,
        index: usize,
    ) -> Result<LabelledDataset> {
        let labelled = self.labelled_by_others(folder, seed, generation, index)?;
        let none = || self.unlabeled.as_ref().map(|set| set.pick(&[]));
        let mut rows = self
            .drawn
            .get(&seed)
            .cloned()
            .or_else(none)
            .ok_or_else(|| Error::from(EnsembleError::NoMembers))?;
        if let Some(set) = &self.unlabeled {
            rows.examples.extend(labelled.iter().map(|labelled| set.examples[labelled.row].clone()));
            rows.targets.extend(labelled.iter().map(|labelled| Target::Class(labelled.class)));
        }
        Ok(rows)
    }

    /// The rows that the members before labelled for a member. Rows that it has labels of are not among them:
    /// who learned their labels is sure of them, and they would stand where new rows should.
    fn labelled_by_others(
        &self,
        folder: &EnsembleFolder,
        seed: u64,
        generation: usize,
        index: usize,
    ) -> Result<Vec<growth::Labelled>> {
        let (Some(before), Some(unlabeled)) = (self.before(generation), &self.unlabeled) else {
            return Ok(Vec::new());
        };
        let alive = self.alive(folder, before, seed);
        let others: Vec<usize> = alive.iter().copied().filter(|other| *other != index).collect();
        // An ensemble of one teaches itself.
        let others = if others.is_empty() { alive } else { others };
        let names: Vec<&str> = others.iter().map(|&other| self.members[other].name.as_str()).collect();
        let own_seed = self.members[index].seed(seed, generation);
        let drawn = growth::annotators(&names, self.manifest.annotators, own_seed);
        let annotators: Vec<usize> = drawn.into_iter().map(|place| others[place]).collect();
        let merged = self.merged(folder, before, seed, &annotators, 1.0, |scores| &scores.unlabeled)?;
        let read = &self.run.columns;
        let text = |columns: &Columns, example: &Example| Dataset::text(columns, example, read);
        let drawn = self
            .drawn
            .get(&seed)
            .into_iter()
            .flat_map(|rows| rows.examples.iter().map(|row| text(&rows.columns, row)));
        let known: HashSet<String> = drawn.collect();
        let free: Vec<bool> =
            unlabeled.examples.iter().map(|row| !known.contains(&text(&unlabeled.columns, row))).collect();
        let (wanted, strict) = (self.wanted(seed, generation), before.is_some());
        Ok(match self.manifest.draw {
            Draw::Surest => growth::surest(&merged, free, &wanted, strict),
            Draw::Proportional => {
                let mut generator = seed::generator(own_seed, "rows that others labelled");
                growth::proportional(&merged, &free, &wanted, strict, &mut generator)
            }
        })
    }

    /// The members of a stage that could be trained.
    pub(crate) fn alive(&self, folder: &EnsembleFolder, generation: Generation, seed: u64) -> Vec<usize> {
        (0..self.members.len())
            .filter(|&member| folder.scores(generation, seed, &self.members[member].name).exists())
            .collect()
    }

    /// What each member weighs for a seed, before the sum is made 1.
    fn weights(&self, folder: &EnsembleFolder, seed: u64) -> Result<Vec<f64>> {
        if self.manifest.weights == Weights::Uniform {
            return Ok(vec![1.0; self.members.len()]);
        }
        let truths = self.drawn.get(&seed).map(LabelledDataset::classes).unwrap_or_default();
        let weight = |member: &Member| {
            let scores = self.scores_of(folder, None, seed, &member.name)?;
            let said = scores.train.get(&seed).map(Vec::as_slice).unwrap_or_default();
            let right =
                said.iter().zip(&truths).filter(|(prediction, truth)| prediction.class() == **truth).count();
            Ok(right as f64 / truths.len().max(1) as f64)
        };
        self.members.iter().map(weight).collect()
    }

    /// Some members of a stage as one; nothing where there are none.
    fn merged(
        &self,
        folder: &EnsembleFolder,
        generation: Generation,
        seed: u64,
        members: &[usize],
        temperature: f64,
        part: impl Fn(&Scores) -> &Vec<Prediction>,
    ) -> Result<Vec<Prediction>> {
        // In the order of their names: sums are rounded the same in whatever order the patterns were given.
        let mut members = members.to_vec();
        members.sort_by(|one, other| self.members[*one].name.cmp(&self.members[*other].name));
        let weights = self.weights(folder, seed)?;
        let load = |&member: &usize| self.scores_of(folder, generation, seed, &self.members[member].name);
        let scores: Vec<Scores> = members.iter().map(load).collect::<Result<_>>()?;
        let parts: Vec<&Vec<Prediction>> = scores.iter().map(part).collect();
        if parts.windows(2).any(|two| two[0].len() != two[1].len()) {
            return Err(tensor_file::unreadable(
                folder.path(),
                "its members' scores are not of the same rows".to_owned(),
            ));
        }
        let shares = shares(&members.iter().map(|&member| weights[member]).collect::<Vec<_>>());
        Ok(self.manifest.merge.rows(&parts, &shares, temperature))
    }

    /// What a member says, calibrated, or a student.
    pub(crate) fn scores_of(
        &self,
        folder: &EnsembleFolder,
        generation: Generation,
        seed: u64,
        name: &str,
    ) -> Result<Scores> {
        let mut scores = self.load_scores(folder, &folder.scores(generation, seed, name))?;
        if let Some(correction) = self.correction(&scores).filter(|_| name != STUDENT) {
            let all = scores
                .unlabeled
                .iter_mut()
                .chain(&mut scores.test)
                .chain(scores.train.values_mut().flatten());
            all.for_each(|prediction| *prediction = correction.apply(prediction));
        }
        Ok(scores)
    }

    /// How a member is corrected by what it said.
    fn correction(&self, scores: &Scores) -> Option<Correction> {
        let calibrate = self.manifest.calibrate?;
        calibrate.correction(match calibrate.without_content() {
            Some(_) => &scores.without_content,
            None if scores.unlabeled.is_empty() => &scores.test,
            None => &scores.unlabeled,
        })
    }

    /// What a classifier says, from its file, of as many rows and classes as there are.
    fn load_scores(&self, folder: &EnsembleFolder, path: &Path) -> Result<Scores> {
        let scores = folder.load_scores(path)?;
        let fits = |said: &[Prediction], rows: Option<usize>| {
            said.iter().all(|prediction| prediction.probabilities.len() == self.run.classes.len())
                && (said.is_empty() || rows.is_none_or(|rows| rows == said.len()))
        };
        let of = |set: &Option<Dataset>| set.as_ref().map(|set| set.examples.len());
        let train = scores
            .train
            .iter()
            .all(|(seed, said)| fits(said, self.drawn.get(seed).map(|rows| rows.targets.len())));
        // Test rows are scored by all.
        let test = scores.test.len() == of(&self.test).unwrap_or_default();
        if train && test && fits(&scores.unlabeled, of(&self.unlabeled)) && fits(&scores.test, None) {
            return Ok(scores);
        }
        Err(tensor_file::unreadable(path, "it has other rows than the run".to_owned()))
    }
}
