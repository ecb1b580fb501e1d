//! Everything that could go wrong with a classifier's files, told at once, before any weight is loaded.

use std::path::{Path, PathBuf};
use std::time::Instant;

use tch::Device;

use crate::error::{DataError, Error, Errors, Result, TemplateError};
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::{MaskedLm, Options};
use crate::model::parameters::Found;
use crate::predict::blueprint::members;
use crate::predict::census::Census;
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::encode::encode;
use crate::predict::label_words::LabelWords;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::predict::score::Scorer;
use crate::predict::strict::{StrictReport, Subject};
use crate::predict::task::{Task, check_columns};
use crate::text::data::{Example, Reading};
use crate::text::dataset::perhaps_labels;
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;
use crate::tune::{Learned, Tuning};

/// So many rows a model is asked about, from the first.
const ASKED_ROWS: usize = 200;

/// So many rows are timed, from the first.
const TIMED_ROWS: usize = 32;

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

/// The parts of a classifier, as far as they could be read.
#[derive(Default)]
pub struct CheckupParts<'a> {
    /// The templates as they are written.
    pub templates: Vec<Template>,
    /// The classes and their words.
    pub verbalizer: Option<Verbalizer>,
    /// The model's small files.
    pub folder: Option<ModelFolder>,
    /// The longest input, in tokens.
    pub max_length: Option<usize>,
    /// The method of a training, and the columns that `cls` reads.
    pub training: Option<(&'a Tuning, &'a [String])>,
    /// What it learned, for each model to average.
    pub learned: Vec<Learned>,
    /// Rows, with or without labels, and how they are read.
    pub data: Option<(&'a Path, &'a Reading)>,
}

/// What was found in the files.
pub struct Checkup {
    /// The classes and their words.
    pub verbalizer: Option<Verbalizer>,
    /// The model, of which only the small files are read.
    pub folder: Option<ModelFolder>,
    /// What the weights have that the configuration does not tell.
    pub weights: Found,
    /// The longest input, in tokens.
    pub max_length: Option<usize>,
    /// The label words as tokens of the model.
    pub words: Option<LabelWords>,
    /// The patterns that fit the model.
    pub patterns: Option<Patterns>,
    /// The patterns on the rows' columns.
    pub tasks: Vec<Task>,
    /// A column that may hold the true labels, where none is taken for them.
    pub perhaps_labels: Option<String>,
    /// What the rows are like.
    pub census: Option<Census>,
    /// All that is wrong.
    pub problems: Errors,
    learned: Vec<(Tuning, Learned)>,
    data: Option<(PathBuf, Reading)>,
}

impl Checkup {
    /// Looks at all that is given, and at how the parts fit together.
    pub fn of<P: AsRef<Path>>(
        files: &CheckupFiles<'_, P>,
        model: impl FnOnce() -> Result<ModelFolder>,
    ) -> Checkup {
        let mut problems = Errors::new();
        let templates = Template::read_all(files.templates, &mut problems);
        let verbalizer = files.verbalizer.and_then(|path| problems.keep(Verbalizer::read(path)));
        let folder = problems.keep(model());
        let max_length =
            folder.as_ref().and_then(|folder| problems.keep(folder.max_length(files.max_length)));
        let (data, training, learned) = (files.data, None, Vec::new());
        let parts = CheckupParts { templates, verbalizer, folder, max_length, training, learned, data };
        Checkup::of_parts(parts, problems)
    }

    /// Looks at how parts fit together; `problems` are those of reading them.
    pub fn of_parts(parts: CheckupParts<'_>, mut problems: Errors) -> Checkup {
        let CheckupParts { templates, verbalizer, folder, max_length, training, learned, data } = parts;
        let weights = folder.as_ref().and_then(|folder| problems.keep(folder.check_weights()));
        let words = verbalizer
            .as_ref()
            .zip(folder.as_ref())
            .map(|(verbalizer, folder)| LabelWords::check(verbalizer, &folder.tokenizer, Device::Cpu));
        let patterns = folder.as_ref().zip(max_length).map(|(folder, max_length)| {
            let (templates, words) =
                (templates.clone(), words.as_ref().and_then(|words| words.as_ref().ok()));
            let vectors = training
                .map_or(SoftVectors::Sampled, |(tuning, columns)| SoftVectors::Learned { tuning, columns });
            Patterns::bind_fitting(templates, words, folder, vectors, max_length, &mut problems)
        });
        let words = words.and_then(|words| problems.keep(words));
        let rows = data.and_then(|(path, reading)| problems.keep(reading.open(path)));
        let mut tasks = Vec::new();
        problems.extend(templates.iter().filter_map(reads_nothing));
        let mut perhaps = None;
        let census = rows.map(|mut rows| {
            perhaps = verbalizer.as_ref().and_then(|verbalizer| {
                perhaps_labels(&mut rows, verbalizer, &Template::columns_of_all(&templates))
            });
            match &patterns {
                Some(patterns) => tasks = patterns.on_fitting(rows.columns(), &mut problems).tasks,
                None => templates.iter().for_each(|template| {
                    problems.keep(check_columns(template, rows.columns()));
                }),
            }
            let model = folder.as_ref().zip(max_length);
            Census::take(rows, verbalizer.as_ref(), &tasks, model, &mut problems)
        });
        if let Some(census) = census.as_ref().filter(|census| census.rows + census.unreadable == 0) {
            problems.push(DataError::WithoutRows { data: census.columns.data().to_owned() });
        }
        let data = data.map(|(path, reading)| (path.to_owned(), reading.clone()));
        let learned = training.map_or_else(Vec::new, |(tuning, _)| {
            learned.into_iter().map(|learned| (tuning.clone(), learned)).collect()
        });
        let mut checkup = Checkup {
            verbalizer,
            folder,
            weights: weights.unwrap_or_default(),
            max_length,
            words,
            patterns,
            tasks,
            perhaps_labels: perhaps,
            census,
            problems,
            learned,
            data,
        };
        if !checkup.learned.is_empty() {
            // Only the weights tell what a method learns of them.
            let loaded = checkup.load().map(drop);
            checkup.problems.keep(loaded);
        }
        checkup
    }

