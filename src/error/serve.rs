//! The service: where it listens, what it serves, and what is wrong with a request.

use std::path::PathBuf;

use super::notes::{Note, allowed_and_nearest, help};

/// The service: where it listens, what it serves, and what is wrong with a request.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum ServeError {
    #[error("another program listens on {address} already")]
    AddressTaken { address: String },
    #[error("cannot listen on {address}: {reason}")]
    CannotListen { address: String, reason: String },
    #[error("two classifiers are named {name:?}")]
    SameName { name: String },
    #[error("{name:?} is not a name for a classifier")]
    Name { name: String },
    #[error("{name:?} asks for each label by yes and no")]
    YesNo { name: String },
    #[error("no classifier was given")]
    NothingToServe,
    #[error("{} holds no key", path.display())]
    WithoutKey { path: PathBuf },
    #[error("the key in {} has {found} letters", path.display())]
    ShortKey { path: PathBuf, found: usize, least: usize },
    #[error("{name:?} is no classifier of this service")]
    UnknownClassifier { name: String, names: Vec<String> },
    #[error("the request is empty")]
    EmptyRequest,
    #[error("the request is not UTF-8 from byte {byte} on")]
    NotUtf8 { byte: usize },
    #[error("a request has one of {}, and this has {}", allowed.join(", "), if found.is_empty() { "none".to_owned() } else { found.join(" and ") })]
    OneOf { allowed: Vec<&'static str>, found: Vec<&'static str> },
    #[error("{found} rows in one request")]
    TooManyRows { found: usize, most: usize },
    #[error("{found} labels in one request")]
    TooManyLabels { found: usize, most: usize },
    #[error("{template:?} has no place for a label")]
    HypothesisWithoutPlace { template: String },
    #[error("{word:?} is no single token of this model")]
    TargetUnknown { word: String },
    #[error("a pair of texts is for patterns that read two columns, and these read {}", columns.len())]
    PairForColumns { columns: Vec<String> },
}

impl ServeError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use ServeError::*;
        match self {
            AddressTaken { .. } => help("end it, or listen on another port"),
            CannotListen { .. } => help("listen on an address of this machine, as 127.0.0.1"),
            SameName { .. } => help("give one of them another name, as NAME=FOLDER"),
            Name { .. } => help("use letters, digits, spaces and . _ - / alone, at most 100"),
            YesNo { .. } => help("serve labels that are held against a reference"),
            NothingToServe => help("give it at least one"),
            WithoutKey { .. } => help("write the key on its first line"),
            ShortKey { least, .. } => {
                vec![("help", format!("a key that nobody guesses has {least} letters or more"))]
            }
            UnknownClassifier { name, names } => allowed_and_nearest("classifiers", name, names),
            EmptyRequest => help("send a JSON object, as { \"text\": \"What a lovely film!\" }"),
            NotUtf8 { .. } => help("send JSON as UTF-8"),
            OneOf { .. } => help("keep one of them"),
            TooManyRows { most, .. } => vec![("help", format!("send at most {most} in one request"))],
            TooManyLabels { most, .. } => vec![("help", format!("name at most {most}"))],
            HypothesisWithoutPlace { .. } => {
                help("write {} where the label stands, as \"This is about {}.\"")
            }
            TargetUnknown { .. } => help("name words that the vocabulary has whole"),
            PairForColumns { columns } => {
                vec![("columns", columns.join(", ")), ("help", "send a text, or rows to /classify".into())]
            }
        }
    }
}
