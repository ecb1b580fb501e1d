//! What is asked for becomes a training's manifest.

use std::path::{Path, PathBuf};

use super::numbers;
use crate::error::{Errors, Result, TemplateError, TrainingError, TuningError};
use crate::learn::plan::{Plan, PlanOptions};
use crate::learn::run::{
    DataFile, DataFiles, DescribedBy, Device, Header, InitFrom, Manifest, ModelFiles, Select, SeveralLabels,
    StoredFile,
};
use crate::model::folder::{EngineChoice, ModelFolder};
use crate::model::threads::Threads;
use crate::predict::multi_label::way::with_reference;
use crate::text::data::{Format, Reading};
use crate::text::dataset::read_columns;
use crate::text::demonstrations::Drawing;
use crate::text::json_files;
use crate::text::label_sets::LabelSets;
use crate::text::table::BETWEEN;
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;
use crate::tune::Tuning;

/// A training that is asked for, by files.
#[derive(Debug, Clone)]
pub struct TrainRequest {
    /// The template files; `cls` needs none.
    pub templates: Vec<PathBuf>,
    /// The verbalizer file.
    pub verbalizer: PathBuf,
    /// The labelled rows to learn from; none where descriptions take their place.
    pub train: Option<PathBuf>,
    /// Descriptions of the classes to learn from, beside the rows or in their place.
    pub descriptions: Option<DescriptionFiles>,
    /// Texts that say nothing to make classes even on, in place of rows: see
    /// [`crate::text::null_inputs`].
    pub null_inputs: Option<Vec<String>>,
    /// Labelled rows to choose by; train rows that are left over by default.
    pub dev: Option<PathBuf>,
    /// Rows to score.
    pub test: Option<PathBuf>,
    /// How files of rows are read.
    pub reading: Reading,
    /// The method.
    pub tuning: Tuning,
    /// A run to start from, in place of the usual beginning.
    pub init_from: Option<PathBuf>,
    /// How long and how fast.
    pub plan: PlanOptions,
    /// Steps between looks at held-out rows, if not the usual number.
    pub evaluate_every: Option<usize>,
    /// With [`Select::Dev`]: so many looks without a better one end a training.
    pub patience: usize,
    /// How demonstrations are drawn, if not as usual; then a pattern must show some.
    pub drawing: Option<Drawing>,
    /// Rows of each class; all by default.
    pub shots: Option<usize>,
    /// How the step that is kept is chosen.
    pub select: Select,
    /// Whether `[CLS]` fine-tuning on the same rows stands beside.
    pub cls_baseline: bool,
    /// Whether SetFit on the same rows stands beside.
    pub setfit_baseline: bool,
    /// Whether an LSTM on the model's word vectors stands beside.
    pub lstm_baseline: bool,
    /// Where a row has several labels: how they are held against their absence.
    pub several_labels: Option<SeveralLabels>,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The longest input, in tokens, if not the model's own.
    pub max_length: Option<usize>,
    /// The encoder.
    pub engine: EngineChoice,
    /// Where it computes.
    pub device: Device,
    /// CPU threads; libtorch's own number by default.
    pub threads: Option<usize>,
    /// The command line, for people.
    pub command: Vec<String>,
}

/// Where descriptions of the classes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DescriptionFiles {
    /// In the verbalizer, beside its words.
    Verbalizer,
    /// In a file of labels.
    File(PathBuf),
}

impl TrainRequest {
    /// A training of all weights with one seed, 13, and the usual plan.
    pub fn new(
        templates: Vec<PathBuf>,
        verbalizer: impl Into<PathBuf>,
        train: impl Into<PathBuf>,
    ) -> TrainRequest {
        TrainRequest { train: Some(train.into()), ..TrainRequest::of(templates, verbalizer) }
    }

