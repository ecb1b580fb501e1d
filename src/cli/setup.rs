//! What the commands have in common: files read and checked, all problems together, before anything costs
//! time.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloze::error::{Error, Kind, Result};
use cloze::learn::run::{MANIFEST, ModelFiles, RunFolder, hash_of_weights};
use cloze::model::folder::ModelFolder;
use cloze::model::hub;
use cloze::model::parameters::WORD_EMBEDDINGS;
use cloze::model::tokenizer::common_words;
use cloze::predict::classifier::{Base, Classifier};
use cloze::predict::encode::check_length;
use cloze::predict::label_words::LabelWords;
use cloze::predict::task::Task;
use cloze::study::ensemble::{EnsembleFolder, Manifest, PlanOptions, RunWith, STUDENT, Student, patterns_of};
use cloze::study::experiment::Patterns;
use cloze::study::multi_task;
use cloze::text::data::{Columns, Input, Rows};
use cloze::text::json;
use cloze::text::template::{Soft, SoftStart, Template};
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::soft::{SoftTokens, Start};
use cloze::tune::{Learned, Tuning, peft};
use tch::Device;

use super::args::{Data, DeviceName, Limits, Model, PlanArgs, Reading, Trained, TuningArgs};

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

impl Problems {
    /// Each of them changed.
    #[must_use]
    pub fn map(self, change: impl FnMut(Error) -> Error) -> Problems {
        Problems(self.0.into_iter().map(change).collect())
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

/// All that scoring needs but the base model's weights.
pub struct Ready {
    pub verbalizer: Verbalizer,
    pub tasks: Vec<Task>,
    pub soft: SoftTokens,
    /// What was learned, for each model to average; none for the base model as it is.
    pub learned: Vec<(Tuning, Learned)>,
    pub rows: Rows,
    pub folder: ModelFolder,
    pub words: LabelWords,
    pub max_length: usize,
    pub device: Device,
}

/// Reads and checks everything, and tells all problems at once.
pub fn ready(
    templates: &[PathBuf],
    verbalizer: &Path,
    adapter: Option<&Path>,
    data: &Data,
    model: &Model,
) -> Result<Ready, Problems> {
    let mut problems = Problems(Vec::new());
    let device = problems.keep(device(model.device));
    let templates = read_templates(templates, &mut problems);
    let verbalizer = problems.keep(Verbalizer::read(verbalizer));
    let rows = problems.keep(open_rows(&data.data, &data.reading));
    let folder = problems.keep(open_model(&model.limits));
    let words = match (&verbalizer, &folder) {
        (Some(verbalizer), Some(folder)) => {
            problems.keep(LabelWords::check(verbalizer, &folder.tokenizer, device.unwrap_or(Device::Cpu)))
        }
        _ => None,
    };
    let max_length =
        folder.as_ref().and_then(|folder| problems.keep(folder.max_length(model.limits.max_length)));
    let adapter = adapter
        .zip(folder.as_ref())
        .and_then(|(path, folder)| problems.keep(peft::read(path, &folder.config)));
    let max_length = match (&adapter, &folder) {
        (Some(adapter), Some(folder)) => {
            max_length.map(|length| adapter.tuning.length_left(length, &folder.config))
        }
        _ => max_length,
    };
    let front = adapter.as_ref().map_or(0, |adapter| adapter.front);
    let templates = if let Some(words) = &words { words.room_in(templates) } else { templates };
    let (templates, soft) = fitting(templates, front, folder.as_ref().zip(max_length), &mut problems);
    // An adapter's vectors are for the tokens in front alone.
    let known = |soft: &Soft| matches!(soft.start, Some(SoftStart::Words(_)) | None) && adapter.is_none();
    problems.0.extend(templates.iter().filter_map(|template| {
        let soft = template.soft().find(|soft| !known(soft))?;
        Some(template.soft_error(soft, Kind::PatternSoftUntrained))
    }));
    let learned = adapter.into_iter().map(|adapter| (adapter.tuning, adapter.learned)).collect();
    let tasks = rows.as_ref().map(|rows| check_tasks(templates, rows.columns(), &mut problems));
    match (verbalizer, tasks, rows, folder, words, max_length, device) {
        (
            Some(verbalizer),
            Some(tasks),
            Some(rows),
            Some(folder),
            Some(words),
            Some(max_length),
            Some(device),
        ) if problems.0.is_empty() => {
            Ok(Ready { verbalizer, tasks, soft, learned, rows, folder, words, max_length, device })
        }
        _ => Err(problems),
    }
}

/// The same from a run's folder, with what its seeds learned.
pub fn ready_run(run: &Path, trained: &Trained, data: &Data, model: &Model) -> Result<Ready, Problems> {
    if is_ensemble(run) {
        return ready_student(run, trained, data, model);
    }
    if json::read_text(&run.join(MANIFEST)).is_ok_and(|text| multi_task::Manifest::is_one(&text)) {
        return ready_task(run, trained, data, model);
    }
    if let Some(name) = &trained.task {
        return Err(Error::from(Kind::TaskUnknown {
            path: run.to_owned(),
            name: name.clone(),
            tasks: Vec::new(),
        })
        .into());
    }
    if trained.members {
        return Err(Error::from(Kind::RunWithoutMembers { path: run.to_owned() }).into());
    }
    let device = device(model.device)?;
    let (run, manifest) = RunFolder::open(run)?;
    let seeds = chosen_seeds(run.path(), &manifest.seeds, trained.seed)?;
    let folder = match &model.limits.model {
        Some(_) => open_model(&model.limits)?,
        None => ModelFolder::open(&manifest.model.path)?,
    };
    check_base(&manifest.model, folder.path(), trained.allow_other_base)?;
    let verbalizer = manifest.verbalizer()?;
    let words = LabelWords::check(&verbalizer, &folder.tokenizer, device)?;
    let max_length = match model.limits.max_length {
        None => manifest.max_length,
        asked => folder.max_length(asked)?,
    };
    let max_length = manifest.tuning.length_left(max_length, &folder.config);
    let mut problems = Problems(Vec::new());
    let (templates, soft) = manifest.patterns(&words, &folder.tokenizer)?;
    problems.0.extend(templates.iter().filter_map(|template| check_fit(template, &folder, max_length).err()));
    let rows = open_rows(&data.data, &data.reading)?;
    let tasks = check_tasks(templates, rows.columns(), &mut problems);
    let mut learned = Vec::with_capacity(seeds.len());
    for seed in seeds {
        if let Some((tensors, _)) = problems.keep(run.load_learned(seed)) {
            learned.push((manifest.tuning.clone(), tensors));
        }
    }
    problems.none()?;
    Ok(Ready { verbalizer, tasks, soft, learned, rows, folder, words, max_length, device })
}

/// The same from a run of several tasks, for one of them.
fn ready_task(path: &Path, trained: &Trained, data: &Data, model: &Model) -> Result<Ready, Problems> {
    if trained.members {
        return Err(Error::from(Kind::RunWithoutMembers { path: path.to_owned() }).into());
    }
    let device = device(model.device)?;
    let run = RunFolder::existing(path)?;
    let manifest = multi_task::Manifest::read(&path.join(MANIFEST))?;
    let tasks = || manifest.tasks.iter().map(|task| task.name.clone()).collect();
    let Some(name) = &trained.task else {
        return Err(Error::from(Kind::TaskNeeded { path: path.to_owned(), tasks: tasks() }).into());
    };
    let Some(task) = manifest.tasks.iter().find(|task| task.name == *name) else {
        return Err(Error::from(Kind::TaskUnknown {
            path: path.to_owned(),
            name: name.clone(),
            tasks: tasks(),
        })
        .into());
    };
    let seeds = chosen_seeds(path, &manifest.seeds, trained.seed)?;
    let folder = match &model.limits.model {
        Some(_) => open_model(&model.limits)?,
        None => ModelFolder::open(&manifest.model.path)?,
    };
    check_base(&manifest.model, folder.path(), trained.allow_other_base)?;
    let verbalizer =
        Verbalizer::parse(&task.verbalizer.name(), &task.verbalizer.file, &task.verbalizer.text)?;
    let words = LabelWords::check(&verbalizer, &folder.tokenizer, device)?;
    let max_length = match model.limits.max_length {
        None => manifest.max_length,
        asked => folder.max_length(asked)?,
    };
    let max_length = manifest.tuning.length_left(max_length, &folder.config);
    let mut problems = Problems(Vec::new());
    let templates =
        task.templates.iter().map(|stored| Template::parse(&stored.name(), &stored.file, &stored.text));
    let templates = templates.collect::<Result<Vec<Template>>>()?;
    let (templates, soft) = with_front(&templates, &manifest.tuning, &words, &folder)?;
    problems.0.extend(templates.iter().filter_map(|template| check_fit(template, &folder, max_length).err()));
    let rows = open_rows(&data.data, &data.reading)?;
    let tasks = check_tasks(templates, rows.columns(), &mut problems);
    let learned = seeds.iter().filter_map(|&seed| problems.keep(run.load_learned(seed)));
    let learned = learned.map(|(tensors, _)| (manifest.tuning.clone(), tensors)).collect();
    problems.none()?;
    Ok(Ready { verbalizer, tasks, soft, learned, rows, folder, words, max_length, device })
}

/// The same from an ensemble's folder, with what its students learned.
fn ready_student(path: &Path, trained: &Trained, data: &Data, model: &Model) -> Result<Ready, Problems> {
    let device = device(model.device)?;
    let (folder, manifest) = EnsembleFolder::open(path)?;
    let seeds = chosen_seeds(path, &manifest.seeds, trained.seed)?;
    let (Some(student), Some(with)) = (&manifest.student, &manifest.run) else {
        return Err(Error::from(Kind::NoStudent { path: path.to_owned() }).into());
    };
    let own = with.student_model.as_ref().unwrap_or(&with.model);
    let base = match &model.limits.model {
        Some(_) => open_model(&model.limits)?,
        None => ModelFolder::open(&own.path)?,
    };
    check_base(own, base.path(), trained.allow_other_base)?;
    let verbalizer = Manifest::read_verbalizers(with)?.swap_remove(0);
    let words = LabelWords::check(&verbalizer, &base.tokenizer, device)?;
    let max_length = match model.limits.max_length {
        None => manifest.student_length(&base.config),
        asked => base.max_length(asked)?,
    };
    let max_length = student.tuning.length_left(max_length, &base.config);
    let mut problems = Problems(Vec::new());
    let (templates, soft) = student_patterns(student, with, &Manifest::read_templates(with)?, &words, &base)?;
    problems.0.extend(templates.iter().filter_map(|template| check_fit(template, &base, max_length).err()));
    let rows = open_rows(&data.data, &data.reading)?;
    let tasks = check_tasks(templates, rows.columns(), &mut problems);
    let generation = manifest.generations;
    let learned = seeds
        .iter()
        .filter_map(|&seed| problems.keep(folder.load_learned(&folder.learned(generation, seed, STUDENT))));
    let learned = learned.map(|learned| (student.tuning.clone(), learned)).collect();
    problems.none()?;
    Ok(Ready { verbalizer, tasks, soft, learned, rows, folder: base, words, max_length, device })
}

/// What a student reads: a pattern, or for `cls` the columns.
pub fn student_patterns(
    student: &Student,
    run: &RunWith,
    templates: &[Template],
    words: &LabelWords,
    folder: &ModelFolder,
) -> Result<(Vec<Template>, SoftTokens)> {
    if let Tuning::Cls(_) = student.tuning {
        return Ok((vec![Template::of_columns(&run.columns)], SoftTokens::default()));
    }
    let template = match &student.template {
        None => &templates[0],
        Some(name) => templates.iter().find(|template| template.name() == name).ok_or_else(|| {
            let templates = templates.iter().map(|template| template.name().to_owned()).collect();
            Error::from(Kind::StudentTemplateUnknown { name: name.clone(), templates })
        })?,
    };
    patterns_of(template, &student.tuning, words, folder)
}

/// Whether a folder is that of an ensemble, and not of another kind of run.
pub fn is_ensemble(run: &Path) -> bool {
    json::read_text(&run.join(MANIFEST)).is_ok_and(|text| Manifest::is_one(&text))
}

/// One of a run's seeds, or all of them.
pub fn chosen_seeds(path: &Path, seeds: &[u64], asked: Option<u64>) -> Result<Vec<u64>> {
    match asked {
        Some(seed) if !seeds.contains(&seed) => {
            Err(Kind::RunWithoutSeed { path: path.to_owned(), seed, seeds: seeds.to_vec() }.into())
        }
        Some(seed) => Ok(vec![seed]),
        None => Ok(seeds.to_vec()),
    }
}

/// The templates that can be read.
pub fn read_templates(paths: &[PathBuf], problems: &mut Problems) -> Vec<Template> {
    paths.iter().filter_map(|path| problems.keep(Template::read(path))).collect()
}

/// The templates that the model can take, with room left for a row, and their soft tokens, `front` of them
/// before `[CLS]`.
pub fn fitting(
    templates: Vec<Template>,
    front: usize,
    model: Option<(&ModelFolder, usize)>,
    problems: &mut Problems,
) -> (Vec<Template>, SoftTokens) {
    let Some((folder, max_length)) = model else { return (templates, SoftTokens::default()) };
    let Some((templates, soft)) =
        problems.keep(SoftTokens::check(templates, vec![Start::Sampled; front], &folder.tokenizer))
    else {
        return (Vec::new(), SoftTokens::default());
    };
    (
        templates
            .into_iter()
            .filter(|template| problems.keep(check_fit(template, folder, max_length)).is_some())
            .collect(),
        soft,
    )
}

/// Refuses a template that the model cannot take, or not with any room for a row.
pub fn check_fit(template: &Template, folder: &ModelFolder, max_length: usize) -> Result<()> {
    folder.check_segments(template).and_then(|()| check_length(template, &folder.tokenizer, max_length))
}

/// The templates whose fields are columns.
pub fn check_tasks(templates: Vec<Template>, columns: &Columns, problems: &mut Problems) -> Vec<Task> {
    templates.into_iter().filter_map(|template| problems.keep(Task::check(template, columns))).collect()
}

/// Refuses a pattern whose prompts depend on more than the row.
pub fn check_plain(template: &Template, command: &'static str) -> Result<()> {
    if template.demonstrations().is_some() {
        return Err(template.error(Kind::PatternWithDemonstrations { command }));
    }
    if template.steps().is_empty() { Ok(()) } else { Err(template.error(Kind::PatternWithSteps { command })) }
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
    let named =
        limits.model.clone().or_else(|| std::env::var("CLOZE_MODEL").ok().filter(|model| !model.is_empty()));
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

/// The models to score with: the base model as it is, or with what was learned. `of_run` is the number of a
/// run's classes: its files have names and shapes that are known, an adapter's were checked where they were
/// read.
pub fn classifiers(
    base: &Base,
    soft: &SoftTokens,
    learned: &[(Tuning, Learned)],
    of_run: Option<usize>,
) -> Result<Vec<Classifier>> {
    if learned.is_empty() {
        return Ok(vec![zero_shot(base, soft)?]);
    }
    let with = |(tuning, learned): &(Tuning, Learned)| {
        base.check_engine(tuning, false)?;
        if let Some(classes) = of_run {
            base.check_learned(tuning, learned, soft.len(), classes)?;
        }
        base.learned(tuning, learned)
    };
    learned.iter().map(with).collect()
}

/// The base model with the vectors of soft tokens that start from words.
pub fn zero_shot(base: &Base, soft: &SoftTokens) -> Result<Classifier> {
    let vectors = (!soft.is_empty())
        .then(|| soft.vectors(base.parameters.get(WORD_EMBEDDINGS), &common_words(base.tokenizer()), 0));
    base.zero_shot(vectors)
}

/// The device of that name.
pub fn device(name: DeviceName) -> Result<Device> {
    match name {
        DeviceName::Cpu => Ok(Device::Cpu),
        DeviceName::Cuda => Device::cuda_if_available()
            .is_cuda()
            .then_some(Device::Cuda(0))
            .ok_or_else(|| Kind::NoCuda.into()),
    }
}

/// The model that ships with cloze: in the folder one is in, or beside the program or above it.
fn shipped_model() -> PathBuf {
    const SHIPPED: &str = "models/cloze-minilm-l6";
    let program = std::env::current_exe().unwrap_or_default();
    let beside = program.ancestors().skip(1).map(|folder| folder.join(SHIPPED));
    std::iter::once(PathBuf::from(SHIPPED))
        .chain(beside)
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| PathBuf::from(SHIPPED))
}

/// The hash of a base model's weights. If they are not those of a run, they are refused, unless that is
/// allowed.
pub fn check_base(model: &ModelFiles, folder: &Path, allow_other: bool) -> Result<String> {
    let found = hash_of_weights(folder)?;
    if allow_other || found == model.sha256 {
        Ok(found)
    } else {
        Err(Kind::OtherBase { path: folder.to_owned() }.into())
    }
}

/// What the flags say of a plan.
pub fn plan_options(args: &PlanArgs) -> PlanOptions {
    PlanOptions {
        steps: args.steps,
        learning_rate: args.learning_rate,
        soft_learning_rate: Some(args.soft_learning_rate),
        warm_up: Some(args.warm_up),
        batch_size: Some(args.batch_size),
        accumulation: Some(args.accumulation),
        batch_tokens: Some(args.batch_tokens as usize),
        weight_decay: Some(args.weight_decay),
        clip_norm: Some(args.clip_norm),
        dropout: args.dropout,
        bf16: args.dtype.is_bf16(),
    }
}

/// The command line, for the manifest.
pub fn command() -> Vec<String> {
    std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// A flag that the first Ctrl-C sets; the second ends the program.
pub fn stop_on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })?;
    Ok(stop)
}

