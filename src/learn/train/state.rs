//! A training between two steps, with what held-out rows said of it so far.

use serde::{Deserialize, Serialize};

use crate::learn::adamw::AdamW;
use crate::tune::{Learned, Trainable};

/// A training between two steps: all that going on needs.
pub struct State {
    /// What moves.
    pub trainable: Trainable,
    /// The optimiser's memory.
    pub optimizer: AdamW,
    /// Steps taken.
    pub step: usize,
    /// The evaluations on held-out rows so far.
    pub evaluations: Vec<HeldOutEvaluation>,
    /// What was learned at the best of them.
    pub best: Option<Learned>,
}

/// One evaluation on held-out rows. Where rows have several labels each, `accuracy` is micro-F1 at a
/// threshold of a half; where they have a number each, it is Pearson's correlation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct HeldOutEvaluation {
    pub step: usize,
    pub accuracy: f64,
    pub loss: f64,
}

impl HeldOutEvaluation {
    /// More rows right, or as many with a lower loss: few held-out rows tie often.
    fn beats(&self, other: &HeldOutEvaluation) -> bool {
        self.accuracy > other.accuracy || (self.accuracy == other.accuracy && self.loss < other.loss)
    }
}

impl State {
    /// Before the first step.
    pub(super) fn new(trainable: Trainable) -> State {
        let optimizer = AdamW::new(trainable.leaves());
        State { trainable, optimizer, step: 0, evaluations: Vec::new(), best: None }
    }

    /// The best evaluation so far; the first of equals.
    pub fn best_evaluation(&self) -> Option<&HeldOutEvaluation> {
        self.evaluations.iter().reduce(|best, next| if next.beats(best) { next } else { best })
    }

    /// Early stopping: whether so many evaluations in a row were no better than the best before them.
    pub(super) fn stalled(&self, patience: usize) -> bool {
        let best = self.best_evaluation().map_or(0, |best| best.step);
        self.evaluations.iter().filter(|evaluation| evaluation.step > best).count() >= patience
    }

    /// Takes an evaluation down, and what was learned by now where none was better.
    pub(super) fn evaluated(&mut self, evaluation: HeldOutEvaluation) {
        if self.best_evaluation().is_none_or(|best| evaluation.beats(best)) {
            self.best = Some(self.trainable.finished());
        }
        self.evaluations.push(evaluation);
    }

    /// What a run keeps: what was learned at the best evaluation, or at the end where there was none.
    pub fn kept(&self) -> Learned {
        match &self.best {
            Some(best) => best.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect(),
            None => self.trainable.finished(),
        }
    }
}
