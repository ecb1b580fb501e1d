//! What the commands have in common: flags made into what the library asks for.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::ValueEnum as _;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use cloze::error::{Errors, Result};
use cloze::learn::plan::{ClassLoss, PlanOptions};
use cloze::learn::run::Device;
use cloze::model::dtype::Dtype;
use cloze::model::folder::ModelFolder;
use cloze::model::hub;
use cloze::model::masked_lm::Options;
use cloze::predict::blueprint::{self, Blueprint, ClassifierFiles};
use cloze::predict::encode::Long;
use cloze::predict::general::Ask;
use cloze::predict::prompt_classifier::Compute;
use cloze::predict::report::Pooling;
use cloze::predict::showing::Showing;
use cloze::predict::task::{Task, TaskSet};
use cloze::predict::zero_shot::Question;
use cloze::study::again::Again;
use cloze::study::run::{Run, Wanted};
use cloze::text::data::{Columns, Reading, Rows};
use cloze::text::demonstrations::Drawing;
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::{MethodOptions, Tuning};

use super::args::{
    Asked, Demonstrations, DrawingArgs, Limits, LongTexts, Model, PlanArgs, RunPart, TrainDtypeName, Trained,
    TuningArgs,
};
use super::shipped;
use super::source::Source;

/// The run that is named, if one is.
pub fn run(trained: &Trained) -> Result<Option<Run>> {
    trained.run.as_ref().map(Run::open).transpose()
}

/// A classifier before its weights, bound to the rows' columns: of files, or of a run. All problems are told
/// at once.
pub fn classifier(
    asked: &Asked,
    run: Option<&Run>,
    source: &Source,
    model: &Model,
) -> Result<(Blueprint, TaskSet, Rows), Errors> {
    let Asked { template, verbalizer, trained } = asked;
    match (run, verbalizer) {
        (Some(run), _) => run.blueprint(&wanted(trained, model)?, || source.open()),
        (None, Some(verbalizer)) => {
            let (adapter, max_length) = (trained.peft.as_deref(), model.limits.max_length);
            let files = ClassifierFiles { templates: template, verbalizer, adapter, max_length };
            Blueprint::of_files(files, options(model), || source.open(), || open_model(&model.limits))
        }
        (None, None) => unreachable!("clap asks for one of them"),
    }
}

/// Refuses the members of an ensemble together, for commands that ask one model.
pub fn check_one_model(trained: &Trained) -> anyhow::Result<()> {
    anyhow::ensure!(!trained.members, "this asks one model: name one of the members with --member");
    Ok(())
}

/// The run whose members are asked together, if they are: those of an ensemble without a student are what it
/// is.
pub fn of_members<'a>(trained: &Trained, run: Option<&'a Run>) -> Option<&'a Run> {
    run.filter(|run| trained.members || (run.is_its_members() && trained.part.member.is_none()))
}

/// What of a run is asked for.
pub fn wanted(trained: &Trained, model: &Model) -> Result<Wanted> {
    Ok(Wanted { options: options(model)?, ..part(&trained.part, trained.seed, &model.limits)? })
}

/// The same by itself, for commands that compute nothing with it.
pub fn part(part: &RunPart, seed: Option<u64>, limits: &Limits) -> Result<Wanted> {
    Ok(Wanted {
        task: part.task.clone(),
        member: part.member.clone(),
        seed,
        model: other_model(limits)?,
        allow_other_base: part.allow_other_base,
        max_length: limits.max_length,
        ..Wanted::default()
    })
}

/// With what an earlier run goes on, or is run again.
pub fn again(model: &Model, allow_other_base: bool) -> Result<Again> {
    Ok(Again {
        model: other_model(&model.limits)?,
        allow_other_base,
        threads: model.threads.map(usize::from),
        command: command(),
    })
}

/// How the model is loaded.
pub fn options(model: &Model) -> Result<Options> {
    Ok(Options {
        engine: model.engine,
        device: blueprint::device(model.device == Device::Cuda)?,
        force_head: model.limits.force_head,
    })
}

/// On what it computes, and how.
pub fn compute(model: &Model) -> Compute {
    Compute { threads: model.threads.map(usize::from), ..Compute::default() }
}

/// What is read of long texts.
pub fn long(args: &LongTexts) -> anyhow::Result<(Long, Pooling)> {
    ensure!(
        args.pool.is_none() || args.long == Long::Chunks,
        "--pool says how the chunks of a text count: add --long chunks, or leave --pool out"
    );
    Ok((args.long, args.pool.unwrap_or(Pooling::Mean)))
}

