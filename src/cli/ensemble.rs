//! `cloze ensemble`: patterns, a few labelled rows and many unlabelled ones in, a run's folder with a student
//! out.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Result;
use cloze::error::{Error, Kind};
use cloze::learn::dataset::RowSet;
use cloze::learn::run::{ModelFiles, RunFolder, StoredFile, hash_of, hash_of_weights};
use cloze::learn::train::Flow;
use cloze::model::folder::ModelFolder;
use cloze::predict::classifier::Base;
use cloze::predict::label_words::LabelWords;
use cloze::study::ensemble::merge::{Calibration, Merge, Weights};
use cloze::study::ensemble::{
    Ensemble, EnsembleFolder, Manifest, Member, PlanOptions, RunWith, Student, StudentModel, patterns_of,
};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::Tuning;
use cloze::tune::soft::SoftTokens;
use tch::Device;

use super::args;
use super::args::{Limits, MemberCalibrationName, MergeName, Reading, WeightsName};
use super::reading::{self, Labels};
use super::render::{self, EnsembleProgress};
use super::setup::{self, Problems};

/// Runs the command.
pub fn run(args: &args::Ensemble) -> Result<()> {
    let (manifest, existing) = match (&args.experiment, args.resume) {
        (None, true) => {
            let (mut folder, manifest) = EnsembleFolder::open(&args.out)?;
            if folder.is_finished() {
                return Err(Error::from(Kind::RunFinished { path: args.out.clone() }).into());
            }
            folder.run.hold()?;
            (unchanged(manifest, args)?, Some(folder))
        }
        (experiment, _) => {
            RunFolder::check_free(&args.out)?;
            let manifest = match experiment {
                Some(path) => Manifest::read(path)?,
                None => asked_for(args)?,
            };
            (
                if manifest.run.is_some() { unchanged(manifest, args)? } else { resolved(manifest, args)? },
                None,
            )
        }
    };
    let device = setup::device(manifest.device.into())?;
    tch::set_num_threads(i32::try_from(manifest.threads.unwrap_or(1)).unwrap_or(1));
    let run = manifest.run.clone().unwrap_or_else(|| unreachable!("it was resolved"));
    let (ensemble, mut warnings) = prepare(&manifest, &run, device, args.checkpoint_every as usize)?;
    warnings.extend(ensemble.check()?);
    if !args.quiet {
        render::warnings(&warnings)?;
    }
    // Only now, when nothing is known any more that would stop it.
    let folder = existing.map_or_else(|| EnsembleFolder::create(&args.out, &manifest), Ok)?;
    let stop = setup::stop_on_signal()?;
    let mut progress = EnsembleProgress::start(args.quiet);
    let report = ensemble.run(&folder, warnings, &mut |event| {
        progress.show(event);
        if stop.load(Ordering::Relaxed) { Flow::Stop } else { Flow::On }
    });
    progress.finish();
    let Some(report) = report? else {
        return Err(Error::from(Kind::Interrupted { path: args.out.clone() }).into());
    };
    if !args.quiet {
        let text = format!(
            "{}\n  the same with plots: {}\n",
            render::ensemble(&report, &args.out),
            folder.page().display()
        );
        anstream::stderr().write_all(text.as_bytes())?;
    }
    if !report.failures.is_empty() {
        return Err(Error::from(Kind::ModelsFailed {
            failed: report.failures.len(),
            path: args.out.clone(),
        })
        .into());
    }
    Ok(())
}

