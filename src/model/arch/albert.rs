//! ALBERT (Lan et al. 2020): BERT's layers over embeddings of a size of their own, of which many share the
//! tensors of one.
//!
//! A model of N layers in G groups of I blocks computes N·I of BERT's layers with the tensors of G·I. What
//! tuning learns of a tensor acts wherever the tensor does.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    Arch, Config, MOST, MOST_LAYERS, Positions, bert, check_absolute, check_heads, check_sizes, usual,
};
use crate::model::layers::Activation;
use crate::model::tensor_map::{Module, Role, TensorMap};

/// What `config.json` calls the family.
pub const MODEL_TYPE: &str = "albert";

/// `config.json`, with what Hugging Face's AlbertConfig takes where it says nothing.
#[derive(Deserialize)]
struct File {
    vocab_size: i64,
    #[serde(default = "embedding_size")]
    embedding_size: i64,
    hidden_size: i64,
    num_hidden_layers: i64,
    #[serde(default = "one")]
    num_hidden_groups: i64,
    #[serde(default = "one")]
    inner_group_num: i64,
    num_attention_heads: i64,
    intermediate_size: i64,
    #[serde(default = "activation")]
    hidden_act: Activation,
    #[serde(default)]
    hidden_dropout_prob: f64,
    #[serde(default)]
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
fn one() -> i64 {
    1
}
fn activation() -> Activation {
    Activation::GeluNew
}

/// Reads and checks the text of an ALBERT's `config.json`.
pub(super) fn config(_model_type: &str, text: &str) -> Result<Config, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    check_absolute(&file.position_embedding_type)?;
    check_sizes(&[
        ("vocab_size", file.vocab_size, MOST),
        ("embedding_size", file.embedding_size, MOST),
        ("hidden_size", file.hidden_size, MOST),
        ("num_hidden_layers", file.num_hidden_layers, MOST_LAYERS),
        ("num_hidden_groups", file.num_hidden_groups, file.num_hidden_layers),
        ("inner_group_num", file.inner_group_num, MOST_LAYERS / file.num_hidden_layers),
        ("num_attention_heads", file.num_attention_heads, MOST),
        ("intermediate_size", file.intermediate_size, MOST),
        ("max_position_embeddings", file.max_position_embeddings, MOST),
        ("type_vocab_size", file.type_vocab_size, MOST),
    ])?;
    check_heads(["hidden_size", "num_attention_heads"], file.hidden_size, file.num_attention_heads)?;
    Ok(Config {
        arch: Arch::Bert,
        tensors: Arc::new(tensors(&file)),
        python_class: ["AlbertForMaskedLM", "transformers.models.albert.modeling_albert"],
        positions: Positions::Absolute { first: 0 },
        vocab_size: file.vocab_size,
        embedding_size: file.embedding_size,
        hidden_size: file.hidden_size,
        num_hidden_layers: file.num_hidden_layers * file.inner_group_num,
        num_attention_heads: file.num_attention_heads,
        intermediate_size: file.intermediate_size,
        hidden_act: file.hidden_act,
        head_act: file.hidden_act,
        embedding_dropout_prob: file.hidden_dropout_prob,
        hidden_dropout_prob: file.hidden_dropout_prob,
        attention_probs_dropout_prob: file.attention_probs_dropout_prob,
        max_position_embeddings: file.max_position_embeddings,
        type_vocab_size: file.type_vocab_size,
        layer_norm_eps: file.layer_norm_eps,
        untrained_head: None,
        unknown_keys: Vec::new(),
    })
}

/// Group and block of each layer that is computed.
fn blocks(file: &File) -> impl Iterator<Item = (usize, i64)> {
    let (layers, groups) = (file.num_hidden_layers as f64, file.num_hidden_groups as f64);
    let inner = file.inner_group_num;
    // As in Hugging Face's code, where groups do not divide the layers too.
    let group = move |layer: i64| (layer as f64 / (layers / groups)) as usize;
    (0..file.num_hidden_layers).flat_map(move |layer| (0..inner).map(move |block| (group(layer), block)))
}

fn tensors(file: &File) -> TensorMap {
    const GROUPS: &str = "albert.encoder.albert_layer_groups.";
    let (vocabulary, narrow, hidden) = (file.vocab_size, file.embedding_size, file.hidden_size);
    let inner = file.intermediate_size;
    let mut map = TensorMap::new("albert.", GROUPS).counted_by("num_hidden_groups", "groups");
    let rows = (Some(file.max_position_embeddings), file.type_vocab_size);
    bert::embedding_tensors(&mut map, "albert.", vocabulary, rows, narrow);
    map.linear(
        Module::EmbeddingProjection,
        "albert.encoder.embedding_hidden_mapping_in",
        [hidden, narrow],
        true,
    );
    for (layer, (group, block)) in blocks(file).enumerate() {
        let name = |part: &str| format!("{GROUPS}{group}.albert_layers.{block}.{part}");
        for (role, part, size) in [
            (Role::Query, "attention.query", [hidden, hidden]),
            (Role::Key, "attention.key", [hidden, hidden]),
            (Role::Value, "attention.value", [hidden, hidden]),
            (Role::AttentionOutput, "attention.dense", [hidden, hidden]),
            (Role::Intermediate, "ffn", [inner, hidden]),
            (Role::Output, "ffn_output", [hidden, inner]),
        ] {
            map.linear(Module::Linear(layer, role), &name(part), size, true);
        }
        map.norm(Module::AttentionNorm(layer), &name("attention.LayerNorm"), hidden, true);
        map.norm(Module::OutputNorm(layer), &name("full_layer_layer_norm"), hidden, true);
    }
    map.linear(Module::Transform, "predictions.dense", [narrow, hidden], true);
    map.norm(Module::TransformNorm, "predictions.LayerNorm", narrow, true);
    map.decoder("predictions.decoder", "predictions.bias", [vocabulary, narrow], file.tie_word_embeddings);
    // Of its second task, which of two sentences comes first; and a buffer that old versions wrote.
    for name in ["pooler.", "sop_classifier.", "embeddings.position_ids"] {
        map.besides(name);
    }
    map
}
