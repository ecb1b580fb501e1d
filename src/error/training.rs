//! Trainings: their rows, and numbers that are none any more.

use std::path::PathBuf;

use super::notes::{Note, help, listed};

/// Trainings: their rows, and numbers that are none any more.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum TrainingError {
    #[error("what was learned after the last step, {step}, is not a finite number")]
    LearnedNotFinite { step: usize },
    #[error("the loss of step {step} is not a finite number")]
    LossNotFinite { step: usize, records: Vec<u64> },
    #[error("the masked-language-model loss of step {step}, on rows of {data}, is not a finite number")]
    MlmLossNotFinite { step: usize, data: String, records: Vec<u64> },
    #[error("the loss of language modelling of step {step} is not a finite number")]
    LmLossNotFinite { step: usize },
    #[error("{data} has no rows for the masked-language-model loss")]
    MlmWithoutRows { data: String },
    #[error("\"seeds\" must have one or more")]
    WithoutSeeds,
    #[error("the seed {seed} is named twice")]
    SameSeed { seed: u64 },
    #[error("the patterns read {} columns, and a description is one text", columns.len())]
    DescriptionForColumns { columns: Vec<String> },
    #[error("there are no rows to draw from: descriptions are all learned from")]
    NothingToDraw,
    #[error("no row of {data} is labelled {label:?}")]
    ClassWithoutRows { label: String, data: String },
    #[error("{data} has {found} of the {wanted} rows of {label:?} to choose by, train rows not counted")]
    TooFewDevRows { label: String, data: String, found: usize, wanted: usize },
    #[error("there are no rows to choose by: all rows of {data} are train rows")]
    NoDevRows { data: String },
    #[error("there are rows to choose by, and nothing is chosen")]
    DevNotUsed,
    #[error("{} has no texts", path.display())]
    NoNullInputs { path: PathBuf },
    #[error("null inputs make classes even, which {what} has no part in")]
    NotWithNullInputs { what: &'static str },
    #[error("null inputs move biases alone, not what {method} moves")]
    NullInputsMoveBiases { method: &'static str },
    #[error("rows have a number each, and {what} takes classes")]
    NotWithNumbers { what: &'static str },
    #[error("ADAPET's loss is that of one-token words at the mask, and {reason}")]
    NotForAdapet { reason: &'static str },
}

impl TrainingError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use TrainingError::*;
        match self {
            WithoutSeeds => vec![],
            SameSeed { .. } => help("each seed gives one result, however often it is named"),
            DescriptionForColumns { columns } => vec![
                ("columns", listed(columns)),
                ("help", "use patterns that read one, or write rows with these columns to learn from".into()),
            ],
            NothingToDraw => help("leave the number of rows out, or give rows to learn from too"),
            ClassWithoutRows { .. } => help("add rows of that class, or take it out of the verbalizer"),
            TooFewDevRows { .. } => {
                help("use fewer shots, give more development rows, or choose by cross-validation")
            }
            NoDevRows { .. } => {
                help("say how many rows to learn from, give development rows, or choose by cross-validation")
            }
            NoNullInputs { .. } => help("write one text a line, each of which says nothing"),
            NotWithNullInputs { .. } => help("leave it out"),
            NullInputsMoveBiases { .. } => help("take the method bias"),
            DevNotUsed => help("choose by them, or leave them out"),
            LearnedNotFinite { .. } | LmLossNotFinite { .. } => help("lower the learning rate"),
            LossNotFinite { records, .. } if records.is_empty() => help("lower the learning rate"),
            LossNotFinite { records, .. } | MlmLossNotFinite { records, .. } => vec![
                ("records", listed(&records.iter().map(u64::to_string).collect::<Vec<_>>())),
                ("help", "lower the learning rate".into()),
            ],
            NotWithNumbers { .. } => help("leave it out, or the verbalizer's \"range\""),
            NotForAdapet { .. } => help("leave the loss out, or use such words"),
            MlmWithoutRows { .. } => help("give rows, with or without labels, or leave the loss out"),
        }
    }
}
