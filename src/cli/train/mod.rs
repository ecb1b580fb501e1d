//! `cloze train`: a few labelled rows in, a run's folder out.

mod tasks;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use cloze::error::source::Source;
use cloze::error::{Error, Errors, RunError};
use cloze::learn::plan::{ClassLoss, PlanOptions};
use cloze::learn::run::{MANIFEST, Manifest, RunFolder, RunKind, Select, kind_of};
use cloze::study::again::Again;
use cloze::study::cells::{CellEnd, Plan};
use cloze::study::experiment::{DescriptionFiles, Experiment, TrainRequest};
use cloze::study::report::{RunReport, page};
use cloze::text::json::{self, Node};
use cloze::text::null_inputs;
use cloze::text::whole_file::WholeFile;
use cloze::tune::Tuning;

use super::args::{CHECKPOINT_EVERY, DrawingArgs, Model, PlanArgs, Reading, TuningArgs, said_by_file};
use super::multi_label::LearnLabelsArgs;
use super::outputs::{self, Reads};
use super::pages::PageArgs;
use super::render::{self, Live, TrainProgress};
use super::{setup, shipped, signals, source};

/// Learn from a few labelled rows, in any way of tuning, over several seeds
#[derive(Debug, clap::Args)]
#[command(
    allow_negative_numbers = true,
    // The method of `Command`: the bare word is one of the derive's own.
    r#defer = said_by_file,
    after_help = "\
Examples:
  cloze train --template templates/tickets/*.json \\
      --verbalizer verbalizers/tickets.json \\
      --train data/tickets/train.csv --test data/tickets/test.csv \\
      --shots 8 --seeds 13,21,42 --method full --out runs/tickets
  cloze score --run runs/tickets --data mine.csv --out labelled.csv
  cloze train --from runs/tickets/manifest.json --out runs/again
  cloze train --tasks tasks.json --seeds 13,21,42 --out runs/tasks
  cloze score --run runs/tasks --task mood --data mine.csv --out labelled.csv

Methods, with the learning rate that each starts with (40 steps a class, 80 to
400 in all):
  full           5e-5  all weights (PET: Schick & Schütze 2021)
  head           1e-3  the masked-language-model head
  bias           2e-3  all bias terms (BitFit: Ben Zaken et al. 2022)
  lora           1e-3  low-rank updates, R 8, query and value (Hu et al. 2021)
  ia3            1e-2  rescaled key, value, feed-forward (Liu et al. 2022)
  prompt-tuning  2e-3  16 soft tokens before the input (Lester et al. 2021)
  p-tuning       5e-4  the pattern's, or 16, by an LSTM (Liu et al. 2021)
  prefix         3e-4  16 keys, values a layer, by an MLP (Li & Liang 2021)
  p-tuning-v2    1e-2  the same, directly (Liu et al. 2022)
  adapter        5e-4  bottlenecks of 64 in each layer (Pfeiffer et al. 2021)
  cls            1e-4  new head on [CLS], all weights (Devlin et al. 2019);
                       1e-3 with --frozen-encoder
The rates did well on development rows of film reviews, 16 rows a class, with
the model that ships; benches/few-shot.md has what each method then gives.

--tuning FILE has a method with all its options:
  { \"lora\": { \"rank\": 8, \"targets\": [\"query\", \"value\"] } }"
)]
#[allow(clippy::struct_excessive_bools)] // Flags.
pub struct Train {
    /// Template files (JSON) or folders of them; with several, every row is learned in each, and
    /// probabilities are averaged; cls needs none
    #[arg(
        long,
        short,
        num_args = 1..,
        value_name = "FILE",
        value_parser = shipped::path(),
        required_unless_present_any = ["from", "resume", "method", "tuning", "tasks"],
    )]
    template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(
        long,
        short,
        value_name = "FILE",
        value_parser = shipped::path(),
        required_unless_present_any = ["from", "resume", "tasks"],
    )]
    verbalizer: Option<PathBuf>,
    /// Labelled rows to learn from: .csv, .tsv, .jsonl or .json
    #[arg(
        long,
        value_name = "FILE",
        value_parser = shipped::path(),
        required_unless_present_any = ["from", "resume", "tasks", "descriptions", "null_inputs"],
    )]
    train: Option<PathBuf>,
    /// Texts that describe the classes, to learn from in place of rows, or beside them: a file of labels with
    /// words, descriptions and examples, or of rows label,text; without FILE those in the verbalizer
    #[arg(long, value_name = "FILE", num_args = 0..=1, value_parser = shipped::path())]
    descriptions: Option<Option<PathBuf>>,
    /// Move biases until texts that say nothing, one a line in FILE, give even classes; without FILE short English
    /// ones. Needs --method bias, and no rows; the run is then scored, or exported to train on
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        value_parser = shipped::path(),
        conflicts_with_all = ["train", "descriptions", "dev", "shots", "baseline", "loss", "select"],
    )]
    null_inputs: Option<Option<PathBuf>>,
    /// A file of several tasks (JSON) that one model learns, or is only scored on: each with its templates,
    /// verbalizer, rows and share
    #[arg(long, value_name = "FILE", value_parser = shipped::path(), conflicts_with_all = NOT_WITH_TASKS)]
    tasks: Option<PathBuf>,
    /// Labelled rows for --select dev [default: train rows that are left over]
    #[arg(long, value_name = "FILE", value_parser = shipped::path())]
    dev: Option<PathBuf>,
    /// Rows to score, and to evaluate on where they have labels; no choice ever looks at them
    #[arg(long, value_name = "FILE", value_parser = shipped::path())]
    test: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// Rows of each class to learn from [default: all]
    #[arg(long, short = 'k', value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    shots: Option<u32>,
    /// Seeds: each draws its own rows and trains its own model
    #[arg(long, value_delimiter = ',', value_name = "S,S,…", default_value = "13,21,42,87,100")]
    seeds: Vec<u64>,
    /// Run a run's manifest again, in a new folder; only --model can be another
    #[arg(long, value_name = "MANIFEST", conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// Go on with the run in --out, which was stopped
    #[arg(long)]
    resume: bool,
    /// The folder for all that the run leaves
    #[arg(long, short, value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    out: PathBuf,
    #[command(flatten)]
    page: PageArgs,
    /// No progress and no table on the terminal
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    tuning: TuningArgs,
    /// A run of cloze train, of one task or of several, to start from, with --tasks too: what it learned by
    /// the same method, with the same sizes, on the same model
    #[arg(long, value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    init_from: Option<PathBuf>,
    /// Other baselines besides those that cost little: cls, setfit or lstm, with commas between them
    #[arg(long, value_enum, value_name = "METHOD", value_delimiter = ',')]
    baseline: Vec<Baseline>,
    /// Steps from one checkpoint to the next
    #[arg(long, value_name = "N", default_value_t = CHECKPOINT_EVERY, value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_every: u32,
    #[command(flatten)]
    plan: PlanArgs,
    /// R-Drop: each row goes through the model twice, and this much of how far the two answers differ is
    /// added to the loss
    #[arg(long, hide_short_help = true, value_name = "ALPHA")]
    r_drop: Option<f64>,
    /// What rows teach
    #[arg(long, hide_short_help = true, value_enum, value_name = "LOSS", default_value_t = ClassLoss::CrossEntropy)]
    loss: ClassLoss,
    #[command(flatten)]
    held_out: HeldOutArgs,
    /// How the step that is kept is chosen
    #[arg(long, value_enum, default_value_t = Select::None)]
    select: Select,
    /// How {demos:K} of patterns is filled: each seed shows its own train rows, of several tasks each its own
    #[command(flatten)]
    drawing: DrawingArgs,
    #[command(flatten)]
    several: LearnLabelsArgs,
    #[command(flatten)]
    model: Model,
    /// With --from: a base model whose weights are others than they were
    #[arg(long, requires = "from")]
    allow_other_base: bool,
}

/// What a file of tasks says itself, and what several tasks have none of.
const NOT_WITH_TASKS: [&str; 13] = [
    "template",
    "verbalizer",
    "train",
    "descriptions",
    "null_inputs",
    "dev",
    "test",
    "shots",
    "select",
    "baseline",
    "loss",
    "from",
    "resume",
];

#[derive(Debug, clap::Args)]
struct HeldOutArgs {
    /// With --select, or with --tasks that hold something out: steps from one look at that to the next
    /// [default: a tenth of the steps]
    #[arg(long, value_name = "N")]
    evaluate_every: Option<usize>,
    /// With --select dev: so many looks without a better one end the training
    #[arg(long, value_name = "N", default_value_t = 5)]
    patience: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Baseline {
    /// Fine-tuning with a new head on [CLS]
    Cls,
    /// SetFit: fine-tuning on pairs of rows, then a logistic regression on the mean states
    Setfit,
    /// A bidirectional LSTM on the model's word vectors, from a random start
    Lstm,
}

impl Train {
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
pub fn run(args: &Train) -> Result<()> {
    if let Some(tasks) = &args.tasks {
        return tasks::run(args, tasks);
    }
    let earlier =
        args.from.as_deref().map(manifest_file).or_else(|| args.resume.then(|| args.out.join(MANIFEST)));
    if earlier.is_some_and(|file| kind_of(&file).is_ok_and(|kind| kind == Some(RunKind::Tasks))) {
        return match &args.from {
            Some(from) => tasks::anew(args, from),
            None => tasks::resume(args),
        };
    }
    let again = || setup::again(&args.model, args.allow_other_base);
    let (manifest, existing) = match (&args.from, args.resume) {
        (Some(from), _) => {
            let mut manifest = Manifest::read(&manifest_file(from))?;
            again()?.training_anew(&mut manifest)?;
            (manifest, None)
        }
        (None, true) => {
            let (folder, mut manifest) = RunFolder::unfinished(&args.out)?;
            again()?.training_goes_on(&mut manifest)?;
            (manifest, Some(folder))
        }
        (None, false) => (manifest(args)?, None),
    };
    if existing.is_none() {
        RunFolder::check_free(&args.out)?;
    }
    let live = Live::start(args.quiet, "reading rows and the model");
    let place = place(args);
    let (experiment, warnings) = prepared(&manifest, args.checkpoint_every, place.as_ref())?;
    if !args.quiet {
        live.beside(|| render::warnings(&warnings))?;
    }
    if args.page.path().is_some() {
        manifest.verbalizer()?.check_classes("a page")?;
    }
    let page = open_page(args)?;
    // Only now, when nothing is known any more that would stop the training.
    let folder = existing.map_or_else(|| RunFolder::create(&args.out, &manifest.written()), Ok)?;
    carry_out(&experiment, &folder, warnings, live, args.quiet, || page_of_run(args, page))
}

/// Writes the plan of a run into its folder, in place of running it.
pub fn plan(args: &Train) -> Result<Plan> {
    ensure!(!args.resume, "a run that was begun is not planned: leave --resume out");
    ensure!(
        args.checkpoint_every == CHECKPOINT_EVERY,
        "cells write a checkpoint every {CHECKPOINT_EVERY} steps: leave --checkpoint-every out"
    );
    ensure!(args.page.path().is_none(), "a plan has no page: cloze report makes the run's when all is done");
    if args.tasks.is_some() {
        return Err(Error::from(RunError::WithoutCells { kind: "tasks" }).into());
    }
    let manifest = match &args.from {
        Some(from) => {
            let mut manifest = Manifest::read(&manifest_file(from))?;
            setup::again(&args.model, args.allow_other_base)?.training_anew(&mut manifest)?;
            manifest
        }
        None => manifest(args)?,
    };
    RunFolder::check_free(&args.out)?;
    let live = Live::start(args.quiet, "reading rows and the model");
    let (experiment, warnings) = prepared(&manifest, args.checkpoint_every, place(args).as_ref())?;
    if !args.quiet {
        live.beside(|| render::warnings(&warnings))?;
    }
    let plan = experiment.plan();
    let folder = RunFolder::create(&args.out, &manifest.written())?;
    let written = plan.write(&folder);
    folder.unless_in_vain(written, true)?;
    Ok(plan)
}

/// Does a cell of a planned run.
pub fn run_cell(run: &Path, cell: usize, again: &Again, quiet: bool) -> Result<CellEnd> {
    let (folder, mut manifest) = RunFolder::open(run)?;
    again.training_goes_on(&mut manifest)?;
    let live = Live::start(quiet, "reading rows and the model");
    let placed = |error: Error| placed(error, &manifest, Some(&Place::Run(run.join(MANIFEST))));
    let prepared = Experiment::prepare(manifest.clone(), CHECKPOINT_EVERY as usize);
    let (experiment, _) = prepared.map_err(|errors| errors.map(placed))?;
    experiment.plan().place(&folder, cell)?;
    if folder.is_finished(&manifest) {
        return Ok(CellEnd::WasDone);
    }
    let folder = RunFolder::for_cell(run, cell)?;
    let stops = signals::stop_at_step(run.to_owned(), Some(cell));
    let mut progress = TrainProgress::start(live, &manifest);
    Ok(experiment.run_cell(&folder, cell, &mut |event| {
        progress.show(event);
        if stops() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?)
}

/// Makes the results of a planned run whose cells are all done.
pub fn collect(run: &Path, again: &Again, quiet: bool) -> Result<()> {
    let (folder, mut manifest) = RunFolder::unfinished(run)?;
    again.training_goes_on(&mut manifest)?;
    let live = Live::start(quiet, "reading rows and the model");
    let place = Place::Run(run.join(MANIFEST));
    let (experiment, warnings) = prepared(&manifest, CHECKPOINT_EVERY, Some(&place))?;
    experiment.plan().check_all(&folder, &experiment.cells_done(&folder)?)?;
    if !quiet {
        live.beside(|| render::warnings(&warnings))?;
    }
    carry_out(&experiment, &folder, warnings, live, quiet, || Ok(()))
}

/// All that a run needs, and what a reader of its results should know.
fn prepared(
    manifest: &Manifest,
    checkpoint_every: u32,
    place: Option<&Place>,
) -> Result<(Experiment, Vec<String>)> {
    let placed = |error: Error| placed(error, manifest, place);
    let prepared = Experiment::prepare(manifest.clone(), checkpoint_every as usize);
    let (experiment, warnings) = prepared.map_err(|errors| errors.map(placed))?;
    let warnings = render::worded(&[warnings, experiment.check().map_err(placed)?].concat());
    Ok((experiment, warnings))
}

/// Does what is not done yet, and shows what came of it.
fn carry_out(
    experiment: &Experiment,
    folder: &RunFolder,
    warnings: Vec<String>,
    live: Live,
    quiet: bool,
    page: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let run = folder.path();
    let stops = signals::stop_at_step(run.to_owned(), None);
    let mut progress = TrainProgress::start(live, &experiment.manifest);
    let metrics = experiment.run(folder, warnings, &mut |event| {
        progress.show(event);
        if stops() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    match metrics? {
        None => Err(Error::from(RunError::Interrupted { path: run.to_owned(), cell: None }).into()),
        Some(metrics) => {
            page()?;
            if !quiet {
                let text = render::metrics(&metrics, run) + &render::terms(&std::io::stderr());
                render::tell(&text)?;
            }
            Ok(())
        }
    }
}

/// Opens the page that is asked for, which is none of the run's own files.
fn open_page(args: &Train) -> Result<Option<WholeFile>> {
    outputs::check(&[("run", Some(&args.out)), ("page", args.page.path())], &Reads::default())?;
    args.page.open()
}

/// Writes the page of the run that is finished.
fn page_of_run(args: &Train, file: Option<WholeFile>) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let report = RunReport::of_run(&args.out)?;
    Ok(file.commit_text(&page(&[(&args.out.display().to_string(), &report)]))?)
}

/// The manifest that a path means: a file, or that of a run's folder.
fn manifest_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(MANIFEST) } else { path.to_owned() }
}

/// The file that values of a run stand in.
enum Place {
    /// A run's manifest.
    Run(PathBuf),
    /// The method's options alone.
    Tuning(PathBuf),
}

/// Where the values that are asked for stand, if in a file.
fn place(args: &Train) -> Option<Place> {
    match (&args.from, args.resume, &args.tuning.tuning) {
        (Some(from), ..) => Some(Place::Run(manifest_file(from))),
        (None, true, _) => Some(Place::Run(args.out.join(MANIFEST))),
        (None, false, tuning) => tuning.clone().map(Place::Tuning),
    }
}

/// An error about a value that stands in a manifest or a tuning file, at its place there.
fn placed(error: Error, manifest: &Manifest, place: Option<&Place>) -> Error {
    let Some(Place::Run(file) | Place::Tuning(file)) = place else { return error };
    let Ok(text) = json::read_text(file) else { return error };
    let source = Source::new(file.display().to_string(), text);
    let root = Node::root(&source);
    match place {
        Some(Place::Run(_)) => manifest.place_error(error, &root),
        _ => manifest.tuning.place_error(error, &root),
    }
}

/// The run that the flags ask for.
fn manifest(args: &Train) -> Result<Manifest> {
    let reading = source::reading_without_file(&args.reading)?;
    let Some(verbalizer) = &args.verbalizer else { unreachable!("clap asks for it") };
    let file =
        |file: &Option<PathBuf>| file.clone().map_or(DescriptionFiles::Verbalizer, DescriptionFiles::File);
    let mut errors = Errors::new();
    let tuning = errors.keep(setup::tuning(&args.tuning));
    let texts = |file: &Option<PathBuf>| match file {
        Some(file) => errors.keep(null_inputs::read(file)),
        None => Some(null_inputs::usual()),
    };
    let null_inputs = args.null_inputs.as_ref().and_then(texts);
    let request = TrainRequest {
        train: args.train.clone(),
        descriptions: args.descriptions.as_ref().map(file),
        null_inputs,
        dev: args.dev.clone(),
        test: args.test.clone(),
        reading,
        tuning: tuning.unwrap_or(Tuning::Full),
        init_from: args.init_from.clone(),
        plan: PlanOptions { r_drop: args.r_drop, loss: args.loss, ..setup::plan_options(&args.plan) },
        evaluate_every: args.held_out.evaluate_every,
        patience: args.held_out.patience,
        drawing: args.drawing.any().then(|| setup::drawing(&args.drawing)),
        shots: args.shots.map(|shots| shots as usize),
        select: args.select,
        cls_baseline: args.baseline.contains(&Baseline::Cls),
        setfit_baseline: args.baseline.contains(&Baseline::Setfit),
        lstm_baseline: args.baseline.contains(&Baseline::Lstm),
        several_labels: args.several.asked()?,
        seeds: args.seeds.clone(),
        max_length: args.model.limits.max_length,
        engine: args.model.engine,
        device: args.model.device,
        threads: args.model.threads.map(usize::from),
        command: setup::command(),
        ..TrainRequest::of(args.template.clone(), verbalizer)
    };
    let manifest = errors.keep(request.manifest(|| setup::open_model(&args.model.limits)));
    Ok(manifest.filter(|_| errors.is_empty()).ok_or(errors)?)
}
