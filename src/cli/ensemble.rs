//! `cloze ensemble`: patterns, a few labelled rows and many unlabelled ones in, a run's folder with a student
//! out.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use cloze::error::{EnsembleError, Error, RunError};
use cloze::learn::plan::PlanOptions;
use cloze::learn::run::RunFolder;
use cloze::model::folder::ModelFolder;
use cloze::study::again::Again;
use cloze::study::cells::{CellEnd, Plan};
use cloze::study::ensemble::growth::Draw;
use cloze::study::ensemble::merge::{Calibration, Merge, Weights};
use cloze::study::ensemble::{self, EnsembleFolder, Manifest, ResolveWith, Student};
use cloze::tune::Tuning;

use super::args::{
    CHECKPOINT_EVERY, Limits, Model, PlanArgs, Reading, TrainDtypeName, TuningArgs, said_by_file,
};
use super::render::{self, EnsembleProgress, Live};
use super::{setup, shipped, signals, source};

/// Train a model for each pattern, let them label rows together, and teach a student their labels (PET,
/// iPET)
#[derive(Debug, clap::Args)]
#[command(
    allow_negative_numbers = true,
    // The method of `Command`: the bare word is one of the derive's own.
    r#defer = said_by_file,
    after_help = "\
Examples:
  cloze ensemble --template 'templates/tickets/*.json' \\
      --verbalizer verbalizers/tickets.json \\
      --train data/tickets/train.csv --unlabeled data/tickets/train.csv \\
      --test data/tickets/test.csv \\
      --shots 8 --seeds 13,21,42 --out runs/pet
  cloze ensemble --experiment pet.json --out runs/pet
  cloze score --run runs/pet --data mine.csv --out labelled.csv
  cloze ensemble --resume --out runs/pet

Without --train the members are the base model as it is, one for each pattern: a
zero-shot ensemble, which a student may learn from. The experiment's file has
the flags' names as keys; a run's manifest.json is one, and runs it again."
)]
#[allow(clippy::struct_excessive_bools)] // Flags.
pub struct Ensemble {
    /// Template files (JSON), or folders of them
    #[arg(
        long,
        short,
        num_args = 1..,
        value_name = "FILE",
        required_unless_present_any = ["experiment", "resume"],
    )]
    template: Vec<String>,
    /// Verbalizer files (JSON); with several, every pattern has a member with each
    #[arg(
        long,
        short,
        num_args = 1..,
        value_name = "FILE",
        required_unless_present_any = ["experiment", "resume"],
    )]
    verbalizer: Vec<String>,
    /// Labelled rows to draw from [default: none, the members stay as they are]
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// Rows for the members to label; labels in it are not looked at
    #[arg(long, value_name = "FILE")]
    unlabeled: Option<PathBuf>,
    /// At most so many of them, from the first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    unlabeled_rows: Option<u32>,
    /// Rows to evaluate on; no choice ever looks at them
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// Rows of each class to learn from [default: all]
    #[arg(long, short = 'k', value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    shots: Option<u32>,
    /// Seeds: each draws its own rows and has its own members, ensemble and student
    #[arg(long, value_delimiter = ',', value_name = "S,S,…", default_value = "13,21,42")]
    seeds: Vec<u64>,
    /// The experiment as a file (JSON), in place of flags
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    experiment: Option<PathBuf>,
    /// Go on with the run in --out, which was stopped
    #[arg(long)]
    resume: bool,
    /// The folder for all that the run leaves
    #[arg(long, short, value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    out: PathBuf,
    /// No progress and no table on the terminal
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    options: EnsembleArgs,
    #[command(flatten)]
    student: StudentArgs,
    #[command(flatten)]
    tuning: TuningArgs,
    /// Steps from one checkpoint to the next
    #[arg(long, value_name = "N", default_value_t = CHECKPOINT_EVERY, value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_every: u32,
    #[command(flatten)]
    plan: PlanArgs,
    /// R-Drop: each row goes through the model twice, and this much of how far the two answers differ is
    /// added to the loss
    #[arg(long, hide_short_help = true, value_name = "ALPHA")]
    r_drop: Option<f64>,
    #[command(flatten)]
    model: Model,
    /// With --experiment: a base model whose weights are not those of the manifest
    #[arg(long, requires = "experiment")]
    allow_other_base: bool,
}

