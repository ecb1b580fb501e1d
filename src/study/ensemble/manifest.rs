//! An ensemble experiment as a file: what a user writes, and what it was run with.
//!
//! A user's file has the keys of [`Manifest`]. A run's file has the header of every kind of run, and the rest
//! under `ensemble`; it is read as an experiment too, with all that is needed to run it again.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::growth::Draw;
use super::merge::{Calibration, Merge, Weights};
use crate::error::source::Source;
use crate::error::{
    EnsembleError, Error, Errors, JsonError, Kind, Place, Result, TrainingError, TuningError,
};
use crate::learn::plan::{Plan, PlanOptions};
use crate::learn::run::{
    self, DataFile, DataFiles, Device, Form, Header, ModelFiles, Parts, RunKind, StoredFile, Written,
    check_seeds,
};
use crate::model::arch::Config;
use crate::model::folder::EngineChoice;
use crate::model::threads::MOST_THREADS;
use crate::text::data::{Adjust, Format};
use crate::text::json::{self, Node};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;
use crate::tune::Tuning;

/// The version of experiments that this cloze reads.
pub const VERSION: u64 = 1;

/// PET's share of the other members that label rows for the next generation (its λ).
pub const ANNOTATORS: f64 = 0.25;
/// PET's factor from one generation's rows to the next's (its d).
pub const GROWTH: f64 = 5.0;
/// PET's temperature of soft labels.
pub const TEMPERATURE: f64 = 2.0;
/// Beyond these, losses are no numbers of single precision.
const MIN_TEMPERATURE: f64 = 0.01;
const MAX_TEMPERATURE: f64 = 1000.0;
/// More than any data allows that grows by what is worth a generation.
const MOST_GENERATIONS: usize = 100;
/// The student's steps if nothing else is said.
pub const STUDENT_STEPS: usize = 250;

/// An experiment. Everything has a default but templates, verbalizers, and rows to learn from or to evaluate
/// on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    /// The version of this format.
    pub version: u64,
    /// What kind of run it is.
    pub experiment: Experiment,
    /// The template files; `*` and `?` stand for any letters and for one.
    pub templates: Vec<String>,
    /// The verbalizer files, with the same classes in the same order.
    pub verbalizers: Vec<String>,
    /// Labelled rows to draw from; without them the members are the base model as it is.
    pub train: Option<PathBuf>,
    /// Rows for the members to label; labels in it are not looked at.
    pub unlabeled: Option<PathBuf>,
    /// At most so many of the unlabelled rows, from the first.
    pub unlabeled_rows: Option<usize>,
    /// Rows to evaluate on.
    pub test: Option<PathBuf>,
    /// The data's format, where the names do not tell.
    pub format: Option<Format>,
    /// The column of labels, if not `label`.
    pub label_column: Option<String>,
    /// What is taken otherwise than it stands in the data.
    #[serde(skip_serializing_if = "Adjust::is_nothing")]
    pub adjust: Adjust,
    /// The base model.
    pub model: Option<String>,
    /// What runs the forward pass.
    pub engine: EngineChoice,
    /// Where it runs.
    pub device: Device,
    /// CPU threads; the machine's own number by default.
    pub threads: Option<usize>,
    /// The longest input, in tokens.
    pub max_length: Option<usize>,
    /// Rows of each class; all by default.
    pub shots: Option<usize>,
    /// The seeds: each draws its own rows and has its own members, ensemble and student.
    pub seeds: Vec<u64>,
    /// How members are trained.
    #[serde(deserialize_with = "tuning")]
    pub tuning: Tuning,
    /// How long and how fast.
    pub plan: PlanOptions,
    /// The share of PET's auxiliary masked-language-model loss on the unlabelled rows.
    pub mlm_weight: Option<f64>,
    /// How members' scores are merged.
    pub merge: Merge,
    /// What each counts.
    pub weights: Weights,
    /// How each is corrected before.
    pub calibrate: Option<Calibration>,
    /// Of the soft labels that the student learns.
    pub temperature: f64,
    /// What learns them; `null` for nothing: the members themselves are the classifier.
    pub student: Option<Student>,
    /// Generations after the first (iPET).
    pub generations: usize,
    /// By how much a generation's train rows grow.
    pub growth: f64,
    /// The share of the other members that label rows for a member.
    pub annotators: f64,
    /// Which of the rows that they label it learns from.
    pub draw: Draw,
    /// Whether the members' weights stay in the run's folder; without a student those of the last generation
    /// do.
    pub keep_members: bool,
    /// What it was run with, which makes it a run's manifest. 0.1.0 wrote it as a key beside the others.
    pub run: Option<RunWith>,
}

