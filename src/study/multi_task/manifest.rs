//! The manifest of a training of several tasks.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::source::Source;
use crate::error::{Error, Errors, Kind, Result, TaskError, TuningError};
use crate::learn::objective::Lesson;
use crate::learn::run::{
    self, DataFile, DataFiles, Device, Header, InitFrom, ModelFiles, Planned, RunKind, StoredFile, Written,
};
use crate::learn::texts::Texts;
use crate::learn::train::Plan;
use crate::model::folder::EngineChoice;
use crate::text::demonstrations::Drawing;
use crate::text::json::{self, Node};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;
use crate::tune::Tuning;

/// All that is needed to use the run's model again. As JSON it is the body that stands under `tasks`, below
/// the [`Header`]; [`Manifest::written`] is the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What every kind of run has.
    #[serde(skip)]
    pub header: Header,
    /// The tasks.
    pub tasks: Vec<StoredTask>,
    /// Texts that are learned from beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_modelling: Option<StoredTexts>,
    /// What moves.
    pub tuning: Tuning,
    /// The run that it starts from, where it does not start anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<InitFrom>,
    /// How long and how fast.
    pub plan: Plan,
    /// How the patterns' demonstrations are drawn from a task's train rows, where any have some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demonstrations: Option<Drawing>,
}

/// A task with the texts of its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct StoredTask {
    pub name: String,
    pub templates: Vec<StoredFile>,
    pub verbalizer: StoredFile,
    pub train: Option<DataFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev: Option<DataFile>,
    pub test: Option<DataFile>,
    pub shots: Option<usize>,
    pub share: f64,
    #[serde(default, skip_serializing_if = "is_usual")]
    pub lesson: Lesson,
}

fn is_usual(lesson: &Lesson) -> bool {
    *lesson == Lesson::default()
}

/// Texts beside the tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredTexts {
    /// The files, and how they are cut and masked.
    pub texts: Texts,
    /// How often a step is theirs.
    pub share: f64,
    /// What their loss is multiplied by.
    pub weight: f64,
    /// Sequences in a batch.
    pub batch_size: usize,
}

impl StoredTask {
    /// Its classes and their words.
    pub fn read_verbalizer(&self) -> Result<Verbalizer, Errors> {
        let verbalizer =
            Verbalizer::parse(&self.verbalizer.name(), &self.verbalizer.file, &self.verbalizer.text)?;
        verbalizer.check_classes("a training on several tasks")?;
        Ok(verbalizer)
    }

    /// Its templates as they are written.
    pub fn read_templates(&self) -> Result<Vec<Template>> {
        let parse = |stored: &StoredFile| Template::parse(&stored.name(), &stored.file, &stored.text);
        self.templates.iter().map(parse).collect()
    }
}

/// A manifest as 0.1.0 wrote it: without a header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct First {
    #[serde(rename = "version")]
    _version: u64,
    #[serde(rename = "experiment")]
    _experiment: String,
    cloze: String,
    command: Vec<String>,
    tasks: Vec<StoredTask>,
    model: ModelFiles,
    engine: EngineChoice,
    max_length: usize,
    tuning: Tuning,
    plan: Plan,
    seeds: Vec<u64>,
}

impl Planned for Manifest {
    const KIND: RunKind = RunKind::Tasks;
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
                engine: first.engine,
                max_length: first.max_length,
                seeds: first.seeds,
                // 0.1.0 did not say where it ran, and no use of the run depends on it.
                data: DataFiles::default(),
                device: Device::default(),
                threads: 1,
            },
            tasks: first.tasks,
            language_modelling: None,
            tuning: first.tuning.of_first(),
            init_from: None,
            plan: first.plan,
            demonstrations: None,
        }
    }
}

impl Manifest {
    /// Reads the manifest in a run's folder.
    pub fn read(path: &Path) -> Result<Manifest> {
        let source = Source::new(path.display().to_string(), json::read_text(path)?);
        let root = Node::root(&source);
        let manifest: Manifest = run::parse(path, &root)?;
        match manifest.check() {
            Ok(()) => Ok(manifest),
            Err(errors) => Err(errors.map(|error| manifest.place_error(error, &root)).into()),
        }
    }

    /// Refuses files that are not what they were.
    pub fn check_files(&self) -> Result<()> {
        let of_task = |task: &StoredTask| {
            let files = [&task.train, &task.dev, &task.test];
            files.into_iter().flatten().try_for_each(DataFile::check)
        };
        self.tasks.iter().try_for_each(of_task)?;
        self.language_modelling.iter().try_for_each(|stored| stored.texts.check_files())
    }

    /// Refuses what no training of several tasks can be. All problems at once.
    pub(super) fn check(&self) -> Result<(), Errors> {
        let mut errors = Errors::new();
        errors.keep(self.plan.check());
        errors.keep(self.header.check());
        if matches!(self.tuning, Tuning::Cls(_)) {
            errors.push(TuningError::ClsForTasks);
        }
        errors.keep(run::check_drawing(self.demonstrations, self.shows()));
        for (index, StoredTask { name, templates, .. }) in self.tasks.iter().enumerate() {
            if name.is_empty() || self.tasks[..index].iter().any(|other| other.name == *name) {
                errors.push(TaskError::Name { name: name.clone() });
            }
            if templates.is_empty() {
                errors.push(TuningError::TemplateNeeded { method: "a task" });
            }
        }
        errors.none()
    }

    /// Whether a pattern shows rows; one that cannot be read shows none.
    pub(super) fn shows(&self) -> bool {
        let templates = self.tasks.iter().filter_map(|task| task.read_templates().ok()).flatten();
        templates.into_iter().any(|template| template.demonstrations().is_some())
    }

    /// The place of an error about a value of it.
    pub fn place_error(&self, error: Error, root: &Node<'_>) -> Error {
        let at = |key: &str| root.at(&format!("tasks.{key}")).or_else(|| root.at(key));
        let node = match error.kind() {
            Kind::Task(_) | Kind::Tuning(TuningError::TemplateNeeded { .. }) => at("tasks"),
            Kind::Tuning(TuningError::ClsForTasks) => at("tuning"),
            _ => run::place(&error, root, RunKind::Tasks),
        };
        match node {
            Some(node) => error.at(node.place_of_all()),
            None => error,
        }
    }

    /// The manifest as its file has it.
    pub fn written(&self) -> Written<Manifest> {
        run::written(self)
    }
}
