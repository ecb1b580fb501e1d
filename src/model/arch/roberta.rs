//! RoBERTa (Liu et al. 2019) and what is built like it, XLM-RoBERTa (Conneau et al. 2020) and CamemBERT (Martin
//! et al. 2020): BERT's layers with another head. Positions are counted from the row behind the padding's, and
//! no segments are told apart.

use std::sync::Arc;

use serde::Deserialize;

use super::{Config, Positions, bert, check_absolute};
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

/// What `config.json` has beside BERT's keys, with what Hugging Face's RobertaConfig takes where it says nothing.
#[derive(Deserialize)]
struct File {
    #[serde(default = "pad")]
    pad_token_id: i64,
}

fn pad() -> i64 {
    1
}

/// Reads and checks the text of a RoBERTa's `config.json`.
pub(super) fn config(model_type: &str, text: &str) -> Result<Config, String> {
    let file = bert::File::read(text)?;
    let File { pad_token_id } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    check_absolute(&file.position_embedding_type)?;
    let python_class = KINDS.iter().find(|(name, _)| *name == model_type).unwrap_or(&KINDS[0]).1;
    let whole = file.config(python_class);
    let (rows, types) = (whole.max_position_embeddings, whole.type_vocab_size);
    // The rows up to the padding's are of no token.
    let first = pad_token_id + 1;
    if !(1..rows).contains(&first) {
        return Err(format!(
            "pad_token_id is {pad_token_id}, it must be from 0 to below max_position_embeddings - 1, {}",
            rows - 1
        ));
    }
    let mut config = Config {
        positions: Positions::Absolute { first },
        // In its code, whatever config.json says.
        head_act: Activation::Gelu,
        max_position_embeddings: rows - first,
        type_vocab_size: 0,
        ..whole
    };
    config.tensors = Arc::new(tensors(&config, [rows, types], file.tie_word_embeddings));
    Ok(config)
}

/// The tensors of a RoBERTa with so many rows of positions and of types.
fn tensors(config: &Config, rows: [i64; 2], is_tied: bool) -> TensorMap {
    let (vocabulary, hidden) = (config.vocab_size, config.hidden_size);
    let mut map = TensorMap::new("roberta.", "roberta.encoder.layer.");
    bert::encoder_tensors(&mut map, "roberta.", config, rows);
    map.linear(Module::Transform, "lm_head.dense", [hidden, hidden], true);
    map.norm(Module::TransformNorm, "lm_head.layer_norm", hidden, true);
    map.decoder("lm_head.decoder", "lm_head.bias", [vocabulary, hidden], is_tied);
    // What other tasks leave, and a buffer that old versions wrote.
    for name in ["pooler.", "embeddings.position_ids"] {
        map.besides(name);
    }
    map
}
