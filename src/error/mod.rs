//! The one error type: what is wrong, and where. Errors carry data; the text round them, and all advice about
//! flags, is made at the edge (`cli::render`).
//!
//! [`Kind`] is coarse, one for each part of cloze, and wraps an enum of that part's own, which says what
//! exactly is wrong.

// places, what stands under a message
pub mod notes;
pub mod source;

// tensors, what differs between runs
pub mod difference;
pub mod tensor;

// what is wrong in each part
mod calibration;
mod corpus;
mod data;
mod encode;
mod ensemble;
mod file;
mod json;
mod label;
mod model;
mod multi_label;
mod peft;
mod run;
mod search;
mod serve;
mod shard;
mod task;
mod template;
mod training;
mod tuning;
mod verbalizer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use notes::Note;
use source::{Source, Span};

pub use calibration::CalibrationError;
pub use corpus::CorpusError;
pub use data::DataError;
pub use difference::Difference;
pub use encode::EncodeError;
pub use ensemble::EnsembleError;
pub use file::FileError;
pub use json::JsonError;
pub use label::LabelError;
pub use model::ModelError;
pub use multi_label::MultiLabelError;
pub use peft::PeftError;
pub use run::RunError;
pub use search::SearchError;
pub use serve::ServeError;
pub use shard::ShardError;
pub use task::TaskError;
pub use template::TemplateError;
pub use tensor::TensorProblem;
pub use training::TrainingError;
pub use tuning::TuningError;
pub use verbalizer::VerbalizerError;

/// A result with cloze's own [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong and where. As large as a pointer, so that results stay small.
///
/// ```
/// use cloze::text::template::Template;
/// use cloze::error::{Kind, TemplateError};
/// let error = Template::from_pattern("It was great. {review}").unwrap_err();
/// assert!(matches!(error.kind(), Kind::Template(TemplateError::WithoutMask)));
/// ```
pub struct Error(Box<Parts>);

struct Parts {
    kind: Kind,
    place: Place,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Where an [`Error`] stands.
#[derive(Debug, Clone)]
pub enum Place {
    /// No place in a file: the message says it all.
    Nowhere,
    /// A part of a text, usually a JSON file.
    Text {
        /// The text.
        source: Arc<Source>,
        /// The bytes meant.
        span: Span,
        /// The place by name, as `classes[0].words[2]`; empty for the whole.
        pointer: String,
    },
    /// A row of a data file.
    Row {
        /// The file.
        file: String,
        /// The line on which the record begins, from 1.
        line: u64,
        /// The record, from 1, the header not counted.
        record: u64,
        /// The batch of a stream that it came in, from 1.
        batch: Option<u64>,
        /// The column's name, where one is meant.
        column: Option<String>,
    },
}

impl Error {
    /// An error without a place.
    pub fn new(kind: impl Into<Kind>) -> Error {
        Error(Box::new(Parts { kind: kind.into(), place: Place::Nowhere, source: None }))
    }

    /// The same error, with the one that it comes from.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        self.0.source = Some(Box::new(source));
        self
    }

    /// The same error, at a place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Error {
        self.0.place = place;
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// Where.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// The errors that it is: itself, or those that were found together.
    fn apart(self) -> Vec<Error> {
        match self.0.kind {
            Kind::Several(errors) => errors.into_iter().collect(),
            _ => vec![self],
        }
    }

    /// The error of reading `path`, told apart as a person would.
    pub fn reading(path: &Path, error: &std::io::Error) -> Error {
        let path = path.to_owned();
        Error::new(match error.kind() {
            std::io::ErrorKind::NotFound => FileError::Missing { path },
            std::io::ErrorKind::IsADirectory => FileError::FolderForFile { path },
            _ => FileError::Unreadable { path, reason: plain_reason(error) },
        })
        .because(copy_of(error))
    }

    /// The error of writing `path`.
    pub fn writing(path: &Path, error: &std::io::Error) -> Error {
        Error::new(FileError::Unwritable {
            path: path.to_owned(),
            reason: plain_reason(error),
            pipe_closed: error.kind() == std::io::ErrorKind::BrokenPipe,
        })
        .because(copy_of(error))
    }

    /// The same error, where it is of writing a file in a folder that has a temporary name: with its own.
    pub(crate) fn of_folder(mut self, temporary: &Path, folder: &Path) -> Error {
        if let Kind::File(FileError::Unwritable { path, .. }) = &mut self.0.kind
            && let Ok(name) = path.strip_prefix(temporary)
        {
            *path = if name.as_os_str().is_empty() { folder.to_owned() } else { folder.join(name) };
        }
        self
    }
}

/// An error of the system has no copy of its own: one of the same kind and text.
fn copy_of(error: &std::io::Error) -> std::io::Error {
    error.raw_os_error().map_or_else(
        || std::io::Error::new(error.kind(), error.to_string()),
        std::io::Error::from_raw_os_error,
    )
}

/// "No space left on device" rather than "No space left on device (os error 28)".
pub(crate) fn plain_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let plain = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = plain.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text,
    }
}

