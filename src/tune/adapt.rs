//! From what was learned to what a forward pass takes.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::model::arch::Config;
use crate::model::encoder::{Adapter, Additions, ClassVectors, LayerAdditions, Linear, LowRank, Prefix};
use crate::model::parameters::Parameters;
use crate::model::tensor_map::Module;
use crate::tune::merge;
use crate::tune::options::Tuning;
use crate::tune::trainable::{
    ADAPTERS, BEHIND_NORM, CLASS_VECTORS, IA3, LORA_A, LORA_B, Learned, MAGNITUDE, PEFT, PREFIX, PROTOTYPES,
    SOFT_TOKENS, WORD_WEIGHTS, adapter_name,
};

/// How updates of weights take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Low-rank updates beside the weights: cheap to train, and the only place for their dropout.
    Beside,
    /// Every update within the weights: what scoring uses, and the same to rounding.
    Merged,
}

/// A base model with what was learned.
pub struct Adapted {
    /// The weights, if they are not the base model's own.
    pub parameters: Option<Parameters>,
    /// What stands beside them.
    pub additions: Additions,
}

/// Applies what was learned to a base model, which stays as it is. Gradients reach the learned tensors.
pub fn adapt(tuning: &Tuning, config: &Config, base: &Parameters, learned: &Learned, form: Form) -> Adapted {
    // What was read from a file is on the CPU.
    let device = base.weight(Module::WordEmbeddings).device();
    let learned: &Learned =
        &learned.iter().map(|(name, tensor)| (name.clone(), tensor.to_device(device))).collect();
    // Weights that were learned whole have the base model's names.
    let mut weights: BTreeMap<String, Tensor> = learned
        .iter()
        .filter(|(name, _)| base.named(name).is_some())
        .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
        .collect();
    let layers = usize::try_from(config.num_hidden_layers).unwrap_or(0);
    let mut additions = Additions {
        soft: learned.get(SOFT_TOKENS).map(|vectors| vectors.shallow_clone().into()),
        ..Additions::default()
    };
    if let [Some(weight), Some(bias)] = CLASS_VECTORS.map(|name| learned.get(name)) {
        additions.verbalizer = Some(ClassVectors::Soft {
            weight: weight.shallow_clone().into(),
            bias: bias.shallow_clone().into(),
        });
    }
    additions.word_weights = learned.get(WORD_WEIGHTS).map(|weights| weights.shallow_clone().into());
    if let [Some(projection), Some(prototypes)] = PROTOTYPES.map(|name| learned.get(name)) {
        let (projection, prototypes) = (projection.shallow_clone().into(), prototypes.shallow_clone().into());
        additions.verbalizer = Some(ClassVectors::Prototypes { projection, prototypes });
    }
    for linear in config.tensors.linear_layers() {
        let of_peft = |end: &str| learned.get(&format!("{PEFT}{}{end}", linear.name));
        if let (Some(down), Some(up)) = (of_peft(LORA_A), of_peft(LORA_B)) {
            let (scale, dropout) = match tuning {
                Tuning::Lora(lora) => (merge::scale(lora, down.size()[0]), lora.dropout),
                _ => unreachable!("low-rank updates of another method"),
            };
            let magnitude = of_peft(MAGNITUDE);
            // Lengths are those of whole weights: there is no update beside them.
            if form == Form::Merged || magnitude.is_some() {
                // Once for layers that share it.
                weights.entry(format!("{}.weight", linear.name)).or_insert_with(|| {
                    let updated = merge::low_rank(base.weight(linear.module), down, up, scale);
                    match magnitude {
                        None => updated,
                        Some(lengths) => merge::of_lengths(&updated, lengths),
                    }
                });
                continue;
            }
            let (down, up) = (down.shallow_clone().into(), up.shallow_clone().into());
            let low_rank = LowRank { down, up, scale, dropout };
            match linear.module {
                Module::Linear(layer, role) => {
                    added(&mut additions, layers, layer).set_low_rank(role, low_rank);
                }
                _ => additions.transform = Some(low_rank),
            }
        } else if let Some(rescaling) = of_peft(IA3) {
            let (weight, bias) = (base.weight(linear.module), base.bias(linear.module));
            let (weight, bias) = merge::rescaled(weight, bias, rescaling);
            weights.insert(format!("{}.weight", linear.name), weight);
            weights.extend(bias.map(|bias| (format!("{}.bias", linear.name), bias)));
        }
    }
    if let Some(prefix) = learned.get(PREFIX) {
        additions.first_position = prefix.size()[0];
        let [first, last] = match tuning {
            Tuning::Prefix(options) | Tuning::PTuningV2(options) => options.layers.unwrap_or([0, layers - 1]),
            _ => unreachable!("prefixes of another method"),
        };
        let parts = prefix.split(config.hidden_size, 1);
        for (layer, part) in (first..=last).zip(parts.chunks_exact(2)) {
            let [key, value] = [&part[0], &part[1]].map(|part| part.shallow_clone().into());
            added(&mut additions, layers, layer).prefix = Some(Prefix { key, value });
        }
    }
    for layer in 0..layers {
        for (role, called) in ADAPTERS {
            let name = adapter_name(&config.tensors, layer, (role, called));
            let part = |part: &str| learned.get(&format!("{name}.{part}")).map(Tensor::shallow_clone);
            if let (Some(down), Some(up)) = (part("down.weight"), part("up.weight")) {
                let adapter = Adapter {
                    down: Linear::new(down, part("down.bias")),
                    up: Linear::new(up, part("up.bias")),
                    behind_norm: called == BEHIND_NORM,
                };
                added(&mut additions, layers, layer).set_adapter(role, adapter);
            }
        }
    }
    let parameters = (!weights.is_empty()).then(|| base.with(weights));
    Adapted { parameters, additions }
}

fn added(additions: &mut Additions, layers: usize, layer: usize) -> &mut LayerAdditions {
    additions.layers.resize_with(layers, LayerAdditions::default);
    &mut additions.layers[layer]
}