/// The kind of run, so that its manifest can be told from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Experiment {
    /// An ensemble of patterns.
    #[default]
    Ensemble,
}

/// The classifier that learns the ensemble's soft labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Student {
    /// `cls`, or a way of tuning a prompt model.
    #[serde(deserialize_with = "tuning")]
    pub tuning: Tuning,
    /// A prompt model's template, by its name; the first by default.
    pub template: Option<String>,
    /// Its base model, if not the members'.
    pub model: Option<String>,
    /// How long and how fast.
    pub plan: PlanOptions,
    /// Whether it learns the labelled rows besides.
    pub labelled: bool,
}

/// What a run was run with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunWith {
    /// The version of cloze.
    pub cloze: String,
    /// The command line.
    pub command: Vec<String>,
    /// The template files.
    pub templates: Vec<StoredFile>,
    /// The verbalizer files.
    pub verbalizers: Vec<StoredFile>,
    /// The labels in class order.
    pub classes: Vec<String>,
    /// The columns that are read.
    pub columns: Vec<String>,
    /// The data files' hashes, hexadecimal SHA-256: train, unlabelled, test.
    pub data: [Option<String>; 3],
    /// The base model.
    pub model: ModelFiles,
    /// The student's, if it is another.
    pub student_model: Option<ModelFiles>,
}

/// What stands below the header of a run's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    templates: Vec<StoredFile>,
    verbalizers: Vec<StoredFile>,
    classes: Vec<String>,
    columns: Vec<String>,
    unlabeled_rows: Option<usize>,
    shots: Option<usize>,
    #[serde(deserialize_with = "tuning")]
    tuning: Tuning,
    plan: PlanOptions,
    mlm_weight: Option<f64>,
    merge: Merge,
    weights: Weights,
    calibrate: Option<Calibration>,
    temperature: f64,
    student: Option<Student>,
    student_model: Option<ModelFiles>,
    generations: usize,
    growth: f64,
    annotators: f64,
    #[serde(default = "draw_of_old_runs")]
    draw: Draw,
    keep_members: bool,
}

impl Default for Manifest {
    fn default() -> Manifest {
        Manifest {
            version: VERSION,
            experiment: Experiment::Ensemble,
            templates: Vec::new(),
            verbalizers: Vec::new(),
            train: None,
            unlabeled: None,
            unlabeled_rows: None,
            test: None,
            format: None,
            label_column: None,
            adjust: Adjust::default(),
            model: None,
            engine: EngineChoice::default(),
            device: Device::default(),
            threads: None,
            max_length: None,
            shots: None,
            seeds: vec![13, 21, 42],
            tuning: Tuning::Full,
            plan: PlanOptions::default(),
            mlm_weight: None,
            merge: Merge::default(),
            weights: Weights::default(),
            calibrate: None,
            temperature: TEMPERATURE,
            student: Some(Student::default()),
            generations: 0,
            growth: GROWTH,
            annotators: ANNOTATORS,
            draw: Draw::default(),
            keep_members: false,
            run: None,
        }
    }
}

impl Default for Student {
    fn default() -> Student {
        Student {
            tuning: Tuning::Cls(crate::tune::Cls::default()),
            template: None,
            model: None,
            plan: PlanOptions::default(),
            labelled: false,
        }
    }
}

/// What a run did that does not say it: before there was a choice.
fn draw_of_old_runs() -> Draw {
    Draw::Surest
}

/// A method's name, or an object with its options.
fn tuning<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tuning, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    Tuning::parse("tuning", text.get()).map_err(|error| serde::de::Error::custom(error.kind()))
}

impl Student {
    /// How long and how fast it learns.
    pub fn plan(&self) -> Plan {
        let steps = Some(self.plan.steps.unwrap_or(STUDENT_STEPS));
        // The steps are given, and nothing else depends on the classes.
        PlanOptions { steps, ..self.plan.clone() }.plan(&self.tuning, 0)
    }
}

