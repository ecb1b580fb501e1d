//! The files that a run reads, as its manifest tells of them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::RunFolder;
use crate::error::{Result, RunError};
use crate::model::folder::ModelFolder;
use crate::model::hash::{hash_of, hash_of_weights};
use crate::text::data::{Adjust, Format, Reading};
use crate::text::json;

/// A file with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct StoredFile {
    pub file: String,
    pub text: String,
}

/// The data files of a run, by what they are for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct DataFiles {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<DataFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev: Option<DataFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlabeled: Option<DataFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<DataFile>,
    /// The format that was asked for, where the names do not tell.
    pub format: Option<Format>,
    /// The column of labels that was asked for.
    pub label_column: Option<String>,
    /// What is taken otherwise than it stands in the files.
    #[serde(default, skip_serializing_if = "Adjust::is_nothing")]
    pub adjust: Adjust,
}

/// A data file as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct DataFile {
    pub path: PathBuf,
    /// Of its bytes, hexadecimal.
    pub sha256: String,
}

/// A run that a training starts from, as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitFrom {
    /// Its folder.
    pub path: PathBuf,
    /// What its seeds learned, as far as this training's start from it: in that run's order.
    pub learned: Vec<LearnedFile>,
}

/// The file with what a seed of a run learned, as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct LearnedFile {
    pub seed: u64,
    /// Of its bytes, hexadecimal.
    pub sha256: String,
}

/// A base model as it was.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ModelFiles {
    pub path: PathBuf,
    /// Of its weight files' bytes in their names' order, hexadecimal.
    pub sha256: String,
}

impl ModelFiles {
    /// A model's folder as it is now. The path is absolute, so that the run can be used from any folder.
    pub fn of(folder: &ModelFolder) -> Result<ModelFiles> {
        Ok(ModelFiles {
            path: std::path::absolute(folder.path()).unwrap_or_else(|_| folder.path().to_owned()),
            sha256: hash_of_weights(folder.path())?,
        })
    }
}

impl StoredFile {
    /// A file as it is now.
    pub fn of(path: &Path) -> Result<StoredFile> {
        Ok(StoredFile { file: path.display().to_string(), text: json::read_text(path)? })
    }

    /// The file's name without folder and ending.
    pub fn name(&self) -> String {
        Path::new(&self.file).file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl DataFile {
    /// A file as it is now.
    pub fn of(path: &Path) -> Result<DataFile> {
        Ok(DataFile { path: path.to_owned(), sha256: hash_of(path)? })
    }

    /// Refuses a file that is not what it was.
    pub fn check(&self) -> Result<()> {
        if hash_of(&self.path)? == self.sha256 {
            Ok(())
        } else {
            Err(RunError::DataChanged { path: self.path.clone() }.into())
        }
    }
}

impl InitFrom {
    /// Which of the earlier run's seeds a seed starts from: the same one if it has it, else its first.
    pub fn seed_for(&self, seed: u64) -> Option<u64> {
        let mut seeds = self.learned.iter().map(|file| file.seed);
        seeds.clone().find(|&earlier| earlier == seed).or_else(|| seeds.next())
    }

    /// Refuses a run whose files are not what they were.
    pub fn check(&self) -> Result<()> {
        let folder = RunFolder::existing(&self.path)?;
        self.learned.iter().try_for_each(|file| {
            DataFile { path: folder.learned(file.seed), sha256: file.sha256.clone() }.check()
        })
    }
}

impl DataFiles {
    /// How they are read.
    pub fn reading(&self) -> Reading {
        Reading::of(self.format, self.label_column.clone(), self.adjust.clone())
    }

    /// Refuses files that are not what they were.
    pub fn check(&self) -> Result<()> {
        let files = [&self.train, &self.dev, &self.unlabeled, &self.test];
        files.into_iter().flatten().try_for_each(DataFile::check)
    }
}
