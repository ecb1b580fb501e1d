//! From a file of tasks to a training that is ready to run: everything that it names, read and checked.

use super::{Manifest, MultiTask, StoredTask, TaskData, TaskFiles};
use crate::error::{Errors, Result, TaskError, TemplateError, TuningError};
use crate::learn::plan::PlanOptions;
use crate::learn::run::{DataFile, DataFiles, Header, ModelFiles, StoredFile};
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::{MaskedLm, Options};
use crate::predict::classifier::VerbalizedLm;
use crate::predict::label_words::LabelWords;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::predict::task::TaskSet;
use crate::text::data::Reading;
use crate::text::dataset::{Dataset, Labels, read_columns};
use crate::text::template::Template;
use crate::text::verbalizer::{Verbalizer, VerbalizerKind};
use crate::tune::Tuning;

/// What is to be trained on several tasks.
pub struct TasksRequest {
    /// The tasks.
    pub files: Vec<TaskFiles>,
    /// The method.
    pub tuning: Tuning,
    /// How long and how fast; by default as for the most classes of a task.
    pub plan: PlanOptions,
    /// The base model's small files.
    pub folder: ModelFolder,
    /// How the model is loaded.
    pub options: Options,
    /// The longest input, in tokens, if it is not the model's own.
    pub max_length: Option<usize>,
    /// How files of rows are read.
    pub reading: Reading,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// CPU threads.
    pub threads: usize,
    /// The command line, for people.
    pub command: Vec<String>,
}

impl MultiTask {
    /// Reads and checks what the tasks name, loads the base model, and gives what a reader of the results
    /// should know. All problems at once; one that several tasks share is told once.
    pub fn prepare(request: TasksRequest) -> Result<(MultiTask, Vec<String>), Errors> {
        let TasksRequest { files, tuning, options, reading, mut folder, .. } = request;
        if matches!(tuning, Tuning::Cls(_)) {
            return Err(TuningError::ClsForTasks.into());
        }
        if let Some(dropout) = request.plan.dropout {
            folder.config.hidden_dropout_prob = dropout;
            folder.config.attention_probs_dropout_prob = dropout;
        }
        let max_length = folder.max_length(request.max_length)?;
        let mut warnings = tuning.check(&folder.config)?;
        let mut errors = Errors::new();
        let mut tasks = Vec::with_capacity(files.len());
        for task in &files {
            tasks.extend(errors.keep(read(task, &reading, &tuning, &folder, max_length, options)));
        }
        let classes = tasks.iter().map(|task| task.words.of_classes().len()).max().unwrap_or(2);
        let plan = request.plan.plan(&tuning, classes);
        errors.keep(plan.check());
        errors.distinct().none()?;
        warnings.extend(tasks.iter().filter_map(|task| task.words.left_out()));
        let manifest = Manifest {
            header: Header {
                cloze: env!("CARGO_PKG_VERSION").to_owned(),
                command: request.command,
                model: ModelFiles::of(&folder)?,
                data: DataFiles {
                    format: reading.format,
                    label_column: reading.label_column,
                    ..DataFiles::default()
                },
                device: options.device.into(),
                threads: request.threads,
                engine: options.engine,
                max_length,
                seeds: request.seeds,
            },
            tasks: files.iter().map(StoredTask::of).collect::<Result<_>>()?,
            tuning,
            plan,
        };
        let model = MaskedLm::of(folder, options)?;
        let base = |task: &TaskData| VerbalizedLm::new(model.clone(), task.words.clone());
        let bases = tasks.iter().map(base).collect();
        Ok((MultiTask { manifest, bases, tasks }, warnings))
    }
}

impl StoredTask {
    /// A task's files as they are now.
    fn of(task: &TaskFiles) -> Result<StoredTask> {
        Ok(StoredTask {
            name: task.name.clone(),
            templates: task.templates.iter().map(|path| StoredFile::of(path)).collect::<Result<_>>()?,
            verbalizer: StoredFile::of(&task.verbalizer)?,
            train: task.train.as_deref().map(DataFile::of).transpose()?,
            test: task.test.as_deref().map(DataFile::of).transpose()?,
            shots: task.shots,
            share: task.share,
        })
    }
}

/// Reads and checks what a task names.
fn read(
    task: &TaskFiles,
    reading: &Reading,
    tuning: &Tuning,
    folder: &ModelFolder,
    max_length: usize,
    options: Options,
) -> Result<TaskData, Errors> {
    let mut errors = Errors::new();
    let templates: Vec<Template> =
        task.templates.iter().filter_map(|path| errors.keep(Template::read(path))).collect();
    for template in &templates {
        let kind = TemplateError::WithDemonstrations { command: "a training of several tasks" };
        let shows = template.demonstrations().map(|_| template.error(kind));
        let soft = template.soft().next().map(|soft| template.soft_error(soft, TaskError::Soft));
        errors.extend(shows.or(soft));
    }
    let verbalizer = errors.keep(Verbalizer::read(&task.verbalizer));
    let (Some(verbalizer), true) = (verbalizer, errors.is_empty()) else { return Err(errors) };
    if matches!(verbalizer.kind(), VerbalizerKind::Soft | VerbalizerKind::Prototype) {
        return Err(TaskError::ClassVectors { verbalizer: verbalizer.file().to_owned() }.into());
    }
    let words = LabelWords::check(&verbalizer, &folder.tokenizer, options.device)?;
    let (train, test) = (task.train.as_deref(), task.test.as_deref());
    let Some(first) = train.or(test) else {
        return Err(TaskError::WithoutRows { name: task.name.clone() }.into());
    };
    let columns = reading.open(first)?.columns().clone();
    let read = read_columns(&templates, &columns);
    let rows = |path, labels| Dataset::read(path, reading, &read, &verbalizer, Some(&columns), labels);
    let train = train.map(|path| rows(path, Labels::Needed)).transpose()?;
    let test = test.map(|path| rows(path, Labels::Known)).transpose()?;
    let on_columns = |vectors: SoftVectors<'_>| -> Result<TaskSet, Errors> {
        let patterns = Patterns::bind(templates.clone(), &words, folder, vectors, max_length)?;
        without_steps(&patterns)?;
        patterns.on(&columns)
    };
    Ok(TaskData {
        name: task.name.clone(),
        patterns: on_columns(SoftVectors::Learned { tuning, columns: &[] })?,
        written: on_columns(SoftVectors::Sampled)?,
        words,
        train,
        test,
        shots: task.shots,
        share: task.share,
    })
}

/// Refuses patterns with steps, which have no loss of their own.
fn without_steps(patterns: &Patterns) -> Result<(), Errors> {
    let templates = patterns.pvps.iter().map(|pvp| pvp.template());
    let stepping = templates.filter(|template| !template.steps().is_empty());
    let errors: Errors =
        stepping.map(|template| template.error(TemplateError::WithSteps { command: "training" })).collect();
    errors.none()
}
