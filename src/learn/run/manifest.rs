//! The manifest of a training over seeds: all that is needed to run it again.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::{DataFiles, InitFrom, ModelFiles, StoredFile};
use super::header::{self, Device, Header, Planned, RunKind, Written};
use crate::error::source::Source;
use crate::error::{Error, Errors, JsonError, Kind, Place, Result, TrainingError, TuningError};
use crate::learn::train::{ClassLoss, Plan};
use crate::model::folder::EngineChoice;
use crate::text::data::Reading;
use crate::text::demonstrations::{Drawing, MOST_DRAWS};
use crate::text::descriptions::Descriptions;
use crate::text::json::{self, Node};
use crate::text::table::BETWEEN;
use crate::text::verbalizer::Verbalizer;
use crate::tune::Tuning;

/// A run's configuration, and what it was run with. As JSON it is the body that stands under `train`, below
/// the [`Header`]; [`Manifest::written`] is the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What every kind of run has.
    #[serde(skip)]
    pub header: Header,
    /// The template files; none for `cls`.
    pub templates: Vec<StoredFile>,
    /// The verbalizer file.
    pub verbalizer: StoredFile,
    /// The labels in class order.
    pub classes: Vec<String>,
    /// The columns that are read.
    pub columns: Vec<String>,
    /// What moves.
    pub tuning: Tuning,
    /// The run that it starts from, where it does not start anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<InitFrom>,
    /// How long and how fast.
    pub plan: Plan,
    /// Texts that describe the classes, which are learned from beside the train rows or in their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptions: Option<DescribedBy>,
    /// Texts that say nothing, in place of rows: classes are made even on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_inputs: Option<Vec<String>>,
    /// How the patterns' demonstrations are drawn from a seed's train rows, where they have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demonstrations: Option<Drawing>,
    /// Rows of each class; all by default.
    pub shots: Option<usize>,
    /// How the step that is kept is chosen.
    pub select: Select,
    /// Whether `[CLS]` fine-tuning on the same rows stands beside.
    pub cls_baseline: bool,
    /// Whether SetFit on the same rows stands beside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub setfit_baseline: bool,
    /// Whether an LSTM on the model's word vectors stands beside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lstm_baseline: bool,
    /// Where a row has several labels: then the last of the classes is what the others are held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub several_labels: Option<SeveralLabels>,
}

/// Several labels a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeveralLabels {
    /// The words that labels are held against.
    pub reference: Vec<String>,
    /// What stands between labels in the data, if not what is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
}

/// Refuses demonstrations of which nothing says how they are drawn, or that are drawn too often.
pub(crate) fn check_drawing(drawing: Option<Drawing>, shows: bool) -> Result<()> {
    match drawing {
        None if shows => Err(JsonError::MissingKey { key: "demonstrations".to_owned() }.into()),
        Some(Drawing { draws, .. }) if !(1..=MOST_DRAWS).contains(&draws) => {
            let (name, allowed) = ("demonstrations.draws".to_owned(), format!("1 to {MOST_DRAWS}"));
            Err(TuningError::OptionOutOfRange { name, found: draws as f64, allowed }.into())
        }
        _ => Ok(()),
    }
}

/// Where descriptions of the classes stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DescribedBy {
    /// In the verbalizer, beside its words.
    Verbalizer,
    /// In a file of their own.
    File(StoredFile),
}

/// How the step that is kept is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// The last step: nothing is chosen.
    ///
    /// As Schick & Schütze (2021) do.
    #[default]
    None,
    /// The best on as many development rows as train rows.
    ///
    /// As Gao et al. (2021) do.
    Dev,
    /// The best on average in a four-fold cross-validation on the train rows.
    Cv,
}

/// A manifest as 0.1.0 wrote it: without a header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct First {
    #[serde(rename = "version")]
    _version: u64,
    cloze: String,
    command: Vec<String>,
    templates: Vec<StoredFile>,
    verbalizer: StoredFile,
    classes: Vec<String>,
    columns: Vec<String>,
    data: DataFiles,
    model: ModelFiles,
    engine: EngineChoice,
    max_length: usize,
    tuning: Tuning,
    plan: Plan,
    #[serde(default)]
    demonstrations: Option<Drawing>,
    shots: Option<usize>,
    seeds: Vec<u64>,
    select: Select,
    cls_baseline: bool,
    device: Device,
    threads: usize,
}

impl Planned for Manifest {
    const KIND: RunKind = RunKind::Train;
    type First = First;

    fn parts(&mut self) -> (&mut Header, &mut Plan) {
        (&mut self.header, &mut self.plan)
    }
}

impl From<First> for Manifest {
    fn from(first: First) -> Manifest {
        Manifest {
            header: Header {
                cloze: first.cloze,
                command: first.command,
                model: first.model,
                data: first.data,
                device: first.device,
                threads: first.threads,
                engine: first.engine,
                max_length: first.max_length,
                seeds: first.seeds,
            },
            templates: first.templates,
            verbalizer: first.verbalizer,
            classes: first.classes,
            columns: first.columns,
            tuning: first.tuning.of_first(),
            init_from: None,
            plan: first.plan,
            descriptions: None,
            null_inputs: None,
            demonstrations: first.demonstrations,
            shots: first.shots,
            select: first.select,
            cls_baseline: first.cls_baseline,
            setfit_baseline: false,
            lstm_baseline: false,
            several_labels: None,
        }
    }
}

