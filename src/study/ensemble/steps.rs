//! The models of an experiment, one after the other: each is trained, scores, and leaves what it says in the
//! run's folder.

use std::ops::ControlFlow;
use std::time::Instant;

use rand::Rng as _;

use super::merge::{Calibration, Weights};
use super::report::Failure;
use super::{
    Ensemble, EnsembleEvent, EnsembleFolder, Generation, Member, STUDENT, Scores, Student, StudentModel,
    Watch, merge,
};
use crate::error::{EncodeError, EnsembleError, Error, Kind, Result, TrainingError};
use crate::learn::dataset::LabelledDataset;
use crate::learn::job::{Job, JobEvent};
use crate::learn::objective::{Auxiliary, CombinedLoss};
use crate::learn::target::Target;
use crate::learn::train::{Plan, Trainer};
use crate::model::dtype::Dtype;
use crate::model::values::is_finite;
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::report::Prediction;
use crate::predict::score::{Scored, Scorer};
use crate::predict::task::{Task, TaskSet};
use crate::seed;
use crate::text::dataset::Dataset;
use crate::tune::{Learned, Tuning};

impl Ensemble {
    /// Scores what the patterns say without training.
    pub(super) fn without_training(
        &self,
        folder: &EnsembleFolder,
        member: &Member,
        watch: Watch<'_>,
    ) -> Result<()> {
        let path = folder.scores(None, 0, &member.name);
        if path.exists() {
            return Ok(());
        }
        let started = Instant::now();
        let base = &self.bases[member.verbalizer];
        let classifier = [self.untrained(member)?];
        let scorer = self.scorer(base, &member.written.tasks, &classifier, self.max_length);
        let test = score(&scorer, self.test.as_ref(), watch)?;
        let mut scores =
            Scores { test, without_content: self.without_content(&scorer)?, ..Scores::default() };
        if self.train.is_none() {
            scores.unlabeled = score(&scorer, self.unlabeled.as_ref(), watch)?;
        }
        if self.manifest.weights == Weights::Accuracy {
            for (&seed, rows) in &self.drawn {
                let scored = scorer.score(&rows.columns, &rows.examples, &mut |_| {})?;
                scores.train.insert(seed, predictions(scored));
            }
        }
        folder.save_scores(&path, &scores)?;
        folder.add_seconds("members without training", started.elapsed().as_secs_f64())
    }

    /// Trains a member and scores with it.
    pub(super) fn member(
        &self,
        folder: &EnsembleFolder,
        seed: u64,
        generation: usize,
        index: usize,
        watch: Watch<'_>,
    ) -> Result<ControlFlow<()>> {
        let member = &self.members[index];
        let plan = self.manifest.plan.plan(&self.manifest.tuning, self.run.classes.len());
        let base = &self.bases[member.verbalizer];
        let kept =
            self.manifest.keep_members || (self.student.is_none() && Some(generation) == self.last_stage());
        self.model(folder, (seed, generation, &member.name), kept, watch, &mut |watch| {
            let trainer = self.trainer(member, &plan, member.seed(seed, generation));
            let rows = self.rows_of(folder, seed, generation, index)?;
            let steps =
                [format!("training generation {generation}"), format!("scoring generation {generation}")];
            let loss = || match self.auxiliary(&plan) {
                Some(auxiliary) => trainer.with_auxiliary(&rows, &auxiliary),
                None => trainer.classification(&rows).map(CombinedLoss::from),
            };
            let place = (seed, generation, &*member.name);
            let Some(learned) = self.fit(folder, &trainer, &loss, place, &steps[0], watch)? else {
                return Ok(None);
            };
            let started = Instant::now();
            let classifier = [base.learned(&self.manifest.tuning, &learned)?.prepared(Dtype::F32)?];
            let scorer = self.scorer(base, &member.trained.tasks, &classifier, trainer.max_length);
            let scores = Scores {
                unlabeled: score(&scorer, self.unlabeled.as_ref(), watch)?,
                test: score(&scorer, self.test.as_ref(), watch)?,
                without_content: self.without_content(&scorer)?,
                ..Scores::default()
            };
            folder.add_seconds(&steps[1], started.elapsed().as_secs_f64())?;
            Ok(Some(scores))
        })
    }

