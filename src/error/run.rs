//! Runs' folders.

use std::path::PathBuf;

use super::difference::{Difference, first, further};
use super::notes::{Note, help, listed};

/// Runs' folders.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum RunError {
    #[error("stopped; {} holds where it stands", path.display())]
    Interrupted { path: PathBuf, cell: Option<usize> },
    #[error("there is no run {}", path.display())]
    Missing { path: PathBuf },
    #[error("the run {} has no {wanted}", path.display())]
    FileMissing { path: PathBuf, wanted: String },
    #[error("{} is a run of {}, not of {}", path.display(), run_of(found), run_of(wanted))]
    OfOtherKind { path: PathBuf, found: &'static str, wanted: &'static str },
    #[error("{} is damaged or not of its kind: {reason}", path.display())]
    FileDamaged { path: PathBuf, reason: String, checkpoint: bool },
    #[error("{} was made under another manifest: the run's was changed afterwards", path.display())]
    MadeByOtherManifest { path: PathBuf },
    #[error("{} holds what belongs in {place}", path.display())]
    OutOfPlace { path: PathBuf, place: String },
    #[error("the run {} has no {file}", path.display())]
    ReportMissing { path: PathBuf, file: &'static str },
    #[error("{} is named twice", path.display())]
    SameRun { path: PathBuf },
    #[error("the page of several runs belongs to none of them")]
    PageWithoutName,
    #[error("{} is a file, not a folder for a run", path.display())]
    FolderIsFile { path: PathBuf },
    #[error("the folder {} holds {} already", path.display(), if *run { "a run" } else { "something" })]
    FolderTaken { path: PathBuf, run: bool },
    #[error("{} is not what it was when the run was made", path.display())]
    DataChanged { path: PathBuf },
    #[error("the weights of {} are not those that the run was trained on", path.display())]
    OtherBase { path: PathBuf },
    #[error("a training cannot start from {}: {}", path.display(), first(differences))]
    StartMisfit { path: PathBuf, differences: Vec<Difference> },
    #[error("a training cannot start from {}: its base model has other weights than {}", path.display(), model.display())]
    StartOnOtherBase { path: PathBuf, model: PathBuf },
    #[error("a training cannot start from {}: it is a run of cloze ensemble", path.display())]
    StartOfEnsemble { path: PathBuf },
    #[error("the run {} has several seeds", path.display())]
    SeedNeeded { path: PathBuf, seeds: Vec<u64> },
    #[error("the run {} has no seed {seed}", path.display())]
    WithoutSeed { path: PathBuf, seed: u64, seeds: Vec<u64> },
    #[error("another process is at work in the run {}", path.display())]
    InUse { path: PathBuf },
    #[error("the run {} has no cell {cell}", path.display())]
    NoCell { path: PathBuf, cell: usize, cells: usize },
    #[error("cell {cell} of the run {} needs cells that are not done", path.display())]
    CellTooEarly { path: PathBuf, cell: usize, missing: Vec<usize> },
    #[error("the run {} has cells that are not done", path.display())]
    CellsMissing { path: PathBuf, missing: Vec<usize> },
    #[error("a run of {} has no cells", run_of(kind))]
    WithoutCells { kind: &'static str },
    #[error("another process does cell {cell} of the run {}", path.display())]
    CellInUse { path: PathBuf, cell: usize },
    #[error("the run {} is finished", path.display())]
    Finished { path: PathBuf },
    #[error("the manifest.json in {} is an experiment that was not run", path.display())]
    NotRun { path: PathBuf },
    #[error("the run {} is not finished", path.display())]
    Unfinished { path: PathBuf },
    #[error("the run {} made a model, and no classifier", path.display())]
    WithoutClassifier { path: PathBuf },
}

/// What makes runs of a kind.
fn run_of(kind: &str) -> &'static str {
    match kind {
        "train" => "cloze train",
        "tasks" => "cloze train on several tasks",
        "pretrain" => "cloze pretrain",
        _ => "cloze ensemble",
    }
}

impl RunError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use RunError::*;
        match self {
            OfOtherKind { .. } => help("use it for what it is"),
            FileDamaged { checkpoint: true, .. } => {
                help("delete it, and go on: its training begins anew, and all else of the run stays")
            }
            FileDamaged { checkpoint: false, .. } => {
                help("put a whole copy in its place; or delete it and resume the run, or make the run anew")
            }
            MadeByOtherManifest { .. } => help(
                "put the manifest.json back as it was, or run the changed one as another run, in a new folder",
            ),
            OutOfPlace { .. } => {
                help("put the file back that was there; or delete it and resume the run, which makes it anew")
            }
            WithoutClassifier { path } => {
                vec![("help", format!("it is a base model for others: name {} as the model", path.display()))]
            }
            SameRun { .. } => help("name each once"),
            FolderIsFile { .. } => help("name a folder"),
            FolderTaken { run: false, .. } => help("name a folder that is new or empty"),
            DataChanged { .. } => help("put the file back, or train anew"),
            WithoutSeed { seeds, .. } => {
                vec![("seeds", listed(&seeds.iter().map(u64::to_string).collect::<Vec<_>>()))]
            }
            InUse { .. } => help("wait until it is done, or name another folder"),
            CellInUse { .. } => help("wait until it is done, or do another cell"),
            Interrupted { .. } => help("resume it in the same folder"),
            Missing { .. } => help("name the folder that the run was made in"),
            ReportMissing { .. } => help("a run writes its results when all is done"),
            PageWithoutName => help("say where to write it"),
            FileMissing { wanted, .. } if wanted == "manifest.json" => {
                help("name the folder that the run was made in")
            }
            FileMissing { .. } => help("resume the run: that makes what it lacks"),
            FolderTaken { run: true, .. } => help("name another folder, or resume that run"),
            OtherBase { .. } => help("name the base model that it was trained on"),
            StartMisfit { differences, .. } => {
                let mut notes = further(differences);
                notes.extend(help(
                    "train with the method and the sizes of that run, or start from another one",
                ));
                notes
            }
            StartOnOtherBase { .. } => {
                help("name the base model that it was trained on, or start from a run on this one")
            }
            StartOfEnsemble { .. } => help("start from a run of cloze train"),
            SeedNeeded { seeds, .. } => {
                vec![("seeds", listed(&seeds.iter().map(u64::to_string).collect::<Vec<_>>()))]
            }
            NoCell { cells, .. } => vec![("cells", format!("1 to {cells}"))],
            CellTooEarly { missing, .. } | CellsMissing { missing, .. } => {
                vec![
                    ("cells", listed(&missing.iter().map(usize::to_string).collect::<Vec<_>>())),
                    ("help", "do these first".to_owned()),
                ]
            }
            WithoutCells { .. } => help("run it as one; runs of cloze train and cloze ensemble have cells"),
            Finished { .. } => help("run its manifest again in another folder"),
            NotRun { .. } => help("run it in a new folder"),
            Unfinished { .. } => help("resume it"),
        }
    }
}
