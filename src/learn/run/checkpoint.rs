//! A training between two steps, as tensors and a text in the run's folder: written, and gone on with.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{RunFolder, json_text, sealed};
use crate::error::{Error, Kind, ModelError, Result, RunError};
use crate::learn::train::{HeldOutEvaluation, State};

/// What stands beside the tensors.
#[derive(Serialize, Deserialize)]
struct Position {
    step: usize,
    optimizer_step: i32,
    #[serde(rename = "looks")]
    evaluations: Vec<HeldOutEvaluation>,
}

const LEAF: &str = "leaf/";
const FIRST: &str = "first_moment/";
const SECOND: &str = "second_moment/";
const BEST: &str = "best/";

impl RunFolder {
    /// Writes where the training of a seed's part stands.
    pub fn save_checkpoint(&self, seed: u64, part: &str, state: &State) -> Result<()> {
        let (tensors, progress) = of(state);
        self.write_tensors(&self.checkpoint(seed, part), &tensors, progress)
    }

    /// Goes on from where the training of a seed's part stood, if it stood anywhere. A checkpoint that is not
    /// whole is refused: what is learned from it would be another model, and nobody would know.
    pub fn resume(&self, seed: u64, part: &str, state: &mut State) -> Result<()> {
        let path = self.checkpoint(seed, part);
        if !path.exists() {
            return Ok(());
        }
        let damaged = |reason: &str| {
            let reason = reason.to_owned();
            Error::from(RunError::FileDamaged { path: path.clone(), reason, checkpoint: true })
        };
        let (tensors, progress) = self.read_tensors(&path).map_err(|error| match error.kind() {
            Kind::Model(ModelError::WeightsUnreadable { reason, .. })
            | Kind::Run(RunError::FileDamaged { reason, .. }) => damaged(reason),
            _ => error,
        })?;
        match put(&tensors, &progress, state) {
            true => Ok(()),
            false => Err(damaged("it is of another training")),
        }
    }

    /// The step at which the training of a seed's part stands, if it was begun.
    pub fn stands_at(&self, seed: u64, part: &str) -> Result<Option<usize>> {
        let path = self.checkpoint(seed, part);
        if !path.exists() {
            return Ok(None);
        }
        let progress = sealed::about(&path, &self.owner(&path, None))?;
        let position = progress.and_then(|text| serde_json::from_str::<Position>(&text).ok());
        Ok(position.map(|position| position.step))
    }

    /// Takes a seed's checkpoints away.
    pub fn drop_checkpoints(&self, seed: u64) {
        let begins = format!("seed-{seed}-");
        let Ok(files) = fs::read_dir(self.path.join("checkpoints")) else { return };
        for file in files.flatten().filter(|file| file.file_name().to_string_lossy().starts_with(&begins)) {
            // One that stays does no harm.
            let _ = fs::remove_file(file.path());
        }
    }

    /// Takes the checkpoint of one training away.
    pub fn drop_checkpoint(&self, seed: u64, part: &str) {
        // One that stays does no harm.
        let _ = fs::remove_file(self.checkpoint(seed, part));
    }

    /// Takes the folder of checkpoints away.
    pub fn drop_all_checkpoints(&self) {
        let _ = fs::remove_dir_all(self.path.join("checkpoints"));
    }

    fn checkpoint(&self, seed: u64, part: &str) -> PathBuf {
        self.path.join(format!("checkpoints/seed-{seed}-{part}.safetensors"))
    }
}

/// A state as a file holds it.
fn of(state: &State) -> (BTreeMap<String, Tensor>, String) {
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    let mut add = |prefix: &str, name: &str, tensor: &Tensor| {
        tensors.insert(format!("{prefix}{name}"), tensor.shallow_clone())
    };
    for (name, leaf) in state.trainable.leaves() {
        add(LEAF, name, leaf);
    }
    for (name, [first, second]) in &state.optimizer.moments {
        add(FIRST, name, first);
        add(SECOND, name, second);
    }
    for (name, tensor) in state.best.iter().flatten() {
        add(BEST, name, tensor);
    }
    let position = Position {
        step: state.step,
        optimizer_step: state.optimizer.step,
        evaluations: state.evaluations.clone(),
    };
    (tensors, json_text(&position))
}

/// Puts a state, as it was begun, where a training stood. False, and nothing done, if it is of another
/// training.
fn put(tensors: &BTreeMap<String, Tensor>, position: &str, state: &mut State) -> bool {
    let Ok(position) = serde_json::from_str::<Position>(position) else { return false };
    let part = |prefix: &str| -> BTreeMap<String, Tensor> {
        let named = |(name, tensor): (&String, &Tensor)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.shallow_clone()))
        };
        tensors.iter().filter_map(named).collect()
    };
    let (leaves, mut first, mut second, best) = (part(LEAF), part(FIRST), part(SECOND), part(BEST));
    let fits = |found: &BTreeMap<String, Tensor>| {
        let same = |(name, leaf): (&String, &Tensor)| {
            found.get(name).is_some_and(|found| found.size() == leaf.size())
        };
        found.len() == state.trainable.leaves().len() && state.trainable.leaves().iter().all(same)
    };
    if ![&leaves, &first, &second].into_iter().all(fits) {
        return false;
    }
    state.trainable.restore(&leaves);
    for (name, moments) in &mut state.optimizer.moments {
        let device = moments[0].device();
        if let (Some(first), Some(second)) = (first.remove(name), second.remove(name)) {
            *moments = [first.to_device(device), second.to_device(device)];
        }
    }
    state.optimizer.step = position.optimizer_step;
    state.step = position.step;
    state.evaluations = position.evaluations;
    state.best = (!best.is_empty()).then_some(best);
    true
}
