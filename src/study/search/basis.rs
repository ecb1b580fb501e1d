//! What every search begins with: patterns, label words, a model, and labelled rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tch::Device;

use crate::error::{Errors, Result, SearchError, TemplateError};
use crate::learn::sample;
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::{MaskedLm, Options};
use crate::predict::classifier::VerbalizedLm;
use crate::predict::label_words::LabelWords;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::predict::task::Task;
use crate::text::data::{Columns, Example, Reading};
use crate::text::dataset::{Dataset, Labels, read_columns};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;

/// The files that a search is made with.
#[derive(Debug, Clone, Copy)]
pub struct SearchFiles<'a> {
    /// The templates.
    pub templates: &'a [PathBuf],
    /// The verbalizer.
    pub verbalizer: &'a Path,
    /// The longest input, in tokens, if it is not the model's own.
    pub max_length: Option<usize>,
}

/// A file of labelled rows, and how many are drawn from it.
#[derive(Debug, Clone)]
pub struct LabelledFile {
    /// The file.
    pub path: PathBuf,
    /// How it is read.
    pub reading: Reading,
    /// Rows of each class; all by default.
    pub shots: Option<usize>,
}

/// Patterns, label words and a model, read and checked; no weights are loaded.
pub(super) struct Basis {
    pub verbalizer: Verbalizer,
    pub folder: ModelFolder,
    pub templates: Vec<Template>,
    pub max_length: usize,
    options: Options,
}

/// Labelled rows that were drawn.
pub(super) struct LabelledRows {
    pub columns: Arc<Columns>,
    pub examples: Vec<Example>,
    pub truths: Vec<usize>,
}

impl Basis {
    /// Reads and checks everything; patterns that depend on more than a row are refused. All problems at
    /// once.
    pub fn read(
        files: SearchFiles<'_>,
        options: Options,
        model: impl FnOnce() -> Result<ModelFolder>,
    ) -> Result<Basis, Errors> {
        let mut errors = Errors::new();
        let templates = Template::read_all(files.templates, &mut errors);
        for template in &templates {
            let soft =
                template.soft().next().map(|soft| template.soft_error(soft, TemplateError::SoftUntrained));
            errors.extend(soft.or(template.check_plain("cloze search").err()));
        }
        let verbalizer = errors.keep(Verbalizer::read(files.verbalizer));
        let folder = errors.keep(model());
        let max_length = folder.as_ref().and_then(|folder| errors.keep(folder.max_length(files.max_length)));
        let words = verbalizer.as_ref().zip(folder.as_ref());
        let words = words.and_then(|(verbalizer, folder)| {
            errors.keep(LabelWords::check(verbalizer, &folder.tokenizer, Device::Cpu))
        });
        // What is refused already cannot be tried.
        if let (Some(folder), Some(max_length), true) = (&folder, max_length, errors.is_empty()) {
            let (vectors, words) = (SoftVectors::Words, words.as_ref());
            Patterns::bind_fitting(templates.clone(), words, folder, vectors, max_length, &mut errors);
        }
        match (verbalizer, folder, max_length) {
            (Some(verbalizer), Some(folder), Some(max_length)) if errors.is_empty() => {
                Ok(Basis { verbalizer, folder, templates, max_length, options })
            }
            _ => Err(errors),
        }
    }

    /// Refuses words of several tokens.
    pub fn check_single_tokens(&self) -> Result<()> {
        match self.verbalizer.multi_token() {
            Some(_) => Err(SearchError::MultiToken { verbalizer: self.verbalizer.file().to_owned() }.into()),
            None => Ok(()),
        }
    }

    /// Draws labelled rows; the columns that the patterns read must be there, in the order of `wanted`, if
    /// given. Each class needs two rows.
    pub fn draw(
        &self,
        file: &LabelledFile,
        seed: u64,
        wanted: Option<&Columns>,
    ) -> Result<LabelledRows, Errors> {
        let columns = file.reading.open(&file.path)?.columns().clone();
        let read = read_columns(&self.templates, &columns);
        let set = Dataset::read(&file.path, &file.reading, &read, &self.verbalizer, wanted, Labels::Needed)?;
        let classes = self.verbalizer.labels().len();
        let shots = file.shots.unwrap_or(usize::MAX);
        let picked = set.pick(&sample::k_shot(&set.candidates(), classes, shots, seed).rows);
        let truths = picked.classes();
        // A class needs a row in two folds at least.
        let rows_of = |class: usize| truths.iter().filter(|truth| **truth == class).count();
        if let Some(class) = (0..classes).find(|&class| rows_of(class) < 2) {
            let label = self.verbalizer.classes()[class].label.clone();
            return Err(SearchError::TooFewRows { label, data: set.columns.data().to_owned() }.into());
        }
        Ok(LabelledRows { columns: set.columns.clone(), examples: picked.examples, truths })
    }

    /// The labels in class order.
    pub fn labels(&self) -> Vec<String> {
        self.verbalizer.labels().map(str::to_owned).collect()
    }

    /// Loads the weights.
    pub fn load(self) -> Result<(VerbalizedLm, Loaded), Errors> {
        let Basis { verbalizer, folder, templates, max_length, options } = self;
        let words = LabelWords::check(&verbalizer, &folder.tokenizer, options.device)?;
        let base = VerbalizedLm::new(MaskedLm::of(folder, options)?, words);
        Ok((base, Loaded { verbalizer, templates, max_length }))
    }
}

/// What is left of a [`Basis`] beside its model.
pub(super) struct Loaded {
    pub verbalizer: Verbalizer,
    pub templates: Vec<Template>,
    pub max_length: usize,
}

impl Loaded {
    /// The patterns on the columns of rows.
    pub fn on(&self, base: &VerbalizedLm, columns: &Columns) -> Result<Vec<Task>, Errors> {
        let (templates, vectors) = (self.templates.clone(), SoftVectors::Words);
        let patterns = Patterns::bind(templates, &base.words, &base.model.folder, vectors, self.max_length)?;
        Ok(patterns.on(columns)?.tasks)
    }
}
