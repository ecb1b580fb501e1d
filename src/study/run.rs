//! Runs of whatever kind: opened by what their manifests say that they are, and made into classifiers.

use std::path::{Path, PathBuf};

use crate::error::source::Source;
use crate::error::{
    EncodeError, EnsembleError, Error, Errors, Kind, MultiLabelError, Result, RunError, TaskError,
};
use crate::learn::run::{MANIFEST, Manifest, ModelFiles, RunFolder, RunKind, StoredFile, kind_of};
use crate::model::arch::Config;
use crate::model::folder::ModelFolder;
use crate::model::hash::hash_of_weights;
use crate::model::masked_lm::Options;
use crate::predict::blueprint::{Blueprint, OfRun};
use crate::predict::prompt_classifier::{Compute, PromptClassifier};
use crate::predict::pvp::Patterns;
use crate::predict::showing::Showing;
use crate::predict::task::TaskSet;
use crate::study::ensemble::{self, EnsembleFolder, Member, RunWith, STUDENT};
use crate::study::multi_task;
use crate::text::data::{Columns, Rows};
use crate::text::dataset::Dataset;
use crate::text::demonstrations::Drawing;
use crate::text::json::{self, Node};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;
use crate::tune::{Learned, Tuning, of_task};

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
#[derive(Clone, Default)]
pub struct Wanted {
    /// One of its tasks: needed where there are several.
    pub task: Option<String>,
    /// One of the members of an ensemble, in place of its student.
    pub member: Option<String>,
    /// One of its seeds; the average of all by default.
    pub seed: Option<u64>,
    /// The base model, if it is not where it was.
    pub model: Option<PathBuf>,
    /// Whether a base model with other weights is taken.
    pub allow_other_base: bool,
    /// The longest input, in tokens, if not the run's.
    pub max_length: Option<usize>,
    /// Whether a row may have several labels: a run that was trained otherwise is refused.
    pub several_labels: bool,
    /// How the model is loaded.
    pub options: Options,
}