impl Manifest {
    /// Reads an experiment, or a run's manifest.
    pub fn read(path: &Path) -> Result<Manifest> {
        let source = Source::new(path.display().to_string(), json::read_text(path)?);
        let root = Node::root(&source);
        let manifest = match run::form(path, &root, RunKind::Ensemble)? {
            Form::Now => Manifest::of(run::read(&root, RunKind::Ensemble)?)?,
            Form::First => {
                root.check_version(VERSION)?;
                let mut manifest: Manifest = root.read_object()?;
                if manifest.run.is_some() && root.at("draw").is_none() {
                    manifest.draw = draw_of_old_runs();
                    manifest.tuning = manifest.tuning.of_first();
                    if let Some(student) = &mut manifest.student {
                        student.tuning = student.tuning.clone().of_first();
                    }
                }
                manifest
            }
        };
        manifest.check().map_err(|errors| errors.map(|error| place(error, &root)))?;
        Ok(manifest)
    }

    /// The experiment that a run's file tells of.
    fn of(parts: Parts<'_>) -> Result<Manifest> {
        let (Header { cloze, command, model, data, .. }, body): (_, Body) =
            (parts.header.clone(), parts.body.read_object()?);
        let names = |files: &[StoredFile]| files.iter().map(|file| file.file.clone()).collect();
        let hashes =
            [&data.train, &data.unlabeled, &data.test].map(|file| Some(file.as_ref()?.sha256.clone()));
        let path = |file: Option<DataFile>| file.map(|file| file.path);
        Ok(Manifest {
            version: VERSION,
            experiment: Experiment::Ensemble,
            templates: names(&body.templates),
            verbalizers: names(&body.verbalizers),
            train: path(data.train),
            unlabeled: path(data.unlabeled),
            test: path(data.test),
            unlabeled_rows: body.unlabeled_rows,
            format: data.format,
            label_column: data.label_column,
            adjust: data.adjust,
            model: Some(model.path.display().to_string()),
            engine: parts.header.engine,
            device: parts.header.device,
            threads: Some(parts.header.threads),
            max_length: Some(parts.header.max_length),
            shots: body.shots,
            seeds: parts.header.seeds,
            tuning: body.tuning,
            plan: PlanOptions { bf16: parts.bf16, ..body.plan },
            mlm_weight: body.mlm_weight,
            merge: body.merge,
            weights: body.weights,
            calibrate: body.calibrate,
            temperature: body.temperature,
            student: body.student,
            generations: body.generations,
            growth: body.growth,
            annotators: body.annotators,
            draw: body.draw,
            keep_members: body.keep_members,
            run: Some(RunWith {
                cloze,
                command,
                templates: body.templates,
                verbalizers: body.verbalizers,
                classes: body.classes,
                columns: body.columns,
                data: hashes,
                model,
                student_model: body.student_model,
            }),
        })
    }

    /// The manifest as a run's file has it; None for an experiment that nothing was run with yet.
    pub fn written(&self) -> Option<Written<Body>> {
        let run = self.run.clone()?;
        let [train, unlabeled, test] = run.data;
        let file = |path: &Option<PathBuf>, sha256: Option<String>| {
            Some(DataFile { path: path.clone()?, sha256: sha256? })
        };
        let header = Header {
            cloze: run.cloze,
            command: run.command,
            model: run.model,
            data: DataFiles {
                train: file(&self.train, train),
                dev: None,
                unlabeled: file(&self.unlabeled, unlabeled),
                test: file(&self.test, test),
                format: self.format,
                label_column: self.label_column.clone(),
                adjust: self.adjust.clone(),
            },
            device: self.device,
            threads: self.threads.unwrap_or(1),
            engine: self.engine,
            max_length: self.max_length?,
            seeds: self.seeds.clone(),
        };
        // By name: the patterns of a run have no order.
        let mut student = self.student.clone();
        if let Some(student) = student.as_mut().filter(|student| !matches!(student.tuning, Tuning::Cls(_))) {
            student.template = student.template.take().or(run.templates.first().map(StoredFile::name));
        }
        let body = Body {
            templates: run.templates,
            verbalizers: run.verbalizers,
            classes: run.classes,
            columns: run.columns,
            unlabeled_rows: self.unlabeled_rows,
            shots: self.shots,
            tuning: self.tuning.clone(),
            // The header's "dtype" says it.
            plan: PlanOptions { bf16: false, ..self.plan.clone() },
            mlm_weight: self.mlm_weight,
            merge: self.merge,
            weights: self.weights,
            calibrate: self.calibrate,
            temperature: self.temperature,
            student,
            student_model: run.student_model,
            generations: self.generations,
            growth: self.growth,
            annotators: self.annotators,
            draw: self.draw,
            keep_members: self.keep_members,
        };
        Some(Written::of(RunKind::Ensemble, &header, self.plan.bf16, body))
    }

