//! Adapter folders as Python's PEFT writes and reads them: `adapter_config.json` and
//! `adapter_model.safetensors`.
//!
//! Letters: n soft tokens in front, N layers, P prefix length.
//!
//! | method | `peft_type` | tensors |
//! |---|---|---|
//! | `lora` | `LORA` | `base_model.model.<layer>.lora_A.weight` `[R,in]`, `…lora_B.weight` `[out,R]` |
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

use crate::model::config::Config;
use crate::model::parameters::linear_layers;
use crate::tune::learner::{IA3, LORA_A, LORA_B, Learned, PEFT};
use crate::tune::options::{Tuning, is_target};

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

/// The linear layers by name, each with `[out,in]`.
type Layers = Vec<(String, [i64; 2])>;

/// The layers that tensors of these names belong to.
fn modules_of<'a>(keys: impl Iterator<Item = &'a String>, config: &Config) -> Layers {
    let named: BTreeSet<&str> = keys
        .filter_map(|key| {
            let name = key.strip_prefix(PEFT)?;
            [LORA_A, LORA_B, IA3].iter().find_map(|end| name.strip_suffix(end))
        })
        .collect();
    let mut layers = linear_layers(config);
    layers.retain(|(name, _)| {
        named.contains(name.as_str()) || name.strip_prefix("bert.").is_some_and(|name| named.contains(name))
    });
    layers
}

/// Names for `target_modules` that mean these layers and no other: the candidates as far as they mean any
/// layer, if that is enough, or the layers' whole names.
fn targets(modules: &Layers, candidates: Vec<String>, config: &Config) -> Vec<String> {
    let all = linear_layers(config);
    let mut short: Vec<String> =
        candidates.into_iter().filter(|target| all.iter().any(|(name, _)| is_target(name, target))).collect();
    let meant = all.iter().filter(|(name, _)| short.iter().any(|target| is_target(name, target)));
    if meant.eq(modules) {
        short.sort();
        short.dedup();
        return short;
    }
    modules.iter().map(|(name, _)| name.clone()).collect()
}
