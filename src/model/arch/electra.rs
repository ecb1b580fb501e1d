//! ELECTRA's generator (Clark et al. 2020): BERT's layers over embeddings of a size of their own. Its
//! discriminator, which most people mean by ELECTRA, fills no masks: it has no such head, and is refused for
//! that.

use std::sync::Arc;

use serde::Deserialize;

use super::{Config, MOST, bert, check_absolute, check_sizes};
use crate::model::layers::Activation;
use crate::model::tensor_map::{Module, TensorMap};

/// What `config.json` calls the family.
pub const MODEL_TYPE: &str = "electra";

/// What `config.json` has beside BERT's keys, with what Hugging Face's ElectraConfig takes where it says nothing.
#[derive(Deserialize)]
struct File {
    #[serde(default = "embedding_size")]
    embedding_size: i64,
}

fn embedding_size() -> i64 {
    128
}

/// Reads and checks the text of an ELECTRA's `config.json`.
pub(super) fn config(_model_type: &str, text: &str) -> Result<Config, String> {
    let file = bert::File::read(text)?;
    let File { embedding_size } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    check_absolute(&file.position_embedding_type)?;
    check_sizes(&[("embedding_size", embedding_size, MOST)])?;
    let mut config = Config {
        embedding_size,
        // In its code, whatever config.json says.
        head_act: Activation::Gelu,
        ..file.config(["ElectraForMaskedLM", "transformers.models.electra.modeling_electra"])
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
