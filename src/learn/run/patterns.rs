//! A run's patterns and label words, from the texts in its manifest.

use super::Manifest;
use crate::error::{Errors, Result};
use crate::model::folder::ModelFolder;
use crate::predict::label_words::LabelWords;
use crate::predict::multi_label::way::with_reference;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;

impl Manifest {
    /// The verbalizer; where rows have several labels, with what these are held against as its last class.
    pub fn verbalizer(&self) -> Result<Verbalizer, Errors> {
        let written =
            Verbalizer::parse(&self.verbalizer.name(), &self.verbalizer.file, &self.verbalizer.text)?;
        match &self.several_labels {
            None => Ok(written),
            Some(several) => Ok(with_reference(&written, &several.reference)?),
        }
    }

    /// The templates as written.
    pub fn templates(&self) -> Result<Vec<Template>> {
        self.templates
            .iter()
            .map(|stored| Template::parse(&stored.name(), &stored.file, &stored.text))
            .collect()
    }

    /// The patterns as the method has them, bound to the model; for `cls` its columns.
    pub fn patterns(
        &self,
        words: &LabelWords,
        folder: &ModelFolder,
        max_length: usize,
    ) -> Result<Patterns, Errors> {
        let vectors = SoftVectors::Learned { tuning: &self.tuning, columns: &self.columns };
        Patterns::bind(self.templates()?, words, folder, vectors, max_length)
    }
}