    /// The same on descriptions of the classes in place of rows.
    pub fn on_descriptions(
        templates: Vec<PathBuf>,
        verbalizer: impl Into<PathBuf>,
        descriptions: DescriptionFiles,
    ) -> TrainRequest {
        TrainRequest { descriptions: Some(descriptions), ..TrainRequest::of(templates, verbalizer) }
    }

    /// The same with nothing to learn from yet.
    pub fn of(templates: Vec<PathBuf>, verbalizer: impl Into<PathBuf>) -> TrainRequest {
        TrainRequest {
            templates,
            verbalizer: verbalizer.into(),
            train: None,
            descriptions: None,
            null_inputs: None,
            dev: None,
            test: None,
            reading: Reading::default(),
            tuning: Tuning::Full,
            init_from: None,
            plan: PlanOptions::default(),
            evaluate_every: None,
            patience: 5,
            drawing: None,
            shots: None,
            select: Select::default(),
            cls_baseline: false,
            setfit_baseline: false,
            lstm_baseline: false,
            several_labels: None,
            seeds: vec![13],
            max_length: None,
            engine: EngineChoice::default(),
            device: Device::default(),
            threads: None,
            command: Vec::new(),
        }
    }

    /// The manifest: files by path, text and hash, and everything said that was left open. All problems at
    /// once.
    pub fn manifest(mut self, model: impl FnOnce() -> Result<ModelFolder>) -> Result<Manifest, Errors> {
        let mut errors = Errors::new();
        if self.templates.is_empty() && !matches!(self.tuning, Tuning::Cls(_)) {
            errors.push(TuningError::TemplateNeeded { method: self.tuning.name() });
        }
        self.templates = json_files::files(&self.templates, &mut errors);
        let templates: Vec<StoredFile> =
            self.templates.iter().filter_map(|path| errors.keep(StoredFile::of(path))).collect();
        self.check_together(&mut errors);
        let verbalizer = errors.keep(StoredFile::of(&self.verbalizer));
        let descriptions = errors.keep(self.described_by()).flatten();
        let mut hashed =
            |path: &Option<PathBuf>| path.as_ref().and_then(|path: &PathBuf| errors.keep(DataFile::of(path)));
        let (train, dev, test) = (hashed(&self.train), hashed(&self.dev), hashed(&self.test));
        // The first file of rows says which columns there are.
        let first = [&self.train, &self.dev, &self.test].into_iter().flatten().next();
        if self.several_labels.is_some() {
            self.reading.lists.get_or_insert_with(|| BETWEEN.to_owned());
        }
        let rows = first.and_then(|path| errors.keep(self.reading.open(path)));
        let folder = errors.keep(model());
        // Weights are hashed only when all else is good: that reads all of them.
        folder.as_ref().and_then(|folder| errors.keep(folder.check_weights()));
        let max_length = folder.as_ref().and_then(|folder| errors.keep(folder.max_length(self.max_length)));
        let labels = verbalizer
            .as_ref()
            .and_then(|file| errors.keep(Verbalizer::parse("verbalizer", &file.file, &file.text)));
        if labels.as_ref().is_some_and(|labels| labels.structure().range.is_some()) {
            // What takes classes would tell of more.
            numbers::check_request(&self)?;
        }
        let (labels, rows) = match (&self.several_labels, labels, rows) {
            (Some(several), Some(labels), Some(rows)) => {
                let names: Vec<String> = labels.labels().map(str::to_owned).collect();
                let (separator, adjust) = (several.separator.as_deref(), &self.reading.adjust);
                let found = errors.keep(LabelSets::find(&names, rows, separator, adjust));
                let rows = found.map(|(sets, rows)| {
                    // What every file of the run has its labels in.
                    if let [column] = sets.columns(rows.columns())[..] {
                        self.reading.label_column = Some(column.to_owned());
                    }
                    rows
                });
                (errors.keep(with_reference(&labels, &several.reference)), rows)
            }
            (_, labels, rows) => (labels, rows),
        };
        let parsed: Vec<Template> = templates
            .iter()
            .filter_map(|file| errors.keep(Template::parse("template", &file.file, &file.text)))
            .collect();
        let columns = match &rows {
            Some(rows) => read_columns(&parsed, rows.columns()),
            None => Template::columns_of_all(&parsed),
        };
        // Without patterns all columns are read: not those of 0 and 1, which tell the labels.
        let tells = |column: &String| {
            self.several_labels.is_some()
                && parsed.is_empty()
                && labels.as_ref().is_some_and(|labels| labels.class_of(column).is_some())
        };
        let columns: Vec<String> = columns.into_iter().filter(|column| !tells(column)).collect();
        let (Some(verbalizer), Some(labels), Some(folder), Some(max_length), true) =
            (verbalizer, labels, folder, max_length, errors.is_empty())
        else {
            // The first file of rows is looked at twice.
            return Err(errors.distinct());
        };
        let model = ModelFiles::of(&folder)?;
        let init_from = self.init_from.map(|path| InitFrom::of(&path, &self.seeds, &model)).transpose()?;
        let options = match &self.null_inputs {
            Some(texts) => self.plan.for_null_inputs(texts.len() * parsed.len()),
            None => self.plan,
        };
        let plan = options.plan(&self.tuning, labels.labels().len());
        let shows = parsed.iter().any(|template| template.demonstrations().is_some());
        Ok(Manifest {
            header: Header {
                cloze: env!("CARGO_PKG_VERSION").to_owned(),
                command: self.command,
                model,
                data: DataFiles {
                    train,
                    dev,
                    unlabeled: None,
                    test,
                    format: self.reading.format,
                    label_column: self.reading.label_column,
                    adjust: self.reading.adjust,
                },
                device: self.device,
                threads: self.threads.unwrap_or_else(Threads::usual),
                engine: self.engine,
                max_length,
                seeds: self.seeds,
            },
            templates,
            verbalizer,
            classes: labels.labels().map(str::to_owned).collect(),
            columns,
            plan: Plan {
                evaluate_every: self.evaluate_every.unwrap_or(plan.evaluate_every),
                patience: self.patience,
                ..plan
            },
            descriptions,
            null_inputs: self.null_inputs,
            demonstrations: shows.then(|| self.drawing.unwrap_or_default()),
            shots: self.shots,
            select: self.select,
            cls_baseline: self.cls_baseline && !matches!(self.tuning, Tuning::Cls(_)),
            setfit_baseline: self.setfit_baseline,
            lstm_baseline: self.lstm_baseline,
            several_labels: self.several_labels,
            tuning: self.tuning,
            init_from,
        })
    }

    /// The descriptions as they are now.
    fn described_by(&self) -> Result<Option<DescribedBy>> {
        Ok(match &self.descriptions {
            None => None,
            Some(DescriptionFiles::Verbalizer) => Some(DescribedBy::Verbalizer),
            Some(DescriptionFiles::File(path)) => {
                if let Some(Format::Csv | Format::Tsv | Format::Arrow | Format::Parquet | Format::Xlsx) =
                    Format::of(path)
                {
                    // Tables that are none are called by their names.
                    Reading::default().open(path)?;
                }
                Some(DescribedBy::File(StoredFile::of(path)?))
            }
        })
    }

    /// Tells of wishes that do not go together.
    fn check_together(&self, errors: &mut Errors) {
        let shows_none =
            |path: &Path| Template::read(path).is_ok_and(|found| found.demonstrations().is_none());
        if self.drawing.is_some() && self.templates.iter().all(|path| shows_none(path)) {
            errors.push(TemplateError::NothingToShow);
        }
        if self.train.is_none() && self.shots.is_some() {
            errors.push(TrainingError::NothingToDraw);
        }
        if self.dev.is_some() && self.select != Select::Dev {
            errors.push(TrainingError::DevNotUsed);
        }
    }
}
