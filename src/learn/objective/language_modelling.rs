//! Masked language modelling (Devlin et al. 2019, section 3.1): the model predicts tokens that were taken out
//! of rows without labels.
//!
//! `MLM = -1/M · Σ ln softmax(z)[t]`
//!
//! is the mean over the M chosen tokens of a step, z `[V]` the model's logits where the token t stood. The
//! rows stand in the same patterns as labelled ones. 15 % of their tokens are chosen, each by itself; of
//! those 80 % become the mask, 10 % any entry of the vocabulary, and 10 % stay. Never chosen are `[CLS]`,
//! `[SEP]`, soft tokens and the pattern's own mask: what stands there is for labelled rows to teach.
//!
//! Letters: B inputs, L tokens, H hidden, V vocabulary, M chosen tokens of a batch or a step.

use rand::Rng;
use tch::{Reduction, Tensor};

use super::masking::{Masking, is_border};
use super::step::{Input, Step};
use crate::error::{Error, Kind, Result, TrainingError};
use crate::learn::encoded::{EncodedRows, EpochOrder};
use crate::model::encoder::Mode;
use crate::model::features::Features;
use crate::model::tokenizer::SpecialIds;
use crate::predict::prompt_model::PromptModel;
use crate::seed;

/// The mean loss over the chosen tokens of rows, labels or not.
pub struct LanguageModelling {
    rows: EncodedRows,
    batch_size: usize,
    order: EpochOrder,
}

impl LanguageModelling {
    /// Of rows, so many in a batch, in the order of a seed.
    pub(crate) fn new(rows: EncodedRows, batch_size: usize, seed: u64) -> LanguageModelling {
        let order = EpochOrder::new(seed, "unlabelled order", rows.len());
        LanguageModelling { rows, batch_size, order }
    }

    pub(super) fn add_gradients(
        &mut self,
        step: &mut Step<'_>,
        weight: f64,
    ) -> Result<(Option<f64>, Vec<usize>)> {
        // Chosen in all inputs before any goes through the model: the mean is over the whole step.
        let tokenizer = step.base.tokenizer();
        let mut dice = seed::generator(step.seed, &format!("masked tokens of step {}", step.number));
        let (special, vocabulary) = (tokenizer.special(), tokenizer.vocabulary_size());
        let mut inputs: Vec<Input<Masked>> = Vec::new();
        for item in self.order.items(step.places(self.batch_size)) {
            let item = self.rows.item(item)?;
            let content = Masked::new(&item.features, special, vocabulary, &mut dice);
            let (length, losses) = (content.features.ids.len(), content.chosen.len());
            inputs.push(Input { row: item.row, length, losses, content });
        }
        let rows = inputs.iter().map(|input| input.row).collect();
        let found =
            step.add_gradients_of(inputs, weight, |model, part| token_losses(model, part, Mode::Train));
        let mean = found.map_err(|rows| self.not_finite(step.number, &rows))?;
        Ok((mean, rows))
    }

    pub(super) fn not_finite(&self, step: usize, rows: &[usize]) -> Error {
        let data = self.rows.data().to_owned();
        self.rows.not_finite(rows, |records| {
            Kind::Training(TrainingError::MlmLossNotFinite { step: step + 1, data, records })
        })
    }
}

/// A masked input: some of its tokens are to be predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The input, with most of the chosen tokens replaced.
    pub features: Features,
    /// The chosen tokens, in order.
    pub chosen: Vec<Chosen>,
}

/// A chosen token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// Its position in the input.
    pub at: usize,
    /// What stood there.
    pub id: i64,
}

impl Masked {
    /// Chooses tokens of an input and replaces them, as the module's page says. Padding comes later and is
    /// never chosen.
    pub fn new(features: &Features, special: SpecialIds, vocabulary: usize, dice: &mut impl Rng) -> Masked {
        let masking = Masking::default();
        let mut masked = Masked { features: features.clone(), chosen: Vec::new() };
        for (at, &id) in features.ids.iter().enumerate() {
            let free = at != features.mask
                && !is_border(id, special)
                && features.soft.iter().all(|slot| slot.at != at);
            if !free || !dice.gen_bool(masking.rate) {
                continue;
            }
            masked.chosen.push(Chosen { at, id });
            masked.features.ids[at] = masking.replaced(id, special.mask, vocabulary, dice);
        }
        masked
    }
}

/// The cross-entropy of the whole vocabulary at each chosen token, input after input. The encoder computes
/// all L tokens to its last layer; the head runs on the chosen ones alone, so that a part of a step has
/// logits for 15 % of [`crate::learn::plan::Plan::batch_tokens`].
///
/// # Shapes
/// B inputs with M chosen tokens: states `[B,L,H]` → `[M,H]` → logits `[M,V]` → `[M]`
pub fn token_losses(model: &PromptModel, inputs: &[&Masked], mode: Mode) -> Tensor {
    let features: Vec<&Features> = inputs.iter().map(|input| &input.features).collect();
    let chosen = || {
        inputs
            .iter()
            .enumerate()
            .flat_map(|(index, input)| input.chosen.iter().map(move |chosen| (index, chosen)))
    };
    let places: Vec<(usize, usize)> = chosen().map(|(index, chosen)| (index, chosen.at)).collect();
    let ids: Vec<i64> = chosen().map(|(_, chosen)| chosen.id).collect();
    let logits = model.vocabulary_logits_at(&features, &places, mode);
    let wanted = Tensor::from_slice(&ids).to_device(logits.device());
    // No id is -100, which would be left out.
    logits.cross_entropy_loss::<Tensor>(&wanted, None, Reduction::None, -100, 0.0)
}
