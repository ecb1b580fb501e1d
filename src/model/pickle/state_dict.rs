//! The tensors by name in what a pickle stands for.

use std::collections::BTreeMap;

use super::machine::{Heap, Object, Tensor, Value};
use super::{PickleError, Unsupported, damaged, not_a_checkpoint, shown, unsupported};

/// The keys under which training programs put a model's tensors, beside an optimiser's and others.
const KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// The tensors of a dictionary of tensors, or of the one that stands under one of [`KEYS`].
pub(super) fn tensors<'heap, 'a>(
    heap: &'heap Heap<'a>,
    root: Value<'a>,
) -> Result<BTreeMap<&'a str, &'heap Tensor<'a>>, PickleError> {
    let Some(Object::Dict(_)) = heap.object(root) else {
        return Err(not_a_checkpoint("it holds no dictionary of tensors by name"));
    };
    let mut nested = BTreeMap::new();
    for (name, value) in items(heap, root)? {
        if KEYS.contains(&name) {
            let tensors = tensors_of(heap, value)?;
            if !tensors.is_empty() {
                nested.insert(name, tensors);
            }
        }
    }
    if nested.len() > 1 {
        let keys = nested.into_keys().map(str::to_owned).collect();
        return Err(unsupported(Unsupported::SeveralStateDicts { keys }));
    }
    let tensors = match nested.pop_first() {
        Some((_, tensors)) => tensors,
        None => tensors_of(heap, root)?,
    };
    if tensors.is_empty() {
        return Err(not_a_checkpoint("its dictionary holds no tensors by name"));
    }
    Ok(tensors)
}

/// The tensors among a dictionary's items; none if the value is no dictionary.
fn tensors_of<'heap, 'a>(
    heap: &'heap Heap<'a>,
    value: Value<'a>,
) -> Result<BTreeMap<&'a str, &'heap Tensor<'a>>, PickleError> {
    let tensor = |(name, value)| match heap.object(value) {
        Some(Object::Tensor(tensor)) => Some((name, tensor.as_ref())),
        _ => None,
    };
    Ok(items(heap, value)?.into_iter().filter_map(tensor).collect())
}

/// The items of a dictionary whose keys are texts; none if the value is no dictionary.
fn items<'a>(heap: &Heap<'a>, value: Value<'a>) -> Result<BTreeMap<&'a str, Value<'a>>, PickleError> {
    let mut items = BTreeMap::new();
    let Some(Object::Dict(pairs)) = heap.object(value) else {
        return Ok(items);
    };
    for (key, value) in pairs {
        let Value::Text(name) = key else {
            if let Some(Object::Tensor(_)) = heap.object(*value) {
                return Err(not_a_checkpoint("a tensor's name in it is not a text"));
            }
            continue;
        };
        if items.insert(*name, *value).is_some() {
            return Err(damaged(format!("it has two items of the name {}", shown(name))));
        }
    }
    Ok(items)
}
