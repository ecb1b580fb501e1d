//! Files of tasks, as users write them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::source::Source;
use crate::error::{CorpusError, Result, TaskError, TuningError};
use crate::learn::objective::{Each, Lesson, Masking};
use crate::text::json::{self, Node, Text};

/// The version of files of tasks that this cloze reads.
pub const VERSION: u64 = 1;

/// What a file of tasks says.
#[derive(Debug, Clone)]
pub struct TasksFile {
    /// The tasks.
    pub tasks: Vec<TaskFiles>,
    /// Texts that are learned from beside them.
    pub language_modelling: Option<LanguageModellingFiles>,
}

/// A task as a file of tasks names it; its paths are from the file's folder.
#[derive(Debug, Clone)]
pub struct TaskFiles {
    /// Its name in the results.
    pub name: String,
    /// Its templates, by the names of files or folders, or by patterns of names.
    pub templates: Vec<PathBuf>,
    /// Its verbalizer.
    pub verbalizer: PathBuf,
    /// Labelled rows to learn from; a task without any is only scored.
    pub train: Option<PathBuf>,
    /// Labelled rows to look at while it goes; nothing is chosen by them.
    pub dev: Option<PathBuf>,
    /// Rows to score, and to evaluate on where they have labels.
    pub test: Option<PathBuf>,
    /// Rows of each class to learn from; all by default.
    pub shots: Option<usize>,
    /// How often a step is its, beside the others' shares; 1 by default.
    pub share: f64,
    /// What a step takes of it.
    pub lesson: Lesson,
}

/// Texts that are learned from beside tasks, so that the head stays a language model's.
#[derive(Debug, Clone)]
pub struct LanguageModellingFiles {
    /// The texts, from the file's folder.
    pub text: Vec<PathBuf>,
    /// Texts that losses are measured on.
    pub held_out: Vec<PathBuf>,
    /// The column of the texts, where files have columns.
    pub text_column: Option<String>,
    /// How often a step is theirs, beside the tasks' shares; 1 by default.
    pub share: f64,
    /// What their loss is multiplied by; 1 by default.
    pub weight: f64,
    /// L, if not the usual.
    pub sequence_length: Option<usize>,
    /// Sequences in a batch, if not as many as rows.
    pub batch_size: Option<usize>,
    /// Which tokens are to be predicted.
    pub masking: Masking,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTasks<'a> {
    #[serde(borrow, rename = "version")]
    _version: &'a RawValue,
    #[serde(borrow)]
    language_modelling: Option<&'a RawValue>,
    #[serde(borrow)]
    tasks: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTask<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
    templates: Vec<PathBuf>,
    verbalizer: PathBuf,
    train: Option<PathBuf>,
    dev: Option<PathBuf>,
    test: Option<PathBuf>,
    shots: Option<usize>,
    #[serde(borrow)]
    share: Option<&'a RawValue>,
    #[serde(default)]
    templates_each_step: Each,
    #[serde(default)]
    words_each_step: Each,
    #[serde(default)]
    balance: bool,
    #[serde(borrow)]
    vocabulary_weight: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLanguageModelling<'a> {
    text: Vec<PathBuf>,
    #[serde(default)]
    held_out: Vec<PathBuf>,
    text_column: Option<String>,
    #[serde(borrow)]
    share: Option<&'a RawValue>,
    #[serde(borrow)]
    weight: Option<&'a RawValue>,
    sequence_length: Option<usize>,
    batch_size: Option<usize>,
    mask_rate: Option<f64>,
    #[serde(default)]
    whole_words: bool,
}

/// The smallest number that is allowed.
#[derive(Clone, Copy, PartialEq)]
enum From {
    Nothing,
    AboveNothing,
}

/// A number at its place in a file, or what stands for it where nothing is said.
fn number(node: &Node<'_>, key: &str, raw: Option<&RawValue>, usual: f64, from: From) -> Result<f64> {
    let Some(raw) = raw else { return Ok(usual) };
    let node = node.key(key, raw);
    let found: f64 = node.read()?;
    let is = found.is_finite() && (found > 0.0 || (from == From::Nothing && found == 0.0));
    let allowed = if from == From::Nothing { "0 or more" } else { "above 0" }.to_owned();
    match is {
        true => Ok(found),
        false => Err(node.error(TuningError::OptionOutOfRange { name: key.to_owned(), found, allowed })),
    }
}

