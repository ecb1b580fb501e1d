//! What happens while training.

use serde::{Deserialize, Serialize};

use crate::learn::objective::Losses;

/// What happens while training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Event {
    /// An optimiser step was taken: of a task, where there are several, on so many rows of its first
    /// objective.
    Step {
        step: usize,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<String>,
        #[serde(flatten)]
        losses: Losses,
        learning_rate: f64,
        gradient_norm: f64,
        rows: usize,
        seconds: f64,
    },
    /// Held-out rows were evaluated on.
    Evaluated { step: usize, accuracy: f64, loss: f64 },
}
