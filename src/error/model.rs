//! Model folders: configuration, tokenizer, weights; and what computes them.

use std::path::PathBuf;

use super::notes::{Note, help, listed};
use super::tensor::{TensorProblem, tensor_line, tensor_lines};

/// Model folders: configuration, tokenizer, weights; and what computes them.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum ModelError {
    #[error("there is no model folder {}", path.display())]
    Missing { path: PathBuf },
    #[error("{} is a file, not a model folder", path.display())]
    FileForModel { path: PathBuf },
    #[error("the model folder {} has no {wanted}", path.display())]
    FileMissing { path: PathBuf, wanted: &'static str },
    #[error("{}: {message}", path.display())]
    Config { path: PathBuf, message: String },
    #[error("{}: {reason}", path.display())]
    UntrainedHead { path: PathBuf, reason: &'static str },
    #[error("{}: {message}", path.display())]
    Tokenizer { path: PathBuf, message: String },
    #[error("{} does not describe a tokenizer: {message}", path.display())]
    TokenizerUnreadable { path: PathBuf, message: String },
    #[error("the tokenizer of {} is {class}, whose way to split texts is not in {files}", path.display())]
    TokenizerClass { path: PathBuf, class: String, files: &'static str },
    #[error("{} is a SentencePiece model, which this version of cloze does not read", path.display())]
    TokenizerToConvert { path: PathBuf },
    #[error("{} is damaged or not of its kind: {reason}", path.display())]
    WeightsUnreadable { path: PathBuf, reason: String },
    #[error("{} cannot be used: it has {what}", path.display())]
    WeightsUnsupported { path: PathBuf, what: String, remedy: &'static str },
    #[error("the weights of {} do not fit its config.json", path.display())]
    WeightsMisfit { path: PathBuf, tensors: Vec<TensorProblem> },
    #[error("the weights of {} are of {found}, its config.json is of {wanted}", path.display())]
    OtherFamily { path: PathBuf, found: &'static str, wanted: &'static str },
    #[error("the weights of {} have no head that fills masks{}", path.display(), other_task(*task))]
    NoHead { path: PathBuf, task: Option<&'static str> },
    #[error("the weights of {} have values that are not finite numbers", path.display())]
    WeightsNotFinite { path: PathBuf, tensors: Vec<String> },
    #[error(
        "the vocabulary of {} has {vocabulary} entries, its embedding only {embedding} rows",
        path.display()
    )]
    VocabularyMisfit { path: PathBuf, vocabulary: usize, embedding: i64 },
    #[error("cannot fetch {name:?} from the hub: {reason}")]
    HubUnreachable { name: String, reason: String },
    #[error("{name:?} is not a name on the hub")]
    HubName { name: String },
    #[error("this libtorch cannot compute in {dtype} on this machine")]
    NoKernels { dtype: &'static str },
    #[error("this libtorch has no CUDA, or the machine no GPU")]
    NoCuda,
    #[error("rust-bert's model cannot run this model: {reason}")]
    ReferenceCannot { reason: String },
    #[error("a classifier at [CLS] gives no states, by which rows are compared")]
    NoStates,
    #[error("nearest rows are those of the nearest states at the blank, and {reason}")]
    NeighboursCannot { reason: &'static str },
}

fn other_task(task: Option<&str>) -> String {
    task.map_or_else(String::new, |task| format!(": they are of {task}"))
}

impl ModelError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use ModelError::*;
        match self {
            FileMissing { wanted, .. } => vec![(
                "help",
                format!(
                    "a model folder has config.json, its tokenizer's files, and weights; without {wanted} it cannot be used"
                ),
            )],
            Config { .. } | Tokenizer { .. } => vec![],
            UntrainedHead { .. } => help(
                "take a model of another family; or force it to train all of its weights: before that its scores mean nothing",
            ),
            TokenizerUnreadable { .. } => help(
                "copy or download the file again; a file of a newer kind can be saved anew by an older version of transformers",
            ),
            TokenizerClass { .. } => {
                help("take another model: one whose tokenizer.json, or vocab.txt as BERT has it, says all")
            }
            TokenizerToConvert { path } => {
                let folder = path.parent().unwrap_or(path).display();
                vec![(
                    "help",
                    format!(
                        "convert it with transformers, in Python: AutoTokenizer.from_pretrained({folder:?}).save_pretrained({folder:?}) writes a tokenizer.json beside it",
                        folder = folder.to_string()
                    ),
                )]
            }
            WeightsUnreadable { .. } => help("copy or download the file again"),
            WeightsUnsupported { remedy, .. } => help(remedy),
            OtherFamily { .. } => help("config.json and the weights must come from one model"),
            NoHead { path, task: Some("a classifier") } => vec![(
                "help",
                format!(
                    "a fine-tuned classifier is scored with transformers, in Python: pipeline(\"text-classification\", \
                     model={:?}); for cloze take the checkpoint that it was made of",
                    path.display().to_string()
                ),
            )],
            NoHead { .. } => help(
                "take the checkpoint that was pre-trained as a masked language model, before it was fine-tuned or cut",
            ),
            WeightsMisfit { tensors, .. } => tensor_lines(tensors.iter().map(tensor_line)),
            WeightsNotFinite { tensors, .. } => {
                vec![("tensors", listed(tensors)), ("help", "copy or download the weights again".into())]
            }
            VocabularyMisfit { .. } => {
                help("the tokenizer's files and the weights are not of the same model")
            }
            Missing { .. } | FileForModel { .. } => {
                help("name a Hugging Face folder of a masked language model")
            }
            HubUnreachable { name, .. } => vec![(
                "help",
                format!(
                    "without a network, put config.json, model.safetensors, tokenizer_config.json and tokenizer.json \
                     (or vocab.txt, or vocab.json and merges.txt) of {name} in a folder by hand and name that folder"
                ),
            )],
            HubName { .. } => {
                vec![("allowed", "OWNER/MODEL or MODEL, of letters, digits, \".\", \"_\" and \"-\"".into())]
            }
            ReferenceCannot { .. } => help("use cloze's own engine"),
            NeighboursCannot { .. } => help("leave the neighbours out"),
            NoStates => help("choose rows by what it says of them, or by a run that asks at a blank"),
            NoKernels { .. } => help("compute in f32"),
            NoCuda => help("use the CPU"),
        }
    }
}
