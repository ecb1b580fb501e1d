//! A model's folder: its small files, read and found good.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{EncodeError, ModelError, Result, TemplateError};
use crate::model::arch::Config;
use crate::model::parameters::{Found, Parameters, WEIGHTS, weight_files};
use crate::model::tokenizer::{self, Tokenizer};
use crate::text::template::{Piece, Template};

/// What runs the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum EngineChoice {
    /// cloze's own encoder.
    ///
    /// It computes what classification needs and no more.
    #[default]
    Cloze,
    /// rust-bert's BertForMaskedLM.
    RustBert,
}

impl EngineChoice {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            EngineChoice::Cloze => "cloze",
            EngineChoice::RustBert => "rust-bert",
        }
    }
}

/// The file that says what a model computes.
const CONFIG: &str = "config.json";

/// A model folder whose small files were read and found good; its weights are still on disk.
pub struct ModelFolder {
    path: PathBuf,
    /// The sizes.
    pub config: Config,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
}

/// A run of pre-training keeps its model in a folder of this name.
pub const MODEL: &str = "model";

impl ModelFolder {
    /// Reads configuration and tokenizer of a folder, or of a run's folder with a model in it. A model of a
    /// family whose published head was not trained to fill masks is refused.
    pub fn open(path: &Path) -> Result<ModelFolder> {
        let folder = ModelFolder::open_any_head(path)?;
        match folder.config.untrained_head {
            None => Ok(folder),
            Some(reason) => Err(ModelError::UntrainedHead { path: folder.path.join(CONFIG), reason }.into()),
        }
    }

    /// The same of whatever family: where that is forced, and of a run, for which it was.
    pub fn open_any_head(path: &Path) -> Result<ModelFolder> {
        let within = path.join(MODEL);
        let path = match !path.join(CONFIG).exists() && within.join(CONFIG).exists() {
            true => &within,
            false => path,
        };
        if path.is_file() {
            return Err(ModelError::FileForModel { path: path.to_owned() }.into());
        }
        if !path.is_dir() {
            return Err(ModelError::Missing { path: path.to_owned() }.into());
        }
        ModelFolder::new(path, Config::load(path)?, Tokenizer::load(path)?)
    }

    /// A folder whose configuration and tokenizer were read, if they fit each other.
    pub fn new(path: &Path, config: Config, tokenizer: Tokenizer) -> Result<ModelFolder> {
        let vocabulary = tokenizer.vocabulary_size();
        // Fewer entries than rows are usual: some models pad their embedding.
        if i64::try_from(vocabulary).unwrap_or(i64::MAX) > config.vocab_size {
            return Err(ModelError::VocabularyMisfit {
                path: path.to_owned(),
                vocabulary,
                embedding: config.vocab_size,
            }
            .into());
        }
        Ok(ModelFolder { path: path.to_owned(), config, tokenizer })
    }

    /// The files that a model in a folder is read from, or would be if they were there: one more changes
    /// what the model is.
    pub fn files(folder: &Path) -> Vec<PathBuf> {
        // Beside the tokenizer's files; other weights have an index.
        let named = [CONFIG].iter().chain(&WEIGHTS).chain(&tokenizer::FILES).map(|name| folder.join(name));
        named.chain(weight_files(folder).unwrap_or_default()).collect()
    }

    /// What a reader of results should know: keys of `config.json`, or a class of tokenizers, that are not
    /// known.
    pub fn remarks(&self) -> Vec<String> {
        let tokenizers = self.tokenizer.remark().map(str::to_owned);
        self.config.remark().into_iter().chain(tokenizers).collect()
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses a pattern with a second segment where the model tells segments apart and knows only one.
    pub fn check_segments(&self, template: &Template) -> Result<()> {
        if self.config.type_vocab_size == 1 && template.pieces().contains(&Piece::Separator) {
            return Err(template.error(TemplateError::WithoutSecondSegment));
        }
        Ok(())
    }

    /// Refuses weight files that are missing, damaged or of other shapes, as far as their headers tell: see
    /// [`Parameters::check`].
    pub fn check_weights(&self) -> Result<Found> {
        Parameters::check(&self.path, &self.config.tensors)
    }

    /// The maximum length to use: what was asked for, if the model can, or its default.
    pub fn max_length(&self, asked: Option<usize>) -> Result<usize> {
        let most = usize::try_from(self.config.max_position_embeddings).unwrap_or(usize::MAX);
        match asked {
            None => Ok(self.config.default_max_length()),
            // [CLS], the mask and [SEP] at least.
            Some(length) if (3..=most).contains(&length) => Ok(length),
            Some(found) => Err(EncodeError::MaxLengthOutOfRange { found, most }.into()),
        }
    }
}