    /// Refuses what no experiment can be, as far as it can be told without the files.
    pub fn check(&self) -> Result<(), Errors> {
        let range = |name: &str, found: f64, allowed: &str| {
            Err(Errors::from(TuningError::OptionOutOfRange {
                name: format!("experiment.{name}"),
                found,
                allowed: allowed.to_owned(),
            }))
        };
        let needs = |what: &'static str, because: &'static str| {
            Err(Errors::from(EnsembleError::Needs { what, because }))
        };
        if self.templates.is_empty() {
            return needs("templates", "the members are one model for each pattern");
        }
        if self.verbalizers.is_empty() {
            return needs("verbalizers", "the members score its label words");
        }
        if self.unlabeled.is_none() && self.student.is_some() {
            return Err(EnsembleError::StudentWithoutRows.into());
        }
        if self.unlabeled.is_none() && self.generations > 0 {
            return needs("unlabeled", "generations learn from rows that the members before them label");
        }
        if self.unlabeled.is_none() && self.mlm_weight.is_some() {
            return needs("unlabeled", "the masked-language-model loss is one on its rows");
        }
        if self.train.is_none() && self.weights == Weights::Accuracy {
            return needs("train", "accuracy weights are accuracies on its rows");
        }
        if self.train.is_none() && self.student.as_ref().is_some_and(|student| student.labelled) {
            return needs("train", "the labelled rows that the student learns besides are its rows");
        }
        if let Tuning::Cls(_) = self.tuning {
            return Err(EnsembleError::ClsAsMember.into());
        }
        if self.seeds.is_empty() {
            return needs("seeds", "each seed has its own members, ensemble and student");
        }
        check_seeds(&self.seeds)?;
        if let Some(tuning) =
            self.student.as_ref().filter(|student| student.template.is_some()).map(|student| &student.tuning)
            && matches!(tuning, Tuning::Cls(_))
        {
            return Err(EnsembleError::StudentReadsNoTemplate.into());
        }
        let of_training = self.shots.is_some() || self.mlm_weight.is_some() || self.tuning != Tuning::Full;
        if self.train.is_none() && self.generations == 0 && of_training {
            return Err(EnsembleError::NothingToTrain.into());
        }
        for (name, found, most) in [
            ("shots", self.shots, 1 << 20),
            ("threads", self.threads, MOST_THREADS),
            ("unlabeled_rows", self.unlabeled_rows, 1 << 32),
        ] {
            if let Some(found) = found.filter(|found| !(1..=most).contains(found)) {
                return range(name, found as f64, &format!("1 to {most}"));
            }
        }
        if !(MIN_TEMPERATURE..=MAX_TEMPERATURE).contains(&self.temperature) {
            return range("temperature", self.temperature, "0.01 to 1000");
        }
        if self.generations > MOST_GENERATIONS {
            return range("generations", self.generations as f64, "0 to 100");
        }
        if !(self.growth.is_finite() && self.growth > 1.0 && self.growth <= 1000.0) {
            return range("growth", self.growth, "above 1, at most 1000");
        }
        if !(self.annotators > 0.0 && self.annotators <= 1.0) {
            return range("annotators", self.annotators, "above 0, at most 1");
        }
        if let Some(weight) = self.mlm_weight.filter(|weight| !(0.0..1.0).contains(weight)) {
            return range("mlm_weight", weight, "from 0 to below 1");
        }
        self.plan.plan(&self.tuning, 0).check()?;
        self.check_run()?;
        let of_student = |error: Error| match error.kind() {
            Kind::Tuning(TuningError::OptionOutOfRange { name, found, allowed }) => {
                let (name, allowed) = (format!("student.{name}"), allowed.clone());
                Error::from(TuningError::OptionOutOfRange { name, found: *found, allowed })
            }
            _ => error,
        };
        self.student
            .as_ref()
            .map_or(Ok(()), |student| student.plan().check().map_err(|errors| errors.map(of_student)))
    }