    /// Teaches a student what the members of a stage say together, and scores with it.
    pub(super) fn teach(
        &self,
        folder: &EnsembleFolder,
        model: &StudentModel,
        seed: u64,
        stage: Generation,
        watch: Watch<'_>,
    ) -> Result<ControlFlow<()>> {
        let (Some(student), Some(unlabeled)) = (&self.manifest.student, &self.unlabeled) else {
            return Ok(ControlFlow::Continue(()));
        };
        let generation = stage.unwrap_or_default();
        let base = model.base.as_ref().unwrap_or(&self.bases[0]);
        let plan = student.plan();
        self.model(folder, (seed, generation, STUDENT), stage == self.last_stage(), watch, &mut |watch| {
            let temperature = self.manifest.temperature;
            let soft =
                self.merged(folder, stage, seed, &self.alive(folder, stage, seed), temperature, |scores| {
                    &scores.unlabeled
                })?;
            if stage == self.last_stage() {
                self.write_soft_labels(folder, seed, unlabeled, &soft)?;
            }
            let targets =
                soft.into_iter().map(|soft| Target::Soft { probabilities: soft.probabilities, temperature });
            let mut rows = LabelledDataset {
                columns: unlabeled.columns.clone(),
                examples: unlabeled.examples.clone(),
                targets: targets.collect(),
            };
            if let Some(drawn) = self.drawn.get(&seed).filter(|_| student.labelled) {
                rows.examples.extend(drawn.examples.iter().cloned());
                rows.targets.extend(drawn.targets.iter().cloned());
            }
            let own_seed = seed::generator(seed, &format!("student of generation {generation}")).r#gen();
            let trainer = self.student_trainer(base, model, student, &plan, own_seed);
            let step = format!("students of generation {generation}");
            let loss = || trainer.classification(&rows).map(CombinedLoss::from);
            let place = (seed, generation, STUDENT);
            let Some(learned) = self.fit(folder, &trainer, &loss, place, &step, watch)? else {
                return Ok(None);
            };
            let started = Instant::now();
            let classifier = [base.learned(&student.tuning, &learned)?.prepared(Dtype::F32)?];
            let scorer = self.scorer(base, &model.patterns.tasks, &classifier, trainer.max_length);
            let scores = Scores { test: score(&scorer, self.test.as_ref(), watch)?, ..Scores::default() };
            folder.add_seconds(&step, started.elapsed().as_secs_f64())?;
            Ok(Some(scores))
        })
    }

