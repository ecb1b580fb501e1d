//! What is asked for becomes a pre-training's manifest.

use std::path::PathBuf;

use super::{Manifest, Pretraining};
use crate::error::{CorpusError, Errors, Result};
use crate::learn::objective::Masking;
use crate::learn::plan::PlanOptions;
use crate::learn::run::{DataFile, DataFiles, Device, Header, ModelFiles};
use crate::learn::texts::{TextFile, Texts};
use crate::model::folder::{EngineChoice, ModelFolder};
use crate::model::tensor_file::Precision;
use crate::text::data::Reading;
use crate::tune::Tuning;

/// A pre-training that is asked for, by files.
pub struct PretrainRequest {
    /// The texts.
    pub text: Vec<PathBuf>,
    /// How often a sequence is each text's, in their order; their tokens by default.
    pub shares: Vec<f64>,
    /// The column of the texts, where files have columns.
    pub text_column: Option<String>,
    /// Texts that the loss is measured on.
    pub held_out: Vec<PathBuf>,
    /// The last part of each text, which is held out too.
    pub held_out_share: f64,
    /// L; 128 by default, or as many as the model has positions for.
    pub sequence_length: Option<usize>,
    /// Which tokens are to be predicted.
    pub masking: Masking,
    /// How long.
    pub how_long: HowLong,
    /// The method: one whose learning becomes part of the weights.
    pub tuning: Tuning,
    /// How fast; its steps are not looked at.
    pub plan: PlanOptions,
    /// Steps between looks at what is held out, if not a tenth of them.
    pub evaluate_every: Option<usize>,
    /// How the model's weights are written.
    pub precision: Precision,
    /// How files with columns are read.
    pub reading: Reading,
    /// What runs the forward pass.
    pub engine: EngineChoice,
    /// Where it computes.
    pub device: Device,
    /// The seed of every random choice.
    pub seed: u64,
    /// CPU threads.
    pub threads: usize,
    /// The command line, for people.
    pub command: Vec<String>,
}

/// How long a pre-training goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HowLong {
    /// So many optimiser steps.
    Steps(usize),
    /// As many steps as take so many tokens.
    Tokens(u64),
    /// As many steps as this machine takes in so long, by a few that are timed first: the number goes into the
    /// manifest, so that the run is the same wherever it goes on.
    Minutes(f64),
}

/// L, where nothing is said.
const SEQUENCE_LENGTH: usize = 128;

/// The learning rate of all weights, where nothing is said: below that of pre-training from nothing, as
/// Gururangan et al. (2020) go on with RoBERTa at a sixth of its own.
const FULL_RATE: f64 = 1e-4;

impl PretrainRequest {
    /// The manifest: files by path and hash, and everything said that was left open. All problems at once.
    pub fn manifest(self, folder: &ModelFolder) -> Result<Manifest, Errors> {
        let mut errors = Errors::new();
        errors.keep(folder.check_weights());
        if !self.shares.is_empty() && self.shares.len() != self.text.len() {
            errors.push(CorpusError::SharesMisfit { found: self.shares.len(), texts: self.text.len() });
        }
        let mut file = |path: &PathBuf, share| {
            let file = errors.keep(DataFile::of(path))?;
            Some(TextFile { file, column: self.text_column.clone(), share })
        };
        let shares = self.shares.iter().copied().map(Some).chain(std::iter::repeat(None));
        let text = self.text.iter().zip(shares).filter_map(|(path, share)| file(path, share)).collect();
        let held_out = self.held_out.iter().filter_map(|path| file(path, None)).collect();
        let most = usize::try_from(folder.config.max_position_embeddings).unwrap_or(usize::MAX);
        let texts = Texts {
            text,
            held_out,
            held_out_share: self.held_out_share,
            sequence_length: self.sequence_length.unwrap_or(SEQUENCE_LENGTH.min(most)),
            masking: self.masking,
        };
        errors.keep(texts.check(&folder.config));
        let usual = matches!(self.tuning, Tuning::Full).then_some(FULL_RATE);
        let options =
            PlanOptions { learning_rate: self.plan.learning_rate.or(usual), steps: Some(1), ..self.plan };
        let plan = options.plan(&self.tuning, 2);
        errors.keep(plan.check());
        errors.none().map_err(Errors::distinct)?;
        let mut manifest = Manifest {
            header: Header {
                cloze: env!("CARGO_PKG_VERSION").to_owned(),
                command: self.command,
                model: ModelFiles::of(folder)?,
                data: DataFiles {
                    format: self.reading.format,
                    adjust: self.reading.adjust,
                    ..DataFiles::default()
                },
                device: self.device,
                threads: self.threads,
                engine: self.engine,
                max_length: texts.sequence_length,
                seeds: vec![self.seed],
            },
            texts,
            tuning: self.tuning,
            plan,
            precision: self.precision,
        };
        let tokens = manifest.plan.batch_size * manifest.plan.accumulation * manifest.texts.sequence_length;
        let steps = match self.how_long {
            HowLong::Steps(steps) => steps,
            HowLong::Tokens(wanted) => usize::try_from(wanted.div_ceil(tokens as u64)).unwrap_or(usize::MAX),
            HowLong::Minutes(minutes) => {
                let (trial, _) = Pretraining::prepare(manifest.clone(), 1)?;
                ((minutes * 60.0 / trial.seconds_a_step()?) as usize).max(1)
            }
        };
        manifest.plan.steps = steps;
        manifest.plan.evaluate_every = self.evaluate_every.unwrap_or((steps / 10).max(1));
        manifest.check()?;
        Ok(manifest)
    }
}
