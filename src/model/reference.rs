//! rust-bert's own `BertForMaskedLM` over the same tensors: a second engine, and the measure of the first.

use rust_bert::bert::{BertConfig, BertForMaskedLM};
use tch::{Device, Tensor, nn};

use crate::error::{ModelError, Result};
use crate::model::arch::{Arch, Config, Positions, bert};
use crate::model::batch::Batch;
use crate::model::layers::{Activation, Mode};
use crate::model::parameters::Parameters;
use crate::model::tensor_map::{Module, TensorMap};

/// rust-bert's masked language model. It computes all layers for all tokens, and the whole vocabulary at
/// every position.
pub struct Reference {
    model: BertForMaskedLM,
    /// What its variables are for: it knows BERT's names alone.
    map: TensorMap,
    store: nn::VarStore,
}

impl Reference {
    /// rust-bert's model of these sizes, with these parameters copied in by name. What rust-bert would
    /// silently do otherwise is refused.
    pub fn new(config: &Config, parameters: &Parameters, device: Device) -> Result<Reference> {
        let cannot = |reason: &str| ModelError::ReferenceCannot { reason: reason.to_owned() };
        // It has this constant in its code, whatever config.json says.
        if config.layer_norm_eps != 1e-12 {
            return Err(cannot("its layer_norm_eps is not 1e-12").into());
        }
        if config.positions != (Positions::Absolute { first: 0 }) {
            return Err(cannot("its positions are not those of BERT").into());
        }
        if config.type_vocab_size == 0
            || config.tensors.weight_name(Module::EmbeddingProjection).is_some()
            || config.head_act != config.hidden_act
        {
            return Err(cannot("it has another shape than BERT").into());
        }
        let hidden_act = match config.hidden_act {
            Activation::Gelu => rust_bert::Activation::gelu,
            Activation::GeluNew => rust_bert::Activation::gelu_new,
            Activation::Relu => rust_bert::Activation::relu,
            Activation::Silu => rust_bert::Activation::swish,
        };
        let map = match config.arch {
            Arch::Bert => bert::tensors(config, false),
            Arch::Deberta | Arch::ModernBert => return Err(cannot("it knows BERT alone").into()),
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
        let mut reference = Reference { model, map, store };
        for (_, variable) in reference.store.variables() {
            let _ = variable.set_requires_grad(false);
        }
        tch::no_grad(|| reference.take(parameters));
        Ok(reference)
    }

    /// Gives the model these parameters. Where they are part of a graph, its own tensors become part of it
    /// too, and gradients reach the parameters.
    pub fn take(&mut self, parameters: &Parameters) {
        for (name, mut variable) in self.store.variables() {
            // Its own variables keep the graph of the step before; a copy into a detached one begins a new
            // graph.
            let _ = variable.detach_();
            // Its variables are a BERT's, and BERT's map lists them all.
            let Some(module) = self.map.module_of(&name) else { unreachable!("rust-bert has {name}") };
            match (module, self.map.bias_name(module) == Some(&name)) {
                (Module::Decoder, false) => variable.copy_(parameters.decoder()),
                (_, false) => variable.copy_(parameters.weight(module)),
                (_, true) => match parameters.bias(module) {
                    Some(bias) => variable.copy_(bias),
                    None => drop(variable.zero_()),
                },
            }
        }
    }

    /// The logits of the whole vocabulary everywhere; `soft` `[S,H]` are the vectors of soft tokens.
    ///
    /// # Shapes
    /// batch of B inputs, L tokens → `[B,L,V]`
    pub fn logits(&self, batch: &Batch, soft: Option<&Tensor>, mode: Mode) -> Tensor {
        let embedded = batch.soft.as_ref().zip(soft).map(|(places, vectors)| {
            let Some(name) = self.map.weight_name(Module::WordEmbeddings) else {
                unreachable!("a BERT has word embeddings")
            };
            let words = Tensor::embedding(&self.store.variables()[name], &batch.ids, -1, false, false);
            places.fill(&words, vectors)
        });
        let ids = embedded.is_none().then_some(&batch.ids);
        // Its attention mask must be of integers.
        self.model
            .forward_t(
                ids,
                Some(&batch.attention),
                Some(&batch.types),
                None,
                embedded.as_ref(),
                None,
                None,
                mode == Mode::Train,
            )
            .prediction_scores
    }
}
