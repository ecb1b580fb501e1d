//! PET's auxiliary loss: masked language modelling on rows without labels, so that a model that learns from
//! few rows stays a language model (Schick & Schütze 2021, arXiv 2001.07676, "Auxiliary Language Modeling").
//!
//! A step's loss is `(1 - α) · CE + α · MLM`: CE the mean loss of its labelled rows, and
//!
//! `MLM = -1/M · Σ ln softmax(z)[t]`
//!
//! the mean over the M chosen tokens of its unlabelled rows, z `[V]` what the model says where the token t
//! stood. Unlabelled rows stand in the same patterns as labelled ones. 15 % of their tokens are chosen, each
//! by itself; of those 80 % become the mask, 10 % any entry of the vocabulary, and 10 % stay (Devlin et al.
//! 2019, section 3.1). Never chosen are `[CLS]`, `[SEP]`, soft tokens and the pattern's own mask: what stands
//! there is for the labelled rows to teach.
//!
//! Letters: B inputs, L tokens, H hidden, V vocabulary, M chosen tokens of a batch or a step.

use rand::Rng;
use tch::{Reduction, Tensor};

use super::plan::{MOST_ROWS, out_of_range};
use super::{Item, Plan, State, Trainer, backward, not_finite};
use crate::error::{Error, Kind, Result};
use crate::model::encoder::Mode;
use crate::model::features::Features;
use crate::model::tokenizer::SpecialIds;
use crate::predict::classifier::Classifier;
use crate::predict::prompt_model::PromptModel;
use crate::seed;
use crate::text::data::{Columns, Example};
use crate::tune::Tuning;

/// α of PET: the loss of language modelling is far larger than that of classes.
pub const WEIGHT: f64 = 1e-4;
/// Unlabelled rows for each labelled one: PET has 12 and 4 in a batch.
pub const ROWS_FOR_EACH: usize = 3;

/// The share of tokens that is chosen.
const CHOSEN: f64 = 0.15;
/// The share of the chosen that becomes the mask.
const MASKED: f64 = 0.8;
/// The share of the chosen that becomes any entry of the vocabulary.
const RANDOM: f64 = 0.1;

/// Language modelling on rows without labels, beside the loss of a training's own.
#[derive(Clone, Copy)]
pub struct Auxiliary<'a> {
    /// α: the share of this loss in the whole; with 0 the training is, bit by bit, the one without.
    pub weight: f64,
    /// Rows in a batch, besides [`Plan::batch_size`] labelled ones; each epoch of theirs has an order of its
    /// own.
    pub batch_size: usize,
    /// The columns of all rows, those that [`Trainer::tasks`] were checked against.
    pub columns: &'a Columns,
    /// The rows, labels or not. One that is too long for a pattern is refused when training begins, and
    /// before by [`Trainer::check_rows`].
    pub examples: &'a [Example],
}

impl<'a> Auxiliary<'a> {
    /// On these rows as PET does it: [`WEIGHT`], and [`ROWS_FOR_EACH`] labelled row.
    pub fn new(plan: &Plan, columns: &'a Columns, examples: &'a [Example]) -> Auxiliary<'a> {
        Auxiliary { weight: WEIGHT, batch_size: ROWS_FOR_EACH * plan.batch_size, columns, examples }
    }

    /// Refuses what no training can have, `cls` among it, which has no head for words. All problems at once.
    pub fn check(&self, tuning: &Tuning) -> Result<(), Vec<Error>> {
        let mut wrong = out_of_range([
            ("mlm-weight", self.weight, (0.0..1.0).contains(&self.weight), "from 0 to below 1"),
            (
                "mlm-batch-size",
                self.batch_size as f64,
                (1..=MOST_ROWS).contains(&self.batch_size),
                "1 to 1048576",
            ),
        ]);
        if self.examples.is_empty() {
            wrong.push(Kind::MlmWithoutRows { data: self.columns.data().to_owned() }.into());
        }
        if matches!(tuning, Tuning::Cls(_)) {
            wrong.push(Kind::ClsWithMlm.into());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// An input of which some tokens are to be said by the model.
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
        let mut masked = Masked { features: features.clone(), chosen: Vec::new() };
        for (at, &id) in features.ids.iter().enumerate() {
            let free = at != features.mask
                && ![special.cls, special.sep].contains(&id)
                && features.soft.iter().all(|slot| slot.at != at);
            if !free || !dice.gen_bool(CHOSEN) {
                continue;
            }
            masked.chosen.push(Chosen { at, id });
            let share: f64 = dice.r#gen();
            if share < MASKED {
                masked.features.ids[at] = special.mask;
            } else if share < MASKED + RANDOM {
                masked.features.ids[at] = dice.gen_range(0..vocabulary) as i64;
            }
        }
        masked
    }
}

