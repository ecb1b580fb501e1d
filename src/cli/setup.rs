//! What the commands have in common: files read and checked, all problems together, before anything costs time.

use std::fmt;
use std::path::{Path, PathBuf};

use cloze::classifier::{Base, Classifier};
use cloze::data::{Columns, Input, Rows};
use cloze::encode::check_length;
use cloze::error::{Error, Kind, Result};
use cloze::hub;
use cloze::label_words::LabelWords;
use cloze::parameters::WORD_EMBEDDINGS;
use cloze::prompt_model::ModelFolder;
use cloze::soft::{SoftTokens, common_words};
use cloze::task::Task;
use cloze::template::{Soft, SoftStart, Template};
use cloze::verbalizer::Verbalizer;
use tch::Device;

use super::args::{Data, DeviceName, Limits, Model, Reading};

/// Several errors that were found together.
#[derive(Debug)]
pub struct Problems(pub Vec<Error>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} problems", self.0.len())
    }
}

impl std::error::Error for Problems {}

impl Problems {
    /// Puts a result's error, or errors, aside.
    pub fn keep<T, E: Into<Problems>>(&mut self, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problems) => {
                self.0.extend(problems.into().0);
                None
            }
        }
    }

    /// An error, if there were any.
    pub fn none(self) -> Result<(), Problems> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Error> for Problems {
    fn from(error: Error) -> Problems {
        Problems(vec![error])
    }
}

impl From<Vec<Error>> for Problems {
    fn from(errors: Vec<Error>) -> Problems {
        Problems(errors)
    }
}

/// All that scoring needs but the weights.
pub struct Ready {
    pub verbalizer: Verbalizer,
    pub tasks: Vec<Task>,
    pub soft: SoftTokens,
    pub rows: Rows,
    pub folder: ModelFolder,
    pub words: LabelWords,
    pub max_length: usize,
    pub device: Device,
}

/// Reads and checks everything, and tells all problems at once.
pub fn ready(templates: &[PathBuf], verbalizer: &Path, data: &Data, model: &Model) -> Result<Ready, Problems> {
    let mut problems = Problems(Vec::new());
    let device = problems.keep(device(model.device));
    let templates = read_templates(templates, &mut problems);
    let verbalizer = problems.keep(Verbalizer::read(verbalizer));
    let rows = problems.keep(open_rows(&data.data, &data.reading));
    let folder = problems.keep(open_model(&model.limits));
    let words = match (&verbalizer, &folder) {
        (Some(verbalizer), Some(folder)) => problems.keep(LabelWords::check(verbalizer, &folder.tokenizer, device.unwrap_or(Device::Cpu))),
        _ => None,
    };
    let max_length = folder.as_ref().and_then(|folder| problems.keep(folder.max_length(model.limits.max_length)));
    let (templates, soft) = fitting(templates, folder.as_ref().zip(max_length), &mut problems);
    if !soft.are_words() {
        problems.0.extend(templates.iter().filter_map(untrained));
    }
    let tasks = rows.as_ref().map(|rows| check_tasks(templates, rows.columns(), &mut problems));
    match (verbalizer, tasks, rows, folder, words, max_length, device) {
        (Some(verbalizer), Some(tasks), Some(rows), Some(folder), Some(words), Some(max_length), Some(device)) if problems.0.is_empty() => {
            Ok(Ready { verbalizer, tasks, soft, rows, folder, words, max_length, device })
        }
        _ => Err(problems),
    }
}

/// The templates that can be read.
pub fn read_templates(paths: &[PathBuf], problems: &mut Problems) -> Vec<Template> {
    paths.iter().filter_map(|path| problems.keep(Template::read(path))).collect()
}

/// The templates that the model can take, with room left for a row, and their soft tokens.
pub fn fitting(templates: Vec<Template>, model: Option<(&ModelFolder, usize)>, problems: &mut Problems) -> (Vec<Template>, SoftTokens) {
    let Some((folder, max_length)) = model else { return (templates, SoftTokens::default()) };
    let Some((templates, soft)) = problems.keep(SoftTokens::check(templates, Vec::new(), &folder.tokenizer)) else {
        return (Vec::new(), SoftTokens::default());
    };
    let fits = |template: &Template| folder.check_segments(template).and_then(|()| check_length(template, &folder.tokenizer, max_length));
    (templates.into_iter().filter(|template| problems.keep(fits(template)).is_some()).collect(), soft)
}

/// The error of a template's soft tokens that mean nothing before training.
fn untrained(template: &Template) -> Option<Error> {
    let no_words = |soft: &&Soft| !matches!(soft.start, Some(SoftStart::Words(_)) | None);
    template.soft().find(no_words).map(|soft| template.soft_error(soft, Kind::PatternSoftUntrained))
}

/// The templates whose fields are columns.
pub fn check_tasks(templates: Vec<Template>, columns: &Columns, problems: &mut Problems) -> Vec<Task> {
    templates.into_iter().filter_map(|template| problems.keep(Task::check(template, columns))).collect()
}

/// The input that a path means.
pub fn input(path: &Path) -> Input {
    if path == Path::new("-") { Input::Stdin } else { Input::File(path.to_owned()) }
}

/// Opens the data.
pub fn open_rows(path: &Path, reading: &Reading) -> Result<Rows> {
    Rows::open(&input(path), reading.format.map(Into::into), reading.label_column.as_deref())
}

/// Opens the model's small files.
pub fn open_model(limits: &Limits) -> Result<ModelFolder> {
    // An empty variable is none, as usual in shells.
    let named = limits.model.clone().or_else(|| std::env::var("CLOZE_MODEL").ok().filter(|model| !model.is_empty()));
    match named {
        Some(model) => ModelFolder::open(&hub::folder(&model)?),
        None => ModelFolder::open(&shipped_model()),
    }
}

/// Loads the weights, on as many threads as asked for.
pub fn load_base(folder: ModelFolder, words: LabelWords, model: &Model, device: Device) -> Result<Base> {
    if let Some(threads) = model.threads {
        tch::set_num_threads(i32::from(threads));
    }
    Base::load(folder, words, model.engine.into(), device)
}

/// The base model with the vectors of soft tokens that start from words.
pub fn zero_shot(base: &Base, soft: &SoftTokens) -> Result<Classifier> {
    let vectors = (!soft.is_empty()).then(|| soft.vectors(base.parameters.get(WORD_EMBEDDINGS), &common_words(base.tokenizer()), 0));
    base.zero_shot(vectors)
}

fn device(name: DeviceName) -> Result<Device> {
    match name {
        DeviceName::Cpu => Ok(Device::Cpu),
        DeviceName::Cuda => Device::cuda_if_available().is_cuda().then_some(Device::Cuda(0)).ok_or_else(|| Kind::NoCuda.into()),
    }
}

/// The model that ships with cloze: in the folder one is in, or beside the program or above it.
fn shipped_model() -> PathBuf {
    const SHIPPED: &str = "models/cloze-minilm-l6";
    let program = std::env::current_exe().unwrap_or_default();
    let beside = program.ancestors().skip(1).map(|folder| folder.join(SHIPPED));
    std::iter::once(PathBuf::from(SHIPPED)).chain(beside).find(|folder| folder.is_dir()).unwrap_or_else(|| PathBuf::from(SHIPPED))
}