/// The experiment that the flags ask for.
fn asked_for(args: &args::Ensemble) -> Result<Manifest> {
    let (options, student) = (&args.options, &args.student);
    let manifest = Manifest {
        templates: args.template.clone(),
        verbalizers: args.verbalizer.clone(),
        train: args.train.clone(),
        unlabeled: args.unlabeled.clone(),
        unlabeled_rows: args.unlabeled_rows.map(|rows| rows as usize),
        test: args.test.clone(),
        format: args.reading.format.map(Into::into),
        label_column: args.reading.label_column.clone(),
        engine: args.model.engine.into(),
        device: args.model.device.into(),
        max_length: args.model.limits.max_length,
        model: args.model.limits.model.clone(),
        shots: args.shots.map(|shots| shots as usize),
        seeds: args.seeds.clone(),
        tuning: setup::tuning(&args.tuning)?,
        plan: setup::plan_options(&args.plan),
        mlm_weight: options.mlm_weight,
        merge: match options.merge {
            MergeName::Logits => Merge::Logits,
            MergeName::Probabilities => Merge::Probabilities,
        },
        weights: match options.weights {
            WeightsName::Uniform => Weights::Uniform,
            WeightsName::Accuracy => Weights::Accuracy,
        },
        calibrate: options.calibrate.map(|calibration| match calibration {
            MemberCalibrationName::Batch => Calibration::Batch,
            MemberCalibrationName::Prior => Calibration::Prior,
            MemberCalibrationName::Contextual => Calibration::Contextual,
            MemberCalibrationName::Domain => Calibration::Domain,
            MemberCalibrationName::Pmi => Calibration::Pmi,
        }),
        temperature: options.temperature,
        student: (!student.no_distill)
            .then(|| -> Result<Student> {
                Ok(Student {
                    tuning: student.student.as_ref().map_or_else(
                        || Ok(Student::default().tuning),
                        |name| Tuning::parse("--student", &format!("{name:?}")),
                    )?,
                    template: student.student_template.clone(),
                    model: student.student_model.clone(),
                    plan: PlanOptions {
                        steps: Some(student.student_steps),
                        learning_rate: student.student_learning_rate,
                        bf16: args.plan.dtype.is_bf16(),
                        ..PlanOptions::default()
                    },
                    labelled: student.student_labelled,
                })
            })
            .transpose()?,
        generations: options.generations,
        growth: options.growth,
        annotators: options.annotators,
        keep_members: options.keep_members,
        ..Manifest::default()
    };
    manifest.check()?;
    Ok(manifest)
}

/// An experiment with all that it is run with: a run's manifest.
fn resolved(mut manifest: Manifest, args: &args::Ensemble) -> Result<Manifest> {
    let mut problems = Problems(Vec::new());
    manifest.templates = problems.keep(files(&manifest.templates)).unwrap_or_default();
    manifest.verbalizers = problems.keep(files(&manifest.verbalizers)).unwrap_or_default();
    let mut stored = |files: &[String]| -> Vec<StoredFile> {
        files.iter().filter_map(|file| problems.keep(StoredFile::of(Path::new(file)))).collect()
    };
    let (templates, verbalizers) = (stored(&manifest.templates), stored(&manifest.verbalizers));
    for stored in [&templates, &verbalizers] {
        let twice = stored.iter().enumerate().find_map(|(index, file)| {
            Some((stored[..index].iter().find(|other| other.name() == file.name())?, file))
        });
        problems.0.extend(twice.map(|(first, second)| {
            Error::from(Kind::SameName {
                name: first.name(),
                files: [first.file.clone(), second.file.clone()],
            })
        }));
    }
    let mut hash = |path: &Option<PathBuf>| path.as_ref().and_then(|path| problems.keep(hash_of(path)));
    let data = [hash(&manifest.train), hash(&manifest.unlabeled), hash(&manifest.test)];
    problems.none()?;
    let limits = Limits {
        model: args.model.limits.model.clone().or(manifest.model.take()),
        max_length: manifest.max_length,
    };
    let folder = setup::open_model(&limits)?;
    manifest.max_length = Some(folder.max_length(manifest.max_length)?);
    manifest.threads = Some(
        args.model
            .threads
            .map(usize::from)
            .or(manifest.threads)
            .unwrap_or_else(|| usize::try_from(tch::get_num_threads()).unwrap_or(1)),
    );
    let mut student_model = None;
    if let Some(student) = &mut manifest.student {
        student.plan = PlanOptions::of(&student.plan());
        if let Some(model) = &student.model {
            student_model = Some(model_files(&setup::open_model(&Limits {
                model: Some(model.clone()),
                max_length: None,
            })?)?);
        }
    }
    let mut run = RunWith {
        cloze: env!("CARGO_PKG_VERSION").to_owned(),
        command: setup::command(),
        templates,
        verbalizers,
        classes: Vec::new(),
        columns: Vec::new(),
        data,
        model: model_files(&folder)?,
        student_model,
    };
    manifest.model = Some(run.model.path.display().to_string());
    run.classes =
        Manifest::read_verbalizers(&run).map_err(Problems)?[0].labels().map(str::to_owned).collect();
    manifest.plan = PlanOptions::of(&manifest.plan.plan(&manifest.tuning, run.classes.len()));
    let parsed = Manifest::read_templates(&run).map_err(Problems)?;
    let first = [&manifest.train, &manifest.unlabeled, &manifest.test].into_iter().flatten().next();
    let Some(first) = first else {
        return Err(Error::from(Kind::EnsembleNeeds {
            flag: "--test",
            because: "there are no rows: name some to learn from, to label or to evaluate on",
        })
        .into());
    };
    run.columns = reading::read_columns(
        &parsed,
        setup::open_rows(first, &Reading { label_column: None, ..reading_of(&manifest) })?.columns(),
    );
    manifest.run = Some(run);
    Ok(manifest)
}

