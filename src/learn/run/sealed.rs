//! Tensors of a run with their own hash: checkpoints, what was learned, what classifiers said.
//!
//! The hash stands in the file itself, as one text in the header of a safetensors file, under `cloze`:
//!
//! ```json
//! { "sha256": …, "made_by": …, "about": … }
//! ```
//!
//! `about` is what stands beside the tensors, `made_by` the fingerprint of the manifest that they were made
//! under, and `sha256` is over both, and the tensors' names, shapes and numbers. A list of hashes beside the
//! files, or in the manifest, would be a second file to write: a kill between the two leaves a whole
//! checkpoint with the hash of the one before, which would then be refused for nothing. In one file, both get
//! their name at one moment.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tch::Tensor;

use crate::error::{Result, RunError};
use crate::model::tensor_file;

/// Tensors by name.
type Tensors = BTreeMap<String, Tensor>;

#[derive(Serialize, Deserialize)]
struct Seal {
    sha256: String,
    /// None in a run that 0.1.0 began.
    made_by: Option<String>,
    about: String,
}

const KEY: &str = "cloze";

/// Writes tensors and a text, whole or not at all.
pub(super) fn write(path: &Path, tensors: &Tensors, about: String, made_by: Option<&str>) -> Result<()> {
    let sha256 = hash(tensors, &about, made_by);
    let seal = Seal { sha256, made_by: made_by.map(str::to_owned), about };
    // One text only: several would stand in another order each time, and no two files would be the same.
    tensor_file::write(path, tensors, HashMap::from([(KEY.to_owned(), super::json_text(&seal))]))
}

/// Reads tensors, and the text beside them. Refused are tensors that are not those that were written, and
/// those that were made under another manifest than `made_by`. A run that 0.1.0 began has no such name, and
/// its files need no hash.
pub(super) fn read(path: &Path, made_by: Option<&str>) -> Result<(Tensors, String)> {
    let (tensors, mut texts) = tensor_file::read(path)?;
    let damaged = |reason: &str| {
        Err(RunError::FileDamaged { path: path.to_owned(), reason: reason.to_owned(), checkpoint: false }
            .into())
    };
    let seal = texts.remove(KEY).and_then(|text| serde_json::from_str::<Seal>(&text).ok());
    let Some(seal) = seal else {
        return match made_by {
            // 0.1.0 wrote one text, or none.
            None => Ok((tensors, texts.into_values().next().unwrap_or_default())),
            Some(_) => damaged("it has no hash of what it holds"),
        };
    };
    if hash(&tensors, &seal.about, seal.made_by.as_deref()) != seal.sha256 {
        return damaged("what it holds is not what was written");
    }
    match made_by {
        Some(made_by) if seal.made_by.as_deref() != Some(made_by) => {
            Err(RunError::MadeByOtherManifest { path: path.to_owned() }.into())
        }
        _ => Ok((tensors, seal.about)),
    }
}

fn hash(tensors: &Tensors, about: &str, made_by: Option<&str>) -> String {
    let shapes: Vec<(&String, Vec<i64>)> =
        tensors.iter().map(|(name, tensor)| (name, tensor.size())).collect();
    let texts = super::json_text(&(made_by, about, shapes));
    format!("{:x}", Sha256::digest(texts + &tensor_file::hash(tensors)))
}