/// Patterns that fit the model and the columns.
pub fn checked(
    (templates, soft): (Vec<Template>, SoftTokens),
    folder: &ModelFolder,
    max_length: usize,
    columns: &Columns,
) -> Result<Patterns, Problems> {
    let mut problems = Problems(Vec::new());
    for template in &templates {
        problems.keep(check_fit(template, folder, max_length));
        if !template.steps().is_empty() {
            problems.0.push(template.error(Kind::PatternWithSteps { command: "training" }));
        }
    }
    let tasks = check_tasks(templates, columns, &mut problems);
    problems.none()?;
    Ok(Patterns { tasks, soft })
}

/// One name for a file however it is written, whether it exists or will.
pub fn whereabouts(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize().or_else(|_| {
        Ok(std::path::absolute(path)?
            .parent()
            .unwrap_or(path)
            .canonicalize()?
            .join(path.file_name().unwrap_or_default()))
    })
}

/// Refuses to write over what is read, and to write two things to one file.
pub fn check_outputs(outputs: &[(&str, Option<&Path>)], inputs: &[&Path]) -> Result<()> {
    let same = |left: &Path, right: &Path| {
        whereabouts(left).is_ok_and(|left| whereabouts(right).is_ok_and(|right| left == right))
    };
    // Devices take whatever comes: all may go to /dev/null.
    let files: Vec<(&str, &Path)> = outputs
        .iter()
        .filter_map(|(what, path)| {
            path.filter(|path| path.is_file() || !path.exists()).map(|path| (*what, path))
        })
        .collect();
    if let Some((_, path)) = files.iter().find(|(_, path)| inputs.iter().any(|input| same(path, input))) {
        return Err(Kind::OutputIsInput { path: (*path).to_owned() }.into());
    }
    let twice = files.iter().enumerate().find_map(|(index, first)| {
        Some((first, files[index + 1..].iter().find(|other| same(first.1, other.1))?))
    });
    match twice {
        Some(((one, path), (other, _))) => {
            Err(Kind::OutputTwice { path: (*path).to_owned(), what: format!("{one} and {other}") }.into())
        }
        None => Ok(()),
    }
}

