//! Runs of whatever kind: opened by what their manifests say that they are, and made into classifiers.

use std::path::{Path, PathBuf};

use crate::error::source::Source;
use crate::error::{EncodeError, EnsembleError, Error, Errors, Kind, Result, RunError, TaskError};
use crate::learn::run::{Header, MANIFEST, Manifest, ModelFiles, RunFolder, RunKind, kind_of};
use crate::model::arch::Config;
use crate::model::folder::ModelFolder;
use crate::model::hash::hash_of_weights;
use crate::model::masked_lm::Options;
use crate::predict::blueprint::{Blueprint, OfRun};
use crate::predict::prompt_classifier::{Compute, PromptClassifier};
use crate::predict::pvp::Patterns;
use crate::predict::showing::Showing;
use crate::predict::task::TaskSet;
use crate::study::ensemble::{self, EnsembleFolder, STUDENT};
use crate::study::multi_task;
use crate::text::data::Rows;
use crate::text::dataset::Dataset;
use crate::text::demonstrations::Drawing;
use crate::text::json::{self, Node};
use crate::tune::{Learned, Tuning};

/// A run's folder with its manifest.
///
/// ```no_run
/// use cloze::Run;
/// let classifier = Run::open("runs/tickets")?.classifier()?;
/// let answers = classifier.classify(&["I was charged twice."])?;
/// println!("{}", classifier.label(&answers[0]));
/// # Ok::<(), cloze::Error>(())
/// ```
pub struct Run {
    path: PathBuf,
    /// What it keeps.
    pub contents: Contents,
}

/// What a run keeps, by its kind.
pub enum Contents {
    /// One way of tuning over several seeds.
    Train(RunFolder, Box<Manifest>),
    /// One model for several tasks.
    Tasks(RunFolder, Box<multi_task::Manifest>),
    /// An ensemble of patterns, and its student.
    Ensemble(EnsembleFolder, Box<ensemble::Manifest>),
}

/// What of a run is wanted, and on which base model.
#[derive(Default)]
pub struct Wanted {
    /// One of its tasks: needed where there are several.
    pub task: Option<String>,
    /// One of its seeds; the average of all by default.
    pub seed: Option<u64>,
    /// The base model, if it is not where it was.
    pub model: Option<PathBuf>,
    /// Where the base model is by the path that the run has of it; there by default.
    pub find: Option<fn(PathBuf) -> PathBuf>,
    /// Whether a base model with other weights is taken.
    pub allow_other_base: bool,
    /// The longest input, in tokens, if not the run's.
    pub max_length: Option<usize>,
    /// How the model is loaded.
    pub options: Options,
}

impl Run {
    /// Opens whatever run lies in a folder.
    pub fn open(path: impl AsRef<Path>) -> Result<Run> {
        let path = path.as_ref();
        let folder = RunFolder::existing(path)?;
        let file = path.join(MANIFEST);
        let contents = match kind_of(&file)? {
            // What tells nothing is read as a training, which says what is wrong with it.
            Some(RunKind::Train) | None => Contents::Train(folder, Box::new(Manifest::read(&file)?)),
            Some(RunKind::Tasks) => Contents::Tasks(folder, Box::new(multi_task::Manifest::read(&file)?)),
            Some(RunKind::Ensemble) => {
                let (folder, manifest) = EnsembleFolder::open(path)?;
                Contents::Ensemble(folder, Box::new(manifest))
            }
        };
        Ok(Run { path: path.to_owned(), contents })
    }