impl Manifest {
    /// Reads a manifest. What it says is checked as far as it can be without the files that it names.
    pub fn read(path: &Path) -> Result<Manifest> {
        let source = Source::new(path.display().to_string(), json::read_text(path)?);
        let root = Node::root(&source);
        let manifest: Manifest = header::parse(path, &root)?;
        match manifest.check() {
            Ok(()) => Ok(manifest),
            Err(errors) => Err(errors.map(|error| manifest.place_error(error, &root)).into()),
        }
    }

    /// The manifest as its file has it.
    pub fn written(&self) -> Written<Manifest> {
        header::written(self)
    }

    /// The texts that describe the classes, where it learns from some.
    pub fn descriptions(&self, verbalizer: &Verbalizer) -> Result<Option<Descriptions>, Errors> {
        match &self.descriptions {
            None => Ok(None),
            Some(DescribedBy::Verbalizer) => Descriptions::of(verbalizer).map(Some),
            Some(DescribedBy::File(file)) => {
                Descriptions::parse(&file.file, &file.text, verbalizer).map(Some)
            }
        }
    }

    /// How files of rows are read: where a row has several labels, a list of them in JSON is one cell.
    pub fn reading(&self) -> Reading {
        let between =
            |several: &SeveralLabels| several.separator.clone().unwrap_or_else(|| BETWEEN.to_owned());
        Reading { lists: self.several_labels.as_ref().map(between), ..self.header.data.reading() }
    }

    /// Refuses what no training can be, as far as it can be told without the files. All problems at once.
    pub(crate) fn check(&self) -> Result<(), Errors> {
        let mut errors = Errors::new();
        errors.keep(self.plan.check());
        errors.keep(self.header.check());
        let learns_from_rows = self.header.data.train.is_some() || self.descriptions.is_some();
        if !learns_from_rows && self.null_inputs.is_none() {
            errors.push(JsonError::MissingKey { key: "train".to_owned() });
        }
        errors.extend(self.problem_of_null_inputs(learns_from_rows).map(Error::from));
        let labels = errors.keep(self.verbalizer());
        if labels.is_some_and(|labels| !labels.labels().eq(self.classes.iter().map(String::as_str))) {
            let message = "\"classes\" are not those of the verbalizer".to_owned();
            errors.push(JsonError::Shape { message });
        }
        if self.templates.is_empty() && !matches!(self.tuning, Tuning::Cls(_)) {
            errors.push(TuningError::TemplateNeeded { method: self.tuning.name() });
        }
        if self.descriptions.is_some() && self.columns.len() != 1 {
            errors.push(TrainingError::DescriptionForColumns { columns: self.columns.clone() });
        }
        errors.keep(self.check_demonstrations());
        errors.none()
    }

    /// Whether a baseline that is trained stands beside.
    pub fn trains_baselines(&self) -> bool {
        self.cls_baseline || self.setfit_baseline || self.lstm_baseline
    }

    /// What null inputs have no place for.
    fn problem_of_null_inputs(&self, learns_from_rows: bool) -> Option<TrainingError> {
        let what = match &self.null_inputs {
            None if self.plan.loss == ClassLoss::Even => {
                return Some(TrainingError::NotWithNullInputs { what: "a training without them" });
            }
            None => return None,
            Some(_) if !matches!(self.tuning, Tuning::Bias) => {
                return Some(TrainingError::NullInputsMoveBiases { method: self.tuning.name() });
            }
            Some(_) if learns_from_rows => "a train file or a description",
            Some(_) if self.plan.loss != ClassLoss::Even => "another loss",
            Some(_) if self.shots.is_some() => "a number of rows",
            Some(_) if self.select != Select::None => "a choice of the step",
            Some(_) if self.demonstrations.is_some() => "a pattern that shows rows",
            Some(_) if self.trains_baselines() => "a baseline that is trained",
            Some(_) if self.several_labels.is_some() => "a row with several labels",
            Some(_) => return None,
        };
        Some(TrainingError::NotWithNullInputs { what })
    }

    /// Patterns that show rows need to know how these are drawn.
    fn check_demonstrations(&self) -> Result<()> {
        let shows = self.templates()?.iter().any(|template| template.demonstrations().is_some());
        check_drawing(self.demonstrations, shows)
    }

    /// The place of an error about a value in a manifest's text, where it is about one.
    pub fn place_error(&self, error: Error, root: &Node<'_>) -> Error {
        if !matches!(error.place(), Place::Nowhere) {
            return error;
        }
        // In the body, or in the header; 0.1.0 had no body.
        let at = |key: &str| root.at(&format!("train.{key}")).or_else(|| root.at(key));
        let node = match error.kind() {
            Kind::Tuning(TuningError::TemplateNeeded { .. }) => at("templates"),
            Kind::Training(TrainingError::DescriptionForColumns { .. }) => at("columns"),
            Kind::Json(JsonError::MissingKey { key }) if key == "train" => at("data"),
            Kind::Json(JsonError::MissingKey { .. }) => root.at("train").or_else(|| Some(root.clone())),
            _ => header::place(&error, root, RunKind::Train),
        };
        match (node, at("tuning")) {
            (Some(node), _) => error.at(node.place_of_all()),
            (None, Some(options)) => self.tuning.place_error(error, &options),
            (None, None) => error,
        }
    }
}
