//! Pattern-ensemble experiments: PET, iPET and distillation (Schick & Schütze 2021, arXiv 2001.07676).
//!
//! For each seed: draw labelled rows, train a member for each pattern and verbalizer, let the members label unlabelled rows together,
//! and teach a student those soft labels. In iPET, members of the next generation learn from rows that the others labelled before.

pub mod agreement;
mod folder;
pub mod growth;
mod manifest;
mod measure;
pub mod merge;
pub mod page;
pub mod read;
pub mod report;
pub mod summary;

use std::path::Path;
use std::time::Instant;

use rand::Rng as _;

use crate::classifier::{Base, Classifier};
use crate::error::{Error, Kind, Result};
use crate::experiment::Patterns;
use crate::job::{Job, Moment};
use crate::label_words::LabelWords;
use crate::output::{PredictionWriter, WholeFile, write_table};
use crate::parameters::WORD_EMBEDDINGS;
use crate::report::Prediction;
use crate::rows::{RowSet, Rows};
use crate::sample;
use crate::score::Scorer;
use crate::seed;
use crate::soft::common_words;
use crate::task::Task;
use crate::template::Template;
use crate::train::auxiliary::Auxiliary;
use crate::train::{Event, Flow, Plan, Target, Trainer};
use crate::tuning::{Learned, Tuning};

pub use folder::{EnsembleFolder, Generation, STUDENT, Scores};
pub use manifest::{ANNOTATORS, Experiment, GROWTH, Manifest, PlanOptions, RunWith, STUDENT_STEPS, Student, TEMPERATURE, VERSION};

use merge::{Weights, shares};
use report::{EnsembleReport, Failure};

/// A member: a pattern with label words.
pub struct Member {
    /// `TEMPLATE+VERBALIZER`
    pub name: String,
    /// The template.
    pub template: Template,
    /// Which of the verbalizers.
    pub verbalizer: usize,
    /// As it is trained.
    pub trained: Patterns,
    /// As it is written, for scoring without training.
    pub written: Patterns,
}

/// The student, ready to learn.
pub struct StudentModel {
    /// Its base model, if it is not the members'.
    pub base: Option<Base>,
    /// What it reads: a pattern, or for `cls` the columns.
    pub patterns: Patterns,
}

/// Everything that an experiment needs.
pub struct Ensemble<'a> {
    /// What to do.
    pub manifest: &'a Manifest,
    /// What it is run with.
    pub run: &'a RunWith,
    /// The base model, once for each verbalizer; the weights are shared.
    pub bases: Vec<Base>,
    /// The members of each seed.
    pub members: Vec<Member>,
    /// The student, unless the members are the classifier.
    pub student: Option<StudentModel>,
    /// Whether there are members of generation 0, which labelled rows make: without any, it is the base model as it is.
    pub first_trained: bool,
    /// Labelled rows to draw from.
    pub train: Option<RowSet>,
    /// Rows for the members to label.
    pub unlabeled: Option<RowSet>,
    /// Rows to evaluate on.
    pub test: Option<RowSet>,
    /// The longest input, in tokens.
    pub max_length: usize,
    /// The same for the student's base model.
    pub student_length: usize,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: usize,
}

/// What happens, for whoever watches.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum Progress<'a> {
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