    /// The kind of run.
    pub fn kind(&self) -> RunKind {
        match self.contents {
            Contents::Train(..) => RunKind::Train,
            Contents::Tasks(..) => RunKind::Tasks,
            Contents::Ensemble(..) => RunKind::Ensemble,
        }
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its members are the classifier: it is an ensemble without a student.
    pub fn is_its_members(&self) -> bool {
        matches!(&self.contents, Contents::Ensemble(_, manifest) if manifest.student.is_none())
    }

    /// Its seeds.
    pub fn seeds(&self) -> &[u64] {
        match &self.contents {
            Contents::Train(_, manifest) => &manifest.header.seeds,
            Contents::Tasks(_, manifest) => &manifest.header.seeds,
            Contents::Ensemble(_, manifest) => &manifest.seeds,
        }
    }

    /// One of its seeds, or all of them.
    pub fn chosen_seeds(&self, asked: Option<u64>) -> Result<Vec<u64>> {
        match asked {
            Some(seed) if !self.seeds().contains(&seed) => {
                let (path, seeds) = (self.path.clone(), self.seeds().to_vec());
                Err(RunError::WithoutSeed { path, seed, seeds }.into())
            }
            Some(seed) => Ok(vec![seed]),
            None => Ok(self.seeds().to_vec()),
        }
    }

    /// The classifier that it learned, the average over its seeds; of an ensemble its student. The one of a
    /// task is [`Run::task`]'s, and one seed's, or one on another base model, [`Run::classifier_of`]'s.
    pub fn classifier(&self) -> Result<PromptClassifier> {
        self.classifier_of(&Wanted::default(), Compute::default(), None)
    }

    /// The classifier of one of its tasks.
    pub fn task(&self, name: &str) -> Result<PromptClassifier> {
        let wanted = Wanted { task: Some(name.to_owned()), ..Wanted::default() };
        self.classifier_of(&wanted, Compute::default(), None)
    }

    /// What of it is wanted, as a classifier that computes as it is told to. `shown` are labelled rows for
    /// patterns with demonstrations.
    pub fn classifier_of(
        &self,
        wanted: &Wanted,
        compute: Compute,
        shown: Option<(Dataset, Drawing)>,
    ) -> Result<PromptClassifier> {
        let (blueprint, ()) = self.bind(wanted, |_, _| Ok(()))?;
        let showing = |(rows, drawing)| Showing::of(rows, &blueprint.verbalizer, drawing);
        let showing = shown.map(showing).transpose()?;
        PromptClassifier::load(blueprint, compute, showing)
    }

    /// Binds what it keeps to its base model and to the columns of rows. All problems at once.
    pub fn blueprint(
        &self,
        wanted: &Wanted,
        rows: impl FnOnce() -> Result<Rows>,
    ) -> Result<(Blueprint, TaskSet, Rows), Errors> {
        let on = |patterns: &Patterns, errors: &mut Errors| {
            let rows = rows()?;
            Ok((patterns.on_fitting(rows.columns(), errors), rows))
        };
        let (blueprint, (tasks, rows)) = self.bind(wanted, on)?;
        Ok((blueprint, tasks, rows))
    }

    fn bind<T>(
        &self,
        wanted: &Wanted,
        on: impl FnOnce(&Patterns, &mut Errors) -> Result<T>,
    ) -> Result<(Blueprint, T), Errors> {
        if let (Some(name), false) = (&wanted.task, matches!(self.contents, Contents::Tasks(..))) {
            let (path, name) = (self.path.clone(), name.clone());
            return Err(TaskError::Unknown { path, name, tasks: Vec::new() }.into());
        }
        match &self.contents {
            Contents::Train(folder, manifest) => self.of_training(folder, manifest, wanted, on),
            Contents::Tasks(folder, manifest) => self.of_task(folder, manifest, wanted, on),
            Contents::Ensemble(folder, manifest) => self.of_student(folder, manifest, wanted, on),
        }
    }

    fn of_training<T>(
        &self,
        run: &RunFolder,
        manifest: &Manifest,
        wanted: &Wanted,
        on: impl FnOnce(&Patterns, &mut Errors) -> Result<T>,
    ) -> Result<(Blueprint, T), Errors> {
        let seeds = self.chosen_seeds(wanted.seed)?;
        let Header { model, max_length, .. } = &manifest.header;
        let (folder, max_length) = self.base(model, &manifest.tuning, wanted, |_| *max_length)?;
        let parts = OfRun {
            verbalizer: manifest.verbalizer()?,
            templates: manifest.templates()?,
            tuning: &manifest.tuning,
            columns: &manifest.columns,
            max_length,
        };
        Blueprint::of_run(parts, folder, wanted.options, on, |errors| learned(run, &seeds, errors))
    }

    fn of_task<T>(
        &self,
        run: &RunFolder,
        manifest: &multi_task::Manifest,
        wanted: &Wanted,
        on: impl FnOnce(&Patterns, &mut Errors) -> Result<T>,
    ) -> Result<(Blueprint, T), Errors> {
        let (path, tasks) =
            (self.path.clone(), manifest.tasks.iter().map(|task| task.name.clone()).collect());
        let Some(name) = &wanted.task else { return Err(TaskError::Needed { path, tasks }.into()) };
        let Some(task) = manifest.tasks.iter().find(|task| task.name == *name) else {
            return Err(TaskError::Unknown { path, name: name.clone(), tasks }.into());
        };
        let seeds = self.chosen_seeds(wanted.seed)?;
        let Header { model, max_length, .. } = &manifest.header;
        let (folder, max_length) = self.base(model, &manifest.tuning, wanted, |_| *max_length)?;
        let parts = OfRun {
            verbalizer: task.read_verbalizer()?,
            templates: task.read_templates()?,
            tuning: &manifest.tuning,
            columns: &[],
            max_length,
        };
        Blueprint::of_run(parts, folder, wanted.options, on, |errors| learned(run, &seeds, errors))
    }

    fn of_student<T>(
        &self,
        run: &EnsembleFolder,
        manifest: &ensemble::Manifest,
        wanted: &Wanted,
        on: impl FnOnce(&Patterns, &mut Errors) -> Result<T>,
    ) -> Result<(Blueprint, T), Errors> {
        let seeds = self.chosen_seeds(wanted.seed)?;
        let (Some(student), Some(with)) = (&manifest.student, &manifest.run) else {
            return Err(EnsembleError::NoStudent { path: self.path.clone() }.into());
        };
        let model = with.student_model.as_ref().unwrap_or(&with.model);
        let (folder, max_length) =
            self.base(model, &student.tuning, wanted, |config| manifest.student_length(config))?;
        let mut verbalizers = ensemble::Manifest::read_verbalizers(with)?.into_iter();
        let Some(verbalizer) = verbalizers.next() else {
            return Err(
                EnsembleError::Needs { what: "verbalizers", because: "a student has its words" }.into()
            );
        };
        let templates = ensemble::Manifest::read_templates(with)?;
        let parts = OfRun {
            verbalizer,
            templates: student.reads(&templates)?,
            tuning: &student.tuning,
            columns: &with.columns,
            max_length,
        };
        Blueprint::of_run(parts, folder, wanted.options, on, |errors| {
            let load = |&seed: &u64| {
                errors.keep(run.load_learned(&run.learned(manifest.generations, seed, STUDENT)))
            };
            seeds.iter().filter_map(load).collect()
        })
    }

    /// The base model, and the longest input, in tokens. A method of the run, or a length, that this model
    /// cannot have is refused: the manifest may have been edited, and the model be another.
    pub(crate) fn base(
        &self,
        model: &ModelFiles,
        tuning: &Tuning,
        wanted: &Wanted,
        length: impl FnOnce(&Config) -> usize,
    ) -> Result<(ModelFolder, usize)> {
        let folder = base(model, wanted)?;
        tuning.check(&folder.config).map_err(|error| self.place(error, tuning))?;
        let max_length = match wanted.max_length {
            None => {
                let of_run = Some(length(&folder.config));
                folder.max_length(of_run).map_err(|error| self.place(error, tuning))?
            }
            asked => folder.max_length(asked)?,
        };
        Ok((folder, max_length))
    }

    /// The place in the manifest of an error about the longest input or the options of a method.
    fn place(&self, error: Error, tuning: &Tuning) -> Error {
        let file = self.path.join(MANIFEST);
        let Ok(text) = json::read_text(&file) else { return error };
        let source = Source::new(file.display().to_string(), text);
        let root = Node::root(&source);
        if let Kind::Encode(EncodeError::MaxLengthOutOfRange { .. }) = error.kind() {
            return match root.at("max_length") {
                Some(node) => error.at(node.place_of_all()),
                None => error,
            };
        }
        let key = if self.kind() == RunKind::Ensemble { "student.tuning" } else { "tuning" };
        match root.at(&format!("{}.{key}", self.kind().name())).or_else(|| root.at(key)) {
            Some(options) => tuning.place_error(error, &options),
            None => error,
        }
    }
}

/// The base model of a run, refused if its weights are not those that the run was made with.
pub fn base(model: &ModelFiles, wanted: &Wanted) -> Result<ModelFolder> {
    let find = wanted.find.unwrap_or(|path| path);
    let path = wanted.model.clone().unwrap_or_else(|| find(model.path.clone()));
    let folder = ModelFolder::open(&path)?;
    check_base(model, folder.path(), wanted.allow_other_base)?;
    Ok(folder)
}

/// The hash of a base model's weights. If they are not those of a run, they are refused, unless that is
/// allowed.
pub fn check_base(model: &ModelFiles, folder: &Path, allow_other: bool) -> Result<String> {
    let found = hash_of_weights(folder)?;
    match allow_other || found == model.sha256 {
        true => Ok(found),
        false => Err(Error::from(RunError::OtherBase { path: folder.to_owned() })),
    }
}

fn learned(run: &RunFolder, seeds: &[u64], errors: &mut Errors) -> Vec<Learned> {
    seeds.iter().filter_map(|&seed| Some(errors.keep(run.load_learned(seed))?.0)).collect()
}

impl ensemble::Student {
    /// The templates that it reads: one of the experiment's, the first if none is named; `cls` reads none.
    pub fn reads(
        &self,
        templates: &[crate::text::template::Template],
    ) -> Result<Vec<crate::text::template::Template>> {
        if let Tuning::Cls(_) = self.tuning {
            return Ok(Vec::new());
        }
        let named = match &self.template {
            None => templates.first(),
            Some(name) => templates.iter().find(|template| template.name() == name),
        };
        named.map(|template| vec![template.clone()]).ok_or_else(|| {
            let names = templates.iter().map(|template| template.name().to_owned()).collect();
            let name = self.template.clone().unwrap_or_default();
            EnsembleError::StudentTemplateUnknown { name, templates: names }.into()
        })
    }
}
