//! A model's `config.json`: the sizes of a BERT.

use std::path::Path;

use serde::Deserialize;

use crate::error::{Kind, Result};
use crate::text::json;

/// The sizes and constants of a BERT, named as Hugging Face names them.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)] // The names are Hugging Face's.
pub struct Config {
    #[serde(default = "bert")]
    pub model_type: String,
    pub vocab_size: i64,
    pub hidden_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    pub intermediate_size: i64,
    #[serde(default)]
    pub hidden_act: Activation,
    #[serde(default = "dropout")]
    pub hidden_dropout_prob: f64,
    #[serde(default = "dropout")]
    pub attention_probs_dropout_prob: f64,
    pub max_position_embeddings: i64,
    pub type_vocab_size: i64,
    #[serde(default = "epsilon")]
    pub layer_norm_eps: f64,
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
    #[serde(default = "tied")]
    pub tie_word_embeddings: bool,
}

// What Hugging Face's BertConfig takes where a file says nothing.
fn bert() -> String {
    "bert".into()
}
fn absolute() -> String {
    "absolute".into()
}
fn dropout() -> f64 {
    0.1
}
fn epsilon() -> f64 {
    1e-12
}
fn tied() -> bool {
    true
}

/// The feed-forward's non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x·Φ(x)`, by the error function.
    #[default]
    Gelu,
    /// The same by its approximation with tanh.
    #[serde(alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluNew,
    /// `max(0, x)`.
    Relu,
    /// `x·σ(x)`.
    #[serde(alias = "swish")]
    Silu,
}

impl Config {
    /// Reads and checks `config.json` of a model folder.
    pub fn load(folder: &Path) -> Result<Config> {
        let path = folder.join("config.json");
        if !path.exists() {
            return Err(Kind::ModelFileMissing { path: folder.to_owned(), wanted: "config.json" }.into());
        }
        let wrong = |message: String| Kind::ModelConfig { path: path.clone(), message };
        let config: Config =
            serde_json::from_str(&json::read_text(&path)?).map_err(|error| wrong(error.to_string()))?;
        if config.model_type != "bert" {
            return Err(wrong(format!(
                "model_type is {:?}, this version of cloze takes \"bert\"",
                config.model_type
            ))
            .into());
        }
        if config.position_embedding_type != "absolute" {
            return Err(wrong(format!(
                "position_embedding_type is {:?}, this version of cloze takes \"absolute\"",
                config.position_embedding_type
            ))
            .into());
        }
        let sizes = [
            ("vocab_size", config.vocab_size),
            ("hidden_size", config.hidden_size),
            ("num_hidden_layers", config.num_hidden_layers),
            ("num_attention_heads", config.num_attention_heads),
            ("intermediate_size", config.intermediate_size),
            ("max_position_embeddings", config.max_position_embeddings),
            ("type_vocab_size", config.type_vocab_size),
        ];
        if let Some((name, size)) = sizes.into_iter().find(|(_, size)| *size < 1) {
            return Err(wrong(format!("{name} is {size}, it must be at least 1")).into());
        }
        if config.hidden_size % config.num_attention_heads != 0 {
            return Err(wrong(format!(
                "hidden_size {} is not a multiple of num_attention_heads {}",
                config.hidden_size, config.num_attention_heads
            ))
            .into());
        }
        Ok(config)
    }

    /// The longest input that scoring uses unless told otherwise: the model's own limit, at most 512 tokens.
    pub fn default_max_length(&self) -> usize {
        usize::try_from(self.max_position_embeddings).unwrap_or(512).min(512)
    }
}