type Watch<'w> = &'w mut dyn FnMut(Progress<'_>) -> Flow;

/// The tokens of a batch in scoring, `score`'s own default.
const SCORE_TOKENS: usize = 1024;

impl Member {
    /// A member's name, which stands for it in files and in its seed.
    pub fn name_of(template: &str, verbalizer: &str) -> String {
        format!("{template}+{verbalizer}")
    }

    /// The seed of a generation's member: it depends on names alone, so that another pattern, another order and another start of the
    /// same run change no other member.
    pub fn seed(&self, seed: u64, generation: usize) -> u64 {
        seed::generator(seed, &format!("member {} of generation {generation}", self.name)).r#gen()
    }
}

impl Ensemble<'_> {
    /// Refuses, before anything is trained or written, what would stop the experiment later; gives what a reader of the results should
    /// know.
    pub fn check(&self) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        if let [only] = &self.members[..] {
            warnings.push(format!("{} is the only pattern: an ensemble of one is its member", only.name));
        }
        let sets = [&self.train, &self.unlabeled, &self.test];
        let plan = self.manifest.plan.plan(&self.manifest.tuning, self.run.classes.len());
        for member in &self.members {
            self.bases[member.verbalizer].check_engine(&self.manifest.tuning)?;
            let trainer = self.trainer(member, &plan, 0);
            for set in sets.into_iter().flatten() {
                trainer.check_rows(set.all().labelled())?;
            }
        }
        if let Some((student, model)) = self.manifest.student.as_ref().zip(self.student.as_ref()) {
            let base = model.base.as_ref().unwrap_or(&self.bases[0]);
            base.check_engine(&student.tuning)?;
            let plan = student.plan();
            for set in [&self.unlabeled, &self.test].into_iter().flatten() {
                self.student_trainer(base, model, student, &plan, 0).check_rows(set.all().labelled())?;
            }
        }
        for &seed in &self.manifest.seeds {
            let Some((_, short)) = self.drawn(seed)? else { continue };
            for shortage in short {
                let warning = format!(
                    "{} has {} of the {} rows of {:?} that --shots asks for: all are taken",
                    self.train.as_ref().map_or("", |train| train.columns.data()),
                    shortage.found,
                    self.manifest.shots.unwrap_or_default(),
                    self.run.classes[shortage.class]
                );
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
        }
        self.check_generations()?;
        let read = &self.run.columns;
        if let (Some(test), Some(train)) = (&self.test, &self.train) {
            warnings.extend(test.shared_with(train, read, "results on them say little")?);
        }
        if let (Some(test), Some(unlabeled)) = (&self.test, &self.unlabeled) {
            warnings.extend(test.shared_with(unlabeled, read, "what is learned from them is learned without their labels")?);
        }
        Ok(warnings)
    }

    /// Refuses more generations than there are rows for.
    fn check_generations(&self) -> Result<()> {
        let Some(unlabeled) = self.unlabeled.as_ref().filter(|_| self.manifest.generations > 0) else { return Ok(()) };
        for &seed in &self.manifest.seeds {
            let needed = |generation: usize| self.wanted(seed, generation).map(|wanted| wanted.iter().sum::<usize>());
            if needed(self.manifest.generations)? > unlabeled.examples.len() {
                let mut most = self.manifest.generations - 1;
                while needed(most)? > unlabeled.examples.len() {
                    most -= 1;
                }
                return Err(Kind::TooManyGenerations {
                    generations: self.manifest.generations,
                    needed: needed(self.manifest.generations)?,
                    found: unlabeled.examples.len(),
                    data: unlabeled.columns.data().to_owned(),
                    most,
                }
                .into());
            }
        }
        Ok(())
    }

    /// Does what is not done yet. None if `watch` said stop: the folder then holds where it stands.
    pub fn run(&self, folder: &EnsembleFolder, warnings: Vec<String>, watch: Watch<'_>) -> Result<Option<EnsembleReport>> {
        let all = self.members.len() + self.manifest.seeds.len() * self.models_of_seed();
        let mut done = 0;
        for member in &self.members {
            let flow = watch(Progress::Begins { done, all, seed: None, generation: None, name: &member.name });
            self.without_training(folder, member, watch)?;
            done += 1;
            if flow == Flow::Stop {
                return Ok(None);
            }
        }
        for &seed in &self.manifest.seeds {
            self.write_sample(folder, seed)?;
            for generation in self.stages() {
                for (index, member) in self.members.iter().enumerate().filter(|_| generation.is_some()) {
                    let flow = watch(Progress::Begins { done, all, seed: Some(seed), generation, name: &member.name });
                    if flow == Flow::Stop || self.member(folder, seed, generation.unwrap_or_default(), index, watch)? == Flow::Stop {
                        return Ok(None);
                    }
                    done += 1;
                }
                if self.alive(folder, generation, seed).is_empty() {
                    return Err(Kind::NoMembers { seed, generation: generation.unwrap_or_default() }.into());
                }
                if let Some(model) = &self.student {
                    let flow = watch(Progress::Begins { done, all, seed: Some(seed), generation, name: STUDENT });
                    if flow == Flow::Stop || self.teach(folder, model, seed, generation, watch)? == Flow::Stop {
                        return Ok(None);
                    }
                    done += 1;
                }
                self.tidy(folder, seed, generation);
            }
            self.write_predictions(folder, seed)?;
        }
        let report = measure::report(self, folder, warnings)?;
        folder.finish(&report)?;
        Ok(Some(report))
    }

    /// The stages whose members are an ensemble of their own: without labelled rows the base model, then each generation.
    pub fn stages(&self) -> Vec<Generation> {
        let first = self.first_trained.then_some(0);
        std::iter::once(first).chain((1..=self.manifest.generations).map(Some)).collect()
    }

    /// The last of them.
    pub fn last_stage(&self) -> Generation {
        self.stages().pop().flatten()
    }

    fn models_of_seed(&self) -> usize {
        self.stages().iter().map(|stage| stage.map_or(0, |_| self.members.len()) + usize::from(self.student.is_some())).sum()
    }

    /// A seed's labelled rows, as every method draws them; none without labelled rows.
    fn drawn(&self, seed: u64) -> Result<Option<(Rows, Vec<sample::Shortage>)>> {
        let Some(train) = &self.train else { return Ok(None) };
        let classes = self.run.classes.len();
        let drawn = sample::k_shot(&train.candidates(), classes, self.manifest.shots.unwrap_or(usize::MAX), seed);
        let rows = train.pick(&drawn.rows);
        let found = rows.classes();
        if let Some(class) = (0..classes).find(|class| !found.contains(class)) {
            return Err(Kind::ClassWithoutRows { label: self.run.classes[class].clone(), data: train.columns.data().to_owned() }.into());
        }
        Ok(Some((rows, if self.manifest.shots.is_some() { drawn.short } else { Vec::new() })))
    }

    /// How many rows of each class a generation is given by others.
    fn wanted(&self, seed: u64, generation: usize) -> Result<Vec<usize>> {
        let mut labelled = vec![0; self.run.classes.len()];
        if let Some((rows, _)) = self.drawn(seed)? {
            rows.classes().into_iter().for_each(|class| labelled[class] += 1);
        }
        Ok(growth::wanted(&labelled, self.manifest.growth, generation))
    }

    /// Scores what the patterns say without training.
    fn without_training(&self, folder: &EnsembleFolder, member: &Member, watch: Watch<'_>) -> Result<()> {
        let path = folder.scores(None, 0, &member.name);
        if path.exists() {
            return Ok(());
        }
        let started = Instant::now();
        let base = &self.bases[member.verbalizer];
        let classifier = [self.untrained(member)?];
        let scorer = self.scorer(base, &member.written.tasks, &classifier, self.max_length);
        let mut scores = Scores { test: score(&scorer, self.test.as_ref(), watch)?, ..Scores::default() };
        if self.train.is_none() {
            scores.unlabeled = score(&scorer, self.unlabeled.as_ref(), watch)?;
        }
        if self.manifest.weights == Weights::Accuracy {
            for &seed in &self.manifest.seeds {
                let Some((rows, _)) = self.drawn(seed)? else { continue };
                let scored = scorer.score(&rows.columns, &rows.examples, &mut |_| {})?;
                scores.train.insert(seed, scored.into_iter().map(|scored| scored.average).collect());
            }
        }
        folder.save_scores(&path, &scores)?;
        folder.add_seconds("members without training", started.elapsed().as_secs_f64())
    }

    /// Trains a member and scores with it.
    fn member(&self, folder: &EnsembleFolder, seed: u64, generation: usize, index: usize, watch: Watch<'_>) -> Result<Flow> {
        let member = &self.members[index];
        let path = folder.scores(Some(generation), seed, &member.name);
        if path.exists() || folder.failure(generation, seed, &member.name).is_some() {
            return Ok(Flow::On);
        }
        let base = &self.bases[member.verbalizer];
        let plan = self.manifest.plan.plan(&self.manifest.tuning, self.run.classes.len());
        let result = (|| {
            let trainer = self.trainer(member, &plan, member.seed(seed, generation));
            let rows = self.rows_of(folder, seed, generation, index)?;
            let file = folder.learned(generation, seed, &member.name);
            let part = format!("generation-{generation}/{}", member.name);
            let step = format!("training generation {generation}");
            let Some(learned) = fit(folder, &trainer, &rows, (seed, &part), (&file, &step), self.checkpoint_every, watch)? else {
                return Ok(Flow::Stop);
            };
            let started = Instant::now();
            let classifier = [base.learned(&self.manifest.tuning, &learned)?];
            let length = self.manifest.tuning.length_left(self.max_length, &base.folder.config);
            let scorer = self.scorer(base, &member.trained.tasks, &classifier, length);
            let scores = Scores {
                unlabeled: score(&scorer, self.unlabeled.as_ref(), watch)?,
                test: score(&scorer, self.test.as_ref(), watch)?,
                ..Scores::default()
            };
            folder.save_scores(&path, &scores)?;
            folder.run.drop_checkpoint(seed, &part);
            folder.add_seconds(&format!("scoring generation {generation}"), started.elapsed().as_secs_f64())?;
            Ok(Flow::On)
        })();
        match result {
            // The others go on without it, and the report and the exit code tell.
            Err(error) if is_divergence(&error) => {
                let reason = error.kind().to_string();
                watch(Progress::Failed { reason: &reason });
                let template = member.template.name().to_owned();
                let verbalizer = self.run.verbalizers[member.verbalizer].name();
                folder.save_failure(&member.name, &Failure { seed, generation, template, verbalizer, reason })?;
                folder.drop_learned(generation, seed, &member.name);
                Ok(Flow::On)
            }
            other => other,
        }
    }

    /// What a member of a generation learns from: the labelled rows, and those that others labelled.
    fn rows_of(&self, folder: &EnsembleFolder, seed: u64, generation: usize, index: usize) -> Result<Rows> {
        let drawn = self.drawn(seed)?.map(|(rows, _)| rows);
        let labelled = self.labelled_by_others(folder, seed, generation, index)?;
        let unlabeled = || self.unlabeled.as_ref().or(self.train.as_ref()).map(|set| set.pick(&[]));
        let mut rows = drawn.or_else(unlabeled).ok_or_else(|| Error::from(Kind::NoMembers { seed, generation }))?;
        if let Some(set) = &self.unlabeled {
            rows.examples.extend(labelled.iter().map(|labelled| set.examples[labelled.row].clone()));
            rows.targets.extend(labelled.iter().map(|labelled| Target::Class(labelled.class)));
        }
        Ok(rows)
    }

    /// The rows that the members before labelled for a member.
    pub(crate) fn labelled_by_others(
        &self,
        folder: &EnsembleFolder,
        seed: u64,
        generation: usize,
        index: usize,
    ) -> Result<Vec<growth::Labelled>> {
        let Some(before) = generation.checked_sub(1) else { return Ok(Vec::new()) };
        let before = if before == 0 && !self.first_trained { None } else { Some(before) };
        let alive = self.alive(folder, before, seed);
        let others: Vec<usize> = alive.iter().copied().filter(|other| *other != index).collect();
        // An ensemble of one teaches itself.
        let others = if others.is_empty() { alive } else { others };
        let own_seed = self.members[index].seed(seed, generation);
        let annotators = growth::annotators(&others, self.manifest.annotators, own_seed);
        let merged = self.merged(folder, before, seed, &annotators, 1.0, |scores| &scores.unlabeled)?;
        Ok(growth::surest(&merged, &self.wanted(seed, generation)?, before.is_some()))
    }

    /// The members of a stage that could be trained.
    pub(crate) fn alive(&self, folder: &EnsembleFolder, generation: Generation, seed: u64) -> Vec<usize> {
        (0..self.members.len()).filter(|&member| folder.scores(generation, seed, &self.members[member].name).exists()).collect()
    }

    /// What each member weighs for a seed, before the sum is made 1.
    pub(crate) fn weights(&self, folder: &EnsembleFolder, seed: u64) -> Result<Vec<f64>> {
        if self.manifest.weights == Weights::Uniform {
            return Ok(vec![1.0; self.members.len()]);
        }
        let truths = self.drawn(seed)?.map(|(rows, _)| rows.classes()).unwrap_or_default();
        let weight = |member: &Member| {
            let scores = folder.load_scores(&folder.scores(None, seed, &member.name))?;
            let said = scores.train.get(&seed).map(Vec::as_slice).unwrap_or_default();
            let right = said.iter().zip(&truths).filter(|(prediction, truth)| prediction.class() == **truth).count();
            Ok(right as f64 / truths.len().max(1) as f64)
        };
        self.members.iter().map(weight).collect()
    }

    /// Some members of a stage as one.
    pub(crate) fn merged(
        &self,
        folder: &EnsembleFolder,
        generation: Generation,
        seed: u64,
        members: &[usize],
        temperature: f64,
        part: impl Fn(&Scores) -> &Vec<Prediction>,
    ) -> Result<Vec<Prediction>> {
        let weights = self.weights(folder, seed)?;
        let load = |&member: &usize| folder.load_scores(&folder.scores(generation, seed, &self.members[member].name));
        let scores: Vec<Scores> = members.iter().map(load).collect::<Result<_>>()?;
        let parts: Vec<&Vec<Prediction>> = scores.iter().map(part).collect();
        let shares = shares(&members.iter().map(|&member| weights[member]).collect::<Vec<_>>());
        Ok(self.manifest.merge.rows(&parts, &shares, temperature))
    }

    /// Teaches a student what the members of a stage say together, and scores with it.
    fn teach(&self, folder: &EnsembleFolder, model: &StudentModel, seed: u64, stage: Generation, watch: Watch<'_>) -> Result<Flow> {
        let (Some(student), Some(unlabeled)) = (&self.manifest.student, &self.unlabeled) else { return Ok(Flow::On) };
        let generation = stage.unwrap_or_default();
        let path = folder.scores(Some(generation), seed, STUDENT);
        if path.exists() {
            return Ok(Flow::On);
        }
        let temperature = self.manifest.temperature;
        let soft = self.merged(folder, stage, seed, &self.alive(folder, stage, seed), temperature, |scores| &scores.unlabeled)?;
        if stage == self.last_stage() {
            self.write_soft_labels(folder, seed, unlabeled, &soft)?;
        }
        let targets = soft.into_iter().map(|soft| Target::Soft { probabilities: soft.probabilities, temperature });
        let mut rows = Rows { columns: unlabeled.columns.clone(), examples: unlabeled.examples.clone(), targets: targets.collect() };
        if let Some((drawn, _)) = self.drawn(seed)?.filter(|_| student.labelled) {
            rows.examples.extend(drawn.examples);
            rows.targets.extend(drawn.targets);
        }
        let base = model.base.as_ref().unwrap_or(&self.bases[0]);
        let plan = student.plan();
        let own_seed = seed::generator(seed, &format!("student of generation {generation}")).r#gen();
        let trainer = self.student_trainer(base, model, student, &plan, own_seed);
        let file = folder.learned(generation, seed, STUDENT);
        let part = format!("generation-{generation}/{STUDENT}");
        let step = format!("students of generation {generation}");
        let Some(learned) = fit(folder, &trainer, &rows, (seed, &part), (&file, &step), self.checkpoint_every, watch)? else {
            return Ok(Flow::Stop);
        };
        let started = Instant::now();
        let classifier = [base.learned(&student.tuning, &learned)?];
        let length = student.tuning.length_left(self.student_length, &base.folder.config);
        let scorer = self.scorer(base, &model.patterns.tasks, &classifier, length);
        let scores = Scores { test: score(&scorer, self.test.as_ref(), watch)?, ..Scores::default() };
        folder.save_scores(&path, &scores)?;
        folder.run.drop_checkpoint(seed, &part);
        folder.add_seconds(&step, started.elapsed().as_secs_f64())?;
        Ok(Flow::On)
    }

    /// What the last members say of the test rows together, one member's weights in memory at a time. `shares` are what each counts.
    pub fn members_say(&self, folder: &EnsembleFolder, seed: u64, shares: &[f64], watch: Watch<'_>) -> Result<Vec<Prediction>> {
        let (mut said, mut counts) = (Vec::new(), Vec::new());
        for (member, share) in self.members.iter().zip(shares) {
            let base = &self.bases[member.verbalizer];
            let (classifier, tasks, length) = match self.last_stage() {
                None => (self.untrained(member)?, &member.written.tasks, self.max_length),
                Some(generation) => {
                    let file = folder.learned(generation, seed, &member.name);
                    if folder.failure(generation, seed, &member.name).is_some() {
                        continue;
                    }
                    if !file.exists() {
                        return Err(Kind::MembersNotKept { path: folder.path().to_owned() }.into());
                    }
                    let learned = folder.load_learned(&file)?;
                    let classes = self.run.classes.len();
                    base.check_learned(&self.manifest.tuning, &learned, member.trained.soft.len(), classes)?;
                    let length = self.manifest.tuning.length_left(self.max_length, &base.folder.config);
                    (base.learned(&self.manifest.tuning, &learned)?, &member.trained.tasks, length)
                }
            };
            said.push(score(&self.scorer(base, tasks, &[classifier], length), self.test.as_ref(), watch)?);
            counts.push(*share);
        }
        Ok(self.manifest.merge.rows(&said.iter().collect::<Vec<_>>(), &merge::shares(&counts), 1.0))
    }

    /// A member as it is without training.
    fn untrained(&self, member: &Member) -> Result<Classifier> {
        let base = &self.bases[member.verbalizer];
        let soft = (!member.written.soft.is_empty()).then(|| {
            member.written.soft.vectors(base.parameters.get(WORD_EMBEDDINGS), &common_words(base.tokenizer()), self.manifest.seeds[0])
        });
        base.zero_shot(soft)
    }

    /// Takes weights away that are not the run's classifier, unless they are to be kept.
    fn tidy(&self, folder: &EnsembleFolder, seed: u64, stage: Generation) {
        let Some(generation) = stage.filter(|_| !self.manifest.keep_members) else { return };
        let is_last = stage == self.last_stage();
        if self.student.is_some() || !is_last {
            self.members.iter().for_each(|member| folder.drop_learned(generation, seed, &member.name));
        }
        if !is_last {
            folder.drop_learned(generation, seed, STUDENT);
        }
    }

    fn trainer<'b>(&'b self, member: &'b Member, plan: &'b Plan, seed: u64) -> Trainer<'b> {
        let base = &self.bases[member.verbalizer];
        Trainer {
            base,
            tuning: &self.manifest.tuning,
            plan,
            tasks: &member.trained.tasks,
            soft: &member.trained.soft,
            max_length: self.manifest.tuning.length_left(self.max_length, &base.folder.config),
            classes: self.run.classes.len(),
            seed,
            auxiliary: self
                .manifest
                .mlm_weight
                .zip(self.unlabeled.as_ref())
                .map(|(weight, unlabeled)| Auxiliary { weight, ..Auxiliary::new(plan, &unlabeled.columns, &unlabeled.examples) }),
        }
    }

    fn student_trainer<'b>(
        &'b self,
        base: &'b Base,
        model: &'b StudentModel,
        student: &'b Student,
        plan: &'b Plan,
        seed: u64,
    ) -> Trainer<'b> {
        Trainer {
            base,
            tuning: &student.tuning,
            plan,
            tasks: &model.patterns.tasks,
            soft: &model.patterns.soft,
            max_length: student.tuning.length_left(self.student_length, &base.folder.config),
            classes: self.run.classes.len(),
            seed,
            auxiliary: None,
        }
    }

    fn scorer<'b>(&'b self, base: &'b Base, tasks: &'b [Task], classifiers: &'b [Classifier], max_length: usize) -> Scorer<'b> {
        Scorer { classifiers, tokenizer: base.tokenizer(), tasks, max_length, batch_tokens: SCORE_TOKENS }
    }

    fn write_sample(&self, folder: &EnsembleFolder, seed: u64) -> Result<()> {
        let Some((rows, _)) = self.drawn(seed)? else { return Ok(()) };
        let header = [vec!["record".to_owned()], rows.columns.names().to_vec()].concat();
        let record = |example: &crate::data::Example| [vec![example.record.to_string()], example.fields.clone()].concat();
        write_table(&folder.run.sampled(seed), &header, &rows.examples.iter().map(record).collect::<Vec<_>>())
    }

    fn write_soft_labels(&self, folder: &EnsembleFolder, seed: u64, unlabeled: &RowSet, soft: &[Prediction]) -> Result<()> {
        let path = folder.path().join(format!("soft-labels/seed-{seed}.csv"));
        std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(|error| Error::writing(&path, &error))?;
        self.write(&path, unlabeled, soft)
    }

    /// The test rows as the last ensemble and the last student label them.
    fn write_predictions(&self, folder: &EnsembleFolder, seed: u64) -> Result<()> {
        let Some(test) = &self.test else { return Ok(()) };
        let stage = self.last_stage();
        let merged = self.merged(folder, stage, seed, &self.alive(folder, stage, seed), 1.0, |scores| &scores.test)?;
        self.write(&folder.path().join(format!("predictions/ensemble-seed-{seed}.csv")), test, &merged)?;
        if self.student.is_some() {
            let scores = folder.load_scores(&folder.scores(Some(stage.unwrap_or_default()), seed, STUDENT))?;
            self.write(&folder.path().join(format!("predictions/{STUDENT}-seed-{seed}.csv")), test, &scores.test)?;
        }
        Ok(())
    }

    fn write(&self, path: &Path, rows: &RowSet, predictions: &[Prediction]) -> Result<()> {
        let file = WholeFile::create(path)?;
        let mut output = PredictionWriter::create(file, path, self.run.classes.clone(), &rows.columns, false)?;
        for (example, prediction) in rows.examples.iter().zip(predictions) {
            output.write(example, prediction)?;
        }
        output.finish()?.commit()
    }
}