    /// Refuses what no run can have been run with: its parts must fit each other.
    fn check_run(&self) -> Result<(), Errors> {
        let Some(run) = &self.run else { return Ok(()) };
        let shape = |message: String| Err(Errors::from(JsonError::Shape { message }));
        for (key, files) in [("templates", &run.templates), ("verbalizers", &run.verbalizers)] {
            if files.is_empty() {
                return shape(format!("{key:?} must have one or more"));
            }
        }
        let files = [&self.train, &self.unlabeled, &self.test].into_iter().zip(&run.data);
        if files.into_iter().any(|(path, sha256)| path.is_some() != sha256.is_some()) {
            return shape("\"data\" must have the hash of each file of rows".to_owned());
        }
        Manifest::read_templates(run)?;
        let labels: Vec<String> = Manifest::read_verbalizers(run)?[0].labels().map(str::to_owned).collect();
        if labels != run.classes {
            return shape("\"classes\" are not those of the verbalizers".to_owned());
        }
        Ok(())
    }

    /// The longest input of a student, in tokens: its own base model may take less than the members'.
    pub fn student_length(&self, config: &Config) -> usize {
        let most = usize::try_from(config.max_position_embeddings).unwrap_or(usize::MAX);
        self.max_length.unwrap_or(most).min(most)
    }

    /// The verbalizers. All problems at once.
    pub fn read_verbalizers(run: &RunWith) -> Result<Vec<Verbalizer>, Errors> {
        let mut problems = Errors::new();
        let mut verbalizers = Vec::new();
        for stored in &run.verbalizers {
            match Verbalizer::parse(&stored.name(), &stored.file, &stored.text) {
                Ok(verbalizer) => {
                    problems.extend(verbalizer.check_classes("cloze ensemble").err());
                    verbalizers.push(verbalizer);
                }
                Err(errors) => problems.extend(errors),
            }
        }
        if let Some((first, others)) = verbalizers.split_first() {
            let other = others.iter().find(|other| !other.labels().eq(first.labels()));
            problems.extend(other.map(|other| {
                Error::from(EnsembleError::VerbalizersOfOtherClasses {
                    first: first.file().to_owned(),
                    classes: first.labels().map(str::to_owned).collect(),
                    second: other.file().to_owned(),
                    others: other.labels().map(str::to_owned).collect(),
                })
            }));
        }
        if problems.is_empty() { Ok(verbalizers) } else { Err(problems) }
    }

    /// The templates as they are written. All problems at once.
    pub fn read_templates(run: &RunWith) -> Result<Vec<Template>, Errors> {
        let (mut templates, mut problems) = (Vec::new(), Errors::new());
        for stored in &run.templates {
            match Template::parse(&stored.name(), &stored.file, &stored.text) {
                Ok(template) => templates.push(template),
                Err(error) => problems.push(error),
            }
        }
        if problems.is_empty() { Ok(templates) } else { Err(problems) }
    }
}

/// The place of an error about a value in an experiment's text.
fn place(error: Error, root: &Node<'_>) -> Error {
    if !matches!(error.place(), Place::Nowhere) {
        return error;
    }
    let key = match error.kind() {
        Kind::Tuning(TuningError::OptionOutOfRange { name, .. }) => {
            name.strip_prefix("experiment.").unwrap_or(name).to_owned()
        }
        Kind::Ensemble(EnsembleError::Needs { what: "seeds", .. }) => "seeds".to_owned(),
        Kind::Training(TrainingError::SameSeed { .. } | TrainingError::WithoutSeeds) => "seeds".to_owned(),
        Kind::Ensemble(EnsembleError::ClsAsMember) => "tuning".to_owned(),
        // Of what it was run with.
        Kind::Json(JsonError::Shape { message }) => {
            let key = message.split('"').nth(1).unwrap_or_default();
            if root.at("run").is_some() { format!("run.{key}") } else { key.to_owned() }
        }
        _ => return error,
    };
    match root.at(&format!("ensemble.{key}")).or_else(|| root.at(&key)) {
        Some(node) => error.at(node.place_of_all()),
        None => error,
    }
}
