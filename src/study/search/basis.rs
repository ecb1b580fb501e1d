//! What every search begins with: patterns, label words, a model, and labelled rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Errors, Result, SearchError, TemplateError};
use crate::learn::sample;
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::Options;
use crate::predict::blueprint::{self, Blueprint};
use crate::predict::classifier::VerbalizedLm;
use crate::predict::label_words::LabelWords;
use crate::predict::prompt_model::PromptModel;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::predict::task::TaskSet;
use crate::text::data::{Columns, Example, Reading};
use crate::text::dataset::{Dataset, Labels, read_columns};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;
use crate::tune::Tuning;

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
    pub blueprint: Blueprint,
    pub templates: Vec<Template>,
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
        errors.extend(verbalizer.iter().filter_map(|found| found.check_classes("cloze search").err()));
        let folder = errors.keep(model());
        let max_length = folder.as_ref().and_then(|folder| errors.keep(folder.max_length(files.max_length)));
        let words = verbalizer.as_ref().zip(folder.as_ref());
        let words = words.and_then(|(verbalizer, folder)| {
            errors.keep(LabelWords::check(verbalizer, &folder.tokenizer, options.device))
        });
        let (Some(verbalizer), Some(folder), Some(max_length), Some(words), true) =
            (verbalizer, folder, max_length, words, errors.is_empty())
        else {
            return Err(errors);
        };
        let patterns = Patterns::bind(templates.clone(), &words, &folder, SoftVectors::Words, max_length)?;
        let (learned, of_run) = (Vec::new(), false);
        let blueprint =
            Blueprint { verbalizer, folder, words, patterns, max_length, learned, of_run, options };
        Ok(Basis { blueprint, templates })
    }

    /// A classifier's own patterns and label words, with what it learned; patterns that depend on more than a
    /// row are refused.
    pub fn of(blueprint: Blueprint) -> Result<Basis, Errors> {
        let templates: Vec<Template> =
            blueprint.patterns.pvps.iter().map(|pvp| pvp.template().clone()).collect();
        let mut errors = Errors::new();
        errors.extend(blueprint.verbalizer.check_classes("cloze search").err());
        errors.extend(templates.iter().filter_map(|template| template.check_plain("cloze search").err()));
        if let Some((Tuning::Cls(_), _)) = blueprint.learned.first() {
            errors.push(SearchError::NothingAtMask);
        }
        errors.none()?;
        Ok(Basis { blueprint, templates })
    }

    /// Refuses words of several tokens.
    pub fn check_single_tokens(&self) -> Result<()> {
        let verbalizer = &self.blueprint.verbalizer;
        match verbalizer.multi_token() {
            Some(_) => Err(SearchError::MultiToken { verbalizer: verbalizer.file().to_owned() }.into()),
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
        let verbalizer = &self.blueprint.verbalizer;
        let columns = file.reading.open(&file.path)?.columns().clone();
        let read = read_columns(&self.templates, &columns);
        let set = Dataset::read(&file.path, &file.reading, &read, verbalizer, wanted, Labels::Needed)?;
        let classes = verbalizer.labels().len();
        let shots = file.shots.unwrap_or(usize::MAX);
        let picked = set.pick(&sample::k_shot(&set.candidates(), classes, shots, seed).rows);
        let truths = picked.classes();
        // A class needs a row in two folds at least.
        let rows_of = |class: usize| truths.iter().filter(|truth| **truth == class).count();
        if let Some(class) = (0..classes).find(|&class| rows_of(class) < 2) {
            let label = verbalizer.classes()[class].label.clone();
            return Err(SearchError::TooFewRows { label, data: set.columns.data().to_owned() }.into());
        }
        Ok(LabelledRows { columns: set.columns.clone(), examples: picked.examples, truths })
    }

    /// The labels in class order.
    pub fn labels(&self) -> Vec<String> {
        self.blueprint.labels()
    }

    /// Loads the weights: the base model, and the models that are asked.
    pub fn load(self) -> Result<(VerbalizedLm, Vec<PromptModel>, Loaded), Errors> {
        let Basis { blueprint, templates } = self;
        let (max_length, of_run) = (blueprint.max_length, blueprint.of_run);
        let blueprint::Loaded { verbalizer, base, learned, members, .. } = blueprint.load()?;
        let tuning = learned.into_iter().next().map(|(tuning, _)| tuning);
        let models = blueprint::Loaded::models_at_mask(members)?;
        Ok((base, models, Loaded { verbalizer, templates, max_length, of_run, tuning }))
    }
}

/// What is left of a [`Basis`] beside its models.
pub(super) struct Loaded {
    pub verbalizer: Verbalizer,
    pub templates: Vec<Template>,
    pub max_length: usize,
    of_run: bool,
    tuning: Option<Tuning>,
}

impl Loaded {
    /// The patterns on the columns of rows, and the longest input that is left to them, in tokens.
    pub fn on(&self, base: &VerbalizedLm, columns: &Columns) -> Result<TaskSet, Errors> {
        let vectors = match self.of_run {
            true => SoftVectors::of_training(self.tuning.as_ref(), &[]),
            false => SoftVectors::Words,
        };
        let (templates, folder) = (self.templates.clone(), &base.model.folder);
        Patterns::bind(templates, &base.words, folder, vectors, self.max_length)?.on(columns)
    }
}
