//! From a file of tasks to a manifest, and from a manifest to a training that is ready to run: everything
//! that it names, read and checked.

use std::path::PathBuf;

use super::manifest::{Manifest, StoredTask, StoredTexts};
use super::{LanguageModellingFiles, MultiTask, TaskData, TaskFiles, TasksFile};
use crate::error::{Errors, Result, TaskError, TemplateError, TuningError};
use crate::learn::objective::{Each, Lesson};
use crate::learn::plan::PlanOptions;
use crate::learn::run::{DataFile, DataFiles, Device, Header, InitFrom, ModelFiles, StoredFile, check_seeds};
use crate::learn::start::{Beginner, Own, Start};
use crate::learn::texts::{TextFile, Texts};
use crate::learn::train::Trainer;
use crate::model::folder::{EngineChoice, ModelFolder};
use crate::model::masked_lm::{MaskedLm, Options};
use crate::predict::blueprint::device;
use crate::predict::classifier::VerbalizedLm;
use crate::predict::label_words::LabelWords;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::text::data::{BadRows, Reading};
use crate::text::dataset::{Dataset, Labels, read_columns, remarks};
use crate::text::demonstrations::Drawing;
use crate::text::json_files;
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;
use crate::tune::Tuning;

/// L of texts, where nothing is said.
const SEQUENCE_LENGTH: usize = 128;

/// What is to be trained on several tasks.
pub struct TasksRequest {
    /// The tasks, and texts beside them.
    pub files: TasksFile,
    /// The method.
    pub tuning: Tuning,
    /// A run to start from, in place of the usual beginning.
    pub init_from: Option<PathBuf>,
    /// How long and how fast; by default as for the most classes of a task.
    pub plan: PlanOptions,
    /// How demonstrations are drawn, if not as usual; then a pattern must show some.
    pub drawing: Option<Drawing>,
    /// Steps between looks at what is held out, if not a tenth of them.
    pub evaluate_every: Option<usize>,
    /// The base model's small files.
    pub folder: ModelFolder,
    /// The longest input, in tokens, if it is not the model's own.
    pub max_length: Option<usize>,
    /// How files of rows are read.
    pub reading: Reading,
    /// What runs the forward pass.
    pub engine: EngineChoice,
    /// Where it computes.
    pub device: Device,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// CPU threads.
    pub threads: usize,
    /// The command line, for people.
    pub command: Vec<String>,
}

impl TasksRequest {
    /// The manifest: files by path, text and hash, and everything said that was left open. All problems at
    /// once.
    pub fn manifest(self) -> Result<Manifest, Errors> {
        let TasksRequest { files, tuning, folder, reading, .. } = self;
        if matches!(tuning, Tuning::Cls(_)) {
            return Err(TuningError::ClsForTasks.into());
        }
        let (mut errors, mut missing) = (Errors::new(), Errors::new());
        errors.keep(check_seeds(&self.seeds));
        errors.keep(folder.check_weights());
        let max_length = errors.keep(folder.max_length(self.max_length));
        let tasks: Vec<StoredTask> =
            files.tasks.iter().filter_map(|task| StoredTask::of(task, &mut missing)).collect();
        let classes = |task: &StoredTask| task.read_verbalizer().map_or(2, |own| own.classes().len());
        let mut plan = self.plan.plan(&tuning, tasks.iter().map(classes).max().unwrap_or(2));
        plan.evaluate_every = self.evaluate_every.unwrap_or(plan.evaluate_every);
        if !missing.is_empty() || max_length.is_none() || plan.check().is_err() {
            // What else is wrong is told with it.
            let of_method = errors.keep(tuning.check(&folder.config));
            let reader = Reader {
                reading: &reading,
                tuning: &tuning,
                folder: &folder,
                max_length: max_length.filter(|_| of_method.is_some()),
                device: device(self.device == Device::Cuda).unwrap_or(tch::Device::Cpu),
                lacks_files: !missing.is_empty(),
            };
            tasks.iter().for_each(|task| drop(reader.read(task, &mut errors)));
            errors.extend(missing);
            errors.keep(plan.check());
            return Err(errors.distinct());
        }
        let most = usize::try_from(folder.config.max_position_embeddings).unwrap_or(usize::MAX);
        let language_modelling =
            files.language_modelling.map(|files| stored(files, plan.batch_size, most, &mut errors));
        let (Some(max_length), true) = (max_length, errors.is_empty()) else { return Err(errors.distinct()) };
        let model = ModelFiles::of(&folder)?;
        let init_from = self.init_from.map(|path| InitFrom::of(&path, &self.seeds, &model)).transpose()?;
        let mut manifest = Manifest {
            header: Header {
                cloze: env!("CARGO_PKG_VERSION").to_owned(),
                command: self.command,
                model,
                data: DataFiles {
                    format: reading.format,
                    label_column: reading.label_column,
                    adjust: reading.adjust,
                    ..DataFiles::default()
                },
                device: self.device,
                threads: self.threads,
                engine: self.engine,
                max_length,
                seeds: self.seeds,
            },
            tasks,
            language_modelling,
            tuning,
            init_from,
            plan,
            demonstrations: None,
        };
        manifest.demonstrations = match (manifest.shows(), self.drawing) {
            (true, drawing) => Some(drawing.unwrap_or_default()),
            (false, None) => None,
            (false, Some(_)) => return Err(TemplateError::NothingToShow.into()),
        };
        Ok(manifest)
    }
}

