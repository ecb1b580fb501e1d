//! rust-bert's own `BertForMaskedLM` over the same tensors: a second engine, and the measure of the first.

use std::path::Path;

use rust_bert::bert::{BertConfig, BertForMaskedLM};
use tch::{Device, Tensor, nn};

use crate::batch::Batch;
use crate::error::{Kind, Result};
use crate::json;
use crate::parameters::{DECODER, Parameters};

/// rust-bert's masked language model. It computes all layers for all tokens, and the whole vocabulary at every position.
pub struct Reference {
    model: BertForMaskedLM,
    // The model's tensors live as long as their store.
    _store: nn::VarStore,
}

impl Reference {
    /// rust-bert's model for this folder, with these parameters copied in by name.
    pub fn new(folder: &Path, parameters: &Parameters, device: Device) -> Result<Reference> {
        let path = folder.join("config.json");
        // Not BertConfig::from_file, which panics where the file is missing.
        let config: BertConfig = serde_json::from_str(&json::read_text(&path)?)
            .map_err(|error| Kind::ModelConfig { path: path.clone(), message: format!("{error} (--engine rust-bert)") })?;
        let store = nn::VarStore::new(device);
        let model = BertForMaskedLM::new(store.root(), &config);
        tch::no_grad(|| {
            for (name, mut variable) in store.variables() {
                let source = if name == DECODER { parameters.decoder() } else { parameters.get(&name) };
                variable.copy_(source);
            }
        });
        Ok(Reference { model, _store: store })
    }

    /// The logits of the whole vocabulary at the masks.
    ///
    /// # Shapes
    /// batch of B inputs, L tokens → `[B,V]`
    pub fn logits_at_mask(&self, batch: &Batch) -> Tensor {
        // Its attention mask must be of integers.
        let all = self
            .model
            .forward_t(Some(&batch.ids), Some(&batch.attention), Some(&batch.types), None, None, None, None, false)
            .prediction_scores;
        batch.at_mask(&all)
    }
}
