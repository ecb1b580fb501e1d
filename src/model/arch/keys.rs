//! What a `config.json` says besides a family's own keys: whether it is of a model that fills masks, and
//! whether it computes something that no family here does.

use super::known;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The keys of a `config.json`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Keys(Map<String, Value>);

/// Types of models that do not fill masks by what is computed here, and why.
const REFUSED: [(&[&str], &str); 5] = [
    (
        &["deberta"],
        "DeBERTa's first version, whose attention is computed in another way than its later ones'",
    ),
    (&["deberta-v3"], "whose files say \"deberta-v2\""),
    (&["mpnet"], "whose distances between tokens are added to the scores in another way than BERT's"),
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
const CHANGES: [(&str, &str); 28] = [
    ("activation_function", ""),
    ("adapters", ""),
    ("alibi", ""),
    ("alibi_starting_size", ""),
    ("attention_window", ""),
    ("attn_logit_softcapping", ""),
    ("conv_kernel_size", ""),
    ("embedding_scale", "1.0"),
    ("final_logit_softcapping", ""),
    ("layer_norm_type", "\"layer_norm\""),
    ("logit_scale", "1.0"),
    ("moe_every_n_layers", ""),
    ("norm_first", ""),
    ("norm_type", "\"layer_norm\""),
    ("num_experts", ""),
    ("parallel_block", ""),
    ("pre_norm", ""),
    ("prenorm", ""),
    ("pruned_heads", ""),
    ("quantization_config", ""),
    ("relative_attention", ""),
    ("rope_scaling", ""),
    ("rotary_emb_fraction", ""),
    ("rotary_value", ""),
    ("scale_embedding", ""),
    ("sliding_window", ""),
    ("use_glu_mlp", ""),
    ("use_rms_norm", ""),
];

/// Keys that ask for other computations where they are false.
const CHANGES_BY_FALSE: [&str; 2] = ["embedding_layernorm", "position_biased_input"];

/// What heads are called.
const HEADS: [&str; 2] = ["num_attention_heads", "n_heads"];
/// The keys of probabilities of dropout.
const DROPOUTS: [&str; 6] = [
    "attention_dropout",
    "attention_probs_dropout_prob",
    "dropout",
    "embedding_dropout",
    "hidden_dropout_prob",
    "mlp_dropout",
];
/// The keys of what layer norms add to variances.
const EPSILONS: [&str; 2] = ["layer_norm_eps", "norm_eps"];

impl Keys {
    /// `model_type`, if there is one.
    pub(super) fn model_type(&self) -> Result<Option<&str>, String> {
        match self.0.get("model_type") {
            None => Ok(None),
            Some(Value::String(name)) => Ok(Some(name)),
            Some(other) => Err(format!("model_type is {other}, it must be a text")),
        }
    }

    /// Why a model of a type that is not known here cannot be one that fills masks, as far as that can be
    /// told.
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
        let by_value = CHANGES.iter().filter(|(key, neutral)| self.asks(key, neutral)).map(|(key, _)| key);
        let by_false = CHANGES_BY_FALSE.iter().filter(|key| self.0.get(**key) == Some(&Value::Bool(false)));
        let shared = ["num_key_value_heads"];
        let by_sharing = shared.iter().filter(|key| self.shares_heads(key));
        if let Some(key) = by_value.chain(by_false).chain(by_sharing).find(|key| !own.contains(key)) {
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

    /// Whether keys and values have another number of heads than queries.
    fn shares_heads(&self, key: &str) -> bool {
        let Some(found) = self.0.get(key).filter(|found| !found.is_null()) else { return false };
        !HEADS.iter().any(|heads| self.0.get(*heads) == Some(found))
    }

    /// Refuses numbers that no computation can be done with, of keys that the family reads.
    pub(super) fn check_numbers(&self, known: &[&str]) -> Result<(), String> {
        let number = |key: &&'static str| {
            let found = self.0.get(*key).filter(|_| known.contains(key))?;
            Some((*key, found, found.as_f64()?))
        };
        for (key, found, value) in DROPOUTS.iter().filter_map(number) {
            if !(0.0..1.0).contains(&value) {
                return Err(format!("{key} is {found}, it must be at least 0 and below 1"));
            }
        }
        for (key, found, value) in EPSILONS.iter().filter_map(number) {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(format!("{key} is {found}, it must be at least 0"));
            }
        }
        Ok(())
    }

    /// The keys that ask for something, and that neither Hugging Face's classes know nor what is refused
    /// here.
    pub(super) fn unknown(&self, known: &[&str]) -> Vec<String> {
        let is_known = |key: &str| {
            key.starts_with('_')
                || known.contains(&key)
                || known::GENERAL.contains(&key)
                || CHANGES.iter().any(|(changing, _)| *changing == key)
                || CHANGES_BY_FALSE.contains(&key)
                || key == "num_key_value_heads"
        };
        self.0.keys().filter(|key| !is_known(key) && self.asks(key, "")).cloned().collect()
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