impl StoredTask {
    /// A task's files as they are now, without those that are missing, which is put beside the errors; none
    /// without a verbalizer.
    fn of(task: &TaskFiles, errors: &mut Errors) -> Option<StoredTask> {
        let templates: Vec<PathBuf> = json_files::files(&task.templates, errors);
        let templates = templates.iter().filter_map(|path| errors.keep(StoredFile::of(path))).collect();
        let verbalizer = errors.keep(StoredFile::of(&task.verbalizer));
        let mut rows =
            |path: &Option<PathBuf>| path.as_ref().and_then(|path| errors.keep(DataFile::of(path)));
        Some(StoredTask {
            name: task.name.clone(),
            train: rows(&task.train),
            dev: rows(&task.dev),
            test: rows(&task.test),
            templates,
            verbalizer: verbalizer?,
            shots: task.shots,
            share: task.share,
            lesson: task.lesson,
        })
    }
}

/// Texts with what their files are.
fn stored(files: LanguageModellingFiles, batch_size: usize, most: usize, errors: &mut Errors) -> StoredTexts {
    let mut texts = |paths: &[PathBuf]| {
        let text = |path: &PathBuf| {
            let file = errors.keep(DataFile::of(path))?;
            Some(TextFile { file, column: files.text_column.clone(), share: None })
        };
        paths.iter().filter_map(text).collect()
    };
    StoredTexts {
        texts: Texts {
            text: texts(&files.text),
            held_out: texts(&files.held_out),
            held_out_share: 0.0,
            sequence_length: files.sequence_length.unwrap_or(SEQUENCE_LENGTH.min(most)),
            masking: files.masking,
        },
        share: files.share,
        weight: files.weight,
        batch_size: files.batch_size.unwrap_or(batch_size),
    }
}

