//! Searches for patterns and label words.

use std::path::PathBuf;

use super::notes::{Note, help};

/// Searches for patterns and label words.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum SearchError {
    #[error("there is one pattern to choose from")]
    SpaceOfOne,
    #[error("{data} has fewer than two rows of the class {label:?}")]
    TooFewRows { label: String, data: String },
    #[error("no word was found for the class {label:?}")]
    WithoutWords { label: String },
    #[error("{verbalizer} has words of several tokens, and a search finds words of one")]
    MultiToken { verbalizer: String },
    #[error("{method} learns from labelled rows, and there are none")]
    WithoutLabelledRows { method: &'static str },
    #[error("{rows} rows in {patterns} patterns are more than a search holds in memory")]
    TooMuch { rows: usize, patterns: usize },
    #[error("what cls learned says no words: it has a head of its own")]
    NothingAtMask,
    #[error("patterns are written by one model, and these are {models}")]
    SeveralWriters { models: usize },
    #[error("the pattern has no {{soft}} where words are to be found")]
    WithoutPlaces,
    #[error("words are found for one pattern, and these are {templates}")]
    SeveralToFill { templates: usize },
    #[error("{iterations} iterations are fewer than the {places} places of the pattern")]
    TooFewIterations { iterations: usize, places: usize },
    #[error("nothing is left of the words of the class {label:?}")]
    NothingLeft { label: String, left_out: String },
    #[error(
        "there is no WordNet{}",
        if path.as_os_str().is_empty() { String::new() } else { format!(" in {}", path.display()) }
    )]
    WordNetMissing { path: PathBuf },
}

impl SearchError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use SearchError::*;
        match self {
            TooFewRows { .. } => help("give more rows: what is found on some is tried on others"),
            WithoutWords { .. } => help("ask for fewer words, or give more rows"),
            MultiToken { .. } => help("give it words of one token, without \"multi_token\""),
            NothingLeft { left_out, .. } => {
                vec![
                    ("left out", left_out.clone()),
                    ("help", "give it words that the model has whole and that no other class has".into()),
                ]
            }
            NothingAtMask => help("choose a run of another method, or the base model alone"),
            SeveralWriters { .. } => help("choose one of the seeds"),
            WithoutLabelledRows { .. } => help("give labelled rows"),
            TooMuch { .. } => help("draw some rows of each class"),
            WithoutPlaces => help("write {soft:3} where three words are to stand"),
            SeveralToFill { .. } => help("give one template"),
            TooFewIterations { .. } => help("give each place one at least"),
            SpaceOfOne => help("give several templates"),
            WordNetMissing { .. } => help("name the folder with index.noun and data.noun"),
        }
    }
}