/// A run's manifest, if its files are what they were.
fn unchanged(mut manifest: Manifest, args: &args::Ensemble) -> Result<Manifest> {
    let Some(mut run) = manifest.run.take() else { return Ok(manifest) };
    for (path, sha256) in [&manifest.train, &manifest.unlabeled, &manifest.test].into_iter().zip(&run.data) {
        if let (Some(path), Some(sha256)) = (path, sha256)
            && hash_of(path)? != *sha256
        {
            return Err(Error::from(Kind::DataChanged { path: path.clone() }).into());
        }
    }
    if let Some(model) = &args.model.limits.model {
        run.model.path =
            setup::open_model(&Limits { model: Some(model.clone()), max_length: None })?.path().to_owned();
    } else if !run.model.path.is_dir() {
        return Err(Error::from(Kind::ModelMissing { path: run.model.path.clone() }).into());
    }
    for model in std::iter::once(&run.model).chain(&run.student_model) {
        setup::check_base(model, &model.path, args.allow_other_base)?;
    }
    if let Some(threads) = args.model.threads {
        manifest.threads = Some(usize::from(threads));
    }
    run.command = setup::command();
    manifest.run = Some(run);
    Ok(manifest)
}

/// Reads and checks all that a manifest names, and loads the base model.
pub fn prepare<'a>(
    manifest: &'a Manifest,
    run: &'a RunWith,
    device: Device,
    checkpoint_every: usize,
) -> Result<(Ensemble<'a>, Vec<String>)> {
    let folder = ModelFolder::open(&run.model.path)?;
    let max_length = folder.max_length(manifest.max_length)?;
    let mut warnings = manifest.tuning.check(&folder.config)?;
    let verbalizers = Manifest::read_verbalizers(run).map_err(Problems)?;
    let templates = Manifest::read_templates(run).map_err(Problems)?;
    let mut problems = Problems(Vec::new());
    let showing = templates.iter().filter(|template| template.demonstrations().is_some());
    problems.0.extend(
        showing.map(|template| template.error(Kind::PatternWithDemonstrations { command: "cloze ensemble" })),
    );
    let words: Vec<LabelWords> = verbalizers
        .iter()
        .filter_map(|verbalizer| problems.keep(LabelWords::check(verbalizer, &folder.tokenizer, device)))
        .collect();
    warnings.extend(words.iter().filter_map(LabelWords::left_out));
    let (train, unlabeled, test) = rows(manifest, run, &verbalizers[0], &mut problems, &mut warnings)?;
    let columns = [&train, &unlabeled, &test].into_iter().flatten().next().map(|set| set.columns.clone());
    let Some(columns) = columns.filter(|_| problems.0.is_empty()) else { return Err(problems.into()) };
    let mut members = Vec::new();
    let left = manifest.tuning.length_left(max_length, &folder.config);
    for template in &templates {
        for (verbalizer, words) in words.iter().enumerate() {
            let patterns = problems.keep(
                patterns_of(template, &manifest.tuning, words, &folder)
                    .map_err(Problems::from)
                    .and_then(|patterns| setup::checked(patterns, &folder, left, &columns)),
            );
            let written = problems.keep(
                SoftTokens::check(words.room_in(vec![template.clone()]), Vec::new(), &folder.tokenizer)
                    .map_err(Problems::from)
                    .and_then(|written| setup::checked(written, &folder, max_length, &columns)),
            );
            if let (Some(trained), Some(written)) = (patterns, written) {
                let name = Member::name_of(template.name(), &run.verbalizers[verbalizer].name());
                members.push(Member { name, template: template.clone(), verbalizer, trained, written });
            }
        }
    }
    problems.none()?;
    let mut words = words.into_iter();
    let first = words.next().unwrap_or_else(|| unreachable!("there is a verbalizer"));
    let first = Base::load(folder, first, manifest.engine, device)?;
    let mut bases = vec![first];
    for words in words {
        let base = bases[0].with_words(words);
        bases.push(base);
    }
    let (drawn, short) = train
        .as_ref()
        .map_or_else(|| Ok(Default::default()), |train| Ensemble::draw(manifest, run, train))?;
    warnings.extend(short);
    let student = manifest
        .student
        .as_ref()
        .map(|student| {
            student_model(student, manifest, run, &templates, &verbalizers[0], &bases[0], &columns)
        })
        .transpose()?;
    let (student, student_length) = match student {
        Some((student, length)) => (Some(student), length),
        None => (None, max_length),
    };
    Ok((
        Ensemble {
            manifest,
            run,
            bases,
            members,
            student,
            first_trained: train.is_some(),
            train,
            drawn,
            unlabeled,
            test,
            max_length,
            student_length,
            batch_tokens: cloze::predict::score::batch_tokens(device),
            checkpoint_every,
        },
        warnings,
    ))
}