impl TasksFile {
    /// Reads a file of tasks.
    ///
    /// ```json
    /// { "version": 1,
    ///   "language_modelling": { "text": ["articles.txt"], "share": 2 },
    ///   "tasks": [
    ///     { "name": "mood", "templates": ["mood/*.json"], "verbalizer": "words.json", "train": "mood.csv", "share": 2,
    ///       "templates_each_step": "one", "balance": true },
    ///     { "name": "topic", "templates": ["topic.json"], "verbalizer": "topics.json", "test": "news.csv" } ] }
    /// ```
    pub fn read(path: &Path) -> Result<TasksFile> {
        let source = Source::new(path.display().to_string(), json::read_text(path)?);
        let root = Node::root(&source);
        root.check_version(VERSION)?;
        let raw: RawTasks = root.read_object()?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let list = root.key("tasks", raw.tasks);
        let values: Vec<&RawValue> = list.read()?;
        let mut tasks: Vec<TaskFiles> = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let node = list.element(index, value);
            let task = TaskFiles::read(&node, folder, &tasks)?;
            tasks.push(task);
        }
        let language_modelling = raw
            .language_modelling
            .map(|raw| LanguageModellingFiles::read(&root.key("language_modelling", raw), folder));
        let language_modelling = language_modelling.transpose()?;
        if tasks.iter().all(|task| task.train.is_none()) {
            return Err(list.error(TaskError::WithoutTraining));
        }
        Ok(TasksFile { tasks, language_modelling })
    }
}

impl TaskFiles {
    fn read(node: &Node<'_>, folder: &Path, before: &[TaskFiles]) -> Result<TaskFiles> {
        let raw: RawTask = node.read_object()?;
        let name: Text = node.key("name", raw.name).text()?;
        if name.value.is_empty() || before.iter().any(|task| task.name == name.value) {
            return Err(name.whole_error(TaskError::Name { name: name.value.clone() }));
        }
        let share = number(node, "share", raw.share, 1.0, From::AboveNothing)?;
        let vocabulary_weight = number(node, "vocabulary_weight", raw.vocabulary_weight, 0.0, From::Nothing)?;
        if raw.templates.is_empty() {
            return Err(node.error(TuningError::TemplateNeeded { method: "a task" }));
        }
        if raw.train.is_none() && raw.dev.is_none() && raw.test.is_none() {
            return Err(node.error(TaskError::WithoutRows { name: name.value }));
        }
        let at = |path: PathBuf| folder.join(path);
        Ok(TaskFiles {
            name: name.value,
            templates: raw.templates.into_iter().map(at).collect(),
            verbalizer: at(raw.verbalizer),
            train: raw.train.map(at),
            dev: raw.dev.map(at),
            test: raw.test.map(at),
            shots: raw.shots,
            share,
            lesson: Lesson {
                templates: raw.templates_each_step,
                words: raw.words_each_step,
                balance: raw.balance,
                vocabulary_weight,
            },
        })
    }
}

impl LanguageModellingFiles {
    fn read(node: &Node<'_>, folder: &Path) -> Result<LanguageModellingFiles> {
        let raw: RawLanguageModelling = node.read_object()?;
        if raw.text.is_empty() {
            return Err(node.error(CorpusError::WithoutTexts));
        }
        let masking = Masking {
            rate: raw.mask_rate.unwrap_or(Masking::default().rate),
            whole_words: raw.whole_words,
            ..Masking::default()
        };
        let at = |paths: Vec<PathBuf>| paths.into_iter().map(|path| folder.join(path)).collect();
        Ok(LanguageModellingFiles {
            text: at(raw.text),
            held_out: at(raw.held_out),
            text_column: raw.text_column,
            share: number(node, "share", raw.share, 1.0, From::AboveNothing)?,
            weight: number(node, "weight", raw.weight, 1.0, From::AboveNothing)?,
            sequence_length: raw.sequence_length,
            batch_size: raw.batch_size,
            masking,
        })
    }
}
