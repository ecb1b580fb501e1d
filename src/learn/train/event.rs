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
    /// Tasks or texts that are held out were looked at; nothing is chosen by them.
    Looked { step: usize, looks: Vec<Look> },
}

/// What was seen on rows or texts that are held out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// The name of the task or the text.
    pub of: String,
    /// The share of rows that were right; of a text there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The mean loss in nats.
    pub loss: f64,
    /// So many rows, or masks of a text, were looked at.
    pub rows: usize,
}

impl Event {
    /// How many steps were taken by then.
    pub fn step(&self) -> usize {
        match self {
            Event::Step { step, .. } | Event::Evaluated { step, .. } | Event::Looked { step, .. } => *step,
        }
    }
}