    /// Makes what a model says, if it is not there, by `scores`, which gives none where `watch` said stop. A
    /// model whose numbers are no numbers any more is left out: the others go on, and the report and the exit
    /// code tell. What it learned goes as soon as it is not needed any more, unless it is `kept`.
    fn model(
        &self,
        folder: &EnsembleFolder,
        (seed, generation, name): (u64, usize, &str),
        kept: bool,
        watch: Watch<'_>,
        scores: &mut dyn FnMut(Watch<'_>) -> Result<Option<Scores>>,
    ) -> Result<ControlFlow<()>> {
        let path = folder.scores(Some(generation), seed, name);
        if !path.exists() && folder.failure(generation, seed, name).is_none() {
            match scores(watch) {
                Ok(None) => return Ok(ControlFlow::Break(())),
                Ok(Some(scores)) => folder.save_scores(&path, &scores)?,
                Err(error) if is_divergence(&error) => {
                    let reason = error.kind().to_string();
                    let _ = watch(EnsembleEvent::Failed { reason: &reason });
                    folder.save_failure(&Failure { seed, generation, name: name.to_owned(), reason })?;
                }
                Err(error) => return Err(error),
            }
        }
        // A kill may have come before any of these.
        folder.run.drop_checkpoint(seed, &part(generation, name));
        if !kept || !path.exists() {
            folder.drop_learned(generation, seed, name);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Trains by a loss what is not trained yet: what is learned, from its file if it is there. None if
    /// `watch` said stop.
    fn fit(
        &self,
        folder: &EnsembleFolder,
        trainer: &Trainer<'_>,
        loss: &dyn Fn() -> Result<CombinedLoss>,
        (seed, generation, name): (u64, usize, &str),
        step: &str,
        watch: Watch<'_>,
    ) -> Result<Option<Learned>> {
        let file = folder.learned(generation, seed, name);
        if file.exists() {
            return folder.load_learned(&file).map(Some);
        }
        let started = Instant::now();
        let part = part(generation, name);
        let job = Job {
            start: None,
            folder: &folder.run,
            seed,
            part: &part,
            checkpoint_every: self.checkpoint_every,
            keep_end: false,
        };
        let steps = trainer.plan.steps;
        let state = job.train(trainer, &mut loss()?.into(), None, steps, &mut |event| match event {
            JobEvent::Resumed(steps) => watch(EnsembleEvent::Resumed { steps }),
            JobEvent::Training(event) => watch(EnsembleEvent::Training { steps, event }),
        })?;
        folder.add_seconds(step, started.elapsed().as_secs_f64())?;
        let Some(state) = state else { return Ok(None) };
        let learned = state.kept();
        // The last step's update is in no loss.
        if !learned.values().all(is_finite) {
            return Err(TrainingError::LearnedNotFinite { step: steps }.into());
        }
        folder.save_learned(&file, &learned)?;
        Ok(Some(learned))
    }

    /// What the last members say of rows together, and which of them some member had to cut; one
    /// member's weights are in memory at a time. `shares` are what each counts.
    pub fn members_say(
        &self,
        folder: &EnsembleFolder,
        seed: u64,
        rows: &Dataset,
        shares: &[f64],
        watch: Watch<'_>,
    ) -> Result<Vec<(Prediction, bool)>> {
        let (mut said, mut counts, mut cut) = (Vec::new(), Vec::new(), vec![false; rows.examples.len()]);
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
                        return Err(EnsembleError::MembersNotKept { path: folder.path().to_owned() }.into());
                    }
                    let learned = folder.load_learned(&file)?;
                    let classes = self.run.classes.len();
                    base.check_learned(&self.manifest.tuning, &learned, member.trained.soft.len(), classes)?;
                    (
                        base.learned(&self.manifest.tuning, &learned)?.prepared(Dtype::F32)?,
                        &member.trained.tasks,
                        member.trained.max_length,
                    )
                }
            };
            let classifier = [classifier];
            let mut scored = scored(&self.scorer(base, tasks, &classifier, length), rows, watch)?;
            // By what it said in the run: a row's answer does not depend on the rows beside it.
            if self.manifest.calibrate.is_some() {
                let correction = self.correction(&folder.load_scores(&folder.scores(
                    self.last_stage(),
                    seed,
                    &member.name,
                ))?);
                let corrected = |scored: &mut Scored| {
                    scored.average = correction
                        .as_ref()
                        .map_or_else(|| scored.average.clone(), |own| own.apply(&scored.average))
                };
                scored.iter_mut().for_each(corrected);
            }
            cut.iter_mut().zip(&scored).for_each(|(cut, scored)| *cut |= scored.truncated.contains(&true));
            said.push(predictions(scored));
            counts.push(*share);
        }
        let merged = self.manifest.merge.rows(&said.iter().collect::<Vec<_>>(), &merge::shares(&counts), 1.0);
        Ok(merged.into_iter().zip(cut).collect())
    }

    /// What a member says to inputs without content, where it is calibrated by them.
    fn without_content(&self, scorer: &Scorer<'_>) -> Result<Vec<Prediction>> {
        let method = self.manifest.calibrate.and_then(Calibration::without_content);
        let (Some(method), Some(rows)) = (method, self.unlabeled.as_ref().or(self.test.as_ref())) else {
            return Ok(Vec::new());
        };
        scorer.without_content(
            method,
            &scorer.tasks[0],
            &rows.columns,
            &rows.examples.iter().collect::<Vec<_>>(),
        )
    }

    /// A member as it is without training: its soft tokens are those of `score`, whatever the seeds.
    fn untrained(&self, member: &Member) -> Result<Classifier> {
        self.bases[member.verbalizer].untrained(&member.written.soft, 0)?.prepared(Dtype::F32)
    }

    pub(super) fn trainer<'b>(&'b self, member: &'b Member, plan: &'b Plan, seed: u64) -> Trainer<'b> {
        let base = &self.bases[member.verbalizer];
        self.trainer_of(base, &self.manifest.tuning, &member.trained, plan, seed)
    }

    /// Language modelling on the unlabelled rows, where members learn by that too.
    fn auxiliary(&self, plan: &Plan) -> Option<Auxiliary<'_>> {
        self.manifest.mlm_weight.zip(self.unlabeled.as_ref()).map(|(weight, unlabeled)| Auxiliary {
            weight,
            ..Auxiliary::new(plan, &unlabeled.columns, &unlabeled.examples)
        })
    }

    pub(super) fn student_trainer<'b>(
        &'b self,
        base: &'b VerbalizedLm,
        model: &'b StudentModel,
        student: &'b Student,
        plan: &'b Plan,
        seed: u64,
    ) -> Trainer<'b> {
        self.trainer_of(base, &student.tuning, &model.patterns, plan, seed)
    }

    fn trainer_of<'b>(
        &self,
        base: &'b VerbalizedLm,
        tuning: &'b Tuning,
        patterns: &'b TaskSet,
        plan: &'b Plan,
        seed: u64,
    ) -> Trainer<'b> {
        Trainer {
            base,
            tuning,
            plan,
            tasks: &patterns.tasks,
            soft: &patterns.soft,
            together: &[],
            max_length: patterns.max_length,
            classes: self.run.classes.len(),
            seed,
        }
    }

    fn scorer<'b>(
        &'b self,
        base: &'b VerbalizedLm,
        tasks: &'b [Task],
        classifiers: &'b [Classifier],
        max_length: usize,
    ) -> Scorer<'b> {
        Scorer { batch_tokens: self.batch_tokens, ..Scorer::of(base, classifiers, tasks, max_length) }
    }
}

