//! rust-bert's own `BertForMaskedLM` over the same tensors: a second engine, and the measure of the first.

use rust_bert::bert::{BertConfig, BertForMaskedLM};
use tch::{Device, Tensor, nn};

use crate::batch::Batch;
use crate::config::{Activation, Config};
use crate::error::{Kind, Result};
use crate::parameters::{DECODER, Parameters};

/// rust-bert's masked language model. It computes all layers for all tokens, and the whole vocabulary at every position.
pub struct Reference {
    model: BertForMaskedLM,
    // The model's tensors live as long as their store.
    _store: nn::VarStore,
}

impl Reference {
    /// rust-bert's model of these sizes, with these parameters copied in by name. What rust-bert would silently do otherwise is refused.
    pub fn new(config: &Config, parameters: &Parameters, device: Device) -> Result<Reference> {
        let cannot = |reason: &str| Kind::ReferenceCannot { reason: reason.to_owned() };
        // It has this constant in its code, whatever config.json says.
        if config.layer_norm_eps != 1e-12 {
            return Err(cannot("its layer_norm_eps is not 1e-12").into());
        }
        let hidden_act = match config.hidden_act {
            Activation::Gelu => rust_bert::Activation::gelu,
            Activation::GeluNew => rust_bert::Activation::gelu_new,
            Activation::Relu => rust_bert::Activation::relu,
            Activation::Silu => rust_bert::Activation::swish,
        };
        let config = BertConfig {
            hidden_act,
            attention_probs_dropout_prob: config.attention_probs_dropout_prob,
            hidden_dropout_prob: config.hidden_dropout_prob,
            hidden_size: config.hidden_size,
            initializer_range: 0.02,
            intermediate_size: config.intermediate_size,
            max_position_embeddings: config.max_position_embeddings,
            num_attention_heads: config.num_attention_heads,
            num_hidden_layers: config.num_hidden_layers,
            type_vocab_size: config.type_vocab_size,
            vocab_size: config.vocab_size,
            output_attentions: None,
            output_hidden_states: None,
            is_decoder: None,
            id2label: None,
            label2id: None,
        };
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