/// One classifier that a run keeps, as its manifest has it.
pub(crate) struct Kept<'a> {
    pub model: &'a ModelFiles,
    pub verbalizer: Verbalizer,
    pub templates: Vec<Template>,
    /// None where nothing was trained: a member may be the base model as it is.
    pub tuning: Option<&'a Tuning>,
    /// What `cls` reads.
    pub columns: &'a [String],
    /// The longest input, in tokens, on a model.
    length: Box<dyn Fn(&Config) -> usize + 'a>,
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
            Some(RunKind::Pretrain) => {
                return Err(RunError::WithoutClassifier { path: path.to_owned() }.into());
            }
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

    /// Whether it was trained for several labels a row.
    pub fn gives_several_labels(&self) -> bool {
        matches!(&self.contents, Contents::Train(_, manifest) if manifest.several_labels.is_some())
    }

    /// The names of its tasks, where it has several.
    pub fn tasks(&self) -> Vec<String> {
        match &self.contents {
            Contents::Tasks(_, manifest) => manifest.tasks.iter().map(|task| task.name.clone()).collect(),
            Contents::Train(..) | Contents::Ensemble(..) => Vec::new(),
        }
    }

    /// The names of its members; a run that is no ensemble has none.
    pub fn members(&self) -> Result<Vec<String>> {
        let Contents::Ensemble(_, manifest) = &self.contents else {
            return Err(EnsembleError::RunWithoutMembers { path: self.path.clone() }.into());
        };
        let with = manifest.run.as_ref().ok_or_else(|| RunError::NotRun { path: self.path.clone() })?;
        let of_template = |template: &StoredFile| {
            let name = template.name();
            with.verbalizers.iter().map(move |own| Member::name_of(&name, &own.name()))
        };
        Ok(with.templates.iter().flat_map(of_template).collect())
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
        let blueprint = self.unbound(wanted)?;
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

    /// The classes and label words of what is wanted, and its base model without what was learned.
    pub fn words(&self, wanted: &Wanted) -> Result<(Verbalizer, ModelFolder), Errors> {
        let kept = self.kept(wanted)?;
        let folder = base(kept.model, wanted)?;
        Ok((kept.verbalizer, folder))
    }

    /// The texts of its templates' files.
    pub fn template_texts(&self, wanted: &Wanted) -> Result<Vec<String>, Errors> {
        let stored = match &self.contents {
            Contents::Train(_, manifest) => &manifest.templates[..],
            Contents::Tasks(_, manifest) => {
                let named = manifest.tasks.iter().find(|task| Some(&task.name) == wanted.task.as_ref());
                named.map_or(&[][..], |task| &task.templates)
            }
            Contents::Ensemble(_, manifest) => manifest.run.as_ref().map_or(&[][..], |with| &with.templates),
        };
        let text_of = |template: &Template| {
            stored.iter().find(|file| file.name() == template.name()).map(|file| file.text.clone())
        };
        Ok(self.kept(wanted)?.templates.iter().filter_map(text_of).collect())
    }

    /// The same as [`Run::blueprint`] without columns, where none are known yet.
    pub fn unbound(&self, wanted: &Wanted) -> Result<Blueprint, Errors> {
        Ok(self.bind(wanted, |_, _| Ok(()))?.0)
    }

    /// The same on columns that are known already.
    pub fn on(&self, wanted: &Wanted, columns: &Columns) -> Result<(Blueprint, TaskSet), Errors> {
        self.bind(wanted, |patterns, errors| Ok(patterns.on_fitting(columns, errors)))
    }

    fn bind<T>(
        &self,
        wanted: &Wanted,
        on: impl FnOnce(&Patterns, &mut Errors) -> Result<T>,
    ) -> Result<(Blueprint, T), Errors> {
        let seeds = self.chosen_seeds(wanted.seed)?;
        match (self.gives_several_labels(), wanted.several_labels) {
            (true, false) => return Err(MultiLabelError::MultiLabelRun { path: self.path.clone() }.into()),
            (false, true) => return Err(MultiLabelError::SingleLabelRun { path: self.path.clone() }.into()),
            _ => {}
        }
        let kept = self.kept(wanted)?;
        let (folder, max_length) = self.base(&kept, wanted)?;
        let parts = OfRun {
            verbalizer: kept.verbalizer,
            templates: kept.templates,
            tuning: kept.tuning,
            columns: kept.columns,
            max_length,
        };
        Blueprint::of_run(parts, folder, wanted.options, on, |errors| {
            let learned: Vec<Learned> =
                seeds.iter().filter_map(|&seed| errors.keep(self.learned(wanted, seed))?).collect();
            if let (Some(name), Some(_), true, true) =
                (&wanted.member, kept.tuning, learned.is_empty(), errors.is_empty())
            {
                let (path, name) = (self.path.clone(), name.clone());
                errors.push(EnsembleError::MemberFailed { path, name });
            }
            learned
        })
    }

    /// What its manifest says of the classifier that is wanted.
    pub(crate) fn kept(&self, wanted: &Wanted) -> Result<Kept<'_>, Errors> {
        let path = || self.path.clone();
        if let (Some(name), false) = (&wanted.task, matches!(self.contents, Contents::Tasks(..))) {
            return Err(TaskError::Unknown { path: path(), name: name.clone(), tasks: Vec::new() }.into());
        }
        if wanted.member.is_some() && !matches!(self.contents, Contents::Ensemble(..)) {
            return Err(EnsembleError::RunWithoutMembers { path: path() }.into());
        }
        Ok(match &self.contents {
            Contents::Train(_, manifest) => Kept {
                model: &manifest.header.model,
                verbalizer: manifest.verbalizer()?,
                templates: manifest.templates()?,
                tuning: Some(&manifest.tuning),
                columns: &manifest.columns,
                length: Box::new(|_| manifest.header.max_length),
            },
            Contents::Tasks(_, manifest) => {
                let tasks = self.tasks();
                let Some(name) = &wanted.task else {
                    return Err(TaskError::Needed { path: path(), tasks }.into());
                };
                let Some(task) = manifest.tasks.iter().find(|task| task.name == *name) else {
                    return Err(TaskError::Unknown { path: path(), name: name.clone(), tasks }.into());
                };
                Kept {
                    model: &manifest.header.model,
                    verbalizer: task.read_verbalizer()?,
                    templates: task.read_templates()?,
                    tuning: Some(&manifest.tuning),
                    columns: &[],
                    length: Box::new(|_| manifest.header.max_length),
                }
            }
            Contents::Ensemble(_, manifest) => {
                let Some(with) = &manifest.run else {
                    return Err(RunError::NotRun { path: path() }.into());
                };
                match (&wanted.member, &manifest.student) {
                    (Some(name), _) => self.kept_of_member(manifest, with, name)?,
                    (None, Some(student)) => kept_of_student(manifest, with, student)?,
                    (None, None) => {
                        let members = self.members()?;
                        return Err(EnsembleError::NoStudent { path: path(), members }.into());
                    }
                }
            }
        })
    }

    fn kept_of_member<'a>(
        &self,
        manifest: &'a ensemble::Manifest,
        with: &'a RunWith,
        name: &str,
    ) -> Result<Kept<'a>, Errors> {
        let templates = ensemble::Manifest::read_templates(with)?;
        let verbalizers = ensemble::Manifest::read_verbalizers(with)?;
        let pairs = templates.iter().flat_map(|template| verbalizers.iter().map(move |own| (template, own)));
        let found =
            pairs.into_iter().find(|(template, own)| Member::name_of(template.name(), own.name()) == name);
        let Some((template, verbalizer)) = found else {
            let (path, name, members) = (self.path.clone(), name.to_owned(), self.members()?);
            return Err(EnsembleError::MemberUnknown { path, name, members }.into());
        };
        Ok(Kept {
            model: &with.model,
            verbalizer: verbalizer.clone(),
            templates: vec![template.clone()],
            tuning: manifest.last_stage().map(|_| &manifest.tuning),
            columns: &with.columns,
            length: Box::new(|config| manifest.student_length(config)),
        })
    }

    /// What the wanted classifier learned with a seed. None where that is nothing: a member is the base model
    /// as it is, or could not be trained.
    pub(crate) fn learned(&self, wanted: &Wanted, seed: u64) -> Result<Option<Learned>> {
        let (run, manifest) = match &self.contents {
            Contents::Train(run, _) => return Ok(Some(run.load_learned(seed)?.0)),
            Contents::Tasks(run, manifest) => {
                let learned = run.load_learned(seed)?.0;
                let of = |task: &String| of_task(&manifest.tuning, &learned, task);
                return Ok(wanted.task.as_ref().map(of));
            }
            Contents::Ensemble(run, manifest) => (run, manifest),
        };
        let Some(name) = &wanted.member else {
            return run.load_learned(&run.learned(manifest.generations, seed, STUDENT)).map(Some);
        };
        let Some(generation) = manifest.last_stage() else { return Ok(None) };
        if run.failure(generation, seed, name).is_some() {
            return Ok(None);
        }
        let file = run.learned(generation, seed, name);
        let path = || self.path.clone();
        match file.exists() {
            true => run.load_learned(&file).map(Some),
            false if run.is_finished() => Err(EnsembleError::MembersNotKept { path: path() }.into()),
            false => Err(RunError::Unfinished { path: path() }.into()),
        }
    }

    /// The base model, and the longest input, in tokens. A method of the run, or a length, that this model
    /// cannot have is refused: the manifest may have been edited, and the model be another.
    pub(crate) fn base(&self, kept: &Kept<'_>, wanted: &Wanted) -> Result<(ModelFolder, usize)> {
        let folder = base(kept.model, wanted)?;
        let max_length = self.length(kept, &folder, wanted)?;
        Ok((folder, max_length))
    }

    /// The longest input on a base model, in tokens; a method that it cannot have is refused.
    pub(crate) fn length(&self, kept: &Kept<'_>, folder: &ModelFolder, wanted: &Wanted) -> Result<usize> {
        let place = |error| self.place(error, kept, wanted);
        if let Some(tuning) = kept.tuning {
            tuning.check(&folder.config).map_err(place)?;
        }
        match wanted.max_length {
            None => folder.max_length(Some((kept.length)(&folder.config))).map_err(place),
            asked => folder.max_length(asked),
        }
    }

    /// The place in the manifest of an error about the longest input or the options of a method.
    fn place(&self, error: Error, kept: &Kept<'_>, wanted: &Wanted) -> Error {
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
        let of_student = self.kind() == RunKind::Ensemble && wanted.member.is_none();
        let key = if of_student { "student.tuning" } else { "tuning" };
        let options = root.at(&format!("{}.{key}", self.kind().name())).or_else(|| root.at(key));
        match kept.tuning.zip(options) {
            Some((tuning, options)) => tuning.place_error(error, &options),
            None => error,
        }
    }
}