#[derive(Debug, clap::Args)]
struct EnsembleArgs {
    /// What is averaged: the members' class scores (PET), or their probabilities
    #[arg(long, value_enum, default_value_t = Merge::Logits)]
    merge: Merge,
    /// What each member counts: the same, or its pattern's accuracy on the train rows without training
    #[arg(long, value_enum, default_value_t = Weights::Uniform)]
    weights: Weights,
    /// Take each member's bias towards some label words out of what it says; what is said of rows is that of
    /// the unlabelled ones, or without any of the test rows
    #[arg(long, hide_short_help = true, value_enum, value_name = "METHOD")]
    calibrate: Option<Calibration>,
    /// What the scores are divided by before they become soft labels
    #[arg(long, value_name = "T", default_value_t = ensemble::TEMPERATURE)]
    temperature: f64,
    /// Train members with PET's masked-language-model loss on the unlabelled rows besides, which counts this
    /// much [without a number: 1e-4]
    #[arg(long, value_name = "X", num_args = 0..=1, default_missing_value = "1e-4")]
    mlm_weight: Option<f64>,
    /// Generations after the first, each trained on rows that the others labelled before (iPET)
    #[arg(long, value_name = "G", default_value_t = 0)]
    generations: usize,
    /// By how much the train rows grow from one generation to the next
    #[arg(long, value_name = "X", default_value_t = ensemble::GROWTH)]
    growth: f64,
    /// The share of the other members that label rows for a member; two at least
    #[arg(long, value_name = "X", default_value_t = ensemble::ANNOTATORS)]
    annotators: f64,
    /// Which of the rows that they label it learns from: a draw by chance, in proportion to how sure they are
    /// (PET), or those of which they are surest
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Draw::Proportional)]
    draw: Draw,
    /// Keep the weights of all members in the run's folder: cloze score --members needs them. Without it one
    /// model for each seed stays there in the end, and no more than one besides at any time
    #[arg(long)]
    keep_members: bool,
}

#[derive(Debug, clap::Args)]
struct StudentArgs {
    /// What learns the soft labels: cls, or a way of tuning a prompt model [default: cls]
    #[arg(
        long,
        value_name = "METHOD",
        value_parser = super::args::method_names(),
    )]
    student: Option<String>,
    /// A prompt model's template, by its name [default: the first]
    #[arg(long, value_name = "NAME")]
    student_template: Option<String>,
    /// Its base model [default: the members']
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    student_model: Option<String>,
    /// Its optimiser steps
    #[arg(long, value_name = "N", default_value_t = ensemble::STUDENT_STEPS)]
    student_steps: usize,
    /// Its highest learning rate [default: the method's]
    #[arg(long, value_name = "X")]
    student_learning_rate: Option<f64>,
    /// It learns the labelled rows besides
    #[arg(long)]
    student_labelled: bool,
    /// No student: the members themselves are the classifier
    #[arg(
        long,
        conflicts_with_all = [
            "student",
            "student_template",
            "student_model",
            "student_steps",
            "student_learning_rate",
            "student_labelled",
        ],
    )]
    no_distill: bool,
}

impl Ensemble {
    /// The run's folder.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// Whether nothing is told on the terminal.
    pub fn quiet(&self) -> bool {
        self.quiet
    }
}

/// Runs the command.
pub fn run(args: &Ensemble) -> Result<()> {
    let (manifest, existing) = manifest(args)?;
    let live = Live::start(args.quiet, "reading rows and the model");
    let (ensemble, warnings) = prepared(&manifest, args.checkpoint_every)?;
    if !args.quiet {
        live.beside(|| render::warnings(&warnings))?;
    }
    // Only now, when nothing is known any more that would stop it.
    let folder = existing.map_or_else(|| EnsembleFolder::create(&args.out, &manifest), Ok)?;
    carry_out(&ensemble, &folder, warnings, live, args.quiet)
}