/// The cross-entropy of the whole vocabulary at each chosen token, input after input. The encoder computes
/// all L tokens to its last layer; the head runs on the chosen ones alone, so that a part of a step has
/// logits for 15 % of [`Plan::batch_tokens`].
///
/// # Shapes
/// B inputs with M chosen tokens: states `[B,L,H]` → `[M,H]` → logits `[M,V]` → `[M]`
pub fn losses(model: &PromptModel, inputs: &[&Masked], mode: Mode) -> Tensor {
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

impl Trainer<'_> {
    /// The auxiliary loss with its rows in every pattern; none where it weighs nothing.
    pub(super) fn unlabelled(&self) -> Result<Option<(Auxiliary<'_>, Vec<Item>)>> {
        let taking_part = self.auxiliary.filter(|auxiliary| auxiliary.weight > 0.0);
        taking_part
            .map(|auxiliary| Ok((auxiliary, self.items(auxiliary.columns, auxiliary.examples)?)))
            .transpose()
    }

    /// Adds the gradients of α times a step's mean loss of language modelling to the leaves; gives that mean,
    /// or none where no token was chosen.
    pub(super) fn auxiliary_gradients(
        &self,
        classifier: &mut Classifier,
        state: &State,
        auxiliary: &Auxiliary<'_>,
        items: &[Item],
    ) -> Result<Option<f64>> {
        // Chosen in all of them before any goes through the model: the mean is over the whole step.
        let (special, vocabulary) =
            (self.base.tokenizer().special(), self.base.tokenizer().vocabulary_size());
        let mut dice = seed::generator(self.seed, &format!("masked tokens of step {}", state.step));
        let masked: Vec<(usize, Masked)> = self
            .items_of_step(items.len(), auxiliary.batch_size, state.step, "unlabelled order")
            .into_iter()
            .map(|item| (items[item].row, Masked::new(&items[item].features, special, vocabulary, &mut dice)))
            .filter(|(_, masked)| !masked.chosen.is_empty())
            .collect();
        let count: usize = masked.iter().map(|(_, masked)| masked.chosen.len()).sum();
        let mut total = 0.0;
        for part in self.parts((0..masked.len()).collect(), |index| masked[index].1.features.ids.len()) {
            self.adapt(classifier, state);
            let Classifier::Prompt(model, _) = &*classifier else {
                unreachable!("cls is refused at the beginning")
            };
            let inputs: Vec<&Masked> = part.iter().map(|&index| &masked[index].1).collect();
            total +=
                backward(&losses(model, &inputs, Mode::Train), count, auxiliary.weight).map_err(|bad| {
                    let rows: Vec<usize> = part
                        .iter()
                        .flat_map(|&index| vec![masked[index].0; masked[index].1.chosen.len()])
                        .collect();
                    let bad: Vec<usize> = bad.into_iter().map(|token| rows[token]).collect();
                    not_finite(auxiliary.columns, auxiliary.examples, &bad, |records| {
                        Kind::MlmLossNotFinite {
                            step: state.step + 1,
                            data: auxiliary.columns.data().to_owned(),
                            records,
                        }
                    })
                })?;
        }
        Ok((count > 0).then_some(total))
    }
}
