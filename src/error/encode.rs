//! Prompts that do not fit the model, and scores that are no numbers.

use super::notes::{Note, help};

/// Prompts that do not fit the model, and scores that are no numbers.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum EncodeError {
    #[error("the pattern's own words take {fixed} tokens, the limit is {limit}")]
    PatternTooLong { fixed: usize, limit: usize },
    #[error("the pattern's own words take {fixed} tokens, and {method}.length {length} leaves {left}")]
    LengthLeavesNoRoom { method: &'static str, length: usize, fixed: usize, left: usize },
    #[error(
        "pattern {pattern} and the fields that it may not shorten take {fixed} tokens, the limit is {limit}"
    )]
    PromptTooLong { pattern: String, fixed: usize, limit: usize },
    #[error("a maximum length of {found} is outside of what the model takes")]
    MaxLengthOutOfRange { found: usize, most: usize },
    #[error("the model's tokenizer fails on this text: {reason}")]
    TokenizerFailed { reason: String },
    #[error("the scores of this row are not finite numbers")]
    ScoreNotFinite,
    #[error("there is nothing to explain: the patterns read no word of this row")]
    NothingToExplain { columns: Vec<String> },
    #[error("no gradients can be followed here: {reason}")]
    NoGradients { reason: &'static str },
    #[error("{steps} steps are too few or too many to follow gradients in")]
    GradientSteps { steps: usize, most: usize },
}

impl EncodeError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use EncodeError::*;
        match self {
            MaxLengthOutOfRange { most, .. } => vec![("allowed", format!("3 to {most} tokens"))],
            TokenizerFailed { .. } => help("the files of the tokenizer are damaged, or ask for too much"),
            NothingToExplain { columns } => {
                vec![("read", columns.join(", ")), ("help", "name a row with words there".to_owned())]
            }
            NoGradients { .. } => help("leave words out one by one, which asks nothing but the answers"),
            GradientSteps { most, .. } => vec![("allowed", format!("1 to {most}"))],
            ScoreNotFinite => help("the weights are damaged, or overflow"),
            PatternTooLong { .. } => help("shorten the pattern, or raise the maximum length"),
            LengthLeavesNoRoom { .. } => {
                help("lower the length, shorten the pattern, or raise the maximum length")
            }
            PromptTooLong { .. } => {
                help("mark the long field with |shorten, shorten the pattern, or raise the maximum length")
            }
        }
    }
}
