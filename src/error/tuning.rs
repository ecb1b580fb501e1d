//! Ways of tuning and their options, and what becomes of what was learned.

use std::path::PathBuf;

use super::notes::{Note, allowed_and_nearest, help, listed};
use super::tensor::{TensorProblem, tensor_line, tensor_lines};

/// Ways of tuning and their options, and what becomes of what was learned.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum TuningError {
    #[error("a tuning has one method, with its options")]
    NotOne { methods: Vec<String> },
    #[error("{name:?} is not a method")]
    Unknown { name: String, methods: Vec<String> },
    #[error("{name} must be {allowed}, not {found}")]
    OptionOutOfRange { name: String, found: f64, allowed: String },
    #[error("{target:?} is not a linear layer of this model")]
    UnknownLayer { target: String, layers: Vec<String> },
    #[error("there are no layers {first} to {end}: this model's are 0 to {last}")]
    LayerRange { first: usize, end: usize, last: usize },
    #[error("cls has no masked-language-model head, so it has no loss of language modelling")]
    ClsWithMlm,
    #[error("cls has one head for one task")]
    ClsForTasks,
    #[error("cls reads no pattern, so it has no soft tokens")]
    ClsWithSoftTokens,
    #[error("{method} does not go with this model: {reason}")]
    NotForModel { method: &'static str, reason: &'static str },
    #[error("rust-bert's model cannot do {method}: {reason}")]
    EngineCannotTune { method: &'static str, reason: &'static str },
    #[error("{method} needs a template")]
    TemplateNeeded { method: &'static str },
    #[error("{option} is not an option of {method}")]
    OptionOfOtherMethod { option: &'static str, method: &'static str },
    #[error("what was learned is not what {method} learns on this model")]
    LearnedMisfit { method: &'static str, tensors: Vec<TensorProblem>, unknown: Vec<String> },
    #[error("what {method} learns cannot become part of a model's own weights")]
    NotMergeable { method: &'static str },
    #[error("{} is not a model of the same kind and size", path.display())]
    AverageMisfit { path: PathBuf, tensors: Vec<TensorProblem>, unknown: Vec<String> },
    #[error("{} has another vocabulary than {}", path.display(), model.display())]
    AverageOfOtherVocabulary { path: PathBuf, model: PathBuf },
    #[error("a plain model folder has no place for soft tokens")]
    MergedWithSoft,
    #[error(
        "what a verbalizer learned of its own, vectors or weights of words, has no place in such a folder"
    )]
    ExportWithClassVectors,
}

impl TuningError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use TuningError::*;
        match self {
            NotForModel { .. } => help("choose another method"),
            ClsForTasks => help("choose another method for several tasks"),
            LearnedMisfit { tensors, unknown, .. } | AverageMisfit { tensors, unknown, .. } => {
                let no_place = unknown.iter().map(|name| format!("{name} has no place"));
                tensor_lines(tensors.iter().map(tensor_line).chain(no_place))
            }
            AverageOfOtherVocabulary { .. } => help("only weights of the same words can be averaged"),
            NotOne { methods } => vec![
                ("methods", listed(methods)),
                ("help", "write it as { \"lora\": { \"rank\": 8 } }".into()),
            ],
            Unknown { name, methods } => allowed_and_nearest("methods", name, methods),
            OptionOutOfRange { .. } => vec![],
            UnknownLayer { target, layers } => allowed_and_nearest("layers", target, layers),
            LayerRange { .. } => vec![],
            ClsWithSoftTokens => help("leave them out, or choose another method"),
            TemplateNeeded { .. } => help("name one"),
            OptionOfOtherMethod { .. } => help("leave it out, or choose its method"),
            NotMergeable { .. } => help("export it as PEFT's adapter, by itself"),
            ExportWithClassVectors => help("the run itself keeps them"),
            MergedWithSoft => help("the run itself keeps them"),
            ClsWithMlm => help("leave it out, or choose another method"),
            EngineCannotTune { .. } => help("use cloze's own engine"),
        }
    }
}
