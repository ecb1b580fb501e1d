//! DistilBERT (Sanh et al. 2019): BERT's layers, with other names and without segments.

use std::sync::Arc;

use serde::Deserialize;

use super::{Arch, Config, MOST, MOST_LAYERS, Positions, check_heads, check_sizes, usual};
use crate::model::layers::Activation;
use crate::model::tensor_map::{Module, Role, TensorMap};

/// What `config.json` calls the family.
pub const MODEL_TYPE: &str = "distilbert";

/// `config.json`, with what Hugging Face's DistilBertConfig takes where it says nothing.
#[derive(Deserialize)]
struct File {
    vocab_size: i64,
    dim: i64,
    hidden_dim: i64,
    n_layers: i64,
    n_heads: i64,
    max_position_embeddings: i64,
    #[serde(default)]
    activation: Activation,
    #[serde(default = "usual::dropout")]
    dropout: f64,
    #[serde(default = "usual::dropout")]
    attention_dropout: f64,
    #[serde(default = "usual::tied")]
    tie_word_embeddings: bool,
}

/// Reads and checks the text of a DistilBERT's `config.json`.
pub(super) fn config(_model_type: &str, text: &str) -> Result<Config, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    check_sizes(&[
        ("vocab_size", file.vocab_size, MOST),
        ("dim", file.dim, MOST),
        ("hidden_dim", file.hidden_dim, MOST),
        ("n_layers", file.n_layers, MOST_LAYERS),
        ("n_heads", file.n_heads, MOST),
        ("max_position_embeddings", file.max_position_embeddings, MOST),
    ])?;
    check_heads(["dim", "n_heads"], file.dim, file.n_heads)?;
    Ok(Config {
        arch: Arch::Bert,
        tensors: Arc::new(tensors(&file)),
        python_class: ["DistilBertForMaskedLM", "transformers.models.distilbert.modeling_distilbert"],
        positions: Positions::Absolute { first: 0 },
        vocab_size: file.vocab_size,
        embedding_size: file.dim,
        hidden_size: file.dim,
        num_hidden_layers: file.n_layers,
        num_attention_heads: file.n_heads,
        intermediate_size: file.hidden_dim,
        hidden_act: file.activation,
        head_act: file.activation,
        embedding_dropout_prob: file.dropout,
        hidden_dropout_prob: file.dropout,
        attention_probs_dropout_prob: file.attention_dropout,
        max_position_embeddings: file.max_position_embeddings,
        type_vocab_size: 0,
        // In its code, whatever config.json says.
        layer_norm_eps: 1e-12,
        untrained_head: None,
        unknown_keys: Vec::new(),
    })
}

fn tensors(file: &File) -> TensorMap {
    let (vocabulary, hidden, inner) = (file.vocab_size, file.dim, file.hidden_dim);
    let mut map =
        TensorMap::new("distilbert.", "distilbert.transformer.layer.").counted_by("n_layers", "layers");
    map.embeddings(Module::WordEmbeddings, "distilbert.embeddings.word_embeddings", [vocabulary, hidden]);
    map.embeddings(
        Module::PositionEmbeddings,
        "distilbert.embeddings.position_embeddings",
        [file.max_position_embeddings, hidden],
    );
    map.norm(Module::EmbeddingNorm, "distilbert.embeddings.LayerNorm", hidden, true);
    for layer in 0..usize::try_from(file.n_layers).unwrap_or(0) {
        let name = |part: &str| format!("distilbert.transformer.layer.{layer}.{part}");
        for (role, part, size) in [
            (Role::Query, "attention.q_lin", [hidden, hidden]),
            (Role::Key, "attention.k_lin", [hidden, hidden]),
            (Role::Value, "attention.v_lin", [hidden, hidden]),
            (Role::AttentionOutput, "attention.out_lin", [hidden, hidden]),
            (Role::Intermediate, "ffn.lin1", [inner, hidden]),
            (Role::Output, "ffn.lin2", [hidden, inner]),
        ] {
            map.linear(Module::Linear(layer, role), &name(part), size, true);
        }
        map.norm(Module::AttentionNorm(layer), &name("sa_layer_norm"), hidden, true);
        map.norm(Module::OutputNorm(layer), &name("output_layer_norm"), hidden, true);
    }
    map.linear(Module::Transform, "vocab_transform", [hidden, hidden], true);
    map.norm(Module::TransformNorm, "vocab_layer_norm", hidden, true);
    map.decoder("vocab_projector", "vocab_projector.bias", [vocabulary, hidden], file.tie_word_embeddings);
    map.besides("embeddings.position_ids");
    map
}