/// Trains what is not trained yet: what is learned, from its file if it is there. None if `watch` said stop.
fn fit(
    folder: &EnsembleFolder,
    trainer: &Trainer<'_>,
    rows: &Rows,
    (seed, part): (u64, &str),
    (file, step): (&Path, &str),
    checkpoint_every: usize,
    watch: Watch<'_>,
) -> Result<Option<Learned>> {
    if file.exists() {
        return folder.load_learned(file).map(Some);
    }
    let started = Instant::now();
    let job = Job { folder: &folder.run, seed, part, checkpoint_every, keep_end: false };
    let steps = trainer.plan.steps;
    let state = job.train(trainer, rows, None, steps, &mut |moment| match moment {
        Moment::Resumed(steps) => watch(Progress::Resumed { steps }),
        Moment::Event(event) => watch(Progress::Training { steps, event }),
    })?;
    folder.add_seconds(step, started.elapsed().as_secs_f64())?;
    let Some(state) = state else { return Ok(None) };
    let learned = state.kept();
    // The last step's update is in no loss.
    if !learned.values().all(|tensor| tensor.isfinite().all().int64_value(&[]) != 0) {
        return Err(Kind::LossNotFinite { step: steps + 1, records: Vec::new() }.into());
    }
    folder.save_learned(file, &learned)?;
    Ok(Some(learned))
}

/// Scores all rows of a set.
fn score(scorer: &Scorer<'_>, set: Option<&RowSet>, watch: Watch<'_>) -> Result<Vec<Prediction>> {
    let Some(set) = set else { return Ok(Vec::new()) };
    let scored = scorer.score(&set.columns, &set.examples, &mut |share| {
        watch(Progress::Scoring { share });
    })?;
    Ok(scored.into_iter().map(|scored| scored.average).collect())
}

/// Whether a member's numbers are no numbers any more: its own failure, and not the folder's or the data's.
fn is_divergence(error: &Error) -> bool {
    matches!(error.kind(), Kind::LossNotFinite { .. } | Kind::ScoreNotFinite)
}

/// A template as a method has it, as a member or a student of an experiment.
pub fn patterns_of(
    template: &Template,
    tuning: &Tuning,
    words: &LabelWords,
    base: &crate::prompt_model::ModelFolder,
) -> Result<(Vec<Template>, crate::soft::SoftTokens)> {
    manifest::pattern(template, tuning, words, &base.tokenizer)
}
