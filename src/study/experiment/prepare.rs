//! From a manifest to an experiment that is ready to run: everything that it names, read and checked.

use std::path::Path;

use super::Experiment;
use crate::error::{Errors, Result};
use crate::learn::run::{DataFile, DataFiles, Device, Manifest};
use crate::learn::start::{Beginner, Start};
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::{MaskedLm, Options};
use crate::predict::blueprint::device;
use crate::predict::classifier::VerbalizedLm;
use crate::predict::label_words::LabelWords;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::study::warning::Warning;
use crate::text::data::Columns;
use crate::text::dataset::{Dataset, Labels, remarks};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;
use crate::tune::{Cls, Tuning};

/// The files of rows.
struct Sets {
    train: Dataset,
    dev: Option<Dataset>,
    test: Option<Dataset>,
}

impl Experiment {
    /// Reads and checks what a manifest names, loads the base model, and gives what a reader of the results
    /// should know. All problems at once.
    pub fn prepare(
        manifest: Manifest,
        checkpoint_every: usize,
    ) -> Result<(Experiment, Vec<Warning>), Errors> {
        let mut errors = Errors::new();
        errors.keep(manifest.check());
        let device = errors.keep(device(manifest.header.device == Device::Cuda));
        let folder = errors.keep(folder(&manifest));
        let of_method = folder.as_ref().and_then(|folder| {
            let length = errors.keep(folder.max_length(Some(manifest.header.max_length)));
            length.and(errors.keep(manifest.tuning.check(&folder.config)))
        });
        let templates = errors.keep(manifest.templates());
        let verbalizer = errors.keep(manifest.verbalizer());
        let words = verbalizer.as_ref().zip(folder.as_ref()).and_then(|(verbalizer, folder)| {
            let device = device.unwrap_or(tch::Device::Cpu);
            errors.keep(LabelWords::check(verbalizer, &folder.tokenizer, device))
        });
        let sets = verbalizer.and_then(|verbalizer| Sets::read(&manifest, &verbalizer, &mut errors));
        // Where a part is missing or refused, nothing can be bound.
        let (
            Some(device),
            Some(folder),
            Some(mut warnings),
            Some(templates),
            Some(words),
            Some((Sets { train, dev, test }, remarks)),
        ) = (device, folder, of_method, templates, words, sets)
        else {
            return Err(errors.distinct());
        };
        warnings.extend(words.left_out());
        warnings.extend(remarks);
        let bind = |templates: Vec<Template>, vectors: SoftVectors<'_>, errors: &mut Errors| {
            let (length, columns) = (manifest.header.max_length, &train.columns);
            Patterns::to_train(templates, &words, &folder, vectors, length, columns, errors)
        };
        let learned = |tuning| SoftVectors::Learned { tuning, columns: &manifest.columns };
        let patterns = bind(templates.clone(), learned(&manifest.tuning), &mut errors);
        let written = (!templates.is_empty()).then(|| bind(templates, SoftVectors::Sampled, &mut errors));
        errors.distinct().none()?;
        // What the patterns read: only now is it known that these are columns.
        let (cls, mut errors) = (Tuning::Cls(Cls::default()), Errors::new());
        let columns = bind(Vec::new(), learned(&cls), &mut errors);
        errors.none()?;
        let base = VerbalizedLm::new(
            MaskedLm::of(folder, Options { engine: manifest.header.engine, device })?,
            words,
        );
        let start = match &manifest.init_from {
            None => None,
            Some(from) => {
                let (tuning, soft, classes) = (&manifest.tuning, &patterns.soft, &manifest.classes[..]);
                let beginner = Beginner { base: &base, tuning, soft, classes };
                let (start, told) = Start::open(from, &manifest.header.seeds, beginner)?;
                warnings.extend(told);
                Some(start)
            }
        };
        let experiment = Experiment {
            manifest,
            base,
            patterns,
            written,
            columns,
            train,
            dev,
            test,
            start,
            checkpoint_every,
        };
        Ok((experiment, warnings.into_iter().map(Warning::Other).collect()))
    }
}

/// The base model's folder, with the dropout that is asked for.
fn folder(manifest: &Manifest) -> Result<ModelFolder> {
    let mut folder = ModelFolder::open(&manifest.header.model.path)?;
    if let Some(dropout) = manifest.plan.dropout {
        folder.config.hidden_dropout_prob = dropout;
        folder.config.attention_probs_dropout_prob = dropout;
    }
    Ok(folder)
}

impl Sets {
    /// The rows of all files, their columns in the order of the train rows'.
    fn read(
        manifest: &Manifest,
        verbalizer: &Verbalizer,
        errors: &mut Errors,
    ) -> Option<(Sets, Vec<String>)> {
        let DataFiles { dev, test, .. } = &manifest.header.data;
        let reading = manifest.header.data.reading();
        let read = |path: &Path, wanted: Option<&Columns>, labels: Labels| {
            Dataset::read(path, &reading, &manifest.columns, verbalizer, wanted, labels)
        };
        let train = errors.keep(manifest.train_file());
        let train = train.and_then(|file| errors.keep(read(&file.path, None, Labels::Needed)));
        let wanted = train.as_ref().map(|rows| rows.columns.clone());
        let mut others = |file: &Option<DataFile>, labels| {
            file.as_ref().and_then(|file| errors.keep(read(&file.path, wanted.as_deref(), labels)))
        };
        let (dev, test) = (others(dev, Labels::Needed), others(test, Labels::Known));
        let remarks = remarks(train.iter().chain(&dev).chain(&test), verbalizer, &reading.bad_rows);
        Some((Sets { train: train?, dev, test }, remarks))
    }
}
