//! Adapter folders as Python's PEFT writes and reads them: `adapter_config.json` and
//! `adapter_model.safetensors`.
//!
//! Letters: n soft tokens in front, N layers, P prefix length.
//!
//! | method | `peft_type` | tensors |
//! |---|---|---|
//! | `lora` | `LORA` | `base_model.model.<layer>.lora_A.weight` `[R,in]`, `…lora_B.weight` `[out,R]`; with `use_dora` `…lora_magnitude_vector` `[out]` |
//! | `ia3` | `IA3` | `base_model.model.<layer>.ia3_l`, `[out,1]` or, for `feedforward_modules`, `[1,in]` |
//! | `prompt-tuning`, `p-tuning` without a network | `PROMPT_TUNING` | `prompt_embeddings` `[n,H]` |
//! | `p-tuning` | `P_TUNING` | the same: what the network made, not the network |
//! | `prefix` | `PREFIX_TUNING` with `prefix_projection` | `prompt_embeddings` `[P,N·2·H]`, what the network made |
//! | `p-tuning-v2` | `PREFIX_TUNING` | the same |
//!
//! PEFT says nothing of a key that it has no place for, nor of one that it misses, and scores without it.
//! Reading here refuses both, and whatever in `adapter_config.json` would change scores and is not done here.
//! Other fields, of newer PEFTs, it passes over.

mod read;
mod write;

use std::collections::BTreeSet;

use crate::model::tensor_map::{LinearLayer, TensorMap, is_target};
use crate::tune::options::Tuning;
use crate::tune::trainable::{IA3, LORA_A, LORA_B, Learned, MAGNITUDE, PEFT};

pub use read::read;
pub use write::write;

/// The name of soft tokens and of prefixes.
const PROMPT: &str = "prompt_embeddings";
const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

/// An adapter from a PEFT folder.
pub struct PeftAdapter {
    /// The method, with options that would learn tensors of these shapes.
    pub tuning: Tuning,
    /// What was learned.
    pub learned: Learned,
    /// So many soft tokens stand before `[CLS]`.
    pub front: usize,
}

/// The linear layers that tensors of these names belong to.
fn modules_of<'a>(keys: impl Iterator<Item = &'a String>, map: &TensorMap) -> Vec<LinearLayer<'_>> {
    let named: BTreeSet<&str> = keys
        .filter_map(|key| {
            let name = key.strip_prefix(PEFT)?;
            [LORA_A, LORA_B, MAGNITUDE, IA3].iter().find_map(|end| name.strip_suffix(end))
        })
        .collect();
    let has = |name: &str| named.contains(name) || map.bare(name).is_some_and(|name| named.contains(name));
    map.linear_layers().filter(|layer| has(layer.name)).collect()
}

/// Names for `target_modules` that mean these layers and no other: the candidates as far as they mean any
/// layer, if that is enough, or the layers' whole names. A candidate that is a role's word is told by the
/// family's own name.
fn targets(modules: &[LinearLayer<'_>], candidates: Vec<String>, map: &TensorMap) -> Vec<String> {
    let means = |target: &str| map.linear_layers().any(|layer| is_target(layer.name, target));
    let own_names = |target: String| {
        if means(&target) { vec![target] } else { map.kinds_of(map.targeted(&target)) }
    };
    let mut short: Vec<String> = candidates.into_iter().flat_map(own_names).collect();
    let is_meant = |layer: &LinearLayer<'_>| short.iter().any(|target| is_target(layer.name, target));
    if map.linear_layers().filter(is_meant).eq(modules.iter().copied()) {
        short.sort();
        short.dedup();
        return short;
    }
    modules.iter().map(|layer| layer.name.to_owned()).collect()
}
