//! From a manifest to an ensemble that is ready to run: everything that it names, read and checked.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Ensemble, Manifest, Member, RunWith, StudentModel};
use crate::error::{Errors, Result, TemplateError};
use crate::learn::run::Device;
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::{MaskedLm, Options};
use crate::predict::blueprint::device;
use crate::predict::classifier::VerbalizedLm;
use crate::predict::label_words::LabelWords;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::predict::score::batch_tokens;
use crate::study::warning::Warning;
use crate::text::data::{Columns, Reading};
use crate::text::dataset::{Dataset, Labels, remarks};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;

/// Labelled, unlabelled and test rows, their columns in the order of the first file.
struct Sets {
    train: Option<Dataset>,
    unlabeled: Option<Dataset>,
    test: Option<Dataset>,
}

impl Ensemble {
    /// Reads and checks all that a manifest with its `run` names, loads the base model, and gives what a
    /// reader of the results should know. All problems at once.
    pub fn prepare(
        manifest: Manifest,
        run: RunWith,
        checkpoint_every: usize,
    ) -> Result<(Ensemble, Vec<Warning>), Errors> {
        let reading = Reading::of(manifest.format, manifest.label_column.clone(), manifest.adjust.clone());
        let (ensemble, mut warnings) = Ensemble::prepare_reading(manifest, run, checkpoint_every, &reading)?;
        let labelled = ensemble.train.iter().chain(&ensemble.test);
        let verbalizer = &Manifest::read_verbalizers(&ensemble.run)?[0];
        warnings.extend(remarks(labelled, verbalizer, &reading.bad_rows).into_iter().map(Warning::Other));
        Ok((ensemble, warnings))
    }

    /// The same with files of rows that are read in another way than the manifest says. What is to be known
    /// of rows that were left out, and of labels, is for whoever says the way to tell.
    pub(crate) fn prepare_reading(
        manifest: Manifest,
        run: RunWith,
        checkpoint_every: usize,
        reading: &Reading,
    ) -> Result<(Ensemble, Vec<Warning>), Errors> {
        let folder = ModelFolder::open_any_head(&run.model.path)?;
        let max_length = folder.max_length(manifest.max_length)?;
        let mut warnings = manifest.tuning.check(&folder.config)?;
        let verbalizers = Manifest::read_verbalizers(&run)?;
        let templates = Manifest::read_templates(&run)?;
        let device = device(manifest.device == Device::Cuda)?;
        let mut errors = Errors::new();
        let showing = templates.iter().filter(|template| template.demonstrations().is_some());
        errors.extend(
            showing.map(|template| {
                template.error(TemplateError::WithDemonstrations { command: "cloze ensemble" })
            }),
        );
        let check = |verbalizer| LabelWords::check(verbalizer, &folder.tokenizer, device);
        let words: Vec<LabelWords> =
            verbalizers.iter().filter_map(|verbalizer| errors.keep(check(verbalizer))).collect();
        warnings.extend(words.iter().filter_map(LabelWords::left_out));
        let Sets { train, unlabeled, test } =
            Sets::read(&manifest, &run, reading, &verbalizers[0], &mut errors, &mut warnings);
        let columns = [&train, &unlabeled, &test].into_iter().flatten().next().map(|set| set.columns.clone());
        let Some(columns) = columns.filter(|_| errors.is_empty()) else { return Err(errors) };
        let mut members = Vec::new();
        for template in &templates {
            for (verbalizer, words) in words.iter().enumerate() {
                let mut bind = |vectors| {
                    let template = vec![template.clone()];
                    Patterns::to_train(template, words, &folder, vectors, max_length, &columns, &mut errors)
                };
                let learned = SoftVectors::Learned { tuning: &manifest.tuning, columns: &[] };
                let (trained, written) = (bind(learned), bind(SoftVectors::Sampled));
                let name = Member::name_of(template.name(), &run.verbalizers[verbalizer].name());
                members.push(Member { name, template: template.clone(), verbalizer, trained, written });
            }
        }
        // A pattern is bound once for each verbalizer, and as it is written.
        errors.distinct().none()?;
        let model = MaskedLm::of(folder, Options { engine: manifest.engine, device, ..Options::default() })?;
        let bases: Vec<VerbalizedLm> =
            words.into_iter().map(|words| VerbalizedLm::new(model.clone(), words)).collect();
        let (drawn, short) = train
            .as_ref()
            .map_or_else(|| Ok(Default::default()), |train| Ensemble::draw(&manifest, &run, train))?;
        let warnings = warnings.into_iter().map(Warning::Other).chain(short).collect();
        let student = student(&manifest, &run, &templates, &verbalizers[0], &bases[0], &columns)?;
        let ensemble = Ensemble {
            bases,
            members,
            student,
            first_trained: train.is_some(),
            train,
            drawn,
            unlabeled,
            test,
            max_length,
            batch_tokens: batch_tokens(device),
            checkpoint_every,
            manifest,
            run,
        };
        Ok((ensemble, warnings))
    }
}

/// The student's base model, if it is another, and what it reads.
fn student(
    manifest: &Manifest,
    run: &RunWith,
    templates: &[Template],
    verbalizer: &Verbalizer,
    members: &VerbalizedLm,
    columns: &Columns,
) -> Result<Option<StudentModel>, Errors> {
    let Some(student) = &manifest.student else { return Ok(None) };
    let own = match &run.student_model {
        None => None,
        Some(model) => {
            let folder = ModelFolder::open_any_head(&model.path)?;
            let words = LabelWords::check(verbalizer, &folder.tokenizer, members.model.device)?;
            let options =
                Options { engine: members.model.engine, device: members.model.device, ..Options::default() };
            Some(VerbalizedLm::new(MaskedLm::of(folder, options)?, words))
        }
    };
    let base = own.as_ref().unwrap_or(members);
    student.tuning.check(base.model.config())?;
    let length = manifest.student_length(base.model.config());
    let vectors = SoftVectors::Learned { tuning: &student.tuning, columns: &run.columns };
    let read = student.reads(templates)?;
    let mut errors = Errors::new();
    let folder = &base.model.folder;
    let patterns = Patterns::to_train(read, &base.words, folder, vectors, length, columns, &mut errors);
    errors.none()?;
    Ok(Some(StudentModel { base: own, patterns }))
}

impl Sets {
    fn read(
        manifest: &Manifest,
        run: &RunWith,
        reading: &Reading,
        verbalizer: &Verbalizer,
        errors: &mut Errors,
        warnings: &mut Vec<String>,
    ) -> Sets {
        let mut wanted: Option<Arc<Columns>> = None;
        let mut read = |path: &Option<PathBuf>, labels: Labels| {
            let path = path.as_ref()?;
            let set = errors.keep(Dataset::read(
                path,
                reading,
                &run.columns,
                verbalizer,
                wanted.as_deref(),
                labels,
            ))?;
            wanted.get_or_insert_with(|| set.columns.clone());
            Some(set)
        };
        let train = read(&manifest.train, Labels::Needed);
        let unlabeled = read(&manifest.unlabeled, Labels::Ignored);
        let test = read(&manifest.test, Labels::Known);
        let unlabeled = unlabeled.map(|mut set| {
            if set.columns.label().is_some() && set.examples.iter().any(|example| example.label.is_some()) {
                warnings.push(format!("{} has labels: they are not looked at", set.columns.data()));
            }
            let most = manifest.unlabeled_rows.unwrap_or(usize::MAX);
            set.examples.truncate(most);
            set.truths.truncate(most);
            set
        });
        Sets { train, unlabeled, test }
    }
}
