//! From a manifest to an experiment that is ready to run: everything that it names, read and checked.

use std::path::Path;

use super::Experiment;
use crate::error::{Errors, Result, TemplateError, TrainingError};
use crate::learn::run::{DataFile, DataFiles, Device, Manifest};
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::{MaskedLm, Options};
use crate::predict::blueprint::device;
use crate::predict::classifier::VerbalizedLm;
use crate::predict::label_words::LabelWords;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::predict::task::TaskSet;
use crate::study::warning::Warning;
use crate::text::data::{Columns, Reading};
use crate::text::dataset::{Dataset, Labels};
use crate::text::template::Template;
use crate::tune::{Cls, Tuning};

impl Experiment {
    /// Reads and checks what a manifest names, loads the base model, and gives what a reader of the results
    /// should know. All problems at once.
    pub fn prepare(
        manifest: Manifest,
        checkpoint_every: usize,
    ) -> Result<(Experiment, Vec<Warning>), Errors> {
        let mut errors = Errors::new();
        errors.extend(manifest.plan.check().err().into_iter().flatten());
        let seeds = manifest.header.seeds.iter().enumerate();
        let twice = seeds.clone().find(|(index, seed)| manifest.header.seeds[..*index].contains(seed));
        errors.extend(twice.map(|(_, &seed)| TrainingError::SameSeed { seed }.into()));
        let mut folder = ModelFolder::open(&manifest.header.model.path)?;
        errors.keep(folder.max_length(Some(manifest.header.max_length)));
        if let Some(dropout) = manifest.plan.dropout {
            folder.config.hidden_dropout_prob = dropout;
            folder.config.attention_probs_dropout_prob = dropout;
        }
        let mut warnings = errors.keep(manifest.tuning.check(&folder.config)).unwrap_or_default();
        let verbalizer = manifest.verbalizer()?;
        let device = device(manifest.header.device == Device::Cuda)?;
        let words = LabelWords::check(&verbalizer, &folder.tokenizer, device)?;
        warnings.extend(words.left_out());
        let DataFiles { format, label_column, .. } = &manifest.header.data;
        let reading = Reading { format: *format, label_column: label_column.clone() };
        let read = |path: &Path, wanted: Option<&Columns>, labels: Labels| {
            Dataset::read(path, &reading, &manifest.columns, &verbalizer, wanted, labels)
        };
        let train = errors.keep(read(&manifest.train_file()?.path, None, Labels::Needed));
        let wanted = train.as_ref().map(|rows| rows.columns.clone());
        let mut others = |file: &Option<DataFile>, labels| {
            file.as_ref().and_then(|file| errors.keep(read(&file.path, wanted.as_deref(), labels)))
        };
        let dev = others(&manifest.header.data.dev, Labels::Needed);
        let test = others(&manifest.header.data.test, Labels::Known);
        let (Some(train), true) = (train, errors.is_empty()) else {
            return Err(errors);
        };
        let bind = |templates: Vec<Template>, vectors: SoftVectors<'_>| {
            let bound = Patterns::bind_fitting(
                templates,
                Some(&words),
                &folder,
                vectors,
                manifest.header.max_length,
                &mut errors,
            );
            on_columns(bound, &train.columns, &mut errors)
        };
        let (patterns, written, columns) = all_patterns(&manifest, bind)?;
        errors.distinct().none()?;
        let base = VerbalizedLm::new(
            MaskedLm::of(folder, Options { engine: manifest.header.engine, device })?,
            words,
        );
        let experiment =
            Experiment { manifest, base, patterns, written, columns, train, dev, test, checkpoint_every };
        Ok((experiment, warnings.into_iter().map(Warning::Other).collect()))
    }
}

/// The patterns as the method has them, as they are written (none where a method needs none), and the columns
/// that `cls` reads.
fn all_patterns(
    manifest: &Manifest,
    mut bind: impl FnMut(Vec<Template>, SoftVectors<'_>) -> TaskSet,
) -> Result<(TaskSet, Option<TaskSet>, TaskSet)> {
    let templates = manifest.templates()?;
    let learned = SoftVectors::Learned { tuning: &manifest.tuning, columns: &manifest.columns };
    let patterns = bind(templates.clone(), learned);
    let written = (!templates.is_empty()).then(|| bind(templates, SoftVectors::Sampled));
    let cls = Tuning::Cls(Cls::default());
    let columns = bind(Vec::new(), SoftVectors::Learned { tuning: &cls, columns: &manifest.columns });
    Ok((patterns, written, columns))
}

/// Patterns on the train rows' columns; none with steps, which have no loss of their own.
fn on_columns(patterns: Patterns, columns: &Columns, errors: &mut Errors) -> TaskSet {
    let stepping =
        patterns.pvps.iter().map(|pvp| pvp.template()).filter(|template| !template.steps().is_empty());
    errors.extend(stepping.map(|template| template.error(TemplateError::WithSteps { command: "training" })));
    patterns.on_fitting(columns, errors)
}