/// A training's name among those of its seed.
fn part(generation: usize, name: &str) -> String {
    format!("generation-{generation}/{name}")
}

/// Scores all rows of a set.
fn score(scorer: &Scorer<'_>, set: Option<&Dataset>, watch: Watch<'_>) -> Result<Vec<Prediction>> {
    set.map_or_else(|| Ok(Vec::new()), |set| Ok(predictions(scored(scorer, set, watch)?)))
}

fn scored(scorer: &Scorer<'_>, set: &Dataset, watch: Watch<'_>) -> Result<Vec<Scored>> {
    scorer.score(&set.columns, &set.examples, &mut |share| {
        let _ = watch(EnsembleEvent::Scoring { share });
    })
}

fn predictions(scored: Vec<Scored>) -> Vec<Prediction> {
    scored.into_iter().map(|scored| scored.average).collect()
}

/// Whether a model's numbers are no numbers any more: its own failure, and not the folder's or the data's.
fn is_divergence(error: &Error) -> bool {
    use TrainingError::{LearnedNotFinite, LossNotFinite, MlmLossNotFinite};
    matches!(
        error.kind(),
        Kind::Training(LossNotFinite { .. } | MlmLossNotFinite { .. } | LearnedNotFinite { .. })
            | Kind::Encode(EncodeError::ScoreNotFinite)
    )
}