impl<K: Into<Kind>> From<K> for Error {
    fn from(kind: K) -> Error {
        Error::new(kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.place {
            Place::Nowhere => write!(f, "{}", self.0.kind),
            Place::Text { source, span, .. } => {
                let at = source.line_column(span.start);
                write!(f, "{}:{}:{}: {}", source.name(), at.line, at.column, self.0.kind)
            }
            Place::Row { file, line, record, batch, .. } => {
                write!(f, "{file}:{line}: ")?;
                batch.iter().try_for_each(|batch| write!(f, "batch {batch}, "))?;
                write!(f, "record {record}: {}", self.0.kind)
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({:?})", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// What can be wrong: which part of cloze says so, and what it says. Every message is one line without its
/// place; [`Kind::notes`] has what was allowed and a way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // Each is the error of the part of its name.
pub enum Kind {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Verbalizer(#[from] VerbalizerError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    #[error(transparent)]
    MultiLabel(#[from] MultiLabelError),
    #[error(transparent)]
    Tuning(#[from] TuningError),
    #[error(transparent)]
    Training(#[from] TrainingError),
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Task(#[from] TaskError),
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Ensemble(#[from] EnsembleError),
    #[error(transparent)]
    Peft(#[from] PeftError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Label(#[from] LabelError),
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// Several errors that were found together.
    #[error("{0}")]
    Several(Errors),
}

impl Kind {
    /// What was allowed, and what to do about it: one line each, `("columns", "label, text")` or
    /// `("help", …)`.
    pub fn notes(&self) -> Vec<Note> {
        match self {
            Kind::File(error) => error.notes(),
            Kind::Json(error) => error.notes(),
            Kind::Template(error) => error.notes(),
            Kind::Verbalizer(error) => error.notes(),
            Kind::Data(error) => error.notes(),
            Kind::Model(error) => error.notes(),
            Kind::Encode(error) => error.notes(),
            Kind::Calibration(error) => error.notes(),
            Kind::MultiLabel(error) => error.notes(),
            Kind::Tuning(error) => error.notes(),
            Kind::Training(error) => error.notes(),
            Kind::Corpus(error) => error.notes(),
            Kind::Run(error) => error.notes(),
            Kind::Task(error) => error.notes(),
            Kind::Search(error) => error.notes(),
            Kind::Ensemble(error) => error.notes(),
            Kind::Peft(error) => error.notes(),
            Kind::Serve(error) => error.notes(),
            Kind::Label(error) => error.notes(),
            Kind::Shard(error) => error.notes(),
            Kind::Several(_) => Vec::new(),
        }
    }
}

/// Errors that were found together, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Errors(Vec<Error>);

impl Errors {
    /// None yet.
    pub fn new() -> Errors {
        Errors::default()
    }

    /// Puts one more beside them.
    pub fn push(&mut self, error: impl Into<Error>) {
        // One that is several is taken apart, so that each is told by itself.
        self.0.extend(Errors::from(error.into()).0);
    }

    /// The value of a result, or none and its errors put beside the others.
    pub fn keep<T, E: Into<Errors>>(&mut self, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(errors) => {
                self.0.extend(errors.into().0);
                None
            }
        }
    }

    /// The errors without those that say what an earlier one says of the same place: a file that several
    /// share is read for each of them.
    #[must_use]
    pub fn distinct(self) -> Errors {
        let mut known = std::collections::HashSet::new();
        Errors(self.0.into_iter().filter(|error| known.insert(error.to_string())).collect())
    }

    /// An error, if there are any.
    pub fn none(self) -> Result<(), Errors> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The errors.
    pub fn iter(&self) -> std::slice::Iter<'_, Error> {
        self.0.iter()
    }

    /// Each of them changed.
    #[must_use]
    pub fn map(self, change: impl FnMut(Error) -> Error) -> Errors {
        Errors(self.0.into_iter().map(change).collect())
    }
}

impl Extend<Error> for Errors {
    fn extend<I: IntoIterator<Item = Error>>(&mut self, errors: I) {
        errors.into_iter().for_each(|error| self.push(error));
    }
}

impl FromIterator<Error> for Errors {
    fn from_iter<I: IntoIterator<Item = Error>>(errors: I) -> Errors {
        let mut all = Errors::new();
        all.extend(errors);
        all
    }
}

impl IntoIterator for Errors {
    type Item = Error;
    type IntoIter = std::vec::IntoIter<Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Errors {
        Errors(error.apart())
    }
}

impl<K: Into<Kind>> From<K> for Errors {
    fn from(kind: K) -> Errors {
        Error::new(kind).into()
    }
}

impl From<Errors> for Error {
    /// One error as it is; several as one of the kind [`Kind::Several`].
    fn from(mut errors: Errors) -> Error {
        match errors.0.len() {
            1 => errors.0.swap_remove(0),
            _ => Error::new(Kind::Several(errors)),
        }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [] => write!(f, "no problems"),
            [only] => write!(f, "{only}"),
            [first, ..] => write!(f, "{} problems, the first: {first}", self.0.len()),
        }
    }
}

impl std::error::Error for Errors {}
