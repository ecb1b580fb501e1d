//! ADAPET (Tam et al. 2021): a row teaches more than which of the label words is likeliest.
//!
//! - **Decoupled labels.** q_c is the probability, among all V words, of class c's words at the mask. Each
//!   class is a question of its own: `L = 1/C · Σ_c -ln(q_c)` for the row's class and `-ln(1 - q_c)` for the
//!   others. Words that stand for no class lose too, which the softmax over classes alone does not see.
//! - **Conditioned on a label.** A label word, drawn evenly among all classes, takes the mask's place, and
//!   some of the other tokens are taken out: with the row's own label the model shall find them, `-ln p`,
//!   with another it shall not, `-ln(1 - p)`.
//!
//! A step's loss is the sum of both. As in the authors' program `max(⌊u · 0.105 · L⌋, 2) - 1` of L tokens are
//! taken out, u drawn from 0 to 1, and the mask always stands in their place; but never the label word,
//! `[CLS]`, `[SEP]` and soft tokens, which the program takes out too.
//!
//! Letters: B inputs, V vocabulary, C classes, M tokens that were taken out.

use rand::Rng;
use rand::seq::index::sample;
use tch::{Kind as Type, Tensor};

use super::language_modelling::{Chosen, Masked, token_losses};
use super::masking::is_border;
use super::step::{Input, Step};
use crate::error::{Error, Kind, Result, TrainingError};
use crate::learn::encoded::{EncodedRows, EpochOrder};
use crate::learn::target::Target;
use crate::model::encoder::Mode;
use crate::model::features::Features;
use crate::model::tokenizer::SpecialIds;
use crate::predict::label_words::LabelWords;
use crate::predict::prompt_model::PromptModel;
use crate::seed;

/// At most this share of the tokens is taken out.
const SHARE: f64 = 0.105;

/// The mean loss over tokens of rows in which a label word stands.
pub struct LabelConditioned {
    rows: EncodedRows,
    targets: Vec<Target>,
    /// The classes' words behind a space, and behind what is none.
    words: [Vec<Vec<i64>>; 2],
    order: EpochOrder,
}

/// An input in which a label word stands and some other tokens do not.
#[derive(Debug, Clone)]
pub struct Conditioned {
    /// The input, and what was taken out.
    pub masked: Masked,
    /// Whether the label is the row's own.
    pub is_own: bool,
}

impl LabelConditioned {
    /// Of rows with their classes, in the order of a seed. The words must be single tokens.
    pub(crate) fn new(
        rows: EncodedRows,
        targets: Vec<Target>,
        words: &LabelWords,
        seed: u64,
    ) -> LabelConditioned {
        let words = [false, true].map(|is_bare| words.behind(is_bare).of_classes());
        let order = EpochOrder::new(seed, "label-conditioned order", rows.len());
        LabelConditioned { rows, targets, words, order }
    }

