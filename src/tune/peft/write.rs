//! Writing an adapter.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::{Value, json};

use super::{CONFIG, PROMPT, TENSORS, modules_of, targets};
use crate::error::{PeftError, Result, TuningError};
use crate::model::arch::Config;
use crate::model::tensor_file;
use crate::model::tensor_map::{LinearLayer, is_target};
use crate::text::whole_file::{WholeFile, whole_folder};
use crate::tune::options::{Lora, PromptEncoder, SoftPrompt, Tuning};
use crate::tune::trainable::{IA3, Learned, PEFT, PREFIX, SOFT_TOKENS, is_verbalizer};

/// Writes an adapter into a folder that is new or empty. `front` soft tokens stand before `[CLS]`;
/// `base_name` is the base model's folder or its name on the hub.
///
/// PEFT's keys for LoRA and IA3 are those of an adapter on the masked language model. It has no class for
/// soft tokens or prefixes before one: those are for `PeftModelForFeatureExtraction` on the bare encoder,
/// which drops token types: to it all is one segment.
pub fn write(
    folder: &Path,
    tuning: &Tuning,
    config: &Config,
    learned: &Learned,
    front: usize,
    base_name: &str,
) -> Result<()> {
    let (mut fields, tensors) = written(tuning, config, learned, front)?;
    fields.extend([
        ("base_model_name_or_path", json!(base_name)),
        ("inference_mode", json!(true)),
        ("revision", Value::Null),
        ("auto_mapping", Value::Null),
    ]);
    if matches!(tuning, Tuning::Lora(_) | Tuning::Ia3) {
        // PEFT writes this in place of a task_type that is null.
        let [class, module] = config.python_class;
        let class = json!({ "base_model_class": class, "parent_library": module });
        fields.extend([
            ("auto_mapping", class),
            ("task_type", Value::Null),
            ("modules_to_save", Value::Null),
            ("fan_in_fan_out", json!(false)),
        ]);
    } else {
        let is_prefix = matches!(tuning, Tuning::Prefix(_) | Tuning::PTuningV2(_));
        let width = if is_prefix { config.hidden_size } else { config.embedding_size };
        fields.extend([
            ("task_type", json!("FEATURE_EXTRACTION")),
            ("num_attention_heads", json!(config.num_attention_heads)),
            ("num_layers", json!(config.num_hidden_layers)),
            ("num_transformer_submodules", json!(1)),
            ("token_dim", json!(width)),
        ]);
    }
    whole_folder(folder, |folder| {
        let texts = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        tensor_file::write(&folder.join(TENSORS), &tensors, texts)?;
        WholeFile::create(&folder.join(CONFIG))?.commit_json(&fields)
    })
}

/// The fields of `adapter_config.json` in their order.
type Written = BTreeMap<&'static str, Value>;

