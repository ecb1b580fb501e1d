//! PEFT's adapter folders.

use std::path::PathBuf;

use super::notes::{Note, help, listed};
use super::tensor::{TensorProblem, tensor_line, tensor_lines};

/// The way out where PEFT has more than cloze.
const MERGE_IN_PYTHON: &str =
    "merge the adapter in Python (merge_and_unload) and use the folder of the merged model";

/// PEFT's adapter folders.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum PeftError {
    #[error("there is no adapter folder {}", path.display())]
    Missing { path: PathBuf },
    #[error("the adapter folder {} has no {wanted}", path.display())]
    FileMissing { path: PathBuf, wanted: &'static str },
    #[error("{} is in PyTorch's own format, adapters are read from safetensors only", path.display())]
    Pickle { path: PathBuf },
    #[error("{found:?} is not a type of adapter that cloze has")]
    UnknownType { found: String, allowed: Vec<&'static str> },
    #[error("{key:?} is {found}, which would change scores and which cloze does not have")]
    NotDone { key: String, found: String, allowed: &'static str },
    #[error("{key:?} is {found}, for the base model it must be {wanted}")]
    OtherModel { key: &'static str, found: i64, wanted: i64, base: String },
    #[error(
        "the tensors of {} are not those that its adapter_config.json and the base model ask for",
        path.display()
    )]
    Misfit { path: PathBuf, tensors: Vec<TensorProblem>, unknown: Vec<String> },
    #[error("PEFT has no adapter for what {method} learns")]
    Without { method: &'static str, merges: bool },
    #[error("PEFT has soft tokens before a text only, this run has some inside it")]
    SoftInside,
    #[error("PEFT has no place for soft tokens beside {method}")]
    SoftBeside { method: &'static str },
    #[error("PEFT has prefixes in all layers, 0 to {last}; this run's are in layers {first} to {end}")]
    PrefixLayers { first: usize, end: usize, last: usize },
}

impl PeftError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use PeftError::*;
        match self {
            FileMissing { .. } => {
                help("an adapter folder has adapter_config.json and adapter_model.safetensors")
            }
            Pickle { .. } => {
                help("save it anew in Python: PeftModel.save_pretrained(FOLDER, safe_serialization=True)")
            }
            UnknownType { allowed, .. } => {
                vec![("allowed", listed(allowed)), ("help", MERGE_IN_PYTHON.to_owned())]
            }
            NotDone { allowed, .. } => {
                vec![("allowed", (*allowed).to_owned()), ("help", MERGE_IN_PYTHON.to_owned())]
            }
            Without { merges: false, .. } => {
                vec![("methods", "lora, ia3, prompt-tuning, p-tuning, prefix, p-tuning-v2".into())]
            }
            SoftInside => help("train prompt-tuning, or p-tuning with a pattern that has no {soft}"),
            SoftBeside { .. } => help("train with a pattern that has no {soft}"),
            PrefixLayers { .. } => help("train without \"layers\""),
            Missing { .. } => help("name a folder that PEFT's save_pretrained wrote"),
            OtherModel { base, .. } if base.is_empty() => {
                help("use the base model that the adapter was made for")
            }
            OtherModel { base, .. } => vec![("help", format!("the adapter was made for {base}: use that"))],
            Misfit { tensors, unknown, .. } => {
                let no_place = unknown.iter().map(|name| format!("{name} has no place"));
                let mut notes = tensor_lines(tensors.iter().map(tensor_line).chain(no_place));
                let same_base = "use the base model that the adapter was made for";
                notes.push(("help", if unknown.is_empty() { same_base } else { MERGE_IN_PYTHON }.to_owned()));
                notes
            }
            Without { merges: true, .. } => help("merge it into a model folder"),
        }
    }
}
