//! `cloze train`: a few labelled rows in, a run's folder out.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::Result;
use clap::ValueEnum as _;
use cloze::error::source::Source;
use cloze::error::{Error, Kind};
use cloze::learn::dataset::RowSet;
use cloze::learn::run::{
    DataFile, DataFiles, MANIFEST, Manifest, ModelFiles, RunFolder, Select, StoredFile, hash_of_weights,
};
use cloze::learn::train::{Flow, Plan};
use cloze::model::folder::ModelFolder;
use cloze::predict::classifier::Base;
use cloze::predict::label_words::LabelWords;
use cloze::study::experiment::{Experiment, Patterns};
use cloze::text::data::Columns;
use cloze::text::json::{self, Node};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::Tuning;
use cloze::tune::soft::SoftTokens;
use tch::Device;

use super::args::{BaselineName, DeviceName, EngineName, Reading, SelectName, Train};
use super::demonstrations;
use super::reading::{self, Labels};
use super::render::{self, TrainProgress};
use super::setup::{self, Problems};

/// Runs the command.
pub fn run(args: &Train) -> Result<()> {
    if let Some(tasks) = &args.tasks {
        return super::joint::run(args, tasks);
    }
    let earlier =
        args.from.as_deref().map(manifest_file).or_else(|| args.resume.then(|| args.out.join(MANIFEST)));
    if earlier.is_some_and(|file| {
        json::read_text(&file).is_ok_and(|text| cloze::study::multi_task::Manifest::is_one(&text))
    }) {
        anyhow::bail!(
            "a run of several tasks is neither gone on with nor run from its manifest: give its --tasks again, and another --out"
        );
    }
    let (mut manifest, existing) = match (&args.from, args.resume) {
        (Some(from), _) => (again(&manifest_file(from), args)?, None),
        (None, true) => {
            let (mut folder, mut manifest) = RunFolder::open(&args.out)?;
            if folder.is_finished(&manifest) {
                return Err(Error::from(Kind::RunFinished { path: args.out.clone() }).into());
            }
            folder.hold()?;
            manifest.model = unchanged(&manifest, args)?;
            (manifest, Some(folder))
        }
        (None, false) => (manifest(args)?, None),
    };
    if existing.is_none() {
        RunFolder::check_free(&args.out)?;
    }
    let device = setup::device(if manifest.device == DeviceName::Cuda.name() {
        DeviceName::Cuda
    } else {
        DeviceName::Cpu
    })?;
    // The same number as before, unless another is asked for.
    if let Some(threads) = args.model.threads {
        manifest.threads = usize::from(threads);
    }
    tch::set_num_threads(i32::try_from(manifest.threads).unwrap_or(1));
    let placed = |error: Error| placed(error, &manifest, args);
    let ready = prepare(&manifest, device).map_err(|problems| problems.map(placed))?;
    let base = Base::load(ready.folder, ready.words, engine(&manifest)?.into(), device)?;
    let experiment = Experiment {
        manifest: &manifest,
        base: &base,
        patterns: ready.patterns,
        written: ready.written,
        columns: ready.columns,
        train: ready.train,
        dev: ready.dev,
        test: ready.test,
        checkpoint_every: args.checkpoint_every as usize,
    };
    let warnings = [ready.warnings, experiment.check().map_err(placed)?].concat();
    if !args.quiet {
        render::warnings(&warnings)?;
    }
    // Only now, when nothing is known any more that would stop the training.
    let folder = existing.map_or_else(|| RunFolder::create(&args.out, &manifest), Ok)?;
    let stop = setup::stop_on_signal()?;
    let mut progress = TrainProgress::start(args.quiet, &manifest);
    let metrics = experiment.run(&folder, warnings, &mut |event| {
        progress.show(event);
        if stop.load(Ordering::Relaxed) { Flow::Stop } else { Flow::On }
    });
    progress.finish();
    match metrics? {
        None => Err(Error::from(Kind::Interrupted { path: args.out.clone() }).into()),
        Some(metrics) => {
            if !args.quiet {
                anstream::stderr().write_all(render::metrics(&metrics, &args.out).as_bytes())?;
            }
            Ok(())
        }
    }
}

/// The manifest that a path means: a file, or that of a run's folder.
fn manifest_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(MANIFEST) } else { path.to_owned() }
}

/// The run of an earlier manifest, with the base model that there is now.
fn again(file: &Path, args: &Train) -> Result<Manifest, Error> {
    let manifest = Manifest::read(file)?;
    let model = unchanged(&manifest, args)?;
    Ok(Manifest { command: setup::command(), model, ..manifest })
}