/// Writes the plan of an experiment into its folder, in place of running it.
pub fn plan(args: &Ensemble) -> Result<Plan> {
    ensure!(!args.resume, "a run that was begun is not planned: leave --resume out");
    ensure!(
        args.checkpoint_every == CHECKPOINT_EVERY,
        "cells write a checkpoint every {CHECKPOINT_EVERY} steps: leave --checkpoint-every out"
    );
    let (manifest, _) = manifest(args)?;
    let live = Live::start(args.quiet, "reading rows and the model");
    let (ensemble, warnings) = prepared(&manifest, args.checkpoint_every)?;
    if !args.quiet {
        live.beside(|| render::warnings(&warnings))?;
    }
    let plan = ensemble.plan();
    let folder = EnsembleFolder::create(&args.out, &manifest)?.run;
    let written = plan.write(&folder);
    folder.unless_in_vain(written, true)?;
    Ok(plan)
}

/// Does a cell of a planned experiment.
pub fn run_cell(run: &Path, cell: usize, again: &Again, quiet: bool) -> Result<CellEnd> {
    let (folder, mut manifest) = EnsembleFolder::open(run)?;
    again.ensemble(&mut manifest)?;
    let live = Live::start(quiet, "reading rows and the model");
    let (ensemble, _) = prepared(&manifest, CHECKPOINT_EVERY)?;
    ensemble.plan().place(&folder.run, cell)?;
    if folder.is_finished() {
        return Ok(CellEnd::WasDone);
    }
    let folder = EnsembleFolder::for_cell(run, cell)?;
    let stops = signals::stop_at_step(run.to_owned(), Some(cell));
    let mut progress = EnsembleProgress::start(live);
    Ok(ensemble.run_cell(&folder, cell, &mut |event| {
        progress.show(event);
        if stops() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?)
}

/// Makes the results of a planned experiment whose cells are all done.
pub fn collect(run: &Path, again: &Again, quiet: bool) -> Result<()> {
    let (folder, mut manifest) = EnsembleFolder::unfinished(run)?;
    again.ensemble(&mut manifest)?;
    let live = Live::start(quiet, "reading rows and the model");
    let (ensemble, warnings) = prepared(&manifest, CHECKPOINT_EVERY)?;
    ensemble.plan().check_all(&folder.run, &ensemble.cells_done(&folder))?;
    if !quiet {
        live.beside(|| render::warnings(&warnings))?;
    }
    carry_out(&ensemble, &folder, warnings, live, quiet)
}

/// All that an experiment needs, and what a reader of its results should know.
fn prepared(manifest: &Manifest, checkpoint_every: u32) -> Result<(ensemble::Ensemble, Vec<String>)> {
    let run = manifest.run.clone().unwrap_or_else(|| unreachable!("it was resolved"));
    let prepared = ensemble::Ensemble::prepare(manifest.clone(), run, checkpoint_every as usize)?;
    let (ensemble, mut warnings) = prepared;
    warnings.extend(ensemble.check()?);
    Ok((ensemble, render::worded(&warnings)))
}

/// Does what is not done yet, and shows what came of it.
fn carry_out(
    ensemble: &ensemble::Ensemble,
    folder: &EnsembleFolder,
    warnings: Vec<String>,
    live: Live,
    quiet: bool,
) -> Result<()> {
    let run = folder.path();
    let stops = signals::stop_at_step(run.to_owned(), None);
    let mut progress = EnsembleProgress::start(live);
    let report = ensemble.run(folder, warnings, &mut |event| {
        progress.show(event);
        if stops() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    let Some(report) = report? else {
        return Err(Error::from(RunError::Interrupted { path: run.to_owned(), cell: None }).into());
    };
    if !quiet {
        let text = format!(
            "{}\n  the same with plots: {}\n{}",
            render::ensemble(&report, run),
            folder.page().display(),
            render::terms(&std::io::stderr())
        );
        render::tell(&text)?;
    }
    if !report.failures.is_empty() {
        return Err(Error::from(EnsembleError::ModelsFailed {
            failed: report.failures.len(),
            path: run.to_owned(),
        })
        .into());
    }
    Ok(())
}

/// The run's manifest, and its folder where it goes on.
fn manifest(args: &Ensemble) -> Result<(Manifest, Option<EnsembleFolder>)> {
    let again = || setup::again(&args.model, args.allow_other_base);
    if args.resume {
        let (folder, mut manifest) = EnsembleFolder::unfinished(&args.out)?;
        again()?.ensemble(&mut manifest)?;
        return Ok((manifest, Some(folder)));
    }
    RunFolder::check_free(&args.out)?;
    let mut manifest =
        args.experiment.as_ref().map_or_else(|| asked_for(args), |path| Ok(Manifest::read(path)?))?;
    match manifest.run {
        Some(_) => again()?.ensemble(&mut manifest)?,
        None => {
            find(&mut manifest);
            manifest = manifest.resolve(with(args))?;
        }
    }
    Ok((manifest, None))
}

/// Lets an experiment's paths be those of what ships, where they mean that.
fn find(manifest: &mut Manifest) {
    for name in manifest.templates.iter_mut().chain(&mut manifest.verbalizers) {
        *name = shipped::found(PathBuf::from(&*name)).display().to_string();
    }
    for path in [&mut manifest.train, &mut manifest.unlabeled, &mut manifest.test].into_iter().flatten() {
        *path = shipped::found(std::mem::take(path));
    }
}

/// The experiment that the flags ask for.
fn asked_for(args: &Ensemble) -> Result<Manifest> {
    let (options, student) = (&args.options, &args.student);
    let reading = source::reading_without_file(&args.reading)?;
    let manifest = Manifest {
        templates: args.template.clone(),
        verbalizers: args.verbalizer.clone(),
        train: args.train.clone(),
        unlabeled: args.unlabeled.clone(),
        unlabeled_rows: args.unlabeled_rows.map(|rows| rows as usize),
        test: args.test.clone(),
        format: reading.format,
        label_column: reading.label_column,
        adjust: reading.adjust,
        engine: args.model.engine,
        device: args.model.device,
        max_length: args.model.limits.max_length,
        model: args.model.limits.model.clone(),
        shots: args.shots.map(|shots| shots as usize),
        seeds: args.seeds.clone(),
        tuning: setup::tuning(&args.tuning)?,
        plan: PlanOptions { r_drop: args.r_drop, ..setup::plan_options(&args.plan) },
        mlm_weight: options.mlm_weight,
        merge: options.merge,
        weights: options.weights,
        calibrate: options.calibrate,
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
                        bf16: args.plan.dtype == TrainDtypeName::Bf16,
                        ..PlanOptions::default()
                    },
                    labelled: student.student_labelled,
                })
            })
            .transpose()?,
        generations: options.generations,
        growth: options.growth,
        annotators: options.annotators,
        draw: options.draw,
        keep_members: options.keep_members,
        ..Manifest::default()
    };
    manifest.check()?;
    Ok(manifest)
}

/// What an experiment is run with where its manifest does not say it.
fn with(args: &Ensemble) -> ResolveWith<'static> {
    fn open(model: Option<String>, force_head: bool) -> cloze::error::Result<ModelFolder> {
        setup::open_model(&Limits { model, force_head, max_length: None })
    }
    ResolveWith {
        model: args.model.limits.model.clone(),
        threads: args.model.threads.map(usize::from),
        command: setup::command(),
        open: match args.model.limits.force_head {
            true => &|model| open(model, true),
            false => &|model| open(model, false),
        },
    }
}
