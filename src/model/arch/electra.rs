//! ELECTRA's generator (Clark et al. 2020): BERT's layers over embeddings of a size of their own. Its
//! discriminator, which most people mean by ELECTRA, fills no masks: it has no such head, and is refused for
//! that.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    Arch, Config, MOST, MOST_LAYERS, Positions, bert, check_absolute, check_heads, check_sizes, usual,
};
use crate::model::layers::Activation;
use crate::model::tensor_map::{Module, TensorMap};

/// What `config.json` calls the family.
pub const MODEL_TYPE: &str = "electra";

/// `config.json`, with what Hugging Face's ElectraConfig takes where it says nothing.
#[derive(Deserialize)]
struct File {
    vocab_size: i64,
    #[serde(default = "embedding_size")]
    embedding_size: i64,
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
    #[serde(default = "usual::absolute")]
    position_embedding_type: String,
    #[serde(default = "usual::tied")]
    tie_word_embeddings: bool,
}

fn embedding_size() -> i64 {
    128
}

/// Reads and checks the text of an ELECTRA's `config.json`.
pub(super) fn config(_model_type: &str, text: &str) -> Result<Config, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    check_absolute(&file.position_embedding_type)?;
    check_sizes(&[
        ("vocab_size", file.vocab_size, MOST),
        ("embedding_size", file.embedding_size, MOST),
        ("hidden_size", file.hidden_size, MOST),
        ("num_hidden_layers", file.num_hidden_layers, MOST_LAYERS),
        ("num_attention_heads", file.num_attention_heads, MOST),
        ("intermediate_size", file.intermediate_size, MOST),
        ("max_position_embeddings", file.max_position_embeddings, MOST),
        ("type_vocab_size", file.type_vocab_size, MOST),
    ])?;
    check_heads(["hidden_size", "num_attention_heads"], file.hidden_size, file.num_attention_heads)?;
    let mut config = Config {
        arch: Arch::Bert,
        tensors: Arc::new(TensorMap::new("", "")),
        python_class: ["ElectraForMaskedLM", "transformers.models.electra.modeling_electra"],
        positions: Positions::Absolute { first: 0 },
        vocab_size: file.vocab_size,
        embedding_size: file.embedding_size,
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
        max_position_embeddings: file.max_position_embeddings,
        type_vocab_size: file.type_vocab_size,
        layer_norm_eps: file.layer_norm_eps,
    };
    config.tensors = Arc::new(tensors(&config, file.tie_word_embeddings));
    Ok(config)
}

fn tensors(config: &Config, is_tied: bool) -> TensorMap {
    let (vocabulary, narrow, hidden) = (config.vocab_size, config.embedding_size, config.hidden_size);
    let mut map = TensorMap::new("electra.", "electra.encoder.layer.");
    bert::encoder_tensors(
        &mut map,
        "electra.",
        config,
        [config.max_position_embeddings, config.type_vocab_size],
    );
    if narrow != hidden {
        map.linear(Module::EmbeddingProjection, "electra.embeddings_project", [hidden, narrow], true);
    }
    map.linear(Module::Transform, "generator_predictions.dense", [narrow, hidden], true);
    map.norm(Module::TransformNorm, "generator_predictions.LayerNorm", narrow, true);
    map.decoder("generator_lm_head", "generator_lm_head.bias", [vocabulary, narrow], is_tied);
    // A buffer that old versions wrote, and what a whole pre-training leaves beside the generator.
    for name in ["embeddings.position_ids", "discriminator_predictions."] {
        map.besides(name);
    }
    map
}
