//! Continued pre-training: masked language modelling on texts of one's own, so that a model knows the words
//! and the ways of a field before it classifies there (Gururangan et al. 2020, arXiv 2004.10964).
//!
//! What comes of it is a plain model folder, `model` in the run's folder, which every program takes that
//! takes its base.

mod manifest;
mod request;

use std::cell::RefCell;
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Errors, Result, TrainingError, TuningError};
use crate::learn::corpus::Corpus;
use crate::learn::job::{Job, JobEvent};
use crate::learn::objective::{CombinedLoss, Mixture, Objective, PackedLanguageModelling};
use crate::learn::run::{Device, RunFolder, SeedEvent};
use crate::learn::texts::{HeldOutText, Texts};
use crate::learn::train::{Event, HeldOut, Look, Plan, Trainer};
use crate::model::dtype::Dtype;
use crate::model::folder::{MODEL, ModelFolder};
use crate::model::masked_lm::{MaskedLm, Options};
use crate::model::threads::Threads;
use crate::model::values::is_finite;
use crate::predict::blueprint::device;
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::label_words::LabelWords;
use crate::tune::Learned;
use crate::tune::export::{self, Writing};
use crate::tune::soft::SoftTokens;

pub use manifest::Manifest;
pub use request::{HowLong, PretrainRequest};

/// Everything about a pre-training.
pub struct Pretraining {
    /// What is kept of it.
    pub manifest: Manifest,
    base: VerbalizedLm,
    /// Steps from one checkpoint to the next.
    checkpoint_every: usize,
}

/// What came of a pre-training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainMetrics {
    /// The method's name.
    pub method: String,
    /// Numbers that moved.
    pub trained_parameters: usize,
    /// Steps taken.
    pub steps: usize,
    /// Tokens that went through the model in them.
    pub tokens: usize,
    /// Seconds that they took.
    pub seconds: f64,
    /// The held-out texts without training.
    pub before: Vec<Look>,
    /// The same in the end.
    pub after: Vec<Look>,
}

