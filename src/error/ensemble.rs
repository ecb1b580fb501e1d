//! Ensembles of patterns.

use std::path::PathBuf;

use super::notes::{Note, allowed_and_nearest, help, listed};

/// Ensembles of patterns.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum EnsembleError {
    #[error("an ensemble needs {what}")]
    Needs { what: &'static str, because: &'static str },
    #[error("a student needs unlabelled rows")]
    StudentWithoutRows,
    #[error("a student that is cls reads no template")]
    StudentReadsNoTemplate,
    #[error("there are no labelled rows to train members on")]
    NothingToTrain,
    #[error("cls cannot be a member: it reads no pattern")]
    ClsAsMember,
    #[error("{first} and {second} have different classes")]
    VerbalizersOfOtherClasses { first: String, classes: Vec<String>, second: String, others: Vec<String> },
    #[error("two patterns are called {name}")]
    SameName { name: String, files: [String; 2] },
    #[error("generation {generations} learns from {needed} rows that others label, and {data} has {found}")]
    TooManyGenerations { generations: usize, needed: usize, found: usize, data: String, most: usize },
    #[error("no member of any seed could be trained")]
    NoMembers,
    #[error("two members are called {name}")]
    SameMember { name: String },
    #[error("{failed} model{} could not be trained", if *failed == 1 { "" } else { "s" })]
    ModelsFailed { failed: usize, path: PathBuf },
    #[error("the student's template {name} is none of the experiment's")]
    StudentTemplateUnknown { name: String, templates: Vec<String> },
    #[error("the members of the run {} were not kept", path.display())]
    MembersNotKept { path: PathBuf },
    #[error("the run {} has no members: it is not one of cloze ensemble", path.display())]
    RunWithoutMembers { path: PathBuf },
    #[error("the run {} has no student", path.display())]
    NoStudent { path: PathBuf, members: Vec<String> },
    #[error("{name} is not a member of the run {}", path.display())]
    MemberUnknown { path: PathBuf, name: String, members: Vec<String> },
    #[error("the members of the run {} were not trained: they are the base model as it is", path.display())]
    NothingLearned { path: PathBuf },
    #[error("the member {name} of the run {} could not be trained", path.display())]
    MemberFailed { path: PathBuf, name: String },
}

impl EnsembleError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use EnsembleError::*;
        match self {
            Needs { because, .. } => help(because),
            StudentWithoutRows => help("it learns from rows that the members label"),
            StudentReadsNoTemplate => help("name a way of tuning that does, or leave the template out"),
            NothingToTrain => help("without labelled rows and without generations no member is trained"),
            VerbalizersOfOtherClasses { classes, others, .. } => vec![
                ("first", classes.join(", ")),
                ("second", others.join(", ")),
                ("help", "give them the same labels in the same order".to_owned()),
            ],
            SameName { files: [first, second], .. } => {
                vec![
                    ("files", format!("{first}, {second}")),
                    (
                        "help",
                        "give one of the files another name: it stands for the member in the results"
                            .to_owned(),
                    ),
                ]
            }
            SameMember { .. } => help(
                "give a template's or a verbalizer's file a name without +: the two together stand for a member",
            ),
            ModelsFailed { path, .. } => help(&format!(
                "the report in {} names them; the results are those of the others",
                path.display()
            )),
            StudentTemplateUnknown { templates, .. } => vec![("templates", templates.join(", "))],
            ClsAsMember => help("it can be the student"),
            TooManyGenerations { .. } => {
                help("have more unlabelled rows, fewer generations, or grow by less")
            }
            NoMembers => help("a lower learning rate, or rows without texts that break numbers"),
            MembersNotKept { .. } => help("keep the members in the experiment, or score with its student"),
            RunWithoutMembers { .. } => help("score with it as it is"),
            NoStudent { members, .. } => {
                vec![("members", listed(members)), ("help", "name one of them".to_owned())]
            }
            MemberUnknown { name, members, .. } => allowed_and_nearest("members", name, members),
            NothingLearned { .. } => help("use the base model itself"),
            MemberFailed { .. } => help("the run's report.json says why; name another"),
        }
    }
}
