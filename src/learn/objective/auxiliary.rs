//! PET's auxiliary loss: masked language modelling on rows without labels, so that a model that learns from
//! few rows stays a language model (Schick & Schütze 2021, arXiv 2001.07676, "Auxiliary Language Modeling").
//!
//! A step's loss is `(1 - α) · CE + α · MLM`: CE the mean loss of its labelled rows, MLM that of
//! [`super::LanguageModelling`]. Unlabelled rows stand in the same patterns as labelled ones.

use std::sync::Arc;

use crate::error::{Errors, TrainingError, TuningError};
use crate::learn::plan::{MOST_ROWS, Plan, out_of_range};
use crate::text::data::{Columns, Example};
use crate::tune::Tuning;

/// α of PET: the loss of language modelling is far larger than that of classes.
pub const WEIGHT: f64 = 1e-4;
/// Unlabelled rows for each labelled one: PET has 12 and 4 in a batch.
pub const ROWS_FOR_EACH: usize = 3;

/// Language modelling on rows without labels, beside the loss of a training's own.
#[derive(Clone, Copy)]
pub struct Auxiliary<'a> {
    /// α: the share of this loss in the whole; with 0 the training is, bit by bit, the one without.
    pub weight: f64,
    /// Rows in a batch, besides [`Plan::batch_size`] labelled ones; each epoch of theirs has an order of its
    /// own.
    pub batch_size: usize,
    /// The columns of all rows, those that [`crate::learn::train::Trainer::tasks`] were checked against.
    pub columns: &'a Arc<Columns>,
    /// The rows, labels or not. One that is too long for a pattern is refused when they are encoded, and
    /// before by [`crate::learn::train::Trainer::check_rows`].
    pub examples: &'a [Example],
}

impl<'a> Auxiliary<'a> {
    /// On these rows as PET does it: [`WEIGHT`], and [`ROWS_FOR_EACH`] labelled row.
    pub fn new(plan: &Plan, columns: &'a Arc<Columns>, examples: &'a [Example]) -> Auxiliary<'a> {
        Auxiliary { weight: WEIGHT, batch_size: ROWS_FOR_EACH * plan.batch_size, columns, examples }
    }

    /// Refuses what no training can have, `cls` among it, which has no head for words. All problems at once.
    pub fn check(&self, tuning: &Tuning, plan: &Plan) -> Result<(), Errors> {
        // As many in a step as stand beside the most labelled rows.
        let most = (ROWS_FOR_EACH * MOST_ROWS / plan.accumulation.clamp(1, MOST_ROWS)).min(MOST_ROWS);
        let allowed = match plan.accumulation {
            _ if most == MOST_ROWS => format!("1 to {most}"),
            batches => format!("1 to {most} with {batches} batches in a step"),
        };
        let mut wrong = out_of_range([
            ("mlm_weight", self.weight, (0.0..1.0).contains(&self.weight), "from 0 to below 1"),
            ("mlm_batch_size", self.batch_size as f64, (1..=most).contains(&self.batch_size), &allowed),
        ]);
        if self.examples.is_empty() {
            wrong.push(TrainingError::MlmWithoutRows { data: self.columns.data().to_owned() });
        }
        if matches!(tuning, Tuning::Cls(_)) {
            wrong.push(TuningError::ClsWithMlm);
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}