impl MultiTask {
    /// Reads and checks what a manifest names, loads the base model, and gives what a reader of the results
    /// should know. All problems at once; one that several tasks share is told once.
    pub fn prepare(manifest: Manifest, checkpoint_every: usize) -> Result<(MultiTask, Vec<String>), Errors> {
        let mut errors = Errors::new();
        errors.keep(manifest.check());
        let device = errors.keep(device(manifest.header.device == Device::Cuda));
        let folder = errors.keep(ModelFolder::open_any_head(&manifest.header.model.path));
        let (Some(device), Some(mut folder)) = (device, folder) else { return Err(errors.distinct()) };
        if let Some(dropout) = manifest.plan.dropout {
            folder.config.set_dropout(dropout);
        }
        let max_length = errors.keep(folder.max_length(Some(manifest.header.max_length)));
        let of_method = errors.keep(manifest.tuning.check(&folder.config));
        if let Some(stored) = &manifest.language_modelling {
            errors.keep(stored.texts.check(&folder.config));
        }
        let reading = manifest.header.data.reading();
        let reader = Reader {
            reading: &reading,
            tuning: &manifest.tuning,
            folder: &folder,
            max_length: max_length.filter(|_| of_method.is_some()),
            device,
            lacks_files: false,
        };
        let tasks: Vec<TaskData> =
            manifest.tasks.iter().filter_map(|task| reader.read(task, &mut errors)).collect();
        let in_front = |task: &&TaskData| task.patterns.soft.front() > 0;
        if !tasks.iter().filter(in_front).any(|task| task.train.is_some()) {
            let nobody = |task: &TaskData| TaskError::NobodyLearns {
                name: task.name.clone(),
                what: "soft tokens before the input",
            };
            errors.extend(tasks.iter().filter(in_front).map(|task| nobody(task).into()));
        }
        let (Some(mut warnings), true) = (of_method, errors.is_empty()) else {
            return Err(errors.distinct());
        };
        warnings.extend(tasks.iter().filter_map(|task| task.words.left_out()));
        warnings.extend(tasks.iter().flat_map(|task| task.remarks.clone()));
        warnings.extend(reading.bad_rows.so_far().remark());
        warnings.extend(manifest.plan.remark(device));
        let model =
            MaskedLm::of(folder, Options { engine: manifest.header.engine, device, ..Options::default() })?;
        warnings.extend(model.parameters.remark());
        let base = |task: &TaskData| VerbalizedLm::new(model.clone(), task.words.clone());
        let bases = tasks.iter().map(base).collect();
        let mut training = MultiTask { manifest, bases, tasks, start: None, checkpoint_every };
        if let Some(from) = &training.manifest.init_from {
            let (start, told) = training.open_start(from)?;
            warnings.extend(told);
            training.start = Some(start);
        }
        Ok((training, warnings))
    }
}

impl MultiTask {
    /// The earlier run, and what should be known of it.
    fn open_start(&self, from: &InitFrom) -> Result<(Start, Vec<String>)> {
        let (first, together) = (self.first(), self.together());
        let usual = Trainer { together: &together, ..self.trainer(first, 0) }.begin()?.trainable.finished();
        let own = |task: &TaskData| Own {
            task: Some(task.name.clone()),
            soft: task.patterns.soft.own().to_vec(),
            classes: task.labels.clone(),
        };
        let beginner = Beginner {
            base: &self.bases[first],
            tuning: &self.manifest.tuning,
            front: self.tasks[first].patterns.soft.front(),
            tasks: self.tasks.iter().filter(|task| task.train.is_some()).map(own).collect(),
            learns: usual.iter().map(|(name, tensor)| (name.clone(), tensor.size())).collect(),
        };
        Start::open(from, &self.manifest.header.seeds, beginner)
    }
}

/// What every task is read with.
struct Reader<'a> {
    reading: &'a Reading,
    tuning: &'a Tuning,
    folder: &'a ModelFolder,
    /// The longest input, in tokens; none where it or the method is refused, so that no pattern can be bound.
    max_length: Option<usize>,
    device: tch::Device,
    /// Whether some files are missing, which is told already.
    lacks_files: bool,
}

