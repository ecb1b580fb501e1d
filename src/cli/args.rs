//! What several commands take. No logic.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, Id, ValueEnum};
use cloze::error::DataError;
use cloze::learn::run::Device;
use cloze::model::folder::EngineChoice;
use cloze::predict::encode::Long;
use cloze::predict::report::Pooling;
use cloze::text::data::{Delimiter, Encoding, Format, Quoting};
use cloze::text::demonstrations::Strategy;
use cloze::tune::Tuning;

use super::shipped;

/// The flags that name a file, or a run, which says what to train.
const TRAINING_FILES: [&str; 3] = ["from", "experiment", "resume"];

/// What such a file does not say; `tasks` is a file of its own.
const NOT_IN_FILES: [&str; 9] = [
    "model",
    "force_head",
    "threads",
    "out",
    "page",
    "allow_other_base",
    "checkpoint_every",
    "quiet",
    "tasks",
];

/// Lets the flags that name a training's file exclude all that the file says.
pub fn said_by_file(command: Command) -> Command {
    let is_one_of = |names: &[&str], arg: &Arg| names.contains(&arg.get_id().as_str());
    let said = |arg: &&Arg| !is_one_of(&TRAINING_FILES, arg) && !is_one_of(&NOT_IN_FILES, arg);
    let said: Vec<Id> = command.get_arguments().filter(said).map(|arg| arg.get_id().clone()).collect();
    // An argument group would do too, but its error lists all that is in it, not what was given.
    let exclude = |arg: Arg| arg.conflicts_with_all(&said);
    command.mut_args(|arg| if is_one_of(&TRAINING_FILES, &arg) { exclude(arg) } else { arg })
}

#[derive(Debug, clap::Args)]
pub struct Data {
    /// Data file: .csv, .tsv, .jsonl, .json, .parquet, .arrow or .xlsx; a folder or a pattern of names for part files; - for standard input
    #[arg(
        long,
        short,
        value_name = "FILE",
        required_unless_present_any = ["text", "field"],
        value_parser = shipped::path(),
    )]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub given: Given,
    #[command(flatten)]
    pub reading: Reading,
}

/// One row on the command line.
#[derive(Debug, Default, clap::Args)]
pub struct Given {
    /// One text in place of a file: a row whose column text it is
    #[arg(long, value_name = "TEXT", conflicts_with = "data")]
    pub text: Option<String>,
    /// One row in place of a file, column by column: say it for each
    #[arg(long, value_name = "COLUMN=TEXT", conflicts_with = "data")]
    pub field: Vec<String>,
}

/// How rows are read for patterns, which name their columns.
#[derive(Debug, clap::Args)]
pub struct Reading {
    #[command(flatten)]
    pub rows: RowReading,
    /// A name that the patterns use, and the data's column that it stands for, as text=review_body; say it
    /// for each
    #[arg(long, value_name = "NAME=COLUMN")]
    pub map: Vec<String>,
    /// The column of texts: what the patterns call text
    #[arg(long, value_name = "COLUMN")]
    pub text_column: Option<String>,
}

/// A part of a layout as it is written; what is none is told with a way out.
fn layout<T: FromStr<Err = DataError>>(written: &str) -> Result<T, String> {
    written.parse().map_err(|error: DataError| {
        let notes = error.notes().into_iter().map(|(label, text)| format!("\n  = {label}: {text}"));
        format!("{error}{}", notes.collect::<String>())
    })
}

