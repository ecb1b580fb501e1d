//! Trainings of several tasks.

use std::path::PathBuf;

use super::notes::{Note, allowed_and_nearest, help, listed};

/// Trainings of several tasks.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum TaskError {
    #[error("{}", if name.is_empty() { "a task needs a name".to_owned() } else { format!("two tasks are named {name:?}") })]
    Name { name: String },
    #[error("the task {name:?} has neither rows to learn from nor rows to score")]
    WithoutRows { name: String },
    #[error("no task has rows to learn from")]
    WithoutTraining,
    #[error("{name:?} has no train rows to show")]
    NothingToShow { name: String },
    #[error(
        "some patterns of {name:?} show demonstrations and some do not, so \"templates_each_step\" cannot be \"one\""
    )]
    SomeShow { name: String },
    #[error("no task learns the {what} of {name:?}, which has no train rows")]
    NobodyLearns { name: String, what: &'static str },
    #[error("the classes of {name:?} are vectors, so {what} has no place")]
    ClassesAreVectors { name: String, what: &'static str },
    #[error("the label words of {name:?} have several tokens, so {what} has no place")]
    WordsOfSeveralTokens { name: String, what: &'static str },
    #[error("the run {} has several tasks", path.display())]
    Needed { path: PathBuf, tasks: Vec<String> },
    #[error("{name:?} is not a task of the run {}", path.display())]
    Unknown { path: PathBuf, name: String, tasks: Vec<String> },
}

impl TaskError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use TaskError::*;
        match self {
            Name { .. } => help("give each task a name of its own"),
            WithoutRows { .. } => help("give it \"train\", \"test\" or both"),
            WithoutTraining => help("give one of them \"train\" at least"),
            NothingToShow { .. } => help("give it \"train\", or leave the {demos} out"),
            SomeShow { .. } => help("leave it out, or write {demos} into all of them or none"),
            WordsOfSeveralTokens { .. } => help("leave it out, or use words that the vocabulary has whole"),
            NobodyLearns { .. } => {
                help("give it \"train\", or a pattern and label words without vectors of their own")
            }
            ClassesAreVectors { .. } => help("leave it out, or leave \"kind\" out of the verbalizer"),
            Unknown { name, tasks, .. } => allowed_and_nearest("tasks", name, tasks),
            Needed { tasks, .. } => vec![("tasks", listed(tasks))],
        }
    }
}
