//! A seed's trainings in its run's folder: the method's own, and those of what it is compared with.

use std::ops::ControlFlow;

use super::{Experiment, ExperimentEvent, FOLDS};
use crate::error::Result;
use crate::learn::dataset::LabelledDataset;
use crate::learn::job::{Job, JobEvent};
use crate::learn::objective::{CombinedLoss, PAIRS_IN_STEP, Pairs};
use crate::learn::run::{RunFolder, Select};
use crate::learn::sample;
use crate::learn::train::{ClassLoss, HeldOut, Plan, State, Trainer};
use crate::predict::task::TaskSet;
use crate::tune::{Cls, Learned, Tuning};

/// The baseline on `[CLS]`.
pub const CLS: Tuning = Tuning::Cls(Cls { frozen_encoder: false });

/// What the steps of the baselines that are trained are called in the list of events.
pub(super) const BASELINES: [&str; 2] = [CLS_PART, SETFIT_PART];
pub(super) const RUN_PART: &str = "run";
pub(super) const CLS_PART: &str = "cls";
pub(super) const SETFIT_PART: &str = "setfit";

/// SetFit's learning rate, as in the paper.
const SETFIT_RATE: f64 = 2e-5;

/// SetFit's steps on so many train rows: all pairs once, but at most a thousand steps.
pub fn setfit_steps(rows: usize) -> usize {
    Pairs::count(rows).div_ceil(PAIRS_IN_STEP).min(1000)
}

/// A seed's trainings.
pub(super) struct Trainings<'a, 'w> {
    pub(super) experiment: &'a Experiment,
    pub(super) folder: &'a RunFolder,
    pub(super) seed: u64,
    pub(super) start: Option<Learned>,
    pub(super) resumed: bool,
    pub(super) watch: &'w mut dyn FnMut(ExperimentEvent<'_>) -> ControlFlow<()>,
}

impl Trainings<'_, '_> {
    /// The training whose result is kept. None if it was stopped.
    pub(super) fn fit(
        &mut self,
        patterns: &TaskSet,
        rows: &LabelledDataset,
        held_out: Option<&LabelledDataset>,
    ) -> Result<Option<State>> {
        let Experiment { manifest, .. } = self.experiment;
        let last = match manifest.select {
            Select::Cv => match self.best_of_folds(rows)? {
                Some(step) => step,
                None => return Ok(None),
            },
            Select::None | Select::Dev => manifest.plan.steps,
        };
        let trainer = self.experiment.trainer(&manifest.tuning, &manifest.plan, patterns, self.seed);
        self.train(&trainer, RUN_PART, rows, held_out, last)
    }

    /// Fine-tuning on `[CLS]`, with its own defaults and the rest of the plan.
    pub(super) fn fit_cls(&mut self, rows: &LabelledDataset) -> Result<Option<State>> {
        let Experiment { manifest, columns, .. } = self.experiment;
        let defaults = CLS.defaults(manifest.classes.len());
        let plan = Plan {
            steps: defaults.steps,
            learning_rate: defaults.learning_rate,
            loss: ClassLoss::default(),
            ..manifest.plan.clone()
        };
        let trainer = self.experiment.trainer(&CLS, &plan, columns, self.seed);
        self.train(&trainer, CLS_PART, rows, None, plan.steps)
    }

    /// The first half of SetFit, with its own rate and steps and the rest of the plan.
    pub(super) fn fit_setfit(&mut self, rows: &LabelledDataset) -> Result<Option<State>> {
        let Experiment { manifest, columns, .. } = self.experiment;
        let plan = Plan {
            steps: setfit_steps(rows.targets.len()),
            learning_rate: SETFIT_RATE,
            accumulation: 1,
            ..manifest.plan.clone()
        };
        let trainer = self.experiment.trainer(&Tuning::Full, &plan, columns, self.seed);
        let loss = CombinedLoss::from(trainer.pairs(rows)?);
        self.minimise(&trainer, SETFIT_PART, loss, None, plan.steps)
    }

    /// The step whose mean accuracy over the folds is best, then the one with the lowest loss. None if it was
    /// stopped.
    fn best_of_folds(&mut self, rows: &LabelledDataset) -> Result<Option<usize>> {
        let Experiment { manifest, patterns, .. } = self.experiment;
        // Every fold goes to the end: evaluations after the same steps can be averaged.
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
            for (index, evaluation) in state.evaluations.iter().enumerate() {
                if sums.len() <= index {
                    sums.push((evaluation.step, 0.0, 0.0));
                }
                sums[index].1 += evaluation.accuracy * weight;
                sums[index].2 += evaluation.loss * weight;
            }
        }
        let better = |best: &(usize, f64, f64), next: &(usize, f64, f64)| {
            next.1 > best.1 || (next.1 == best.1 && next.2 < best.2)
        };
        let best = sums.into_iter().reduce(|best, next| if better(&best, &next) { next } else { best });
        Ok(Some(best.map_or(manifest.plan.steps, |(step, ..)| step)))
    }

    /// A training on the classes of rows, up to a step. None if it was stopped.
    fn train(
        &mut self,
        trainer: &Trainer<'_>,
        part: &str,
        rows: &LabelledDataset,
        held_out: Option<&LabelledDataset>,
        last: usize,
    ) -> Result<Option<State>> {
        self.minimise(trainer, part, trainer.loss(rows)?, held_out, last)
    }

    /// One training, gone on with where it was stopped, up to a step. None if it was stopped again.
    fn minimise(
        &mut self,
        trainer: &Trainer<'_>,
        part: &str,
        loss: CombinedLoss,
        held_out: Option<&LabelledDataset>,
        last: usize,
    ) -> Result<Option<State>> {
        let job = Job {
            folder: self.folder,
            seed: self.seed,
            part,
            start: self.start.as_ref(),
            checkpoint_every: self.experiment.checkpoint_every,
            keep_end: part != RUN_PART,
        };
        let (resumed, watch) = (&mut self.resumed, &mut self.watch);
        job.train(trainer, &mut loss.into(), held_out.map(HeldOut::Rows), last, &mut |event| match event {
            JobEvent::Resumed(steps) => {
                *resumed = true;
                watch(ExperimentEvent::Resumed { part, steps })
            }
            JobEvent::Training(event) => watch(ExperimentEvent::Training { part, steps: last, event }),
        })
    }
}
