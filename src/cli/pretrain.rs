//! `cloze pretrain`: a model goes on reading, before it classifies.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ArgGroup;
use cloze::error::{Error, RunError};
use cloze::learn::objective::Masking;
use cloze::learn::run::{MANIFEST, RunFolder};
use cloze::model::tensor_file::Precision;
use cloze::model::threads::Threads;
use cloze::study::pretrain::{HowLong, Manifest, PretrainRequest, Pretraining, model_of};
use cloze::study::report::{RunReport, page};
use cloze::text::data::{Format, Reading};
use cloze::text::whole_file::write_text;

use super::args::{Model, PlanArgs, TuningArgs};
use super::render::{self, Live, PretrainProgress};
use super::{setup, shipped, signals};

/// Let a model go on reading texts of your own, before it classifies there
#[derive(Debug, clap::Args)]
#[command(
    allow_negative_numbers = true,
    mut_arg("soft_learning_rate", |arg| arg.hide(true)),
    mut_arg("max_length", |arg| arg.hide(true)),
    mut_arg("batch_size", |arg| arg.default_value("32").help("Sequences in a batch")),
    group = ArgGroup::new("how_long").args(["steps", "tokens", "minutes"]),
    after_help = "\
Examples:
  cloze pretrain --text mails.txt --minutes 30 --out runs/mails
  cloze pretrain --text tickets.csv articles.txt --shares 3,1 \\
      --held-out other.txt --tokens 5000000 --dtype bf16 --out runs/field
  cloze score --model runs/mails --template templates/tickets/*.json \\
      --verbalizer verbalizers/tickets.json --data mine.csv --out labelled.csv
  cloze pretrain --resume --out runs/mails

In a plain text a document ends at a blank line; in a table each row is one, and
one column is read. A .npy file holds token ids (uint16 or uint32), documents
ended by [SEP]. The run's folder can be named as --model everywhere."
)]
#[allow(clippy::struct_excessive_bools)] // Flags.
pub struct Pretrain {
    /// Files of text: plain, or .csv, .tsv, .jsonl, .json, or .npy with token ids
    #[arg(
        long,
        num_args = 1..,
        value_name = "FILE",
        value_parser = shipped::path(),
        required_unless_present = "resume",
    )]
    text: Vec<PathBuf>,
    /// How often a sequence is each text's, in their order [default: as they have tokens]
    #[arg(long, value_delimiter = ',', value_name = "X,X,…")]
    shares: Vec<f64>,
    /// The column of tables that is read [default: the one that looks like texts]
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,
    /// How tables are written, where their names do not tell
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// What the loss is measured on: other texts, or the last part of each text, as .01
    #[arg(long, num_args = 1.., value_name = "FILE|SHARE", default_value = "0.01")]
    held_out: Vec<String>,
    /// As many steps as take so many tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    tokens: Option<u64>,
    /// As many steps as this machine takes in so many minutes, by a few that are timed first
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
    /// Tokens of a sequence [default: 128]
    #[arg(long, value_name = "N")]
    sequence_length: Option<usize>,
    /// The share of tokens that are to be predicted
    #[arg(long, value_name = "X", default_value_t = 0.15)]
    mask_rate: f64,
    /// The share of those that become the mask
    #[arg(long, value_name = "X", default_value_t = 0.8)]
    masked: f64,
    /// The share of those that become any entry of the vocabulary; the rest stays
    #[arg(long, value_name = "X", default_value_t = 0.1)]
    random: f64,
    /// Predict all pieces of a word or none
    #[arg(long)]
    whole_words: bool,
    /// The seed of every random choice
    #[arg(long, value_name = "S", default_value_t = 13)]
    seed: u64,
    /// Go on with the run in --out, which was stopped
    #[arg(long, conflicts_with_all = ["text", "how_long"])]
    resume: bool,
    /// The folder for all that the run leaves, the model among it
    #[arg(long, short, value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    out: PathBuf,
    /// How the weights of the model are written
    #[arg(long, value_enum, value_name = "TYPE", default_value_t = Precision::F32)]
    precision: Precision,
    /// No progress and no table on the terminal
    #[arg(long, short)]
    quiet: bool,
    /// Steps from one checkpoint to the next
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_every: u32,
    /// Steps from one look at held-out text to the next [default: a tenth of the steps]
    #[arg(long, value_name = "N")]
    evaluate_every: Option<usize>,
    #[command(flatten)]
    tuning: TuningArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    model: Model,
    /// With --resume: a base model whose weights are others than they were
    #[arg(long, requires = "resume")]
    allow_other_base: bool,
}

/// Runs the command.
pub fn run(args: &Pretrain) -> Result<()> {
    let (manifest, existing) = match args.resume {
        true => {
            let mut folder = RunFolder::existing(&args.out)?;
            let mut manifest = Manifest::read(&args.out.join(MANIFEST))?;
            if folder.has_metrics() && args.out.join(PAGE).exists() {
                return Err(Error::from(RunError::Finished { path: args.out.clone() }).into());
            }
            if folder.has_metrics() {
                // The page is the last of what a run leaves.
                return write_page(&args.out);
            }
            folder.hold()?;
            setup::again(&args.model, args.allow_other_base)?.pretraining_goes_on(&mut manifest)?;
            (manifest, Some(folder))
        }
        false => {
            RunFolder::check_free(&args.out)?;
            (request(args)?.manifest(&setup::open_model(&args.model.limits)?)?, None)
        }
    };
    let live = Live::start(args.quiet, "reading the model");
    let (training, warnings) = Pretraining::prepare(manifest.clone(), args.checkpoint_every as usize)?;
    if !args.quiet {
        live.beside(|| render::warnings(&warnings))?;
    }
    let is_new = existing.is_none();
    let folder = existing.map_or_else(|| RunFolder::create(&args.out, &manifest.written()), Ok)?;
    let stops = signals::stop_at_step(args.out.clone(), None);
    let mut progress = PretrainProgress::start(live, &manifest);
    let metrics = training.run(&folder, &mut |event| {
        progress.show(event);
        if stops() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    let model = model_of(&folder);
    let Some(metrics) = folder.unless_in_vain(metrics, is_new)? else {
        return Err(Error::from(RunError::Interrupted { path: args.out.clone(), cell: None }).into());
    };
    write_page(&args.out)?;
    if !args.quiet {
        render::tell(&render::pretraining(&metrics, &model))?;
    }
    Ok(())
}

/// The page of a run that is done, in its folder.
const PAGE: &str = "report.html";

fn write_page(run: &Path) -> Result<()> {
    let report = RunReport::of_run(run)?;
    Ok(write_text(&run.join(PAGE), &page(&[(&run.display().to_string(), &report)]))?)
}

fn request(args: &Pretrain) -> Result<PretrainRequest> {
    let how_long = match (args.plan.steps, args.tokens, args.minutes) {
        (Some(steps), ..) => HowLong::Steps(steps),
        (_, Some(tokens), _) => HowLong::Tokens(tokens),
        (_, _, Some(minutes)) if minutes > 0.0 && minutes.is_finite() => HowLong::Minutes(minutes),
        (_, _, Some(minutes)) => anyhow::bail!("--minutes must be a number above 0, not {minutes}"),
        _ => anyhow::bail!("say how long: --steps, --tokens or --minutes"),
    };
    let share = match &args.held_out[..] {
        // A file of that name is a file.
        [only] if !Path::new(only).exists() => only.parse::<f64>().ok(),
        _ => None,
    };
    Ok(PretrainRequest {
        text: args.text.clone(),
        shares: args.shares.clone(),
        text_column: args.text_column.clone(),
        held_out: match share {
            Some(_) => Vec::new(),
            None => args.held_out.iter().map(PathBuf::from).collect(),
        },
        held_out_share: share.unwrap_or_default(),
        sequence_length: args.sequence_length,
        masking: Masking {
            rate: args.mask_rate,
            masked: args.masked,
            random: args.random,
            whole_words: args.whole_words,
        },
        how_long,
        tuning: setup::tuning(&args.tuning)?,
        plan: setup::plan_options(&args.plan),
        evaluate_every: args.evaluate_every,
        precision: args.precision,
        reading: Reading { format: args.format, ..Reading::default() },
        engine: args.model.engine,
        device: args.model.device,
        seed: args.seed,
        threads: args.model.threads.map_or_else(Threads::usual, usize::from),
        command: setup::command(),
    })
}