/// How rows are read.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RowReading {
    /// The data's format [default: by the file's name; csv on standard input]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// The encoding of its text [default: UTF-8, or what its first bytes tell]
    #[arg(long, value_name = "NAME", value_parser = layout::<Encoding>)]
    pub encoding: Option<Encoding>,
    /// What stands between the columns of CSV and TSV: a character, or tab [default: by the format and the
    /// first lines]
    #[arg(long, value_name = "CHARACTER", value_parser = layout::<Delimiter>)]
    pub delimiter: Option<Delimiter>,
    /// What quotes in CSV and TSV mean [default: double, in TSV by the first lines]
    #[arg(long, value_enum, value_name = "HOW")]
    pub quoting: Option<Quoting>,
    /// The sheet of an Excel file [default: the only one with anything in it]
    #[arg(long, value_name = "NAME")]
    pub sheet: Option<String>,
    /// The most that one record may have, in MiB [default: 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..1 << 30))]
    pub max_record_mib: Option<u64>,
    /// The column with the true labels [default: label, if there is one]
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<String>,
    /// Take no column for the true labels
    #[arg(long, conflicts_with_all = ["label_column", "label_map", "unlabelled"])]
    pub no_labels: bool,
    /// Which class each label of the data stands for, as 0=negative,1=positive
    #[arg(long, value_name = "LABEL=CLASS,…")]
    pub label_map: Option<String>,
    /// What stands where a row has no label, as NA,null
    #[arg(long, value_name = "TEXT,…", value_delimiter = ',')]
    pub unlabelled: Vec<String>,
    /// What becomes of rows that cannot be read or have an unknown label: refuse, skip, or a file to put them
    /// in [default: refuse]
    #[arg(long, value_name = "HOW")]
    pub bad_rows: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct Limits {
    /// Model folder, or hub:NAME [default: $CLOZE_MODEL, or the model that ships]
    #[arg(long, short, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub model: Option<String>,
    /// Take a model whose head was not trained to fill masks, as DeBERTa's: of use only before a training of
    /// all weights (--method full), and until then its scores mean nothing
    #[arg(long)]
    pub force_head: bool,
    /// Longest input in tokens; a longer one loses words of the fields marked |shorten, or of all where none
    /// is [default: the model's limit, at most 512]
    #[arg(long, value_name = "N")]
    pub max_length: Option<usize>,
}

#[derive(Debug, clap::Args)]
pub struct LongTexts {
    /// What is read of a text that is too long
    #[arg(long, value_enum, value_name = "PART", default_value_t = Long::Head)]
    pub long: Long,
    /// With --long chunks: how the probabilities of the chunks become one [default: mean]
    #[arg(long, value_enum, value_name = "HOW")]
    pub pool: Option<Pooling>,
}

/// Steps of a training from one checkpoint to the next.
pub const CHECKPOINT_EVERY: u32 = 100;

#[derive(Debug, clap::Args)]
pub struct Model {
    #[command(flatten)]
    pub limits: Limits,
    /// What runs the forward pass
    #[arg(long, value_enum, default_value_t = EngineChoice::Cloze)]
    pub engine: EngineChoice,
    /// Where it runs
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    pub device: Device,
    /// CPU threads [default: one for each physical core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
}

/// The heading of these alone: a `next_help_heading` would stand above all flags that follow.
pub const TRAINED: &str = "Trained models";

#[derive(Debug, clap::Args)]
pub struct Trained {
    /// The folder of a run of cloze train or cloze ensemble; it brings its templates, verbalizer and base
    /// model
    #[arg(
        long,
        help_heading = TRAINED,
        value_name = "RUN",
        value_hint = clap::ValueHint::DirPath,
        conflicts_with_all = ["template", "verbalizer"],
    )]
    pub run: Option<PathBuf>,
    /// One of the run's seeds [default: --average]
    #[arg(long, help_heading = TRAINED, value_name = "S", requires = "run", conflicts_with = "average")]
    pub seed: Option<u64>,
    /// The average of all the run's seeds
    #[arg(long, help_heading = TRAINED, requires = "run")]
    pub average: bool,
    /// Of a run of cloze ensemble: its members together, in place of its student
    #[arg(long, help_heading = TRAINED, requires = "run", conflicts_with = "member")]
    pub members: bool,
    #[command(flatten)]
    pub part: RunPart,
    /// An adapter folder of Python's PEFT, beside templates and a verbalizer
    #[arg(
        long,
        help_heading = TRAINED, hide_short_help = true,
        value_name = "DIR",
        value_hint = clap::ValueHint::DirPath,
        conflicts_with = "run",
    )]
    pub peft: Option<PathBuf>,
}

/// Which of the models that a run keeps, and on what base. Its seed is called by several names.
#[derive(Debug, clap::Args)]
pub struct RunPart {
    /// Of a run of several tasks: which
    #[arg(long, help_heading = TRAINED, value_name = "NAME", requires = "run")]
    pub task: Option<String>,
    /// Of a run of cloze ensemble: one of its members, as TEMPLATE+VERBALIZER [default: its student]
    #[arg(long, help_heading = TRAINED, value_name = "NAME", requires = "run")]
    pub member: Option<String>,
    /// A base model whose weights are not those that the run was trained on
    #[arg(long, help_heading = TRAINED, requires = "run")]
    pub allow_other_base: bool,
}

/// What is asked: patterns and label words, of files or of a run.
#[derive(Debug, clap::Args)]
pub struct Asked {
    /// Template files (JSON) or folders of them; with several, probabilities are averaged
    #[arg(
        long,
        short,
        required_unless_present = "run",
        num_args = 1..,
        value_name = "FILE",
        value_parser = shipped::path(),
    )]
    pub template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, required_unless_present = "run", value_name = "FILE", value_parser = shipped::path())]
    pub verbalizer: Option<PathBuf>,
    #[command(flatten)]
    pub trained: Trained,
}