/// The base model for an earlier manifest. Data files and weights that are not what they were are refused.
fn unchanged(manifest: &Manifest, args: &Train) -> Result<ModelFiles, Error> {
    let DataFiles { train, dev, test, .. } = &manifest.data;
    [Some(train), dev.as_ref(), test.as_ref()].into_iter().flatten().try_for_each(DataFile::check)?;
    let path = match &args.model.limits.model {
        Some(_) => setup::open_model(&args.model.limits)?.path().to_owned(),
        None if !manifest.model.path.is_dir() => {
            return Err(Kind::ModelMissing { path: manifest.model.path.clone() }.into());
        }
        None => manifest.model.path.clone(),
    };
    let sha256 = setup::check_base(&manifest.model, &path, args.allow_other_base)?;
    Ok(ModelFiles { path, sha256 })
}

/// An error about a value that stands in a manifest or a tuning file, at its place there.
fn placed(error: Error, manifest: &Manifest, args: &Train) -> Error {
    let file = match (&args.from, args.resume, &args.tuning.tuning) {
        (Some(from), ..) => manifest_file(from),
        (None, true, _) => args.out.join(MANIFEST),
        (None, false, Some(tuning)) => tuning.clone(),
        (None, false, None) => return error,
    };
    let Ok(text) = json::read_text(&file) else { return error };
    let source = Source::new(file.display().to_string(), text);
    let root = Node::root(&source);
    if args.from.is_some() || args.resume {
        manifest.place_error(error, &root)
    } else {
        manifest.tuning.place_error(error, &root)
    }
}

/// What runs the forward pass.
fn engine(manifest: &Manifest) -> Result<EngineName, Error> {
    EngineName::of(&manifest.engine).ok_or_else(|| {
        let allowed = EngineName::value_variants().iter().map(|engine| engine.name().to_owned()).collect();
        Kind::JsonUnknownValue { value: manifest.engine.clone(), allowed }.into()
    })
}

/// The run that the flags ask for.
fn manifest(args: &Train) -> Result<Manifest, Problems> {
    let mut problems = Problems(Vec::new());
    let tuning = problems.keep(setup::tuning(&args.tuning)).unwrap_or(Tuning::Full);
    let templates: Vec<StoredFile> =
        args.template.iter().filter_map(|path| problems.keep(StoredFile::of(path))).collect();
    let is_cls = matches!(tuning, Tuning::Cls(_));
    if args.template.is_empty() && !is_cls {
        problems.0.push(Kind::TemplateNeeded { method: tuning.name() }.into());
    }
    if args.drawing.any()
        && args
            .template
            .iter()
            .all(|path| Template::read(path).is_ok_and(|template| template.demonstrations().is_none()))
    {
        problems.0.push(Kind::NothingToShow.into());
    }
    if args.dev.is_some() && !matches!(args.select, SelectName::Dev) {
        problems.0.push(Kind::DevNotUsed.into());
    }
    let verbalizer = args.verbalizer.as_ref().and_then(|path| problems.keep(StoredFile::of(path)));
    let mut data = |path: &Option<PathBuf>| path.as_ref().and_then(|path| problems.keep(DataFile::of(path)));
    let (train, dev, test) = (data(&args.train), data(&args.dev), data(&args.test));
    let columns = args
        .train
        .as_ref()
        .and_then(|path| problems.keep(setup::open_rows(path, &args.reading)))
        .map(|rows| rows.columns().clone());
    let folder = problems.keep(setup::open_model(&args.model.limits));
    let sha256 = folder.as_ref().and_then(|folder| problems.keep(hash_of_weights(folder.path())));
    let max_length =
        folder.as_ref().and_then(|folder| problems.keep(folder.max_length(args.model.limits.max_length)));
    let labels = verbalizer
        .as_ref()
        .and_then(|file| problems.keep(Verbalizer::parse("verbalizer", &file.file, &file.text)));
    let plan = setup::plan_options(&args.plan)
        .plan(&tuning, labels.as_ref().map_or(0, |labels| labels.labels().len()));
    let plan = Plan {
        evaluate_every: args.looks.evaluate_every.unwrap_or(plan.evaluate_every),
        patience: args.looks.patience,
        ..plan
    };
    let parsed = templates
        .iter()
        .filter_map(|file| problems.keep(Template::parse("template", &file.file, &file.text)));
    let parsed: Vec<Template> = parsed.collect();
    let (
        Some(verbalizer),
        Some(labels),
        Some(train),
        Some(columns),
        Some(folder),
        Some(sha256),
        Some(max_length),
        true,
    ) = (verbalizer, labels, train, columns, folder, sha256, max_length, problems.0.is_empty())
    else {
        return Err(problems);
    };
    Ok(Manifest {
        version: cloze::learn::run::VERSION,
        cloze: env!("CARGO_PKG_VERSION").to_owned(),
        command: setup::command(),
        templates,
        verbalizer,
        classes: labels.labels().map(str::to_owned).collect(),
        columns: reading::read_columns(&parsed, &columns),
        data: DataFiles {
            train,
            dev,
            test,
            format: args.reading.format.map(|format| format.name().to_owned()),
            label_column: args.reading.label_column.clone(),
        },
        // Absolute, so that the run can be used from any folder.
        model: ModelFiles {
            path: std::path::absolute(folder.path()).unwrap_or_else(|_| folder.path().to_owned()),
            sha256,
        },
        engine: args.model.engine.name().to_owned(),
        max_length,
        tuning,
        plan,
        demonstrations: parsed
            .iter()
            .any(|template| template.demonstrations().is_some())
            .then(|| demonstrations::drawing(&args.drawing)),
        shots: args.shots.map(|shots| shots as usize),
        seeds: args.seeds.clone(),
        select: match args.select {
            SelectName::None => Select::None,
            SelectName::Dev => Select::Dev,
            SelectName::Cv => Select::Cv,
        },
        cls_baseline: args.baseline == Some(BaselineName::Cls) && !is_cls,
        device: args.model.device.name().to_owned(),
        threads: args
            .model
            .threads
            .map_or_else(|| usize::try_from(tch::get_num_threads()).unwrap_or(1), usize::from),
    })
}

