//! Texts that a language model learns from.

use std::path::PathBuf;

use super::notes::{Note, help};
use crate::numbers::counted;

/// Texts that a language model learns from.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum CorpusError {
    #[error("{} holds {found}, not a list of token ids", path.display())]
    NotTokens { path: PathBuf, found: String },
    #[error("{} is no .npy file: {reason}", path.display())]
    NotNpy { path: PathBuf, reason: String },
    #[error("token {at} of {} is {id}, and the model's vocabulary ends at {last}", path.display())]
    OutsideVocabulary { path: PathBuf, at: usize, id: i64, last: usize },
    #[error("line {line} of {}: {reason}", path.display())]
    LineFailed { path: PathBuf, line: usize, reason: String },
    #[error("no text is named")]
    WithoutTexts,
    #[error("{name} has no text")]
    WithoutText { name: String },
    #[error("{name} has {found} tokens to learn from, and a sequence takes {wanted}")]
    TooShort { name: String, found: usize, wanted: usize },
    #[error("{name} has {found} held-out tokens, and a sequence takes {wanted}")]
    TooShortHeldOut { name: String, found: usize, wanted: usize },
    #[error("{} is damaged: {reason}", path.display())]
    TokensDamaged { path: PathBuf, reason: String },
    #[error("what {method} learns stands beside the weights, and the model is to have it in them")]
    BesideWeights { method: &'static str },
    #[error("{} given for {}", if *found == 1 { "1 share is".to_owned() } else { format!("{found} shares are") }, counted(*texts as u64, "text"))]
    SharesMisfit { found: usize, texts: usize },
    #[error("no text has a share")]
    WithoutShares,
    #[error("{name} has no columns")]
    ColumnOfPlainText { name: String, column: String },
}

impl CorpusError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use CorpusError::*;
        match self {
            NotTokens { .. } => vec![
                ("allowed", "one axis of uint16 or uint32, little-endian, not compressed".into()),
                ("help", "save it with numpy.save(file, ids.astype(numpy.uint16))".into()),
            ],
            NotNpy { .. } => help("name a file that numpy.save wrote, or the text itself"),
            OutsideVocabulary { .. } => help("the ids must be those of this model's tokenizer"),
            LineFailed { .. } => {
                help("leave the line out; the files of the tokenizer are damaged, or ask for too much")
            }
            WithoutTexts => help("name one file at least"),
            WithoutText { .. } => help("name a file with text, or leave it out"),
            TooShort { .. } | TooShortHeldOut { .. } => help("give more text, or shorter sequences"),
            TokensDamaged { .. } => help("delete it and give the command again"),
            BesideWeights { .. } => help("choose full, head, bias, lora or ia3"),
            SharesMisfit { .. } => help("give each text one, in the texts' order"),
            WithoutShares => help("give one of them a share above 0"),
            ColumnOfPlainText { .. } => {
                help("name a .csv, .tsv, .jsonl or .json file, or leave the column out")
            }
        }
    }
}