    /// What a first run costs, by the time that its first rows take. None where a part is missing or has
    /// problems, and where the rows cannot be read again.
    pub fn cost(&self) -> Result<Option<Cost>> {
        let parts = (&self.folder, &self.patterns, &self.census, &self.data);
        let (Some(folder), Some(patterns), Some(census), Some((path, reading))) = parts else {
            return Ok(None);
        };
        // What is shown to the model is not known.
        let shows = self.tasks.iter().any(|task| task.template().demonstrations().is_some());
        if self.tasks.is_empty() || shows || path == Path::new("-") {
            return Ok(None);
        }
        let Some((base, classifiers)) = self.load()? else { return Ok(None) };
        let rows = reading.open(path)?.take(TIMED_ROWS).collect::<Result<Vec<Example>>>()?;
        let scorer = Scorer::of(&base, &classifiers, &self.tasks, patterns.max_length);
        // The first pass warms up.
        scorer.score(&census.columns, &rows[..1], &mut |_| {})?;
        let started = Instant::now();
        scorer.score(&census.columns, &rows, &mut |_| {})?;
        let seconds = started.elapsed().as_secs_f64();
        let mut timed = 0;
        for task in &self.tasks {
            let inputs =
                rows.iter().map(|row| encode(&task.wrap(row), &folder.tokenizer, patterns.max_length));
            timed += inputs.map(|features| Ok(features?.ids.len())).sum::<Result<usize>>()?;
        }
        Ok(Some(Cost {
            rows: census.rows,
            patterns: self.tasks.len(),
            tokens: census.tokens,
            seconds: seconds * census.tokens as f64 / timed.max(1) as f64,
        }))
    }

    /// Whether label words are read: what `cls` learned reads none.
    pub fn reads_words(&self) -> bool {
        !matches!(self.learned.first(), Some((Tuning::Cls(_), _)))
    }

    /// Loads the weights: the base model, and the models that are asked. None where a part is missing or has
    /// problems.
    fn load(&self) -> Result<Option<(VerbalizedLm, Vec<Classifier>)>> {
        let (true, Some(verbalizer), Some(folder), Some(words), Some(patterns)) =
            (self.problems.is_empty(), &self.verbalizer, &self.folder, &self.words, &self.patterns)
        else {
            return Ok(None);
        };
        let folder = ModelFolder::open_any_head(folder.path())?;
        let base = VerbalizedLm::new(MaskedLm::of(folder, Options::default())?, words.clone());
        let models = members(&base, patterns, &self.learned, Some(verbalizer.classes().len()))?;
        Ok(Some((base, models)))
    }

    /// Loads the model, and asks it what it says of patterns and label words, in the first rows where there
    /// are any. None where a part is missing or has problems, and of `cls`: it cannot be asked about.
    pub fn ask(&self) -> Result<Option<StrictReport>> {
        let (Some(verbalizer), Some(patterns)) = (&self.verbalizer, &self.patterns) else { return Ok(None) };
        let Some((base, models)) = self.load()? else { return Ok(None) };
        let at_mask = |model| match model {
            Classifier::Prompt(model, _) => Some(model),
            Classifier::Sequence(_) => None,
        };
        let Some(models) = models.into_iter().map(at_mask).collect() else { return Ok(None) };
        let rows = self.data.as_ref().map(|(path, reading)| reading.open(path)).transpose()?;
        let rows = rows.into_iter().flatten().take(ASKED_ROWS).collect::<Result<Vec<Example>>>()?;
        let subject = Subject { verbalizer, patterns, tasks: &self.tasks, rows: &rows };
        subject.ask(&base, models).map(Some)
    }
}

/// What a first run costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Rows.
    pub rows: u64,
    /// Patterns, in each of which every row goes through the model.
    pub patterns: usize,
    /// Tokens of all rows in all patterns.
    pub tokens: u64,
    /// About so many seconds on this machine.
    pub seconds: f64,
}

/// The error of a pattern that reads no column: all rows are the same to it.
fn reads_nothing(template: &Template) -> Option<Error> {
    let none = Template::columns_of_all([template]).is_empty();
    none.then(|| template.error(TemplateError::ReadsNothing))
}
