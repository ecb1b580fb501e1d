//! JSON files: what cannot be read, keys and values that are not known.

use super::notes::{Note, allowed_and_nearest, help};

/// JSON files: what cannot be read, keys and values that are not known.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum JsonError {
    #[error("{file} is empty")]
    Empty { file: String },
    #[error("not valid JSON: {message}")]
    Syntax { message: String },
    #[error("{message}")]
    Shape { message: String },
    #[error("{key:?} is not a key here")]
    UnknownKey { key: String, allowed: Vec<String> },
    #[error("{value:?} is not a value that this key takes")]
    UnknownValue { value: String, allowed: Vec<String> },
    #[error("the key {key:?} is missing")]
    MissingKey { key: String },
    #[error("the key {key:?} stands here a second time")]
    SameKey { key: String },
    #[error("the key \"version\" is missing")]
    WithoutVersion { known: u64 },
    #[error("version {found} of this file format is not known")]
    Version { found: u64, known: u64 },
}

impl JsonError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use JsonError::*;
        match self {
            Syntax { .. } | Shape { .. } => vec![],
            UnknownKey { key, allowed } => allowed_and_nearest("keys", key, allowed),
            UnknownValue { value, allowed } => allowed_and_nearest("allowed", value, allowed),
            MissingKey { .. } => vec![],
            SameKey { .. } => help("keep one of them"),
            WithoutVersion { known } => vec![("help", format!("add \"version\": {known}"))],
            Empty { .. } => {
                help("it begins with { \"version\": 1, … }; the files that come with cloze are examples")
            }
            Version { known, .. } => {
                vec![
                    ("allowed", format!("\"version\": {known}")),
                    ("help", "a newer cloze may have written it; update cloze".into()),
                ]
            }
        }
    }
}