/// The heading of these alone, as of [`TRAINED`].
const DEMONSTRATIONS: &str = "Demonstrations";

#[derive(Debug, clap::Args)]
pub struct Demonstrations {
    /// Labelled rows for the patterns' {demos:K} to show
    #[arg(long, help_heading = DEMONSTRATIONS, value_name = "FILE", value_parser = shipped::path())]
    pub demos: Option<PathBuf>,
    #[command(flatten)]
    pub drawing: DrawingArgs,
}

#[derive(Debug, clap::Args)]
pub struct DrawingArgs {
    /// Which rows demonstrations show [default: class-balanced]
    #[arg(long, help_heading = DEMONSTRATIONS, value_enum, value_name = "STRATEGY")]
    pub demo_strategy: Option<Strategy>,
    /// So many draws for each row, whose probabilities are averaged: each costs a forward pass [default: 4]
    #[arg(
        long,
        help_heading = DEMONSTRATIONS,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1024),
    )]
    pub demo_draws: Option<u16>,
    /// The seed of the draws [default: 0]
    #[arg(long, help_heading = DEMONSTRATIONS, value_name = "S")]
    pub demo_seed: Option<u64>,
}

impl DrawingArgs {
    /// Whether anything is asked.
    pub fn any(&self) -> bool {
        self.demo_strategy.is_some() || self.demo_draws.is_some() || self.demo_seed.is_some()
    }
}

#[derive(Debug, clap::Args)]
pub struct TuningArgs {
    /// What moves, with its usual options [default: full]
    #[arg(
        long,
        value_name = "METHOD",
        conflicts_with = "tuning",
        value_parser = method_names(),
    )]
    pub method: Option<String>,
    /// A file with the method and its options (JSON)
    #[arg(long, value_name = "FILE")]
    pub tuning: Option<PathBuf>,
    /// lora: the rank
    #[arg(long, value_name = "R")]
    pub rank: Option<i64>,
    /// lora: α; updates are scaled by α/R
    #[arg(long, value_name = "X")]
    pub alpha: Option<f64>,
    /// lora: the linear layers, as query,value
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    pub targets: Option<Vec<String>>,
    /// prompt-tuning, p-tuning, prefix, p-tuning-v2: how many vectors
    #[arg(long, value_name = "N")]
    pub length: Option<usize>,
    /// adapter: the size in the middle
    #[arg(long, value_name = "N")]
    pub bottleneck: Option<i64>,
    /// cls: train the new head alone
    #[arg(long)]
    pub frozen_encoder: bool,
}

/// The heading of flags whose names stand below another one elsewhere.
const TRAINING: &str = "Training";

#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// Optimiser steps [default: the method's]
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// The highest learning rate [default: the method's]
    #[arg(long, value_name = "X")]
    pub learning_rate: Option<f64>,
    /// The highest learning rate of a pattern's soft tokens beside another method
    #[arg(long, value_name = "X", default_value_t = cloze::tune::SOFT_RATE)]
    pub soft_learning_rate: f64,
    /// Rows in a batch [default: 16; of null inputs all]
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// Batches in an optimiser step
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub accumulation: usize,
    /// Most tokens that go through the model at once, padding counted; larger batches go in parts
    #[arg(
        long,
        help_heading = TRAINING,
        value_name = "N",
        default_value_t = 4096,
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    pub batch_tokens: u32,
    /// The share of the steps in which the learning rate goes up; it goes down in the rest [default: 0.1; of
    /// null inputs 0]
    #[arg(long, value_name = "X")]
    pub warm_up: Option<f64>,
    /// AdamW's weight decay; none on biases, layer norms and soft tokens
    #[arg(long, value_name = "X", default_value_t = 0.01)]
    pub weight_decay: f64,
    /// The most that the norm of the gradients may be
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub clip_norm: f64,
    /// The probability of dropout [default: the model's]
    #[arg(long, value_name = "P")]
    pub dropout: Option<f64>,
    /// The type of numbers that the encoder computes in while it learns
    #[arg(
        long,
        help_heading = TRAINING,
        value_enum,
        value_name = "TYPE",
        default_value_t = TrainDtypeName::F32,
    )]
    pub dtype: TrainDtypeName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrainDtypeName {
    /// Single precision
    F32,
    /// Its products in bfloat16; what is learned and its gradients stay in single precision
    Bf16,
}

/// The names of the methods of tuning.
pub fn method_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Tuning::all().map(|(name, _)| name))
}
