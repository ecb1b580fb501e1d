//! RoBERTa (Liu et al. 2019) and what is built like it, XLM-RoBERTa (Conneau et al. 2020) and CamemBERT (Martin
//! et al. 2020): BERT's layers with another head. Positions are counted from the row behind the padding's, and
//! no segments are told apart.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    Arch, Config, MOST, MOST_LAYERS, Positions, bert, check_absolute, check_heads, check_sizes, usual,
};
use crate::model::layers::Activation;
use crate::model::tensor_map::{Module, TensorMap};

/// What `config.json` calls the family, and its classes in transformers that fill masks.
const KINDS: [(&str, [&str; 2]); 3] = [
    (MODEL_TYPES[0], ["RobertaForMaskedLM", "transformers.models.roberta.modeling_roberta"]),
    (MODEL_TYPES[1], ["XLMRobertaForMaskedLM", "transformers.models.xlm_roberta.modeling_xlm_roberta"]),
    (MODEL_TYPES[2], ["CamembertForMaskedLM", "transformers.models.camembert.modeling_camembert"]),
];

/// What `config.json` calls the family.
pub const MODEL_TYPES: [&str; 3] = ["roberta", "xlm-roberta", "camembert"];

/// `config.json`, with what Hugging Face's RobertaConfig takes where it says nothing.
#[derive(Deserialize)]
struct File {
    vocab_size: i64,
    hidden_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    intermediate_size: i64,
    #[serde(default)]
    hidden_act: Activation,
    #[serde(default = "usual::dropout")]
    hidden_dropout_prob: f64,
    #[serde(default = "usual::dropout")]
    attention_probs_dropout_prob: f64,
    max_position_embeddings: i64,
    type_vocab_size: i64,
    #[serde(default = "usual::epsilon")]
    layer_norm_eps: f64,
    #[serde(default = "pad")]
    pad_token_id: i64,
    #[serde(default = "usual::absolute")]
    position_embedding_type: String,
    #[serde(default = "usual::tied")]
    tie_word_embeddings: bool,
}

fn pad() -> i64 {
    1
}

/// Reads and checks the text of a RoBERTa's `config.json`.
pub(super) fn config(model_type: &str, text: &str) -> Result<Config, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    check_absolute(&file.position_embedding_type)?;
    check_sizes(&[
        ("vocab_size", file.vocab_size, MOST),
        ("hidden_size", file.hidden_size, MOST),
        ("num_hidden_layers", file.num_hidden_layers, MOST_LAYERS),
        ("num_attention_heads", file.num_attention_heads, MOST),
        ("intermediate_size", file.intermediate_size, MOST),
        ("max_position_embeddings", file.max_position_embeddings, MOST),
        ("type_vocab_size", file.type_vocab_size, MOST),
    ])?;
    check_heads(["hidden_size", "num_attention_heads"], file.hidden_size, file.num_attention_heads)?;
    // The rows up to the padding's are of no token.
    let first = file.pad_token_id + 1;
    if !(1..file.max_position_embeddings).contains(&first) {
        return Err(format!(
            "pad_token_id is {}, it must be from 0 to below max_position_embeddings - 1, {}",
            file.pad_token_id,
            file.max_position_embeddings - 1
        ));
    }
    let python_class = KINDS.iter().find(|(name, _)| *name == model_type).unwrap_or(&KINDS[0]).1;
    let mut config = Config {
        arch: Arch::Bert,
        tensors: Arc::new(TensorMap::new("", "")),
        python_class,
        positions: Positions::Absolute { first },
        vocab_size: file.vocab_size,
        embedding_size: file.hidden_size,
        hidden_size: file.hidden_size,
        num_hidden_layers: file.num_hidden_layers,
        num_attention_heads: file.num_attention_heads,
        intermediate_size: file.intermediate_size,
        hidden_act: file.hidden_act,
        // In its code, whatever config.json says.
        head_act: Activation::Gelu,
        embedding_dropout_prob: file.hidden_dropout_prob,
        hidden_dropout_prob: file.hidden_dropout_prob,
        attention_probs_dropout_prob: file.attention_probs_dropout_prob,
        max_position_embeddings: file.max_position_embeddings - first,
        type_vocab_size: 0,
        layer_norm_eps: file.layer_norm_eps,
    };
    config.tensors = Arc::new(tensors(&config, &file));
    Ok(config)
}

fn tensors(config: &Config, file: &File) -> TensorMap {
    let (vocabulary, hidden) = (file.vocab_size, file.hidden_size);
    let mut map = TensorMap::new("roberta.", "roberta.encoder.layer.");
    let rows = [file.max_position_embeddings, file.type_vocab_size];
    bert::encoder_tensors(&mut map, "roberta.", config, rows);
    map.linear(Module::Transform, "lm_head.dense", [hidden, hidden], true);
    map.norm(Module::TransformNorm, "lm_head.layer_norm", hidden, true);
    map.decoder("lm_head.decoder", "lm_head.bias", [vocabulary, hidden], file.tie_word_embeddings);
    // What other tasks leave, and a buffer that old versions wrote.
    for name in ["pooler.", "embeddings.position_ids"] {
        map.besides(name);
    }
    map
}
