//! A linear layer on the state at `[CLS]`: plain fine-tuning, to compare prompts with.

use std::sync::Arc;

use tch::{Device, Tensor};

use crate::error::Result;
use crate::model::batch::Batch;
use crate::model::dtype::Dtype;
use crate::model::encoder::{Additions, Encoder, Linear, Mode, drop_out};
use crate::model::features::Features;
use crate::model::folder::ModelFolder;
use crate::model::parameters::Parameters;
use crate::model::tokenizer::Tokenizer;
use crate::tune::{CLASSIFIER, Learned, pooler_name};

/// BERT's classifier (Devlin et al. 2019): pooler with tanh, dropout, linear.
#[derive(Clone)]
pub struct SequenceClassifier {
    folder: Arc<ModelFolder>,
    encoder: Encoder,
    pooler: Linear,
    classifier: Linear,
    device: Device,
}

impl SequenceClassifier {
    /// The classifier over an encoder's weights and what was learned. A masked language model has no pooler
    /// of its own, so both layers are among the learned.
    pub fn new(
        folder: Arc<ModelFolder>,
        parameters: &Parameters,
        learned: &Learned,
        device: Device,
    ) -> SequenceClassifier {
        SequenceClassifier {
            encoder: Encoder::new(&folder.config, parameters),
            pooler: linear(learned, &pooler_name(&folder.config.tensors), device),
            classifier: linear(learned, CLASSIFIER, device),
            folder,
            device,
        }
    }

    /// Computes in bfloat16, with gradients.
    pub fn narrow(&mut self) {
        self.encoder.narrow();
    }

    /// Makes ready to score in a type, fast and without gradients.
    ///
    /// # Panics
    /// If it was made ready before, for these weights.
    pub fn prepare(&mut self, dtype: Dtype) -> Result<()> {
        self.encoder.prepare(dtype, &self.folder.tokenizer, &Additions::default())
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.folder.tokenizer
    }

    /// The longest input that there are positions for.
    pub fn room(&self) -> i64 {
        self.folder.config.max_position_embeddings
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Class scores, from inputs that are read at `[CLS]`.
    ///
    /// # Shapes
    /// B inputs → `[B,C]`
    pub fn class_scores(&self, inputs: &[&Features], mode: Mode) -> Tensor {
        let batch = Batch::collate(inputs, self.folder.tokenizer.special().pad, self.device);
        let states = self.encoder.states_at_masks(&batch, &Additions::default(), mode).squeeze_dim(1);
        let pooled = self.pooler.forward(&states).tanh();
        self.classifier.forward(&drop_out(pooled, self.folder.config.hidden_dropout_prob, mode))
    }
}

fn linear(learned: &Learned, name: &str, device: Device) -> Linear {
    let part = |part: &str| learned[&format!("{name}.{part}")].to_device(device);
    Linear::new(part("weight"), Some(part("bias")))
}
