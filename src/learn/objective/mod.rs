//! Objectives: what a training minimises.
//!
//! A step minimises the weighted sum of one or several objectives,
//!
//! `L = Σ wᵢ · Lᵢ`
//!
//! each Lᵢ a mean over the step's inputs of its own; a training of several tasks has such a sum for each, and
//! every step draws one of them. The training loop knows no objective by name: it asks for the gradients of
//! the sum.
//!
//! | objective | minimises | rows |
//! |---|---|---|
//! | [`Classification`] | cross-entropy of the class scores, or of soft labels at a temperature (distillation) | with targets |
//! | several labels a row | the mean binary cross-entropy of `σ(z_l - z_reference)` over the labels | with targets |
//! | the same with a prototype verbalizer | besides, the contrast of rows and rows: [`contrastive_losses`] | with targets |
//! | null inputs | how far classes are from even: [`even_losses`] | that say nothing |
//! | [`Pairs`] | the squared distance of two rows' cosine from 1 or 0 (SetFit) | with targets |
//! | the same as ADAPET has it | the classes' probabilities among all words, each by itself: [`decoupled_losses`] | with targets |
//! | [`LabelConditioned`] | its other half: cross-entropy of tokens beside a label word, or of their absence | with targets |
//! | [`LanguageModelling`] | cross-entropy of the vocabulary where tokens were masked | any |
//! | [`PackedLanguageModelling`] | the same, on sequences of a [`crate::learn::corpus::Corpus`] | texts |
//! | [`Auxiliary`] | PET's mixture of the first and the last, `(1 - α) · CE + α · MLM` | both |

// how a step's gradients are made
mod step;

// which tokens are taken out
mod masking;

// the objectives
mod prototype_contrast;

mod classification;
mod language_modelling;
mod packed;
mod pairs;

// of both, and of classes
mod adapet;
mod auxiliary;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::learn::turns::Turns;

pub use adapet::{
    Conditioned, LabelConditioned, class_log_probabilities, conditioned_losses, decoupled_losses,
};
pub use auxiliary::{Auxiliary, ROWS_FOR_EACH, WEIGHT};
pub use classification::{Classification, Each, Lesson, divergences, even_losses, losses};
pub use language_modelling::{Chosen, LanguageModelling, Masked, token_losses};
pub use masking::Masking;
pub use packed::{MaskedSequence, PackedLanguageModelling, add_gradients_of, loss_of};
pub use pairs::{PAIRS_IN_STEP, Pair, Pairs, REPETITIONS, pair_losses};
pub use prototype_contrast::contrastive_losses;
pub use step::Step;

/// One loss, with the rows that it is computed on.
pub enum Objective {
    /// Of classes.
    Classification(Classification),
    /// Of pairs of rows.
    Pairs(Pairs),
    /// Of tokens of rows.
    LanguageModelling(LanguageModelling),
    /// Of tokens of rows in which a label word stands.
    LabelConditioned(LabelConditioned),
    /// Of tokens of a corpus.
    Packed(PackedLanguageModelling),
}

/// An objective, and what it counts.
pub struct Term {
    /// What its loss is multiplied by.
    pub weight: f64,
    /// The objective.
    pub objective: Objective,
}

/// What one step minimises: a weighted sum of objectives.
pub struct CombinedLoss {
    /// The task's name, where a training has several.
    pub task: Option<String>,
    /// How often a step is its, beside the others' shares.
    pub share: f64,
    /// The objective whose rows the events count.
    pub first: Term,
    /// Those that are minimised beside it.
    pub beside: Vec<Term>,
}

/// What a training minimises: each step draws one of these losses by their shares (Raffel et al. 2020,
/// section 3.5.2, with mixing rates that are given), and goes on with its rows where that one's last step
/// was.
pub struct Mixture {
    losses: Vec<CombinedLoss>,
    turns: Turns,
}

/// A step's mean losses, each before its weight; absent where a step has none of the kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// Of classes, over the labelled rows, or over pairs of them.
    #[serde(rename = "loss", default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<f64>,
    /// Of language modelling, over the chosen tokens; absent too where none was chosen.
    #[serde(rename = "mlm_loss", default, skip_serializing_if = "Option::is_none")]
    pub language_modelling: Option<f64>,
}

