//! Tensors of a run with their own hash: checkpoints, what was learned, what classifiers said.
//!
//! The hash stands in the file itself, as one text in the header of a safetensors file, under `cloze`:
//!
//! ```json
//! { "sha256": …, "made_by": …, "place": "learned/seed-1.safetensors", "about": … }
//! ```
//!
//! `about` is what stands beside the tensors, `made_by` the fingerprint of the manifest that they were made
//! under, and `place` the file's name within the run's folder: files of two seeds, or of two parts of a
//! training, that changed places are whole, and of the right manifest. `sha256` is over all three, and the
//! tensors' names, shapes and numbers. A list of hashes beside the
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

/// Whose tensors are.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    /// The manifest's fingerprint; none in a run that 0.1.0 began.
    pub made_by: Option<String>,
    /// The file's name within the run's folder.
    pub place: String,
}

#[derive(Serialize, Deserialize)]
struct Seal {
    sha256: String,
    #[serde(flatten)]
    owner: Owner,
    about: String,
}

const KEY: &str = "cloze";

/// Writes tensors and a text, whole or not at all.
pub(super) fn write(path: &Path, tensors: &Tensors, about: String, owner: Owner) -> Result<()> {
    let sha256 = hash(tensors, &about, &owner);
    let seal = Seal { sha256, owner, about };
    // One text only: several would stand in another order each time, and no two files would be the same.
    tensor_file::write(path, tensors, HashMap::from([(KEY.to_owned(), super::json_text(&seal))]))
}

/// Reads tensors, and the text beside them. Refused are tensors that are not those that were written, and
/// those of another owner. A run that 0.1.0 began has no fingerprint, and its files need no hash.
pub(super) fn read(path: &Path, owner: &Owner) -> Result<(Tensors, String)> {
    let (tensors, mut texts) = tensor_file::read(path)?;
    let damaged = |reason: &str| {
        Err(RunError::FileDamaged { path: path.to_owned(), reason: reason.to_owned(), checkpoint: false }
            .into())
    };
    let seal = texts.remove(KEY).and_then(|text| serde_json::from_str::<Seal>(&text).ok());
    let Some(seal) = seal else {
        return match owner.made_by {
            // 0.1.0 wrote one text, or none.
            None => Ok((tensors, texts.into_values().next().unwrap_or_default())),
            Some(_) => damaged("it has no hash of what it holds"),
        };
    };
    if hash(&tensors, &seal.about, &seal.owner) != seal.sha256 {
        return damaged("what it holds is not what was written");
    }
    if seal.owner.made_by != owner.made_by {
        return Err(RunError::MadeByOtherManifest { path: path.to_owned() }.into());
    }
    if seal.owner.place != owner.place {
        return Err(RunError::OutOfPlace { path: path.to_owned(), place: seal.owner.place }.into());
    }
    Ok((tensors, seal.about))
}

/// What stands beside tensors, if it is of that owner; whether these are whole is seen when they are read.
pub(super) fn about(path: &Path, owner: &Owner) -> Result<Option<String>> {
    let seal = tensor_file::read_texts(path)?.remove(KEY);
    let seal = seal.and_then(|text| serde_json::from_str::<Seal>(&text).ok());
    Ok(seal.filter(|seal| seal.owner == *owner).map(|seal| seal.about))
}

fn hash(tensors: &Tensors, about: &str, owner: &Owner) -> String {
    let shapes: Vec<(&String, Vec<i64>)> =
        tensors.iter().map(|(name, tensor)| (name, tensor.size())).collect();
    let texts = super::json_text(&(owner, about, shapes));
    format!("{:x}", Sha256::digest(texts + &tensor_file::hash(tensors)))
}
