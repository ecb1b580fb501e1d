//! A training between two steps, as a file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::json_text;
use crate::error::Result;
use crate::learn::train::{Look, State};
use crate::model::tensor_file::{self, unreadable};

/// What stands beside the tensors.
#[derive(Serialize, Deserialize)]
struct Progress {
    step: usize,
    optimizer_step: i32,
    looks: Vec<Look>,
}

const LEAF: &str = "leaf/";
const FIRST: &str = "first_moment/";
const SECOND: &str = "second_moment/";
const BEST: &str = "best/";

pub(super) fn save(path: &Path, state: &State) -> Result<()> {
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    let mut add = |prefix: &str, name: &str, tensor: &Tensor| {
        tensors.insert(format!("{prefix}{name}"), tensor.shallow_clone())
    };
    for (name, leaf) in state.learner.leaves() {
        add(LEAF, name, leaf);
    }
    for (name, [first, second]) in &state.optimizer.moments {
        add(FIRST, name, first);
        add(SECOND, name, second);
    }
    for (name, tensor) in state.best.iter().flatten() {
        add(BEST, name, tensor);
    }
    let progress =
        Progress { step: state.step, optimizer_step: state.optimizer.step, looks: state.looks.clone() };
    tensor_file::write(path, &tensors, HashMap::from([("progress".to_owned(), json_text(&progress))]))
}

/// Puts a state, as it was begun, where the file's training stood.
pub(super) fn load(path: &Path, state: &mut State) -> Result<()> {
    let (tensors, texts) = tensor_file::read(path)?;
    let other = || unreadable(path, "it is of another training".to_owned());
    let progress: Progress =
        texts.get("progress").and_then(|text| serde_json::from_str(text).ok()).ok_or_else(other)?;
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
        found.len() == state.learner.leaves().len() && state.learner.leaves().iter().all(same)
    };
    if ![&leaves, &first, &second].into_iter().all(fits) {
        return Err(other());
    }
    state.learner.restore(&leaves);
    for (name, moments) in &mut state.optimizer.moments {
        let device = moments[0].device();
        if let (Some(first), Some(second)) = (first.remove(name), second.remove(name)) {
            *moments = [first.to_device(device), second.to_device(device)];
        }
    }
    state.optimizer.step = progress.optimizer_step;
    state.step = progress.step;
    state.looks = progress.looks;
    state.best = (!best.is_empty()).then_some(best);
    Ok(())
}