/// The fields that a method's type has of its own, as PEFT 0.13.2 writes them (it refuses a field that it
/// does not know), and the tensors.
fn written(tuning: &Tuning, config: &Config, learned: &Learned, front: usize) -> Result<(Written, Learned)> {
    if learned.keys().any(|name| is_verbalizer(name)) {
        return Err(TuningError::ExportWithClassVectors.into());
    }
    let vectors = learned.get(SOFT_TOKENS).map_or(0, |soft| usize::try_from(soft.size()[0]).unwrap_or(0));
    let soft_method = matches!(tuning, Tuning::PromptTuning(_) | Tuning::PTuning(_));
    let fields = match tuning {
        Tuning::Lora(_) | Tuning::Ia3 | Tuning::Prefix(_) | Tuning::PTuningV2(_) if vectors > 0 => {
            return Err(PeftError::SoftBeside { method: tuning.name() }.into());
        }
        Tuning::Lora(lora) => lora_fields(lora, config, learned),
        Tuning::Ia3 => ia3_fields(config, learned),
        Tuning::PromptTuning(_) | Tuning::PTuning(_) if vectors != front || vectors == 0 => {
            return Err(PeftError::SoftInside.into());
        }
        Tuning::PTuning(soft) if soft.encoder != Some(PromptEncoder::None) => {
            p_tuning_fields(soft, config, vectors)
        }
        Tuning::PromptTuning(_) | Tuning::PTuning(_) => Written::from([
            ("peft_type", json!("PROMPT_TUNING")),
            ("num_virtual_tokens", json!(vectors)),
            ("prompt_tuning_init", json!("RANDOM")),
            ("prompt_tuning_init_text", Value::Null),
            ("tokenizer_kwargs", Value::Null),
            ("tokenizer_name_or_path", Value::Null),
        ]),
        Tuning::Prefix(options) | Tuning::PTuningV2(options) => {
            let last = usize::try_from(config.num_hidden_layers).unwrap_or(1) - 1;
            if let Some([first, end]) = options.layers.filter(|layers| *layers != [0, last]) {
                return Err(PeftError::PrefixLayers { first, end, last }.into());
            }
            Written::from([
                ("peft_type", json!("PREFIX_TUNING")),
                ("num_virtual_tokens", json!(learned[PREFIX].size()[0])),
                ("encoder_hidden_size", json!(config.hidden_size)),
                ("prefix_projection", json!(matches!(tuning, Tuning::Prefix(_)))),
            ])
        }
        Tuning::Full | Tuning::Head | Tuning::Bias | Tuning::Adapter(_) | Tuning::Cls(_) => {
            return Err(PeftError::Without { method: tuning.name(), merges: tuning.merges() }.into());
        }
    };
    let tensors = match (soft_method, learned.get(PREFIX)) {
        (true, _) => Learned::from([(PROMPT.to_owned(), learned[SOFT_TOKENS].shallow_clone())]),
        (false, Some(prefix)) => Learned::from([(PROMPT.to_owned(), prefix.shallow_clone())]),
        (false, None) => {
            learned.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
        }
    };
    Ok((fields, tensors))
}

fn lora_fields(lora: &Lora, config: &Config, learned: &Learned) -> Written {
    // PEFT's α is a whole number, and any number works.
    #[allow(clippy::cast_possible_truncation)] // Only where it is whole.
    let alpha = if lora.alpha.fract() == 0.0 { json!(lora.alpha as i64) } else { json!(lora.alpha) };
    Written::from([
        ("peft_type", json!("LORA")),
        ("alpha_pattern", json!({})),
        ("bias", json!("none")),
        ("init_lora_weights", json!(true)),
        ("layer_replication", Value::Null),
        ("layers_pattern", Value::Null),
        ("layers_to_transform", Value::Null),
        ("loftq_config", json!({})),
        ("lora_alpha", alpha),
        ("lora_dropout", json!(lora.dropout)),
        ("megatron_config", Value::Null),
        ("megatron_core", json!("megatron.core")),
        ("r", json!(lora.rank)),
        ("rank_pattern", json!({})),
        (
            "target_modules",
            json!(targets(
                &modules_of(learned.keys(), &config.tensors),
                lora.targets.clone(),
                &config.tensors
            )),
        ),
        ("use_dora", json!(lora.dora)),
        ("use_rslora", json!(lora.rank_stabilized)),
    ])
}

fn ia3_fields(config: &Config, learned: &Learned) -> Written {
    let map = &config.tensors;
    let modules = modules_of(learned.keys(), map);
    let names = targets(&modules, map.kinds_of(modules.iter().copied()), map);
    let of_inputs = |target: &&String| {
        let mut meant = modules.iter().filter(|layer| is_target(layer.name, target));
        meant.any(|LinearLayer { name, .. }| learned[&format!("{PEFT}{name}{IA3}")].size()[0] == 1)
    };
    let feedforward: Vec<&String> = names.iter().filter(of_inputs).collect();
    Written::from([
        ("peft_type", json!("IA3")),
        ("feedforward_modules", json!(feedforward)),
        ("init_ia3_weights", json!(true)),
        ("target_modules", json!(names)),
    ])
}

fn p_tuning_fields(soft: &SoftPrompt, config: &Config, vectors: usize) -> Written {
    // The network is not in the file; these matter to nobody but who trains on with a new one.
    let (network, hidden) = match soft.encoder {
        Some(PromptEncoder::Mlp) => ("MLP", config.embedding_size),
        _ => ("LSTM", config.embedding_size / 2),
    };
    Written::from([
        ("peft_type", json!("P_TUNING")),
        ("num_virtual_tokens", json!(vectors)),
        ("encoder_dropout", json!(0.0)),
        ("encoder_hidden_size", json!(hidden)),
        ("encoder_num_layers", json!(2)),
        ("encoder_reparameterization_type", json!(network)),
    ])
}