impl Reader<'_> {
    /// Reads and checks what a task names.
    fn read(&self, task: &StoredTask, errors: &mut Errors) -> Option<TaskData> {
        let templates = templates(task, errors);
        let verbalizer = errors.keep(task.read_verbalizer());
        let words = verbalizer.as_ref().and_then(|verbalizer| {
            errors.keep(LabelWords::check(verbalizer, &self.folder.tokenizer, self.device))
        });
        if let Some(words) = &words {
            errors.keep(check_lesson(task, words));
        }
        if let Some(verbalizer) = &verbalizer {
            errors.keep(check_own(task, &templates, verbalizer));
        }
        let files =
            [&task.train, &task.dev, &task.test].map(|file| file.as_ref().map(|file| file.path.as_path()));
        let Some(first) = files.into_iter().flatten().next() else {
            if !self.lacks_files {
                errors.push(TaskError::WithoutRows { name: task.name.clone() });
            }
            return None;
        };
        let columns = errors.keep(self.reading.open(first))?.columns().clone();
        let verbalizer = verbalizer?;
        let read = read_columns(&templates, &columns);
        let mut rows = |path: Option<_>, labels| {
            errors.keep(Dataset::read(path?, self.reading, &read, &verbalizer, Some(&columns), labels))
        };
        let [train, dev, test] = files;
        let (train, dev, test) =
            (rows(train, Labels::Needed), rows(dev, Labels::Needed), rows(test, Labels::Known));
        let remarks = remarks(train.iter().chain(&dev).chain(&test), &verbalizer, &BadRows::default());
        let (words, max_length) = (words?, self.max_length?);
        let mut bind = |vectors| {
            let templates = templates.clone();
            Patterns::to_train(templates, &words, self.folder, vectors, max_length, &columns, errors)
        };
        let patterns = bind(SoftVectors::Learned { tuning: self.tuning, columns: &[] });
        let written = bind(SoftVectors::Sampled);
        let labels = verbalizer.labels().map(str::to_owned).collect();
        Some(TaskData {
            name: task.name.clone(),
            labels,
            patterns,
            written,
            words,
            train,
            dev,
            test,
            remarks,
        })
    }
}

/// Refuses what words of several tokens cannot be asked, nor classes that are vectors.
fn check_lesson(task: &StoredTask, words: &LabelWords) -> Result<()> {
    let Lesson { words: each, vocabulary_weight, .. } = task.lesson;
    let what = match () {
        () if each == Each::One => "\"words_each_step\"",
        () if vocabulary_weight > 0.0 => "\"vocabulary_weight\"",
        () => return Ok(()),
    };
    let name = task.name.clone();
    match words.several() {
        Some(_) => Err(TaskError::WordsOfSeveralTokens { name, what }.into()),
        None if words.learns_of_classes() => Err(TaskError::ClassesAreVectors { name, what }.into()),
        None => Ok(()),
    }
}

/// Refuses a task without train rows that has vectors of its own: nothing would move them.
fn check_own(task: &StoredTask, templates: &[Template], verbalizer: &Verbalizer) -> Result<(), Errors> {
    if task.train.is_some() {
        return Ok(());
    }
    let mut errors = Errors::new();
    let nobody = |what| TaskError::NobodyLearns { name: task.name.clone(), what };
    for template in templates {
        errors.extend(template.soft().next().map(|soft| template.soft_error(soft, nobody("soft tokens"))));
    }
    if verbalizer.learns_of_classes() {
        errors.push(nobody("class vectors or weights of words"));
    }
    errors.none()
}

/// A task's templates. Demonstrations are train rows, and as many in each pattern that a step may draw.
fn templates(task: &StoredTask, errors: &mut Errors) -> Vec<Template> {
    let parse = |stored: &StoredFile| Template::parse(&stored.name(), &stored.file, &stored.text);
    let templates: Vec<Template> =
        task.templates.iter().filter_map(|stored| errors.keep(parse(stored))).collect();
    let name = || task.name.clone();
    let shows = |template: &&Template| template.demonstrations().is_some();
    let nothing = |template: &Template| template.error(TaskError::NothingToShow { name: name() });
    if task.train.is_none() {
        errors.extend(templates.iter().filter(shows).map(nothing));
    }
    let showing = templates.iter().filter(shows).count();
    if task.lesson.templates == Each::One && showing > 0 && showing < templates.len() {
        errors.push(TaskError::SomeShow { name: name() });
    }
    templates
}