/// The student's base model, if it is another, and what it reads.
fn student_model(
    student: &Student,
    manifest: &Manifest,
    run: &RunWith,
    templates: &[Template],
    verbalizer: &Verbalizer,
    base: &Base,
    columns: &cloze::text::data::Columns,
) -> Result<(StudentModel, usize)> {
    let own = match &run.student_model {
        None => None,
        Some(model) => {
            let folder = ModelFolder::open(&model.path)?;
            let words = LabelWords::check(verbalizer, &folder.tokenizer, base.device).map_err(Problems)?;
            Some(Base::load(folder, words, base.engine, base.device)?)
        }
    };
    let base = own.as_ref().unwrap_or(base);
    student.tuning.check(&base.folder.config)?;
    let length = manifest.student_length(&base.folder.config);
    let patterns = setup::student_patterns(student, run, templates, &base.words, &base.folder)?;
    let left = student.tuning.length_left(length, &base.folder.config);
    let patterns = setup::checked(patterns, &base.folder, left, columns)?;
    Ok((StudentModel { base: own, patterns }, length))
}

/// Labelled, unlabelled and test rows, their columns in the order of the first file.
#[allow(clippy::type_complexity)] // Three of a kind.
fn rows(
    manifest: &Manifest,
    run: &RunWith,
    verbalizer: &Verbalizer,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Result<(Option<RowSet>, Option<RowSet>, Option<RowSet>)> {
    let given = reading_of(manifest);
    let mut wanted: Option<Arc<cloze::text::data::Columns>> = None;
    let mut read = |path: &Option<PathBuf>, labels: Labels| -> Result<Option<RowSet>> {
        let Some(path) = path else { return Ok(None) };
        let set = problems.keep(reading::read_rows(
            path,
            &given,
            &run.columns,
            verbalizer,
            wanted.as_deref(),
            labels,
        ));
        if let Some(set) = &set
            && wanted.is_none()
        {
            wanted = Some(set.columns.clone());
        }
        Ok(set)
    };
    let train = read(&manifest.train, Labels::Needed)?;
    let unlabeled = read(&manifest.unlabeled, Labels::Ignored)?;
    let test = read(&manifest.test, Labels::Known)?;
    let unlabeled = unlabeled.map(|mut set| {
        if set.columns.label().is_some() && set.examples.iter().any(|example| example.label.is_some()) {
            warnings.push(format!("{} has labels: they are not looked at", set.columns.data()));
        }
        let most = manifest.unlabeled_rows.unwrap_or(usize::MAX);
        set.examples.truncate(most);
        set.truths.truncate(most);
        set
    });
    Ok((train, unlabeled, test))
}

fn reading_of(manifest: &Manifest) -> Reading {
    Reading { format: manifest.format.map(Into::into), label_column: manifest.label_column.clone() }
}

/// The files that names with `*` and `?` stand for, each pattern's in the order of their names.
fn files(patterns: &[String]) -> Result<Vec<String>, Problems> {
    let mut problems = Problems(Vec::new());
    let mut files: Vec<String> = Vec::new();
    for pattern in patterns {
        // A name with such letters in it is that file, if it is there.
        let found: Vec<String> = if Path::new(pattern).exists() || !pattern.contains(['*', '?', '[']) {
            vec![pattern.clone()]
        } else {
            glob::glob(pattern)
                .map(|paths| paths.flatten().map(|path| path.display().to_string()).collect())
                .unwrap_or_default()
        };
        if found.is_empty() {
            problems.0.push(Kind::NothingMatches { pattern: pattern.clone() }.into());
        }
        for file in found {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    problems.none().map(|()| files)
}

fn model_files(folder: &ModelFolder) -> Result<ModelFiles, Error> {
    // Absolute, so that the run can be used from any folder.
    Ok(ModelFiles {
        path: std::path::absolute(folder.path()).unwrap_or_else(|_| folder.path().to_owned()),
        sha256: hash_of_weights(folder.path())?,
    })
}