/// Everything but the weights.
struct Ready {
    folder: ModelFolder,
    words: LabelWords,
    patterns: Patterns,
    written: Option<Patterns>,
    columns: Patterns,
    train: RowSet,
    dev: Option<RowSet>,
    test: Option<RowSet>,
    warnings: Vec<String>,
}

/// Reads and checks what a manifest names.
fn prepare(manifest: &Manifest, device: Device) -> Result<Ready, Problems> {
    let mut problems = Problems(Vec::new());
    problems.keep(manifest.plan.check());
    if let Some(seed) = manifest
        .seeds
        .iter()
        .enumerate()
        .find_map(|(index, seed)| manifest.seeds[..index].contains(seed).then_some(*seed))
    {
        problems.0.push(Kind::SameSeed { seed }.into());
    }
    problems.keep(engine(manifest));
    let mut folder = ModelFolder::open(&manifest.model.path)?;
    problems.keep(folder.max_length(Some(manifest.max_length)));
    if let Some(dropout) = manifest.plan.dropout {
        folder.config.hidden_dropout_prob = dropout;
        folder.config.attention_probs_dropout_prob = dropout;
    }
    let mut warnings = problems.keep(manifest.tuning.check(&folder.config)).unwrap_or_default();
    let verbalizer = manifest.verbalizer()?;
    let words = LabelWords::check(&verbalizer, &folder.tokenizer, device)?;
    warnings.extend(words.left_out());
    let reading = Reading {
        format: manifest.data.format.as_deref().and_then(super::args::FormatName::of),
        label_column: manifest.data.label_column.clone(),
    };
    let read = |path: &Path, wanted: Option<&Columns>, labels: Labels| {
        reading::read_rows(path, &reading, &manifest.columns, &verbalizer, wanted, labels)
    };
    let train = problems.keep(read(&manifest.data.train.path, None, Labels::Needed));
    let wanted = train.as_ref().map(|rows| rows.columns.clone());
    let mut others = |file: &Option<DataFile>, labels| {
        file.as_ref().and_then(|file| problems.keep(read(&file.path, wanted.as_deref(), labels)))
    };
    let (dev, test) =
        (others(&manifest.data.dev, Labels::Needed), others(&manifest.data.test, Labels::Known));
    let (Some(train), true) = (train, problems.0.is_empty()) else { return Err(problems) };

    let (templates, soft) = manifest.patterns(&words, &folder.tokenizer)?;
    let left = manifest.tuning.length_left(manifest.max_length, &folder.config);
    let front = soft.front();
    let patterns = setup::checked((templates, soft), &folder, left, &train.columns).map_err(|problems| {
        problems.map(|error| match (error.kind(), manifest.tuning.length()) {
            (&Kind::PatternTooLong { fixed, limit }, Some(length))
                if front > 0 || left < manifest.max_length =>
            {
                let kind = Kind::LengthLeavesNoRoom {
                    method: manifest.tuning.name(),
                    length,
                    fixed: fixed - front,
                    left: limit.saturating_sub(front),
                };
                Error::new(kind).at(error.place().clone())
            }
            _ => error,
        })
    })?;
    let written = match manifest.templates()? {
        templates if templates.is_empty() => None,
        templates => {
            let written = SoftTokens::check(words.room_in(templates), Vec::new(), &folder.tokenizer)?;
            Some(setup::checked(written, &folder, manifest.max_length, &train.columns)?)
        }
    };
    let columns = (vec![Template::of_columns(&manifest.columns)], SoftTokens::default());
    let columns = setup::checked(columns, &folder, manifest.max_length, &train.columns)?;
    Ok(Ready { folder, words, patterns, written, columns, train, dev, test, warnings })
}
