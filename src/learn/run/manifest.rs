//! All that is needed to run a training again.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::source::Source;
use crate::error::{Error, Kind, Place, Result};
use crate::learn::train::Plan;
use crate::model::parameters::weight_files;
use crate::text::demonstrations::Drawing;
use crate::text::json::{self, Node};
use crate::tune::Tuning;

/// The version of manifests that this cloze reads and writes.
pub const VERSION: u64 = 1;

/// A run's configuration, and what it was run with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format.
    pub version: u64,
    /// The version of cloze that wrote it.
    pub cloze: String,
    /// The command line.
    pub command: Vec<String>,
    /// The template files; none for `cls`.
    pub templates: Vec<StoredFile>,
    /// The verbalizer file.
    pub verbalizer: StoredFile,
    /// The labels in class order.
    pub classes: Vec<String>,
    /// The columns that are read.
    pub columns: Vec<String>,
    /// The data files.
    pub data: DataFiles,
    /// The base model.
    pub model: ModelFiles,
    /// What ran the forward pass.
    pub engine: String,
    /// The longest input, in tokens.
    pub max_length: usize,
    /// What moves.
    pub tuning: Tuning,
    /// How long and how fast.
    pub plan: Plan,
    /// How the patterns' demonstrations are drawn from a seed's train rows, where they have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demonstrations: Option<Drawing>,
    /// Rows of each class; all by default.
    pub shots: Option<usize>,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// How the step that is kept is chosen.
    pub select: Select,
    /// Whether `[CLS]` fine-tuning on the same rows stands beside.
    pub cls_baseline: bool,
    /// Where it ran: `cpu` or `cuda`.
    pub device: String,
    /// CPU threads: sums are rounded differently on another number.
    pub threads: usize,
}

/// How the step that is kept is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// The last step: nothing is chosen (Schick & Schütze 2021).
    #[default]
    None,
    /// The best on as many development rows as train rows (Gao et al. 2021).
    Dev,
    /// The best on average in a cross-validation on the train rows.
    Cv,
}

/// A file with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct StoredFile {
    pub file: String,
    pub text: String,
}

/// The data files of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct DataFiles {
    pub train: DataFile,
    pub dev: Option<DataFile>,
    pub test: Option<DataFile>,
    /// The format that was asked for, where the names do not tell.
    pub format: Option<String>,
    /// The column of labels that was asked for.
    pub label_column: Option<String>,
}

/// A data file as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DataFile {
    pub path: PathBuf,
    /// Of its bytes, hexadecimal.
    pub sha256: String,
}

/// A base model as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ModelFiles {
    pub path: PathBuf,
    /// Of its weight files' bytes in their names' order, hexadecimal.
    pub sha256: String,
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

impl Manifest {
    /// Reads a manifest. What it says is checked as far as it can be without the files that it names.
    pub fn read(path: &Path) -> Result<Manifest> {
        let source = Source::new(path.display().to_string(), json::read_text(path)?);
        let root = Node::root(&source);
        root.check_version(VERSION)?;
        let manifest: Manifest = root.read_object()?;
        match manifest.check() {
            Ok(()) => Ok(manifest),
            Err(error) => Err(manifest.place_error(error, &root)),
        }
    }

    fn check(&self) -> Result<()> {
        let shape = |message: &str| Error::from(Kind::JsonShape { message: message.to_owned() });
        let first = |mut errors: Vec<Error>| errors.swap_remove(0);
        self.plan.check().map_err(first)?;
        let labels = self.verbalizer().map_err(first)?;
        if !labels.labels().eq(self.classes.iter().map(String::as_str)) {
            return Err(shape("\"classes\" are not those of the verbalizer"));
        }
        if self.seeds.is_empty() {
            return Err(shape("\"seeds\" must have one or more"));
        }
        match self.seeds.iter().enumerate().find(|(index, seed)| self.seeds[..*index].contains(seed)) {
            Some((_, &seed)) => Err(Kind::SameSeed { seed }.into()),
            None if self.templates.is_empty() && !matches!(self.tuning, Tuning::Cls(_)) => {
                Err(Kind::TemplateNeeded { method: self.tuning.name() }.into())
            }
            None => Ok(()),
        }
    }

    /// The place of an error about a value in a manifest's text, where it is about one.
    pub fn place_error(&self, error: Error, root: &Node<'_>) -> Error {
        if !matches!(error.place(), Place::Nowhere) {
            return error;
        }
        let key = match error.kind() {
            Kind::OptionOutOfRange { name, .. } if name.starts_with("--") => {
                format!("plan.{}", name[2..].replace('-', "_"))
            }
            Kind::JsonShape { message } => message.split('"').nth(1).unwrap_or_default().to_owned(),
            Kind::SameSeed { .. } => "seeds".to_owned(),
            Kind::TemplateNeeded { .. } => "templates".to_owned(),
            Kind::MaxLengthOutOfRange { .. } => "max_length".to_owned(),
            Kind::JsonUnknownValue { .. } => "engine".to_owned(),
            _ => {
                return match root.at("tuning") {
                    Some(options) => self.tuning.place_error(error, &options),
                    None => error,
                };
            }
        };
        match root.at(&key) {
            Some(node) => error.at(node.place_of_all()),
            None => error,
        }
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
            Err(Kind::DataChanged { path: self.path.clone() }.into())
        }
    }
}

/// The SHA-256 of a file, hexadecimal.
pub fn hash_of(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    add(path, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// The SHA-256 of a model folder's weight files, hexadecimal.
pub fn hash_of_weights(folder: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for path in weight_files(folder)? {
        add(&path, &mut hash)?;
    }
    Ok(format!("{:x}", hash.finalize()))
}

fn add(path: &Path, hash: &mut Sha256) -> Result<()> {
    let reading = |error: std::io::Error| Error::reading(path, &error);
    let mut file = std::fs::File::open(path).map_err(reading)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(reading)? {
            0 => return Ok(()),
            length => hash.update(&buffer[..length]),
        }
    }
}
