//! Labelling: the project's file, and what people say of rows.

use std::path::PathBuf;

use super::notes::{Note, allowed_and_nearest, help};

/// Labelling: the project's file, and what people say of rows.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum LabelError {
    #[error("there is no labelling project {}", path.display())]
    NoProject { path: PathBuf },
    #[error("{} is no labelling project", path.display())]
    NotAProject { path: PathBuf },
    #[error("{} is a labelling project of version {found}", path.display())]
    OtherVersion { path: PathBuf, found: i64, known: i64 },
    #[error("{}: {reason}", path.display())]
    Database { path: PathBuf, reason: String },
    #[error("{} was made of other rows than those of {data}", project.display())]
    OtherRows { project: PathBuf, data: String, made_of: String, made_hash: String, found_hash: String },
    #[error("{} has other labels", project.display())]
    OtherLabels { project: PathBuf, had: Vec<String>, given: Vec<String> },
    #[error("{label:?} is changed twice")]
    ChangedTwice { label: String },
    #[error("{answers} answers say {label:?}, which is none of the new labels")]
    LabelStands { label: String, answers: u64 },
    #[error("{data} has a column {column:?}, which is written beside the labels")]
    ColumnTaken { data: String, column: String },
    #[error("nothing says which labels there are")]
    WithoutLabels,
    #[error("no row of {} has a label yet", project.display())]
    NothingLabelled { project: PathBuf },
    #[error("{name:?} is no name for a labeller")]
    Labeller { name: String, most: usize },
    #[error("{label:?} is none of the labels")]
    UnknownLabel { label: String, labels: Vec<String> },
    #[error("the project has no row at place {place}")]
    UnknownPlace { place: u32 },
    #[error("the note has {found} letters")]
    LongNote { found: usize, most: usize },
}

impl LabelError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use LabelError::*;
        match self {
            NoProject { .. } => help("name the file that was made when the labelling began"),
            NotAProject { .. } => help("name the file of a project, or a name that no file has yet"),
            OtherVersion { known, .. } => {
                vec![("help", format!("this cloze knows version {known}: take the one that made it"))]
            }
            Database { .. } => help("what was labelled before is kept: mend this, and start again"),
            OtherRows { data, made_of, made_hash, found_hash, .. } => vec![
                ("project", format!("{made_of}, SHA-256 {made_hash}")),
                ("rows", format!("{data}, SHA-256 {found_hash}")),
                (
                    "help",
                    "the project holds its rows itself: go on without naming a file of rows, or begin \
                     another project for these"
                        .to_owned(),
                ),
            ],
            OtherLabels { had, given, .. } => vec![
                ("project", had.join(", ")),
                ("given", given.join(", ")),
                (
                    "help",
                    "go on with the project's labels by naming none, change them, or begin another project"
                        .to_owned(),
                ),
            ],
            ChangedTwice { .. } => help("say once what takes its place"),
            LabelStands { .. } => help("say what takes its place, or that its answers are taken back"),
            ColumnTaken { .. } => help("rename it in the data"),
            WithoutLabels => help("name them, as \"billing, technical, account\""),
            NothingLabelled { .. } => help("label some rows first"),
            Labeller { most, .. } => {
                vec![("help", format!("a name has 1 to {most} letters, on one line"))]
            }
            UnknownLabel { label, labels } => allowed_and_nearest("labels", label, labels),
            UnknownPlace { .. } => help("load the page again"),
            LongNote { most, .. } => vec![("help", format!("write at most {most}"))],
        }
    }
}
