//! Rows with several labels each: how they are written, and where yes begins.

use std::path::PathBuf;

use super::notes::{Note, help, listed};

/// Rows with several labels each: how they are written, and where yes begins.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum MultiLabelError {
    #[error("the separator {separator:?} stands inside the label {label:?}")]
    SeparatorInLabel { separator: String, label: String },
    #[error("a separator of labels must not be empty")]
    EmptySeparator,
    #[error("{label:?} is no label")]
    UnknownLabel { label: String, cell: String, separator: String, labels: Vec<String> },
    #[error("{found:?} in a column of yes and no")]
    NotBinary { found: String },
    #[error("{data} has no labels: neither a column of them, nor a column of 0 and 1 for each")]
    WithoutLabels { data: String, columns: Vec<String> },
    #[error("{name} must be from 0 to 1, not {found}")]
    ThresholdOutOfRange { name: String, found: f64 },
    #[error("{written:?} is no goal of thresholds")]
    GoalUnclear { written: String },
    #[error("{} has no rows with labels to fit thresholds on", data)]
    WithoutRows { data: String },
    #[error("{label:?} has two thresholds")]
    TwoThresholds { label: String },
    #[error("{} has thresholds of other labels", path.display())]
    OtherLabels { path: PathBuf, missing: Vec<String>, unknown: Vec<String>, labels: Vec<String> },
    #[error("{} was fitted for {what}", path.display())]
    Misfit { path: PathBuf, what: &'static str, fitted_for: String, now: String },
    #[error("{label:?} is the name of what labels are held against, and cannot be a label")]
    ReservedLabel { label: String },
    #[error("a word that labels are held against must be given, and must not be empty")]
    EmptyReference,
    #[error("the pattern names no label, and each is asked for by itself")]
    PatternWithoutLabel { pattern: String },
    #[error("{data} has a column {column:?}, which stands for the label that is asked for")]
    ColumnTaken { column: &'static str, data: String },
    #[error("the verbalizer must have two classes, no and yes in this order, not {found}")]
    NotYesNo { found: usize },
    #[error("a training for several labels a row has no {what}")]
    NotInTraining { what: &'static str },
    #[error("{} was trained for one label a row", path.display())]
    SingleLabelRun { path: PathBuf },
    #[error("{} was trained for several labels a row", path.display())]
    MultiLabelRun { path: PathBuf },
}

impl MultiLabelError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use MultiLabelError::*;
        match self {
            SeparatorInLabel { .. } => help("separate the labels by something that no label has in it"),
            EmptySeparator => help("name one, as | or ;"),
            UnknownLabel { cell, separator, labels, .. } => {
                let mut notes = vec![("labels", listed(labels))];
                if cell.contains(separator.as_str()) {
                    notes.push(("cell", format!("{cell:?}, with {separator:?} between the labels")));
                } else {
                    let text = format!("labels stand between {separator:?} here; name another separator");
                    notes.push(("help", text));
                }
                notes
            }
            NotBinary { .. } => help("write 1 where the row has the label, 0 where not"),
            WithoutLabels { columns, .. } => {
                vec![("columns", listed(columns)), ("help", "name the column of labels".into())]
            }
            ThresholdOutOfRange { .. } => {
                help("a label is given where its probability reaches the threshold")
            }
            GoalUnclear { .. } => vec![("allowed", "f1, or precision=P with P from 0 to 1".into())],
            WithoutRows { .. } => help("give a file with rows and their labels"),
            TwoThresholds { .. } => help("keep one of them"),
            OtherLabels { missing, unknown, labels, .. } => {
                let mut notes = vec![("labels", listed(labels))];
                if !missing.is_empty() {
                    notes.push(("without", listed(missing)));
                }
                if !unknown.is_empty() {
                    notes.push(("unknown", listed(unknown)));
                }
                notes.push(("help", "fit them anew".into()));
                notes
            }
            Misfit { fitted_for, now, .. } => {
                vec![
                    ("fitted for", fitted_for.clone()),
                    ("now", now.clone()),
                    ("help", "fit them anew".into()),
                ]
            }
            ReservedLabel { .. } => help("give the label another name"),
            EmptyReference => help("name a word that says of no label that it is right, as other"),
            PatternWithoutLabel { .. } => {
                help("put {label_name} into it, or {label_text} for the label's description")
            }
            ColumnTaken { .. } => help("rename the column"),
            NotYesNo { .. } => help("give it the classes no and yes, each with its words"),
            NotInTraining { .. } => help("leave it out"),
            SingleLabelRun { .. } => help("train a run for several labels a row"),
            MultiLabelRun { .. } => help("use it for several labels a row"),
        }
    }
}
