//! A model's folder: its small files, read and found good.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Kind, Result};
use crate::model::config::Config;
use crate::model::parameters::Parameters;
use crate::model::tokenizer::Tokenizer;
use crate::text::template::{Piece, Template};

/// What runs the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineChoice {
    /// cloze's own encoder, which computes what classification needs and no more.
    #[default]
    Cloze,
    /// rust-bert's `BertForMaskedLM`.
    RustBert,
}

/// A model folder whose small files were read and found good; its weights are still on disk.
pub struct ModelFolder {
    path: PathBuf,
    /// The sizes.
    pub config: Config,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
}

impl ModelFolder {
    /// Reads configuration and tokenizer, and checks that they fit each other.
    pub fn open(path: &Path) -> Result<ModelFolder> {
        if path.is_file() {
            return Err(Kind::FileForModel { path: path.to_owned() }.into());
        }
        if !path.is_dir() {
            return Err(Kind::ModelMissing { path: path.to_owned() }.into());
        }
        let config = Config::load(path)?;
        let tokenizer = Tokenizer::load(path)?;
        let vocabulary = tokenizer.vocabulary_size();
        // Fewer entries than rows are usual: some models pad their embedding.
        if i64::try_from(vocabulary).unwrap_or(i64::MAX) > config.vocab_size {
            return Err(Kind::VocabularyMisfit {
                path: path.to_owned(),
                vocabulary,
                embedding: config.vocab_size,
            }
            .into());
        }
        Ok(ModelFolder { path: path.to_owned(), config, tokenizer })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses a pattern with a second segment where the model knows only one.
    pub fn check_segments(&self, template: &Template) -> Result<()> {
        if self.config.type_vocab_size < 2 && template.pieces().contains(&Piece::Separator) {
            return Err(template.error(Kind::PatternWithoutSecondSegment));
        }
        Ok(())
    }

    /// Refuses weight files that are missing, damaged or of other shapes, as far as their headers tell: no
    /// weight is read.
    pub fn check_weights(&self) -> Result<()> {
        Parameters::check(&self.path, &self.config)
    }

    /// The maximum length to use: what was asked for, if the model can, or its default.
    pub fn max_length(&self, asked: Option<usize>) -> Result<usize> {
        let most = usize::try_from(self.config.max_position_embeddings).unwrap_or(usize::MAX);
        match asked {
            None => Ok(self.config.default_max_length()),
            // [CLS], the mask and [SEP] at least.
            Some(length) if (3..=most).contains(&length) => Ok(length),
            Some(found) => Err(Kind::MaxLengthOutOfRange { found, most }.into()),
        }
    }
}
