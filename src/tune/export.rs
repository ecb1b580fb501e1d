//! A base model and what was learned as one plain model folder.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::Path;

use crate::error::{Error, Result, TuningError};
use crate::model::folder::ModelFolder;
use crate::model::parameters::Parameters;
use crate::model::tensor_file::{self, Precision};
use crate::model::tokenizer;
use crate::text::whole_file::{WholeFile, whole_folder};
use crate::tune::adapt::{Form, adapt};
use crate::tune::average::Average;
use crate::tune::options::Tuning;
use crate::tune::trainable::{Learned, SOFT_TOKENS, is_verbalizer};

/// How the weights of a merged model are written.
#[derive(Default)]
pub struct Writing {
    /// In what numbers.
    pub precision: Precision,
    /// Averaged with those of another model.
    pub average: Option<Average>,
}

/// The configuration of a model with a decoder of its own: transformers would put the word embeddings in its
/// place.
fn untied(config: &[u8]) -> Option<Vec<u8>> {
    let mut config: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(config).ok()?;
    config.insert("tie_word_embeddings".to_owned(), false.into());
    serde_json::to_vec_pretty(&config).ok()
}

/// Writes a model folder that transformers' class for the family loads, with what was learned within its
/// weights. The folder is new or empty.
pub fn merged(
    folder: &Path,
    model: &ModelFolder,
    base: &Parameters,
    tuning: &Tuning,
    learned: &Learned,
    writing: &Writing,
) -> Result<()> {
    if !tuning.merges() {
        return Err(TuningError::NotMergeable { method: tuning.name() }.into());
    }
    if learned.keys().any(|name| is_verbalizer(name)) {
        return Err(TuningError::ExportWithClassVectors.into());
    }
    if learned.contains_key(SOFT_TOKENS) {
        return Err(TuningError::MergedWithSoft.into());
    }
    let adapted = tch::no_grad(|| adapt(tuning, &model.config, base, learned, Form::Merged));
    let own = adapted.parameters.as_ref().unwrap_or(base);
    let averaged = writing.average.as_ref().map(|average| average.of(own, model)).transpose()?;
    // A tied decoder is not among the parameters, nor in the file of a model that ties it.
    let weights = averaged.as_ref().unwrap_or(own).iter();
    let weights: BTreeMap<_, _> =
        weights.map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone())).collect();
    // Without this text transformers takes the file for another program's.
    let texts = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    whole_folder(folder, |folder| {
        // The files beside the weights stay as they are.
        let beside = ["config.json"].into_iter().chain(tokenizer::FILES);
        for (from, to) in beside.map(|name| (model.path().join(name), folder.join(name))) {
            if from.exists() {
                let mut bytes = std::fs::read(&from).map_err(|error| Error::reading(&from, &error))?;
                if from.ends_with("config.json") && base.remark().is_some() {
                    bytes = untied(&bytes).unwrap_or(bytes);
                }
                let mut copy = WholeFile::create(&to)?;
                copy.write_all(&bytes).map_err(|error| Error::writing(&to, &error))?;
                copy.commit()?;
            }
        }
        tensor_file::write_in(&folder.join("model.safetensors"), &weights, texts, writing.precision)
    })
}
