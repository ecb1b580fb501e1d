//! From a file of tasks to a training that is ready to run: everything that it names, read and checked.

use super::{Manifest, MultiTask, StoredTask, TaskData, TaskFiles};
use crate::error::{Errors, Result, TaskError, TuningError};
use crate::learn::plan::PlanOptions;
use crate::learn::run::{DataFile, DataFiles, Header, ModelFiles, StoredFile, check_seeds};
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::{MaskedLm, Options};
use crate::predict::classifier::VerbalizedLm;
use crate::predict::label_words::LabelWords;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::text::data::{BadRows, Reading};
use crate::text::dataset::{Dataset, Labels, read_columns, remarks};
use crate::text::json_files;
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
        let TasksRequest { mut files, tuning, options, reading, mut folder, .. } = request;
        if matches!(tuning, Tuning::Cls(_)) {
            return Err(TuningError::ClsForTasks.into());
        }
        if let Some(dropout) = request.plan.dropout {
            folder.config.hidden_dropout_prob = dropout;
            folder.config.attention_probs_dropout_prob = dropout;
        }
        let mut errors = Errors::new();
        for task in &mut files {
            task.templates = json_files::files(&task.templates, &mut errors);
        }
        errors.keep(check_seeds(&request.seeds));
        errors.keep(folder.check_weights());
        let max_length = errors.keep(folder.max_length(request.max_length));
        let of_method = errors.keep(tuning.check(&folder.config));
        let reader = Reader {
            reading: &reading,
            tuning: &tuning,
            folder: &folder,
            max_length: max_length.filter(|_| of_method.is_some()),
            options,
        };
        let tasks: Vec<TaskData> = files.iter().filter_map(|task| reader.read(task, &mut errors)).collect();
        let classes = tasks.iter().map(|task| task.words.of_classes().len()).max().unwrap_or(2);
        let plan = request.plan.plan(&tuning, classes);
        errors.keep(plan.check());
        let (Some(max_length), Some(mut warnings), true) = (max_length, of_method, errors.is_empty()) else {
            return Err(errors.distinct());
        };
        warnings.extend(tasks.iter().filter_map(|task| task.words.left_out()));
        warnings.extend(tasks.iter().flat_map(|task| task.remarks.clone()));
        warnings.extend(reading.bad_rows.so_far().remark());
        let manifest = Manifest {
            header: Header {
                cloze: env!("CARGO_PKG_VERSION").to_owned(),
                command: request.command,
                model: ModelFiles::of(&folder)?,
                data: DataFiles {
                    format: reading.format,
                    label_column: reading.label_column,
                    adjust: reading.adjust,
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
        manifest.check()?;
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

/// What every task is read with.
struct Reader<'a> {
    reading: &'a Reading,
    tuning: &'a Tuning,
    folder: &'a ModelFolder,
    /// The longest input, in tokens; none where it or the method is refused, so that no pattern can be bound.
    max_length: Option<usize>,
    options: Options,
}

impl Reader<'_> {
    /// Reads and checks what a task names.
    fn read(&self, task: &TaskFiles, errors: &mut Errors) -> Option<TaskData> {
        let templates = templates(task, errors);
        let verbalizer = errors.keep(verbalizer(task));
        let words = verbalizer.as_ref().and_then(|verbalizer| {
            errors.keep(LabelWords::check(verbalizer, &self.folder.tokenizer, self.options.device))
        });
        let (train, test) = (task.train.as_deref(), task.test.as_deref());
        let Some(first) = train.or(test) else {
            errors.push(TaskError::WithoutRows { name: task.name.clone() });
            return None;
        };
        let columns = errors.keep(self.reading.open(first))?.columns().clone();
        let verbalizer = verbalizer?;
        let read = read_columns(&templates, &columns);
        let mut rows = |path, labels| {
            errors.keep(Dataset::read(path, self.reading, &read, &verbalizer, Some(&columns), labels))
        };
        let train = train.and_then(|path| rows(path, Labels::Needed));
        let test = test.and_then(|path| rows(path, Labels::Known));
        let remarks = remarks(train.iter().chain(&test), &verbalizer, &BadRows::default());
        let (words, max_length) = (words?, self.max_length?);
        let mut bind = |vectors| {
            let templates = templates.clone();
            Patterns::to_train(templates, &words, self.folder, vectors, max_length, &columns, errors)
        };
        let patterns = bind(SoftVectors::Learned { tuning: self.tuning, columns: &[] });
        let written = bind(SoftVectors::Sampled);
        let (name, shots, share) = (task.name.clone(), task.shots, task.share);
        Some(TaskData { name, patterns, written, words, train, test, shots, share, remarks })
    }
}

/// A task's templates, without demonstrations and without soft tokens of their own.
fn templates(task: &TaskFiles, errors: &mut Errors) -> Vec<Template> {
    let mut templates: Vec<Template> =
        task.templates.iter().filter_map(|path| errors.keep(Template::read(path))).collect();
    templates.retain(|template| {
        let shows = template.demonstrations().map(|_| template.error(TaskError::Demonstrations));
        let soft = template.soft().next().map(|soft| template.soft_error(soft, TaskError::Soft));
        errors.keep(shows.or(soft).map_or(Ok(()), Err)).is_some()
    });
    templates
}

/// A task's verbalizer, one whose classes are words.
fn verbalizer(task: &TaskFiles) -> Result<Verbalizer, Errors> {
    let verbalizer = Verbalizer::read(&task.verbalizer)?;
    match verbalizer.kind() {
        VerbalizerKind::Soft | VerbalizerKind::Prototype => {
            Err(TaskError::ClassVectors { verbalizer: verbalizer.file().to_owned() }.into())
        }
        VerbalizerKind::Words | VerbalizerKind::OneToOne | VerbalizerKind::Knowledge => Ok(verbalizer),
    }
}