    pub(super) fn add_gradients(
        &mut self,
        step: &mut Step<'_>,
        weight: f64,
    ) -> Result<(Option<f64>, Vec<usize>)> {
        let special = step.base.tokenizer().special();
        let mut dice =
            seed::generator(step.seed, &format!("label-conditioned tokens of step {}", step.number));
        let mut inputs: Vec<Input<Conditioned>> = Vec::new();
        for item in self.order.items(step.places(step.plan.batch_size)) {
            let item = self.rows.item(item)?;
            let classes = &self.words[usize::from(item.features.is_bare)];
            let class = dice.gen_range(0..classes.len());
            let word = classes[class][dice.gen_range(0..classes[class].len())];
            let content = Conditioned {
                masked: taken_out(&item.features, word, special, &mut dice),
                is_own: class == self.targets[item.row].class(),
            };
            let (length, losses) = (content.masked.features.ids.len(), content.masked.chosen.len());
            inputs.push(Input { row: item.row, length, losses, content });
        }
        let rows = inputs.iter().map(|input| input.row).collect();
        // Of a row without a token of its own nothing can be taken out.
        let found =
            step.add_gradients_of(inputs, weight, |model, part| conditioned_losses(model, part, Mode::Train));
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

/// An input with a word at its mask, and with some other tokens taken out.
fn taken_out(features: &Features, word: i64, special: SpecialIds, dice: &mut impl Rng) -> Masked {
    let mut features = features.with_blank(&[word]);
    let is_free = |at: &usize| {
        *at != features.mask
            && !is_border(features.ids[*at], special)
            && features.soft.iter().all(|slot| slot.at != *at)
    };
    let free: Vec<usize> = (0..features.ids.len()).filter(is_free).collect();
    let share = dice.r#gen::<f64>() * SHARE;
    #[allow(clippy::cast_sign_loss)] // Lengths and shares are not below 0.
    let wanted = ((share * features.ids.len() as f64) as usize).max(2) - 1;
    let mut places: Vec<usize> =
        sample(dice, free.len(), wanted.min(free.len())).into_iter().map(|place| free[place]).collect();
    places.sort_unstable();
    let mut take = |at: usize| Chosen { at, id: std::mem::replace(&mut features.ids[at], special.mask) };
    let chosen = places.into_iter().map(&mut take).collect();
    Masked { features, chosen }
}

/// The loss of each token that was taken out: `-ln p` of what stood there where the label is the row's own,
/// else `-ln(1 - p)`.
///
/// # Shapes
/// B inputs with M tokens → `[M]`
pub fn conditioned_losses(model: &PromptModel, inputs: &[&Conditioned], mode: Mode) -> Tensor {
    let masked: Vec<&Masked> = inputs.iter().map(|input| &input.masked).collect();
    let losses = token_losses(model, &masked, mode);
    let of_input = |input: &&Conditioned| vec![input.is_own; input.masked.chosen.len()];
    let own: Vec<bool> = inputs.iter().flat_map(of_input).collect();
    losses.where_self(&Tensor::from_slice(&own).to_device(losses.device()), &of_not(&-&losses))
}

/// Each row's loss of decoupled labels.
///
/// # Shapes
/// logarithms of probabilities `[B,C]` → `[B]`
pub fn decoupled_losses(log_probabilities: &Tensor, targets: &[&Target]) -> Tensor {
    let classes: Vec<i64> = targets.iter().map(|target| target.class() as i64).collect();
    let own = Tensor::from_slice(&classes).to_device(log_probabilities.device()).unsqueeze(1);
    let own = log_probabilities.zeros_like().scatter_value(1, &own, 1.0).to_kind(Type::Bool);
    let losses = (-log_probabilities).where_self(&own, &of_not(log_probabilities));
    losses.mean_dim([1].as_slice(), false, Type::Float)
}

/// `-ln(1 - p)` of logarithms of probabilities. A p that rounds to 1 counts as the largest below it.
fn of_not(log_probabilities: &Tensor) -> Tensor {
    -(-log_probabilities.exp().clamp_max(1.0 - f64::from(f32::EPSILON))).log1p()
}

/// The logarithm of each class's probability among all words at the mask.
///
/// # Shapes
/// logits `[B,V]` → `[B,C]`
pub fn class_log_probabilities(logits: &Tensor, inputs: &[&Features], words: &LabelWords) -> Tensor {
    let all = logits.logsumexp([1], true);
    let of_rows = |is_bare: bool| {
        let of_class = |words: &Vec<i64>| {
            let ids = Tensor::from_slice(words).to_device(logits.device());
            logits.index_select(1, &ids).logsumexp([1], true)
        };
        Tensor::cat(&words.behind(is_bare).of_classes().iter().map(of_class).collect::<Vec<_>>(), 1)
    };
    let own = match words.has_bare() {
        false => of_rows(false),
        true => {
            let bare: Vec<bool> = inputs.iter().map(|input| input.is_bare).collect();
            let bare = Tensor::from_slice(&bare).to_device(logits.device()).unsqueeze(1);
            of_rows(true).where_self(&bare, &of_rows(false))
        }
    };
    own - all
}
