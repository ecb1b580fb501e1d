//! What a `config.json` says besides a family's own keys: whether it is of a model that fills masks, and
//! whether it computes something that no family here does.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The keys of a `config.json`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Keys(Map<String, Value>);

/// Types of models that do not fill masks by what is computed here, and why.
const REFUSED: [(&[&str], &str); 3] = [
    (
        &["deberta", "deberta-v3"],
        "whose attention is computed in another way, and whose published weights of version 3 were not trained to fill masks",
    ),
    (
        &[
            "bloom",
            "falcon",
            "gemma",
            "gemma2",
            "gemma3_text",
            "gpt2",
            "gpt_neo",
            "gpt_neox",
            "gptj",
            "llama",
            "mistral",
            "mixtral",
            "opt",
            "phi",
            "phi3",
            "qwen2",
            "qwen3",
            "xglm",
            "xlnet",
        ],
        CAUSAL,
    ),
    (&["bart", "mbart", "mt5", "pegasus", "t5"], "which writes a text anew and has no head that fills masks"),
];

const CAUSAL: &str = "a causal model, which reads from left to right and fills no mask";

/// Keys that make another thing of an encoder, and what.
const DECODERS: [(&str, &str); 3] = [
    ("is_decoder", CAUSAL),
    ("add_cross_attention", "a part of a model that writes a text anew"),
    ("is_encoder_decoder", "a model that writes a text anew"),
];

/// Keys by which configurations ask for other computations than a family's own file reads. Null, false, 0 and
/// what is empty ask for nothing, nor does the value that stands beside.
const CHANGES: [(&str, &str); 23] = [
    ("activation_function", ""),
    ("alibi", ""),
    ("alibi_starting_size", ""),
    ("attention_window", ""),
    ("conv_kernel_size", ""),
    ("embedding_scale", "1.0"),
    ("final_logit_softcapping", ""),
    ("layer_norm_type", "\"layer_norm\""),
    ("logit_scale", "1.0"),
    ("moe_every_n_layers", ""),
    ("norm_type", "\"layer_norm\""),
    ("num_experts", ""),
    ("parallel_block", ""),
    ("pre_norm", ""),
    ("prenorm", ""),
    ("pruned_heads", ""),
    ("quantization_config", ""),
    ("relative_attention", ""),
    ("rotary_emb_fraction", ""),
    ("rotary_value", ""),
    ("scale_embedding", ""),
    ("use_glu_mlp", ""),
    ("use_rms_norm", ""),
];

impl Keys {
    /// `model_type`, if there is one.
    pub(super) fn model_type(&self) -> Result<Option<&str>, String> {
        match self.0.get("model_type") {
            None => Ok(None),
            Some(Value::String(name)) => Ok(Some(name)),
            Some(other) => Err(format!("model_type is {other}, it must be a text")),
        }
    }

    /// Why a model of a type that is not known here cannot be one that fills masks, as far as that can be told.
    pub(super) fn why_not(&self) -> Option<&'static str> {
        let model_type = self.0.get("model_type").and_then(Value::as_str)?;
        let refused = REFUSED.iter().find(|(types, _)| types.contains(&model_type));
        refused.map(|(_, reason)| *reason).or_else(|| self.is_causal().then_some(CAUSAL))
    }

    fn is_causal(&self) -> bool {
        let classes = self.0.get("architectures").and_then(Value::as_array);
        let mut names = classes.into_iter().flatten().filter_map(Value::as_str);
        names.any(|name| name.ends_with("ForCausalLM"))
    }

    /// Refuses what would change the computation and is not done here, but for keys that the family reads
    /// itself.
    pub(super) fn check(&self, own: &[&str]) -> Result<(), String> {
        if let Some((key, what)) = DECODERS.iter().find(|(key, _)| self.asks(key, "")) {
            return Err(format!("{key} is {}: this is {what}", self.0[*key]));
        }
        if let Some((key, _)) =
            CHANGES.iter().find(|(key, neutral)| !own.contains(key) && self.asks(key, neutral))
        {
            return Err(format!(
                "{key} is {}: such a model computes something that this version of cloze does not",
                self.0[*key]
            ));
        }
        let classes = self.0.get("auto_map").and_then(Value::as_object);
        let of_model = |class: &&str| classes.is_some_and(|classes| classes.contains_key(*class));
        if let Some(class) = ["AutoModelForMaskedLM", "AutoModel"].iter().find(|class| of_model(class)) {
            return Err(format!(
                "auto_map names code of the model's own for {class}: what it computes cannot be known"
            ));
        }
        Ok(())
    }

    /// Whether a key is there and asks for something.
    fn asks(&self, key: &str, neutral: &str) -> bool {
        match self.0.get(key) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(is)) => *is,
            Some(Value::Number(number)) => number.as_f64() != Some(0.0) && number.to_string() != neutral,
            Some(Value::String(text)) => !text.is_empty() && format!("{text:?}") != neutral,
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(map)) => !map.is_empty(),
        }
    }
}