/// The method that the flags ask for.
pub fn tuning(args: &TuningArgs) -> Result<Tuning, Error> {
    let mut tuning = match (&args.tuning, &args.method) {
        (Some(path), _) => Tuning::read(path)?,
        (None, Some(name)) => Tuning::parse("--method", &format!("{name:?}"))?,
        (None, None) => Tuning::Full,
    };
    let method = tuning.name();
    let mut unused = Vec::new();
    let mut set = |flag: &'static str, given: bool, used: bool| {
        if given && !used {
            unused.push(flag);
        }
    };
    set("--rank", args.rank.is_some(), matches!(tuning, Tuning::Lora(_)));
    set("--alpha", args.alpha.is_some(), matches!(tuning, Tuning::Lora(_)));
    set("--targets", args.targets.is_some(), matches!(tuning, Tuning::Lora(_)));
    let has_length = matches!(
        tuning,
        Tuning::PromptTuning(_) | Tuning::PTuning(_) | Tuning::Prefix(_) | Tuning::PTuningV2(_)
    );
    set("--length", args.length.is_some(), has_length);
    set("--bottleneck", args.bottleneck.is_some(), matches!(tuning, Tuning::Adapter(_)));
    set("--frozen-encoder", args.frozen_encoder, matches!(tuning, Tuning::Cls(_)));
    if let Some(flag) = unused.first() {
        return Err(Kind::FlagOfOtherMethod { flag, method }.into());
    }
    match &mut tuning {
        Tuning::Lora(lora) => {
            lora.rank = args.rank.unwrap_or(lora.rank);
            lora.alpha = args.alpha.unwrap_or(lora.alpha);
            lora.targets = args.targets.clone().unwrap_or_else(|| std::mem::take(&mut lora.targets));
        }
        Tuning::PromptTuning(soft) | Tuning::PTuning(soft) => {
            soft.length = args.length.unwrap_or(soft.length)
        }
        Tuning::Prefix(prefix) | Tuning::PTuningV2(prefix) => {
            prefix.length = args.length.unwrap_or(prefix.length)
        }
        Tuning::Adapter(adapter) => adapter.bottleneck = args.bottleneck.unwrap_or(adapter.bottleneck),
        Tuning::Cls(cls) => cls.frozen_encoder |= args.frozen_encoder,
        Tuning::Full | Tuning::Head | Tuning::Bias | Tuning::Ia3 => {}
    }
    Ok(tuning)
}

/// Patterns with the soft tokens that a method puts before them: the same ones in every task.
pub fn with_front(
    templates: &[Template],
    tuning: &Tuning,
    words: &LabelWords,
    folder: &ModelFolder,
) -> Result<(Vec<Template>, SoftTokens), Error> {
    let front = tuning.front(templates, &words.distinct_ids(), &folder.tokenizer)?;
    SoftTokens::check(words.room_in(templates.to_vec()), front, &folder.tokenizer)
}