impl Losses {
    /// The loss that a curve shows: of classes, or of language modelling where that is all.
    pub fn leading(&self) -> Option<f64> {
        self.classification.or(self.language_modelling)
    }
}

/// What a step found while it made its gradients.
pub struct Found {
    /// The mean losses.
    pub losses: Losses,
    /// The rows of the first objective, one for each input.
    pub rows: Vec<usize>,
}

impl Objective {
    /// Adds the gradients of a step's mean loss, times a weight, to the leaves; writes the mean down, and
    /// gives the inputs' rows.
    fn add_gradients(&mut self, step: &mut Step<'_>, weight: f64, means: &mut Losses) -> Result<Vec<usize>> {
        let (mean, rows) = match self {
            Objective::Classification(own) => own.add_gradients(step, weight),
            Objective::Pairs(own) => own.add_gradients(step, weight),
            Objective::LanguageModelling(own) => own.add_gradients(step, weight),
            Objective::LabelConditioned(own) => own.add_gradients(step, weight),
            Objective::Packed(own) => own.add_gradients(step, weight),
        }?;
        *self.of(means) = mean;
        Ok(rows)
    }

    /// Its place among a step's losses.
    fn of<'l>(&self, means: &'l mut Losses) -> &'l mut Option<f64> {
        match self {
            Objective::Classification(_) | Objective::Pairs(_) => &mut means.classification,
            Objective::LanguageModelling(_) | Objective::LabelConditioned(_) | Objective::Packed(_) => {
                &mut means.language_modelling
            }
        }
    }

    /// The error of a step, counted from 0, whose loss is not finite on some rows.
    fn not_finite(&self, step: usize, rows: &[usize]) -> Error {
        match self {
            Objective::Classification(own) => own.not_finite(step, rows),
            Objective::Pairs(own) => own.not_finite(step, rows),
            Objective::LanguageModelling(own) => own.not_finite(step, rows),
            Objective::LabelConditioned(own) => own.not_finite(step, rows),
            Objective::Packed(_) => packed::not_finite(step),
        }
    }
}

impl CombinedLoss {
    /// Adds the gradients of a step's loss to the leaves.
    pub fn add_gradients(&mut self, step: &mut Step<'_>) -> Result<Found> {
        let mut losses = Losses::default();
        let rows = self.first.objective.add_gradients(step, self.first.weight, &mut losses)?;
        for Term { weight, objective } in &mut self.beside {
            objective.add_gradients(step, *weight, &mut losses)?;
        }
        Ok(Found { losses, rows })
    }

    /// The error of a step, counted from 0, whose gradients are not finite.
    pub fn not_finite(&self, step: usize, found: &Found) -> Error {
        self.first.objective.not_finite(step, &found.rows)
    }
}

impl From<Objective> for CombinedLoss {
    /// The objective alone.
    fn from(objective: Objective) -> CombinedLoss {
        let first = Term { weight: 1.0, objective };
        CombinedLoss { task: None, share: 1.0, first, beside: Vec::new() }
    }
}

impl From<CombinedLoss> for Mixture {
    /// The same loss in every step.
    fn from(loss: CombinedLoss) -> Mixture {
        // One is drawn whatever the seed.
        Mixture { losses: vec![loss], turns: Turns::new(0, TURN, vec![1.0]) }
    }
}

/// What a turn is called among the random choices of a seed.
const TURN: &str = "task of step";

impl Mixture {
    /// Of several losses, drawn by a seed; none of nothing.
    pub fn new(losses: Vec<CombinedLoss>, seed: u64) -> Option<Mixture> {
        let shares: Vec<f64> = losses.iter().map(|loss| loss.share).collect();
        (!losses.is_empty()).then(|| Mixture { losses, turns: Turns::new(seed, TURN, shares) })
    }

    /// The loss of a step, counted from 0, and how many steps before it had the same.
    pub fn drawn(&mut self, step: usize) -> (&mut CombinedLoss, usize) {
        let (which, before) = self.turns.at(step);
        (&mut self.losses[which], before)
    }
}
