//! From a manifest to an experiment that is ready to run: everything that it names, read and checked.

use std::sync::Arc;

use super::{Experiment, LabelTruths, numbers, several};
use crate::error::{Errors, Result};
use crate::learn::run::{DataFile, DataFiles, Device, Manifest};
use crate::learn::start::{Beginner, Own, Start};
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::{MaskedLm, Options};
use crate::predict::blueprint::device;
use crate::predict::classifier::VerbalizedLm;
use crate::predict::label_words::LabelWords;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::study::warning::Warning;
use crate::text::data::{Columns, LABEL};
use crate::text::dataset::{Dataset, Labels, remarks};
use crate::text::descriptions::Descriptions;
use crate::text::null_inputs;
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;
use crate::tune::{Cls, Tuning};

/// The files of rows, and descriptions or null inputs as rows.
struct Sets {
    train: Dataset,
    descriptions: Option<Dataset>,
    dev: Option<Dataset>,
    test: Option<Dataset>,
    several: Option<LabelTruths>,
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
        errors.keep(several::check(&manifest));
        errors.keep(numbers::check(&manifest));
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
            Some((Sets { train, descriptions, dev, test, several }, remarks)),
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
            MaskedLm::of(folder, Options { engine: manifest.header.engine, device, ..Options::default() })?,
            words,
        );
        warnings.extend(base.model.parameters.remark());
        let start = match &manifest.init_from {
            None => None,
            Some(from) => {
                let (tuning, soft, classes) = (&manifest.tuning, &patterns.soft, manifest.classes.clone());
                let beginner = Beginner {
                    base: &base,
                    tuning,
                    front: soft.front(),
                    learns: base.shapes_of_learned(tuning, soft.len(), classes.len()),
                    tasks: vec![Own { task: None, soft: soft.own().to_vec(), classes }],
                };
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
            descriptions,
            dev,
            test,
            several,
            start,
            checkpoint_every,
        };
        Ok((experiment, warnings.into_iter().map(Warning::Other).collect()))
    }
}

/// The base model's folder, with the dropout that is asked for.
fn folder(manifest: &Manifest) -> Result<ModelFolder> {
    let mut folder = ModelFolder::open_any_head(&manifest.header.model.path)?;
    if let Some(dropout) = manifest.plan.dropout {
        folder.config.set_dropout(dropout);
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
        let DataFiles { train, dev, test, .. } = &manifest.header.data;
        let reading = manifest.reading();
        let is_several = manifest.several_labels.is_some();
        let read = |file: &DataFile, wanted: Option<&Columns>, labels: Labels| {
            // Several labels are read from the rows afterwards.
            let labels = if is_several { Labels::Ignored } else { labels };
            Dataset::read(&file.path, &reading, &manifest.columns, verbalizer, wanted, labels)
        };
        let described = errors.keep(manifest.descriptions(verbalizer));
        let train = match train {
            Some(file) => errors.keep(read(file, None, Labels::Needed)),
            None => errors.keep(without_rows(manifest, verbalizer)),
        };
        let wanted = train.as_ref().map(|rows| rows.columns.clone());
        let mut others = |file: &Option<DataFile>, labels| {
            file.as_ref().and_then(|file| errors.keep(read(file, wanted.as_deref(), labels)))
        };
        let (dev, test) = (others(dev, Labels::Needed), others(test, Labels::Known));
        let (train, described) = (train?, described?);
        let as_rows = |texts: Descriptions| {
            errors.keep(texts.as_rows(&train.columns, &manifest.columns[0], verbalizer))
        };
        let descriptions = match &manifest.null_inputs {
            Some(texts) => errors.keep(null_inputs::as_rows(texts, &train.columns, &manifest.columns)),
            None => described.and_then(as_rows),
        };
        let several = is_several.then(|| {
            let needed: Vec<&Dataset> = [&train].into_iter().chain(&dev).collect();
            errors.keep(LabelTruths::read(manifest, &needed, test.as_ref()))
        });
        let several = several.flatten();
        let remarks = remarks([&train].into_iter().chain(&dev).chain(&test), verbalizer, &reading.bad_rows);
        Some((Sets { train, descriptions, dev, test, several }, remarks))
    }
}

/// No train rows, with the columns of the first file of rows, or the one that is read, and one for labels.
fn without_rows(manifest: &Manifest, verbalizer: &Verbalizer) -> Result<Dataset> {
    let DataFiles { dev, test, .. } = &manifest.header.data;
    let columns = match [dev, test].into_iter().flatten().next() {
        Some(file) => Columns::clone(manifest.header.data.reading().open(&file.path)?.columns()),
        None => Columns::check(verbalizer.file(), manifest.columns.clone(), None)?,
    };
    // One that is called so and has none was said to have none.
    let has_labels = columns.label().is_some() || columns.names().iter().any(|name| name == LABEL);
    let columns = match has_labels {
        true => columns,
        false => {
            let names = [columns.names(), &[LABEL.to_owned()]].concat();
            Columns::check(columns.data(), names, Some(LABEL))?
        }
    };
    Ok(Dataset { columns: Arc::new(columns), examples: Vec::new(), truths: Vec::new() })
}
