//! A run's patterns and label words, from the texts in its manifest.

use super::Manifest;
use crate::error::{Error, Kind, Result};
use crate::model::tokenizer::Tokenizer;
use crate::predict::label_words::LabelWords;
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;
use crate::tune::Tuning;
use crate::tune::soft::SoftTokens;

impl Manifest {
    /// The verbalizer.
    pub fn verbalizer(&self) -> Result<Verbalizer, Vec<Error>> {
        Verbalizer::parse(&self.verbalizer.name(), &self.verbalizer.file, &self.verbalizer.text)
    }

    /// The templates as written.
    pub fn templates(&self) -> Result<Vec<Template>> {
        self.templates
            .iter()
            .map(|stored| Template::parse(&stored.name(), &stored.file, &stored.text))
            .collect()
    }

    /// The patterns as the method has them, with the vectors of all soft tokens; for `cls` its columns.
    pub fn patterns(&self, words: &LabelWords, tokenizer: &Tokenizer) -> Result<(Vec<Template>, SoftTokens)> {
        let templates = self.templates()?;
        if let Tuning::Cls(_) = self.tuning {
            if let Some((template, soft)) =
                templates.iter().find_map(|template| Some((template, template.soft().next()?)))
            {
                return Err(template.soft_error(soft, Kind::ClsWithSoftTokens));
            }
            return Ok((vec![Template::of_columns(&self.columns)], SoftTokens::default()));
        }
        let front = self.tuning.front(&templates, &words.distinct_ids(), tokenizer)?;
        SoftTokens::check(words.room_in(templates), front, tokenizer)
    }
}
