//! Files that are read and written.

use std::path::PathBuf;

use super::notes::{Note, help};

/// Files that are read and written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum FileError {
    #[error("there is no file {}", path.display())]
    Missing { path: PathBuf },
    #[error("{} is a folder, not a file", path.display())]
    FolderForFile { path: PathBuf },
    #[error("{} is a file, not a folder", path.display())]
    ForFolder { path: PathBuf },
    #[error("the folder {} holds something already", path.display())]
    FolderTaken { path: PathBuf },
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("cannot write {}: {reason}", path.display())]
    Unwritable { path: PathBuf, reason: String, pipe_closed: bool },
    #[error("{} is not UTF-8 text: line {line}, column {column}", path.display())]
    TextNotUtf8 { path: PathBuf, line: usize, column: usize },
    #[error("{} has more than {most} MiB, and is read as a whole", path.display())]
    TooLarge { path: PathBuf, most: u64 },
    #[error("the input column {column:?} would stand twice in the output")]
    SameColumn { column: String },
    #[error("{} would be written over, and it is read here too", path.display())]
    OutputIsInput { path: PathBuf },
    #[error("{what} would both be written to {}", path.display())]
    OutputTwice { path: PathBuf, what: String },
    #[error("cloze does not write what the name {} says", path.display())]
    NotWritten { path: PathBuf },
    #[error("the name {} does not say how rows are written", path.display())]
    NameMisspelt { path: PathBuf, near: &'static str },
    #[error("nothing is called {pattern}")]
    NothingMatches { pattern: String },
    #[error("the folder {} has no files of rows", path.display())]
    NoRowsIn { path: PathBuf },
    #[error("the folder {} has no .json files", path.display())]
    NoJsonIn { path: PathBuf },
}

/// What rows are written as.
const WRITTEN: &str = ".csv, .tsv, .jsonl, .json, and .gz or .zst behind these; .parquet, .arrow, .feather";

impl FileError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use FileError::*;
        match self {
            Missing { .. } => help("check the spelling and the folder you are in"),
            FolderForFile { .. } => help("name a file in it"),
            ForFolder { .. } => help("name another folder"),
            FolderTaken { .. } => help("name a folder that is new or empty"),
            Unreadable { .. } => vec![],
            Unwritable { .. } => help("check the folder, its permissions and the free space"),
            TextNotUtf8 { .. } => help("save the file as UTF-8"),
            OutputIsInput { .. } | OutputTwice { .. } => help("name another file"),
            NothingMatches { .. } => help("* stands for any letters of a name, ? for one"),
            NotWritten { .. } => vec![("allowed", WRITTEN.into())],
            NameMisspelt { near, .. } => {
                vec![("allowed", WRITTEN.into()), ("help", format!("did you mean .{near}?"))]
            }
            NoRowsIn { .. } => {
                help("name a file in it; names that begin with . or _ are passed over, and so are folders")
            }
            NoJsonIn { .. } => help("name a folder with such files, or the files"),
            TooLarge { .. } => help("name the file that is meant: none of this kind is so large"),
            SameColumn { .. } => help("rename it in the input"),
        }
    }
}
