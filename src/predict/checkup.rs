//! Everything that could go wrong with a classifier's files, told at once, before any weight is loaded.

use std::path::{Path, PathBuf};

use tch::Device;

use crate::error::{Errors, Result};
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::{MaskedLm, Options};
use crate::predict::census::Census;
use crate::predict::label_words::LabelWords;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::predict::strict::{StrictReport, Subject};
use crate::predict::task::{Task, check_columns};
use crate::text::data::{Example, Reading};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;

/// So many rows a model is asked about, from the first.
const ASKED_ROWS: usize = 200;

/// The files to look at: any of them.
pub struct CheckupFiles<'a, P> {
    /// Templates.
    pub templates: &'a [P],
    /// A verbalizer.
    pub verbalizer: Option<&'a Path>,
    /// Rows, with or without labels, and how they are read.
    pub data: Option<(&'a Path, &'a Reading)>,
    /// The longest input, in tokens; the model's limit by default.
    pub max_length: Option<usize>,
}

/// What was found in the files.
pub struct Checkup {
    /// The classes and their words.
    pub verbalizer: Option<Verbalizer>,
    /// The model, of which only the small files are read.
    pub folder: Option<ModelFolder>,
    /// The weights' tensors that the model has no place for; they are left out.
    pub left_over: Vec<String>,
    /// The longest input, in tokens.
    pub max_length: Option<usize>,
    /// The label words as tokens of the model.
    pub words: Option<LabelWords>,
    /// The patterns that fit the model.
    pub patterns: Option<Patterns>,
    /// The patterns on the rows' columns.
    pub tasks: Vec<Task>,
    /// What the rows are like.
    pub census: Option<Census>,
    /// All that is wrong.
    pub problems: Errors,
    data: Option<(PathBuf, Reading)>,
}

impl Checkup {
    /// Looks at all that is given, and at how the parts fit together.
    pub fn of<P: AsRef<Path>>(
        files: &CheckupFiles<'_, P>,
        model: impl FnOnce() -> Result<ModelFolder>,
    ) -> Checkup {
        let mut problems = Errors::new();
        let templates: Vec<Template> =
            files.templates.iter().filter_map(|path| problems.keep(Template::read(path.as_ref()))).collect();
        let verbalizer = files.verbalizer.and_then(|path| problems.keep(Verbalizer::read(path)));
        let folder = problems.keep(model());
        let max_length =
            folder.as_ref().and_then(|folder| problems.keep(folder.max_length(files.max_length)));
        let left_over = folder.as_ref().and_then(|folder| problems.keep(folder.check_weights()));
        let left_over = left_over.into_iter().flatten().collect();
        let words = verbalizer
            .as_ref()
            .zip(folder.as_ref())
            .map(|(verbalizer, folder)| LabelWords::check(verbalizer, &folder.tokenizer, Device::Cpu));
        let patterns = folder.as_ref().zip(max_length).map(|(folder, max_length)| {
            let (templates, words) =
                (templates.clone(), words.as_ref().and_then(|words| words.as_ref().ok()));
            Patterns::bind_fitting(templates, words, folder, SoftVectors::Sampled, max_length, &mut problems)
        });
        let words = words.and_then(|words| problems.keep(words));
        let rows = files.data.and_then(|(path, reading)| problems.keep(reading.open(path)));
        let mut tasks = Vec::new();
        let census = rows.map(|rows| {
            match &patterns {
                Some(patterns) => tasks = patterns.on_fitting(rows.columns(), &mut problems).tasks,
                None => templates.iter().for_each(|template| {
                    problems.keep(check_columns(template, rows.columns()));
                }),
            }
            let model = folder.as_ref().zip(max_length);
            Census::take(rows, verbalizer.as_ref(), &tasks, model, &mut problems)
        });
        let data = files.data.map(|(path, reading)| (path.to_owned(), reading.clone()));
        Checkup { verbalizer, folder, left_over, max_length, words, patterns, tasks, census, problems, data }
    }

    /// Loads the model, and asks it what it says of patterns and label words, in the first rows where there
    /// are any. None where a part is missing or has problems: it cannot be asked about.
    pub fn ask(&self) -> Result<Option<StrictReport>> {
        let (true, Some(verbalizer), Some(folder), Some(patterns)) =
            (self.problems.is_empty(), &self.verbalizer, &self.folder, &self.patterns)
        else {
            return Ok(None);
        };
        let rows = self.data.as_ref().map(|(path, reading)| reading.open(path)).transpose()?;
        let rows = rows.into_iter().flatten().take(ASKED_ROWS).collect::<Result<Vec<Example>>>()?;
        let subject = Subject { verbalizer, patterns, tasks: &self.tasks, rows: &rows };
        let folder = ModelFolder::open(folder.path())?;
        subject.ask(&MaskedLm::of(folder, Options::default())?).map(Some)
    }
}