/// How demonstrations are drawn.
pub fn drawing(args: &DrawingArgs) -> Drawing {
    let usual = Drawing::default();
    Drawing {
        strategy: args.demo_strategy.unwrap_or(usual.strategy),
        draws: args.demo_draws.map_or(usual.draws, usize::from),
        seed: args.demo_seed.unwrap_or(usual.seed),
        each_epoch: usual.each_epoch,
    }
}

/// The rows that patterns show, where they show any.
pub fn showing(
    args: &Demonstrations,
    reading: &Reading,
    verbalizer: &Verbalizer,
    tasks: &[Task],
    columns: &Columns,
) -> anyhow::Result<Option<Showing>> {
    Showing::check_wanted(tasks, args.demos.is_some() || args.drawing.any())?;
    let read =
        |path: &PathBuf| Showing::read(path, reading, drawing(&args.drawing), tasks, verbalizer, columns);
    Ok(args.demos.as_ref().map(read).transpose()?)
}

/// Opens the model's small files.
pub fn open_model(limits: &Limits) -> Result<ModelFolder> {
    let path = model_path(limits)?;
    match limits.force_head {
        true => ModelFolder::open_any_head(&path),
        false => ModelFolder::open(&path),
    }
}

/// The folder of the model that is asked for, or of the one that ships with cloze.
pub fn model_path(limits: &Limits) -> Result<PathBuf> {
    model_named(limits.model.as_ref())
}

/// The folder of the model that is asked for in place of a run's.
pub fn other_model(limits: &Limits) -> Result<Option<PathBuf>> {
    limits.model.as_ref().map(|model| model_named(Some(model))).transpose()
}

/// The folder of a model by its name, without one of the usual model.
pub fn model_named(name: Option<&String>) -> Result<PathBuf> {
    // An empty variable is none, as usual in shells.
    let named = name.cloned().or_else(|| std::env::var("CLOZE_MODEL").ok().filter(|model| !model.is_empty()));
    match named {
        Some(model) => Ok(shipped::found(hub::folder(&model)?)),
        None => Ok(shipped::first(Path::new(shipped::MODEL)).unwrap_or_else(|| shipped::MODEL.into())),
    }
}

/// What the flags say of a plan.
pub fn plan_options(args: &PlanArgs) -> PlanOptions {
    PlanOptions {
        steps: args.steps,
        learning_rate: args.learning_rate,
        soft_learning_rate: Some(args.soft_learning_rate),
        warm_up: args.warm_up,
        batch_size: args.batch_size,
        accumulation: Some(args.accumulation),
        batch_tokens: Some(args.batch_tokens as usize),
        weight_decay: Some(args.weight_decay),
        clip_norm: Some(args.clip_norm),
        dropout: args.dropout,
        r_drop: None,
        loss: ClassLoss::default(),
        bf16: args.dtype == TrainDtypeName::Bf16,
    }
}

/// What is asked, as it is typed.
pub fn question(text: &str) -> Result<Question, String> {
    match <Ask as clap::ValueEnum>::from_str(text, false) {
        Ok(ask) => Ok(Question::Ask(ask)),
        Err(_) if text == "auto" => Ok(Question::ByLabels),
        Err(_) if text.contains("{mask}") => Ok(Question::Own(text.to_owned())),
        Err(_) => Err("neither a kind of question nor words with a {mask}".to_owned()),
    }
}

/// The types of numbers, and the choice among them; none where it is to be chosen.
pub fn dtypes() -> impl TypedValueParser<Value = Option<Dtype>> {
    let auto = PossibleValue::new("auto").help(
        "The fastest of them here whose scores on a sample are near f32's: measured once for a model and its \
         label words, beside work that takes ten times as long",
    );
    let types = Dtype::value_variants().iter().filter_map(Dtype::to_possible_value);
    PossibleValuesParser::new(types.chain([auto])).map(|name| Dtype::from_str(&name, false).ok())
}

/// The command line, for the manifest.
pub fn command() -> Vec<String> {
    std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// The method that the flags ask for.
pub fn tuning(args: &TuningArgs) -> Result<Tuning> {
    let tuning = match (&args.tuning, &args.method) {
        (Some(path), _) => Tuning::read(path)?,
        (None, Some(name)) => Tuning::parse("--method", &format!("{name:?}"))?,
        (None, None) => Tuning::Full,
    };
    tuning.with(MethodOptions {
        rank: args.rank,
        alpha: args.alpha,
        targets: args.targets.clone(),
        length: args.length,
        bottleneck: args.bottleneck,
        frozen_encoder: args.frozen_encoder,
    })
}