/// The base model of a run, refused if its weights are not those that the run was made with.
pub fn base(model: &ModelFiles, wanted: &Wanted) -> Result<ModelFolder> {
    let folder = ModelFolder::open_any_head(wanted.model.as_ref().unwrap_or(&model.path))?;
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

/// A student reads one template, and has the words of the first verbalizer.
fn kept_of_student<'a>(
    manifest: &'a ensemble::Manifest,
    with: &'a RunWith,
    student: &'a ensemble::Student,
) -> Result<Kept<'a>, Errors> {
    let Some(verbalizer) = ensemble::Manifest::read_verbalizers(with)?.into_iter().next() else {
        return Err(EnsembleError::Needs { what: "verbalizers", because: "a student has its words" }.into());
    };
    let templates = ensemble::Manifest::read_templates(with)?;
    Ok(Kept {
        model: with.student_model.as_ref().unwrap_or(&with.model),
        verbalizer,
        templates: student.reads(&templates)?,
        tuning: Some(&student.tuning),
        columns: &with.columns,
        length: Box::new(|config| manifest.student_length(config)),
    })
}

impl ensemble::Manifest {
    /// The last generation whose members were trained; none where the members are the base model as it is.
    fn last_stage(&self) -> Option<usize> {
        (self.train.is_some() || self.generations > 0).then_some(self.generations)
    }
}

impl ensemble::Student {
    /// The templates that it reads: one of the experiment's, the first if none is named; `cls` reads none.
    pub fn reads(&self, templates: &[Template]) -> Result<Vec<Template>> {
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