/// What happens in a pre-training, for whoever watches.
#[derive(Debug, Clone, Copy)]
pub enum PretrainEvent<'a> {
    /// Texts are read as tokens, of which there are so many by now.
    Reading(usize),
    /// What a reader of the results should know.
    Remark(&'a str),
    /// The held-out texts without training.
    Before(&'a [Look]),
    /// It goes on, having been stopped after so many steps.
    Resumed(usize),
    /// A step or a look.
    Training(&'a Event),
}

impl Pretraining {
    /// Checks what a manifest names and loads the base model; gives what a reader of the results should know.
    /// All problems at once.
    pub fn prepare(
        manifest: Manifest,
        checkpoint_every: usize,
    ) -> Result<(Pretraining, Vec<String>), Errors> {
        let mut errors = Errors::new();
        errors.keep(manifest.check());
        let device = errors.keep(device(manifest.header.device == Device::Cuda));
        let folder = errors.keep(ModelFolder::open_any_head(&manifest.header.model.path));
        let (Some(device), Some(mut folder)) = (device, folder) else { return Err(errors.distinct()) };
        if let Some(dropout) = manifest.plan.dropout {
            folder.config.set_dropout(dropout);
        }
        let of_method = errors.keep(manifest.tuning.check(&folder.config));
        errors.keep(manifest.texts.check(&folder.config));
        let (Some(mut warnings), true) = (of_method, errors.is_empty()) else {
            return Err(errors.distinct());
        };
        warnings.extend(manifest.plan.remark(device));
        let model =
            MaskedLm::of(folder, Options { engine: manifest.header.engine, device, ..Options::default() })?;
        warnings.extend(model.parameters.remark());
        let base = VerbalizedLm::new(model, LabelWords::none(device));
        base.check_language_modelling()?;
        Ok((Pretraining { manifest, base, checkpoint_every }, warnings))
    }

    /// Learns, and writes the model. None if `watch` said stop: then it can be gone on with.
    pub fn run(
        &self,
        folder: &RunFolder,
        watch: &mut dyn FnMut(PretrainEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Option<PretrainMetrics>> {
        let Manifest { header, texts, tuning, plan, .. } = &self.manifest;
        let _threads = Threads::on(header.threads);
        let seed = header.seeds.first().copied().unwrap_or_default();
        let (reading, tokenizer) = (header.data.reading(), self.base.tokenizer());
        let go_on = &mut |tokens| watch(PretrainEvent::Reading(tokens));
        if texts.encode(folder, &reading, tokenizer, go_on)?.is_break() {
            return Ok(None);
        }
        let (corpus, held_out, remarks) = texts.open(folder, &reading, tokenizer, seed)?;
        for remark in &remarks {
            let _ = watch(PretrainEvent::Remark(remark));
        }
        let before = self.look(&Learned::new(), &held_out)?;
        if !before.is_empty() && watch(PretrainEvent::Before(&before)).is_break() {
            return Ok(None);
        }
        let trainer = self.trainer(plan, seed);
        let objective = PackedLanguageModelling::new(corpus, texts.masking, plan.batch_size);
        let mut mixture = Mixture::from(CombinedLoss::from(Objective::Packed(objective)));
        // What came of it is written once more if that is stopped.
        let job = Job {
            folder,
            seed,
            part: PART,
            checkpoint_every: self.checkpoint_every,
            keep_end: true,
            start: None,
        };
        let look = |learned: &Learned| self.look(learned, &held_out);
        let looks = (!held_out.is_empty()).then_some(HeldOut::Looks(&look));
        let watch = RefCell::new(watch);
        let state = job.train(&trainer, &mut mixture, looks, plan.steps, &mut |event| match event {
            JobEvent::Resumed(steps) => watch.borrow_mut()(PretrainEvent::Resumed(steps)),
            JobEvent::Training(event) => watch.borrow_mut()(PretrainEvent::Training(event)),
        })?;
        let Some(state) = state else { return Ok(None) };
        let learned = state.kept();
        // The last step's update is in no loss.
        if !learned.values().all(is_finite) {
            return Err(TrainingError::LearnedNotFinite { step: state.step }.into());
        }
        self.write_model(folder, &learned)?;
        let metrics = PretrainMetrics {
            method: tuning.name().to_owned(),
            trained_parameters: state.trainable.size(),
            steps: state.step,
            tokens: state.step * plan.batch_size * plan.accumulation * texts.sequence_length,
            seconds: seconds(folder)?,
            before,
            after: self.look(&learned, &held_out)?,
        };
        Texts::clear(folder);
        folder.finish(&metrics)?;
        Ok(Some(metrics))
    }

    /// How long a step takes here: the median of a few, on words that are drawn.
    pub fn seconds_a_step(&self) -> Result<f64> {
        let Manifest { header, texts, plan, .. } = &self.manifest;
        let _threads = Threads::on(header.threads);
        let plan = &Plan { steps: TRIAL_STEPS, ..plan.clone() };
        let corpus = Corpus::of_drawn_words(self.base.tokenizer(), texts.sequence_length)?;
        let objective = PackedLanguageModelling::new(corpus, texts.masking, plan.batch_size);
        let trainer = self.trainer(plan, 0);
        let mut taken = Vec::new();
        let mut mixture = Mixture::from(CombinedLoss::from(Objective::Packed(objective)));
        trainer.train(&mut trainer.begin()?, &mut mixture, None, &mut |event, _| {
            if let Event::Step { seconds, .. } = event {
                taken.push(*seconds);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        // The first steps make room in memory.
        taken.drain(..TRIAL_STEPS / 2);
        taken.sort_unstable_by(f64::total_cmp);
        Ok(taken[taken.len() / 2])
    }

    fn trainer<'a>(&'a self, plan: &'a Plan, seed: u64) -> Trainer<'a> {
        Trainer {
            base: &self.base,
            tuning: &self.manifest.tuning,
            plan,
            tasks: &[],
            soft: &NO_SOFT_TOKENS,
            together: &[],
            max_length: self.manifest.texts.sequence_length,
            classes: 0,
            seed,
        }
    }

    fn write_model(&self, folder: &RunFolder, learned: &Learned) -> Result<()> {
        let model = model_of(folder);
        if model.exists() {
            // One that a stop left half written.
            fs::remove_dir_all(&model).map_err(|error| Error::writing(&model, &error))?;
        }
        let MaskedLm { folder, parameters, .. } = &self.base.model;
        let writing = Writing { precision: self.manifest.precision, average: None };
        export::merged(&model, folder, parameters, &self.manifest.tuning, learned, &writing)
    }

    /// What is lost on the held-out texts with what was learned.
    fn look(&self, learned: &Learned, texts: &[HeldOutText]) -> Result<Vec<Look>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let Classifier::Prompt(mut model, _) = (match learned.is_empty() {
            true => self.base.zero_shot(None)?,
            false => self.base.learned(&self.manifest.tuning, learned)?,
        }) else {
            return Err(TuningError::ClsWithMlm.into());
        };
        model.prepare(Dtype::F32)?;
        Ok(texts.iter().map(|text| text.look(&model, self.manifest.plan.batch_tokens)).collect())
    }
}

/// The training's name among those of a seed.
const PART: &str = "run";

/// So many steps are timed.
const TRIAL_STEPS: usize = 6;

/// Texts have none.
static NO_SOFT_TOKENS: LazyLock<SoftTokens> = LazyLock::new(SoftTokens::default);

/// Where the model of a run is.
pub fn model_of(folder: &RunFolder) -> PathBuf {
    folder.path().join(MODEL)
}

/// The seconds that all steps took, those before a stop among them.
fn seconds(folder: &RunFolder) -> Result<f64> {
    let mut sum = 0.0;
    folder.each_event(&mut |SeedEvent { event, .. }| {
        if let Event::Step { seconds, .. } = event {
            sum += seconds;
        }
    })?;
    Ok(sum)
}
