//! From what was learned to what a forward pass takes.

use tch::Tensor;

use crate::model::config::Config;
use crate::model::encoder::{Adapter, Additions, ClassVectors, LayerAdditions, Linear, LowRank, Prefix};
use crate::model::parameters::{Parameters, WORD_EMBEDDINGS};
use crate::tune::learner::{
    ADAPTER, CLASS_VECTORS, IA3, LORA_A, LORA_B, Learned, PEFT, PREFIX, PROTOTYPES, SOFT_TOKENS,
};
use crate::tune::options::{Lora, Tuning};

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
    let device = base.get(WORD_EMBEDDINGS).device();
    let learned: &Learned =
        &learned.iter().map(|(name, tensor)| (name.clone(), tensor.to_device(device))).collect();
    let mut weights: Vec<(String, Tensor)> = Vec::new();
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
    if let [Some(projection), Some(prototypes)] = PROTOTYPES.map(|name| learned.get(name)) {
        let (projection, prototypes) = (projection.shallow_clone().into(), prototypes.shallow_clone().into());
        additions.verbalizer = Some(ClassVectors::Prototypes { projection, prototypes });
    }
    let layer_of = |name: &str| {
        name.strip_prefix("bert.encoder.layer.")
            .and_then(|rest| rest.split('.').next()?.parse::<usize>().ok())
    };
    for (name, tensor) in learned {
        if let Some(linear) = name.strip_prefix(PEFT).and_then(|name| name.strip_suffix(LORA_A)) {
            let up = &learned[&format!("{PEFT}{linear}{LORA_B}")];
            let (scale, dropout) = match tuning {
                Tuning::Lora(lora) => (scale(lora, tensor.size()[0]), lora.dropout),
                _ => unreachable!("low-rank updates of another method"),
            };
            if form == Form::Merged {
                let name = format!("{linear}.weight");
                let merged = base.get(&name) + up.matmul(tensor) * scale;
                weights.push((name, merged));
            } else {
                let low_rank = LowRank {
                    down: tensor.shallow_clone().into(),
                    up: up.shallow_clone().into(),
                    scale,
                    dropout,
                };
                match layer_of(linear) {
                    None => additions.transform = Some(low_rank),
                    Some(layer) => *slot(added(&mut additions, layers, layer), linear) = Some(low_rank),
                }
            }
        } else if let Some(linear) = name.strip_prefix(PEFT).and_then(|name| name.strip_suffix(IA3)) {
            let name = format!("{linear}.weight");
            weights.push((name.clone(), base.get(&name) * tensor));
            // A vector of outputs rescales the bias too; one of inputs comes before it.
            if tensor.size()[0] > 1 {
                let name = format!("{linear}.bias");
                weights.push((name.clone(), base.get(&name) * tensor.flatten(0, -1)));
            }
        } else if base.has(name) {
            weights.push((name.clone(), tensor.shallow_clone()));
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
        for place in ["attention.output", "output"] {
            let name = format!("bert.encoder.layer.{layer}.{place}.{ADAPTER}");
            let part = |part: &str| learned.get(&format!("{name}.{part}")).map(Tensor::shallow_clone);
            let (Some(down), Some(up)) =
                (part("down.weight").zip(part("down.bias")), part("up.weight").zip(part("up.bias")))
            else {
                continue;
            };
            let adapter = Some(Adapter { down: Linear::new(down.0, down.1), up: Linear::new(up.0, up.1) });
            let layer = added(&mut additions, layers, layer);
            *(if place == "output" { &mut layer.output_adapter } else { &mut layer.attention_adapter }) =
                adapter;
        }
    }
    let parameters = (!weights.is_empty()).then(|| base.with(weights));
    Adapted { parameters, additions }
}

/// s of `s·B·A`.
fn scale(lora: &Lora, rank: i64) -> f64 {
    let rank = rank as f64;
    lora.alpha / if lora.rank_stabilized { rank.sqrt() } else { rank }
}

fn added(additions: &mut Additions, layers: usize, layer: usize) -> &mut LayerAdditions {
    additions.layers.resize_with(layers, LayerAdditions::default);
    &mut additions.layers[layer]
}

/// The place beside a layer's linear map.
fn slot<'a>(layer: &'a mut LayerAdditions, linear: &str) -> &'a mut Option<LowRank> {
    let [query, key, value] = &mut layer.query_key_value;
    match linear.splitn(5, '.').nth(4).unwrap_or_default() {
        "attention.self.query" => query,
        "attention.self.key" => key,
        "attention.self.value" => value,
        "attention.output.dense" => &mut layer.attention_output,
        "intermediate.dense" => &mut layer.intermediate,
        "output.dense" => &mut layer.output,
        other => unreachable!("a layer has no linear map {other}"),
    }
}
