//! A training between two steps, as tensors and a text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::json_text;
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

/// A state as a file holds it.
pub(super) fn of(state: &State) -> (BTreeMap<String, Tensor>, String) {
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
pub(super) fn put(tensors: &BTreeMap<String, Tensor>, position: &str, state: &mut State) -> bool {
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
