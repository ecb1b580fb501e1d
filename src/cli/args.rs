//! The flags. No logic.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use cloze::model::dtype::Dtype;
use cloze::model::folder::EngineChoice;
use cloze::predict::calibration::Method;
use cloze::study::ensemble;
use cloze::text::data::Format;
use cloze::text::demonstrations::Strategy;

/// Classify text by asking a masked language model to fill a blank.
#[derive(Debug, Parser)]
#[command(name = "cloze", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Give each row of a file a label and a probability for each class
    #[command(after_help = "\
Examples:
  cloze score --template templates/sentiment/it-was.json --verbalizer verbalizers/sentiment.json --data data/reviews/test.csv
  cloze score --template templates/sentiment/*.json --verbalizer verbalizers/sentiment.json --data mine.csv --out labelled.csv
  cloze score --run runs/tickets --data mine.csv --out labelled.csv
  cat mine.jsonl | cloze score --template t.json --verbalizer v.json --data - --format jsonl --report report.json

The output has one row per input row, in the input's order: row, predicted, confidence, p_<label> for each class.
With several templates the probabilities are averaged, and the report shows each template by itself.")]
    Score(Box<Score>),
    /// Learn from a few labelled rows, in any way of tuning, over several seeds
    #[command(
        allow_negative_numbers = true,
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

Methods, with the learning rate that each starts with (40 steps a class, 80 to 400 in all):
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
    Train(Box<Train>),
    /// Train a model for each pattern, let them label rows together, and teach a student their labels (PET,
    /// iPET)
    #[command(
        allow_negative_numbers = true,
        after_help = "\
Examples:
  cloze ensemble --template 'templates/tickets/*.json' --verbalizer verbalizers/tickets.json \\
      --train data/tickets/train.csv --unlabeled data/tickets/train.csv --test data/tickets/test.csv \\
      --shots 8 --seeds 13,21,42 --out runs/pet
  cloze ensemble --experiment pet.json --out runs/pet
  cloze score --run runs/pet --data mine.csv --out labelled.csv
  cloze ensemble --resume --out runs/pet

Without --train the members are the base model as it is, one for each pattern: a zero-shot ensemble, which a student may learn from.
The experiment's file has the flags' names as keys; a run's manifest.json is one, and runs it again."
    )]
    Ensemble(Box<Ensemble>),
    /// Write what a run learned for other programs: as a Hugging Face model, or as a PEFT adapter
    #[command(after_help = "\
Examples:
  cloze export --run runs/tickets --seed 13 --merged models/tickets
  cloze export --run runs/lora --seed 13 --peft adapters/tickets")]
    Export(Export),
    /// Show the results of ensemble experiments again, one or several side by side
    #[command(after_help = "\
Examples:
  cloze report runs/news
  cloze report runs/news runs/news-lora runs/news-ipet --out compared.html --json compared.json

The page is one file that needs no network. Runs on the same test rows are compared row by row, by paired bootstrap.")]
    Report(Report),
    /// Look for everything that could go wrong, before any weights are loaded
    #[command(after_help = "\
Examples:
  cloze check --template mine.json --verbalizer words.json --data mine.csv
  cloze check --verbalizer verbalizers/topic.json --model models/cloze-minilm-l6
  cloze check --template mine.json --verbalizer words.json --data mine.csv --strict

Give any of the files; what can be checked with them is checked, and all problems are shown at once.")]
    Check(Check),
    /// Score the same rows under harmless changes, and show whose label flips
    #[command(after_help = "\
Example:
  cloze robustness --template templates/sentiment/it-was.json --verbalizer verbalizers/sentiment.json \\
      --data mine.csv --patterns templates/sentiment --out flips.csv

Changes: of the rows' words (final marks, commas, spaces, case, quotes), of the pattern's words (the mark at its end, case, commas),
of the label words (each alone, the nearest in the model's embeddings), and other patterns. The rows stay in memory.")]
    Robustness(Robustness),
    /// Look for label words or patterns, and tell how sure the choice is
    #[command(subcommand)]
    Search(Search),
    /// Expand and refine lists of label words
    #[command(subcommand)]
    Verbalizer(VerbalizerCommand),
    /// Show how rows look to the model: text, tokens, what was cut, and the likeliest words at the mask
    #[command(after_help = "\
Example:
  cloze preview --template templates/topic/news.json --verbalizer verbalizers/topic.json --data mine.csv -n 3")]
    Preview(Preview),
    /// Print a completion script for a shell
    #[command(after_help = "\
Example:
  cloze completions bash > ~/.local/share/bash-completion/completions/cloze")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
pub struct Score {
    /// Template files (JSON); with several, probabilities are averaged
    #[arg(long, short, required_unless_present = "run", num_args = 1.., value_name = "FILE")]
    pub template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, required_unless_present = "run", value_name = "FILE")]
    pub verbalizer: Option<PathBuf>,
    #[command(flatten)]
    pub trained: Trained,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub demonstrations: Demonstrations,
    #[command(flatten)]
    pub calibration: Calibration,
    /// The type of numbers to compute in
    #[arg(long, value_enum, value_name = "TYPE", default_value_t = DtypeName::F32)]
    pub dtype: DtypeName,
    /// Most tokens in a batch, padding counted [default: 1024, on a GPU 16384]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_tokens: Option<u32>,
    /// Where to write the rows, as CSV; - for standard output, as without it
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where to write the report, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the input's columns too, behind the others
    #[arg(long)]
    pub keep_columns: bool,
    /// No progress and no report on the terminal
    #[arg(long, short)]
    pub quiet: bool,
}

/// The heading of these alone, as of [`TRAINED`].
const DEMONSTRATIONS: &str = "Demonstrations";

#[derive(Debug, clap::Args)]
pub struct Demonstrations {
    /// Labelled rows for the patterns' {demos:K} to show
    #[arg(long, help_heading = DEMONSTRATIONS, value_name = "FILE")]
    pub demos: Option<PathBuf>,
    #[command(flatten)]
    pub drawing: DrawingArgs,
}

#[derive(Debug, clap::Args)]
pub struct DrawingArgs {
    /// Which rows demonstrations show [default: class-balanced]
    #[arg(long, help_heading = DEMONSTRATIONS, value_enum, value_name = "STRATEGY")]
    pub demo_strategy: Option<StrategyName>,
    /// So many draws for each row, whose probabilities are averaged: each costs a forward pass [default: 4]
    #[arg(long, help_heading = DEMONSTRATIONS, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
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

/// See [`cloze::text::demonstrations::Strategy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StrategyName {
    /// Any rows
    Random,
    /// One of each class in turn
    ClassBalanced,
    /// The same, from the half of each class that is most similar to the row by the model's own states
    Similar,
}

impl From<StrategyName> for Strategy {
    fn from(name: StrategyName) -> Strategy {
        match name {
            StrategyName::Random => Strategy::Random,
            StrategyName::ClassBalanced => Strategy::ClassBalanced,
            StrategyName::Similar => Strategy::Similar,
        }
    }
}

/// The heading of these alone, as of [`TRAINED`].
const CALIBRATION: &str = "Calibration";

#[derive(Debug, clap::Args)]
pub struct Calibration {
    /// Take the model's bias towards some label words out of each pattern's probabilities
    #[arg(long, help_heading = CALIBRATION, value_enum, value_name = "METHOD")]
    pub calibrate: Option<MethodName>,
    /// Rows to fit it on [default: the rows of --data, which then stay in memory; temperature and vector need
    /// labelled ones]
    #[arg(long, help_heading = CALIBRATION, value_name = "FILE", requires = "calibrate")]
    pub calibrate_on: Option<PathBuf>,
    /// For --calibrate prior: how often each class is [default: all the same]
    #[arg(long, help_heading = CALIBRATION, value_name = "LABEL=SHARE,…", requires = "calibrate")]
    pub prior: Option<String>,
    /// Sets of classes that hold the true one in at least 1 - ALPHA of the rows, in a column of their own
    #[arg(long, help_heading = CALIBRATION, value_name = "ALPHA", requires = "conformal_on")]
    pub conformal: Option<f64>,
    /// Labelled rows to find the sets' thresholds on; others than were trained or calibrated on
    #[arg(long, help_heading = CALIBRATION, value_name = "FILE", requires = "conformal")]
    pub conformal_on: Option<PathBuf>,
    /// A threshold for each class: the sets hold the true one as often in each class
    #[arg(long, help_heading = CALIBRATION, requires = "conformal")]
    pub class_conditional: bool,
    /// Where to write what was fitted, as JSON
    #[arg(long, help_heading = CALIBRATION, value_name = "FILE")]
    pub calibration_out: Option<PathBuf>,
    /// What was fitted before and written by --calibration-out, for the same model, patterns and verbalizer
    #[arg(long, help_heading = CALIBRATION, value_name = "FILE", conflicts_with_all = ["calibrate", "conformal", "calibration_out"])]
    pub calibration: Option<PathBuf>,
    /// Leave rows without an answer whose likeliest class is less probable
    #[arg(long, help_heading = CALIBRATION, value_name = "P")]
    pub abstain_below: Option<f64>,
}

impl Calibration {
    /// Whether anything is asked.
    pub fn any(&self) -> bool {
        self.calibrate.is_some()
            || self.conformal.is_some()
            || self.calibration.is_some()
            || self.abstain_below.is_some()
    }
}

/// See [`cloze::predict::calibration::Method`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MethodName {
    /// Divide by what is said to "N/A", to nothing and to a mask (Zhao et al. 2021)
    Contextual,
    /// Divide by what is said to random words of the rows (Fei et al. 2023)
    Domain,
    /// Divide by the rows' mean (Zhou et al. 2023)
    Batch,
    /// Make the rows' mean that of --prior (Liusie et al. 2023)
    Prior,
    /// Divide by what the pattern alone says (Holtzman et al. 2021)
    Pmi,
    /// One temperature, fitted to labelled rows; changes no label (Guo et al. 2017)
    Temperature,
    /// A weight and a bias a class, fitted to labelled rows (Guo et al. 2017)
    Vector,
}

impl From<MethodName> for Method {
    fn from(name: MethodName) -> Method {
        match name {
            MethodName::Contextual => Method::Contextual,
            MethodName::Domain => Method::Domain,
            MethodName::Batch => Method::Batch,
            MethodName::Prior => Method::Prior,
            MethodName::Pmi => Method::Pmi,
            MethodName::Temperature => Method::Temperature,
            MethodName::Vector => Method::Vector,
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct Export {
    /// The folder of a run of cloze train
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// Which of the run's seeds [default: the only one]
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// A new folder for a plain Hugging Face model, what was learned within its weights: full, head, bias,
    /// lora, ia3
    #[arg(long, value_name = "DIR", required_unless_present = "peft", conflicts_with = "peft")]
    pub merged: Option<PathBuf>,
    /// A new folder for an adapter that Python's PEFT reads: lora, ia3, prompt-tuning, p-tuning, prefix,
    /// p-tuning-v2
    #[arg(long, value_name = "DIR")]
    pub peft: Option<PathBuf>,
    /// The base model's folder [default: the run's]
    #[arg(long, short, value_name = "FOLDER")]
    pub model: Option<String>,
    /// A base model whose weights are not those that the run was trained on
    #[arg(long)]
    pub allow_other_base: bool,
}

#[derive(Debug, clap::Args)]
pub struct Report {
    /// Folders of runs of cloze ensemble, each with its report.json
    #[arg(required = true, value_name = "RUN")]
    pub run: Vec<PathBuf>,
    /// Where to write the page [default: report.html in the run's folder; several runs need a name]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where to write the paired tests, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// No tables on the terminal
    #[arg(long, short)]
    pub quiet: bool,
}

/// The heading of these alone: a `next_help_heading` would stand above all flags that follow.
const TRAINED: &str = "Trained models";

#[derive(Debug, clap::Args)]
pub struct Trained {
    /// The folder of a run of cloze train or cloze ensemble; it brings its templates, verbalizer and base
    /// model
    #[arg(long, help_heading = TRAINED, value_name = "RUN", conflicts_with_all = ["template", "verbalizer"])]
    pub run: Option<PathBuf>,
    /// One of the run's seeds [default: --average]
    #[arg(long, help_heading = TRAINED, value_name = "S", requires = "run", conflicts_with = "average")]
    pub seed: Option<u64>,
    /// The average of all the run's seeds
    #[arg(long, help_heading = TRAINED, requires = "run")]
    pub average: bool,
    /// Of a run of several tasks: which
    #[arg(long, help_heading = TRAINED, value_name = "NAME", requires = "run")]
    pub task: Option<String>,
    /// Of a run of cloze ensemble: its members together, in place of its student
    #[arg(long, help_heading = TRAINED, requires = "run")]
    pub members: bool,
    /// A base model whose weights are not those that the run was trained on
    #[arg(long, help_heading = TRAINED, requires = "run")]
    pub allow_other_base: bool,
    /// An adapter folder of Python's PEFT, beside templates and a verbalizer
    #[arg(long, help_heading = TRAINED, value_name = "DIR", conflicts_with = "run")]
    pub peft: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // Flags.
pub struct Train {
    /// Template files (JSON); with several, every row is learned in each, and probabilities are averaged; cls
    /// needs none
    #[arg(long, short, num_args = 1.., value_name = "FILE", required_unless_present_any = ["from", "resume", "method", "tuning", "tasks"])]
    pub template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, value_name = "FILE", required_unless_present_any = ["from", "resume", "tasks"])]
    pub verbalizer: Option<PathBuf>,
    /// Labelled rows to learn from: .csv, .tsv or .jsonl
    #[arg(long, value_name = "FILE", required_unless_present_any = ["from", "resume", "tasks"])]
    pub train: Option<PathBuf>,
    /// A file of several tasks (JSON) that one model learns, or is only scored on: each with its templates,
    /// verbalizer, rows and share
    #[arg(long, value_name = "FILE", conflicts_with_all = NOT_WITH_TASKS)]
    pub tasks: Option<PathBuf>,
    /// Labelled rows for --select dev [default: train rows that are left over]
    #[arg(long, value_name = "FILE")]
    pub dev: Option<PathBuf>,
    /// Rows to score, and to evaluate on where they have labels; no choice ever looks at them
    #[arg(long, value_name = "FILE")]
    pub test: Option<PathBuf>,
    #[command(flatten)]
    pub reading: Reading,
    #[command(flatten)]
    pub model: Model,
    /// Rows of each class to learn from [default: all]
    #[arg(long, short = 'k', value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub shots: Option<u32>,
    /// How {demos:K} of patterns is filled: each seed shows its own train rows
    #[command(flatten)]
    pub drawing: DrawingArgs,
    /// Seeds: each draws its own rows and trains its own model
    #[arg(long, value_delimiter = ',', value_name = "S,S,…", default_value = "13,21,42,87,100")]
    pub seeds: Vec<u64>,
    /// Another baseline besides majority, TF-IDF and zero-shot
    #[arg(long, value_enum, value_name = "METHOD")]
    pub baseline: Option<BaselineName>,
    /// Steps from one checkpoint to the next
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub checkpoint_every: u32,
    /// The folder for all that the run leaves
    #[arg(long, short, value_name = "RUN")]
    pub out: PathBuf,
    /// Run a run's manifest again, in a new folder; only --model can be another
    #[arg(long, value_name = "MANIFEST", conflicts_with = "resume", conflicts_with_all = IN_MANIFEST)]
    pub from: Option<PathBuf>,
    /// Go on with the run in --out, which was stopped
    #[arg(long, conflicts_with_all = IN_MANIFEST)]
    pub resume: bool,
    /// With --from: a base model whose weights are others than they were
    #[arg(long, requires = "from")]
    pub allow_other_base: bool,
    /// No progress and no table on the terminal
    #[arg(long, short)]
    pub quiet: bool,
    // Last, because their headings stand above all that follows.
    #[command(flatten)]
    pub tuning: TuningArgs,
    #[command(flatten)]
    pub plan: PlanArgs,
    #[command(flatten)]
    pub looks: LookArgs,
    /// How the step that is kept is chosen
    #[arg(long, value_enum, default_value_t = SelectName::None)]
    pub select: SelectName,
}

/// What a file of tasks says itself, and what several tasks have none of.
const NOT_WITH_TASKS: [&str; 14] = [
    "template",
    "verbalizer",
    "train",
    "dev",
    "test",
    "shots",
    "select",
    "baseline",
    "from",
    "resume",
    "demo_strategy",
    "demo_draws",
    "demo_seed",
    "evaluate_every",
];

/// What a manifest says already.
const IN_MANIFEST: [&str; 38] = [
    "demo_strategy",
    "demo_draws",
    "demo_seed",
    "device",
    "template",
    "verbalizer",
    "train",
    "dev",
    "test",
    "format",
    "label_column",
    "max_length",
    "engine",
    "shots",
    "seeds",
    "method",
    "tuning",
    "rank",
    "alpha",
    "targets",
    "length",
    "bottleneck",
    "frozen_encoder",
    "steps",
    "learning_rate",
    "soft_learning_rate",
    "batch_size",
    "accumulation",
    "batch_tokens",
    "warm_up",
    "weight_decay",
    "clip_norm",
    "dropout",
    "dtype",
    "evaluate_every",
    "patience",
    "select",
    "baseline",
];

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Method")]
pub struct TuningArgs {
    /// What moves, with its usual options [default: full]
    #[arg(long, value_name = "METHOD", conflicts_with = "tuning", value_parser = clap::builder::PossibleValuesParser::new(cloze::tune::Tuning::all().map(|(name, _)| name)))]
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

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Training")]
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
    /// Rows in a batch
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub batch_size: usize,
    /// Batches in an optimiser step
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub accumulation: usize,
    /// Most tokens that go through the model at once, padding counted; larger batches go in parts
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_tokens: u32,
    /// The share of the steps in which the learning rate goes up; it goes down in the rest
    #[arg(long, value_name = "X", default_value_t = 0.1)]
    pub warm_up: f64,
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
    #[arg(long, value_enum, value_name = "TYPE", default_value_t = TrainDtypeName::F32)]
    pub dtype: TrainDtypeName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrainDtypeName {
    /// Single precision
    F32,
    /// Its products in bfloat16; what is learned and its gradients stay in single precision
    Bf16,
}

impl TrainDtypeName {
    /// Whether products are to be in bfloat16.
    pub fn is_bf16(self) -> bool {
        self == TrainDtypeName::Bf16
    }
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Training")]
pub struct LookArgs {
    /// With --select: steps from one look at held-out rows to the next [default: a tenth of the steps]
    #[arg(long, value_name = "N")]
    pub evaluate_every: Option<usize>,
    /// With --select dev: so many looks without a better one end the training
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub patience: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SelectName {
    /// The last step: nothing is chosen
    None,
    /// The best on as many development rows as train rows
    Dev,
    /// The best on average in a four-fold cross-validation on the train rows
    Cv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BaselineName {
    /// Fine-tuning with a new head on [CLS]
    Cls,
}

#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // Flags.
pub struct Ensemble {
    /// Template files (JSON), or patterns of names with * and ?, in quotes
    #[arg(long, short, num_args = 1.., value_name = "FILE", required_unless_present_any = ["experiment", "resume"])]
    pub template: Vec<String>,
    /// Verbalizer files (JSON); with several, every pattern has a member with each
    #[arg(long, short, num_args = 1.., value_name = "FILE", required_unless_present_any = ["experiment", "resume"])]
    pub verbalizer: Vec<String>,
    /// Labelled rows to draw from: .csv, .tsv or .jsonl [default: none, the members stay as they are]
    #[arg(long, value_name = "FILE")]
    pub train: Option<PathBuf>,
    /// Rows for the members to label; labels in it are not looked at
    #[arg(long, value_name = "FILE")]
    pub unlabeled: Option<PathBuf>,
    /// At most so many of them, from the first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub unlabeled_rows: Option<u32>,
    /// Rows to evaluate on; no choice ever looks at them
    #[arg(long, value_name = "FILE")]
    pub test: Option<PathBuf>,
    #[command(flatten)]
    pub reading: Reading,
    #[command(flatten)]
    pub model: Model,
    /// Rows of each class to learn from [default: all]
    #[arg(long, short = 'k', value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub shots: Option<u32>,
    /// Seeds: each draws its own rows and has its own members, ensemble and student
    #[arg(long, value_delimiter = ',', value_name = "S,S,…", default_value = "13,21,42")]
    pub seeds: Vec<u64>,
    /// The experiment as a file (JSON), in place of flags
    #[arg(long, value_name = "FILE", conflicts_with_all = IN_EXPERIMENT, conflicts_with = "resume")]
    pub experiment: Option<PathBuf>,
    /// The folder for all that the run leaves
    #[arg(long, short, value_name = "RUN")]
    pub out: PathBuf,
    /// Go on with the run in --out, which was stopped
    #[arg(long, conflicts_with_all = IN_EXPERIMENT)]
    pub resume: bool,
    /// A base model whose weights are not those of the manifest
    #[arg(long)]
    pub allow_other_base: bool,
    /// Steps from one checkpoint to the next
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub checkpoint_every: u32,
    /// No progress and no table on the terminal
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub options: EnsembleArgs,
    #[command(flatten)]
    pub student: StudentArgs,
    #[command(flatten)]
    pub tuning: TuningArgs,
    #[command(flatten)]
    pub plan: PlanArgs,
}

/// What an experiment's file says already.
const IN_EXPERIMENT: [&str; 48] = [
    "template",
    "verbalizer",
    "train",
    "unlabeled",
    "unlabeled_rows",
    "test",
    "format",
    "label_column",
    "max_length",
    "engine",
    "device",
    "shots",
    "seeds",
    "method",
    "tuning",
    "rank",
    "alpha",
    "targets",
    "length",
    "bottleneck",
    "frozen_encoder",
    "steps",
    "learning_rate",
    "soft_learning_rate",
    "batch_size",
    "accumulation",
    "batch_tokens",
    "warm_up",
    "weight_decay",
    "clip_norm",
    "dropout",
    "dtype",
    "merge",
    "weights",
    "calibrate",
    "temperature",
    "mlm_weight",
    "generations",
    "growth",
    "annotators",
    "keep_members",
    "student",
    "student_template",
    "student_model",
    "student_steps",
    "student_learning_rate",
    "student_labelled",
    "no_distill",
];

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Ensemble")]
pub struct EnsembleArgs {
    /// What is averaged: the members' class scores (PET), or their probabilities
    #[arg(long, value_enum, default_value_t = MergeName::Logits)]
    pub merge: MergeName,
    /// What each member counts: the same, or its pattern's accuracy on the train rows without training
    #[arg(long, value_enum, default_value_t = WeightsName::Uniform)]
    pub weights: WeightsName,
    /// Take each member's bias towards some label words out of what it says; what is said of rows is that of
    /// the unlabelled ones, or without any of the test rows
    #[arg(long, value_enum, value_name = "METHOD")]
    pub calibrate: Option<MemberCalibrationName>,
    /// What the scores are divided by before they become soft labels
    #[arg(long, value_name = "T", default_value_t = ensemble::TEMPERATURE)]
    pub temperature: f64,
    /// Train members with PET's masked-language-model loss on the unlabelled rows besides, which counts this
    /// much [without a number: 1e-4]
    #[arg(long, value_name = "X", num_args = 0..=1, default_missing_value = "1e-4")]
    pub mlm_weight: Option<f64>,
    /// Generations after the first, each trained on rows that the others labelled before (iPET)
    #[arg(long, value_name = "G", default_value_t = 0)]
    pub generations: usize,
    /// By how much the train rows grow from one generation to the next
    #[arg(long, value_name = "X", default_value_t = ensemble::GROWTH)]
    pub growth: f64,
    /// The share of the other members that label rows for a member; two at least
    #[arg(long, value_name = "X", default_value_t = ensemble::ANNOTATORS)]
    pub annotators: f64,
    /// Keep the weights of all members in the run's folder: cloze score --members needs them. Without it one
    /// model for each seed stays there in the end, and no more than one besides at any time
    #[arg(long)]
    pub keep_members: bool,
}

/// See [`cloze::study::ensemble::merge::Calibration`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MemberCalibrationName {
    /// Divide by the mean (Zhou et al. 2023)
    Batch,
    /// Make the mean the same for all classes (Liusie et al. 2023)
    Prior,
    /// Divide by what is said to "N/A", to nothing and to a mask (Zhao et al. 2021)
    Contextual,
    /// Divide by what is said to random words of the rows (Fei et al. 2023)
    Domain,
    /// Divide by what the pattern alone says (Holtzman et al. 2021)
    Pmi,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Student")]
pub struct StudentArgs {
    /// What learns the soft labels: cls, or a way of tuning a prompt model [default: cls]
    #[arg(long, value_name = "METHOD", value_parser = clap::builder::PossibleValuesParser::new(cloze::tune::Tuning::all().map(|(name, _)| name)))]
    pub student: Option<String>,
    /// A prompt model's template, by its name [default: the first]
    #[arg(long, value_name = "NAME")]
    pub student_template: Option<String>,
    /// Its base model [default: the members']
    #[arg(long, value_name = "FOLDER")]
    pub student_model: Option<String>,
    /// Its optimiser steps
    #[arg(long, value_name = "N", default_value_t = ensemble::STUDENT_STEPS)]
    pub student_steps: usize,
    /// Its highest learning rate [default: the method's]
    #[arg(long, value_name = "X")]
    pub student_learning_rate: Option<f64>,
    /// It learns the labelled rows besides
    #[arg(long)]
    pub student_labelled: bool,
    /// No student: the members themselves are the classifier
    #[arg(long, conflicts_with_all = ["student", "student_template", "student_model", "student_steps", "student_learning_rate", "student_labelled"])]
    pub no_distill: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MergeName {
    Logits,
    Probabilities,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum WeightsName {
    Uniform,
    Accuracy,
}

#[derive(Debug, clap::Args)]
pub struct Check {
    /// Template files (JSON)
    #[arg(long, short, num_args = 1.., value_name = "FILE")]
    pub template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, value_name = "FILE")]
    pub verbalizer: Option<PathBuf>,
    /// Data file: .csv, .tsv or .jsonl; - for standard input
    #[arg(long, short, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Load the model too, and ask it: which classes it prefers without a row, how often it would say none of
    /// the label words in the first 200 rows, which label words it hardly says, and which are near to one of
    /// another class
    #[arg(long, requires = "verbalizer")]
    pub strict: bool,
    #[command(flatten)]
    pub reading: Reading,
    #[command(flatten)]
    pub limits: Limits,
}

#[derive(Debug, Subcommand)]
pub enum VerbalizerCommand {
    /// Propose related words for each class: from the model itself, its embeddings, and WordNet where it is
    /// installed
    #[command(after_help = "\
Example:
  cloze verbalizer expand --verbalizer verbalizers/topic.json --words 30 --out long.json
  cloze verbalizer refine --template templates/topic/*.json --verbalizer long.json --data news.csv --out refined.json

What is written is a verbalizer of the kind knowledge; a word weighs a third for each source that proposes it.")]
    Expand(Box<Expand>),
    /// Drop words that the model hardly says, or says for other classes, and write each word's prior (KPT: Hu
    /// et al. 2022)
    #[command(after_help = "\
Example:
  cloze verbalizer refine --template templates/topic/*.json --verbalizer long.json --data news.csv --out refined.json")]
    Refine(Box<Refine>),
}

#[derive(Debug, clap::Args)]
pub struct Expand {
    /// Verbalizer file (JSON): words to start from
    #[arg(long, short, value_name = "FILE")]
    pub verbalizer: PathBuf,
    /// Who proposes words [default: all that are there]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SOURCE,…")]
    pub from: Vec<SourceName>,
    /// The folder of WordNet's files, index.noun and the others [default: $WNHOME/dict, /usr/share/wordnet]
    #[arg(long, value_name = "FOLDER")]
    pub wordnet: Option<PathBuf>,
    /// At most so many new words a class
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub words: u32,
    #[command(flatten)]
    pub model: Model,
    /// Where to write the verbalizer
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
}

/// See [`cloze::study::knowledge::Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SourceName {
    /// What the model says in place of a word
    Model,
    /// The nearest in its input embeddings
    Embeddings,
    /// Synonyms and kinds of it in WordNet
    Wordnet,
}

#[derive(Debug, clap::Args)]
pub struct Refine {
    /// Template files (JSON)
    #[arg(long, short, required = true, num_args = 1.., value_name = "FILE")]
    pub template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, value_name = "FILE")]
    pub verbalizer: PathBuf,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub model: Model,
    /// At most so many rows, from the first; labels are not looked at
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub rows: u32,
    /// The share of all words that is kept, by how often the model says them
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub keep: f64,
    /// Keep words that are no more like their own class's first word than like others'
    #[arg(long)]
    pub no_relevance: bool,
    /// Write no priors
    #[arg(long)]
    pub no_calibration: bool,
    /// Where to write the verbalizer
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum Search {
    /// Find label words on labelled rows, or by the given words alone
    #[command(after_help = "\
Example:
  cloze search verbalizer --template templates/topic/*.json --verbalizer verbalizers/topic.json \\
      --train news.csv --shots 16 --method likelihood-ratio --out found.json

Each row is answered by words that were found on other rows, in four folds, and compared with the given words on the same rows.")]
    Verbalizer(Box<SearchVerbalizer>),
    /// Rank patterns without labels by mutual information, and with some by cross-validation
    #[command(after_help = "\
Example:
  cloze search pattern --template templates/topic/*.json --verbalizer verbalizers/topic.json \\
      --data news.csv --train few.csv --shots 16 --generate 8 --out best.json

Without --train the ranking looks at no label.")]
    Pattern(Box<SearchPattern>),
}

#[derive(Debug, clap::Args)]
pub struct SearchVerbalizer {
    /// Template files (JSON); with several, what is said in each counts together
    #[arg(long, short, required = true, num_args = 1.., value_name = "FILE")]
    pub template: Vec<PathBuf>,
    /// Verbalizer file (JSON): its labels, and words to compare with; nearest starts from these words
    #[arg(long, short, value_name = "FILE")]
    pub verbalizer: PathBuf,
    /// How
    #[arg(long, value_enum, value_name = "METHOD")]
    pub method: WordMethodName,
    /// Words a class [default: the best of 1, 3, 5 and 10 on the rows, without rows 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub words: Option<u32>,
    #[command(flatten)]
    pub rows: Drawn,
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub output: SearchOutput,
}

#[derive(Debug, clap::Args)]
pub struct SearchPattern {
    /// Template files (JSON) to choose from
    #[arg(long, short, required = true, num_args = 1.., value_name = "FILE")]
    pub template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, value_name = "FILE")]
    pub verbalizer: PathBuf,
    /// Rows for the ranking without labels: .csv, .tsv or .jsonl
    #[arg(long, short, value_name = "FILE")]
    pub data: PathBuf,
    /// At most so many of them, from the first
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub data_rows: u32,
    /// Patterns for the model to write itself, which are then among the others: words around the columns of
    /// the first template
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub generate: Option<u32>,
    #[command(flatten)]
    pub rows: Drawn,
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub output: SearchOutput,
}

#[derive(Debug, clap::Args)]
pub struct Drawn {
    /// Labelled rows
    #[arg(long, value_name = "FILE")]
    pub train: Option<PathBuf>,
    /// Rows of each class to draw from them [default: all]
    #[arg(long, short = 'k', value_name = "K", value_parser = clap::value_parser!(u32).range(1..), requires = "train")]
    pub shots: Option<u32>,
    /// The seed of the draw, of folds and of shuffles
    #[arg(long, value_name = "S", default_value_t = 13)]
    pub seed: u64,
    #[command(flatten)]
    pub reading: Reading,
}

#[derive(Debug, clap::Args)]
pub struct SearchOutput {
    /// Where to write what is found, as JSON that cloze score takes
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// Where to write all candidates with their measures, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// See [`cloze::study::search::words::Method`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WordMethodName {
    /// Words that are likelier in a class's rows than in others (PETAL: Schick et al. 2020)
    LikelihoodRatio,
    /// One word a class, assignments ranked on held-out rows (LM-BFF: Gao et al. 2021)
    Ranked,
    /// The nearest to the given words in the model's embeddings, weighted; looks at no row (NPPrompt: Zhao et
    /// al. 2023)
    Nearest,
}

impl WordMethodName {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            WordMethodName::LikelihoodRatio => "likelihood-ratio",
            WordMethodName::Ranked => "ranked",
            WordMethodName::Nearest => "nearest",
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct Robustness {
    /// Template files (JSON); with several, probabilities are averaged
    #[arg(long, short, required = true, num_args = 1.., value_name = "FILE")]
    pub template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, value_name = "FILE")]
    pub verbalizer: PathBuf,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub model: Model,
    /// At most so many rows, from the first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rows: Option<u32>,
    /// A folder of templates for the same columns: each in place of the given ones is a change too
    #[arg(long, value_name = "FOLDER")]
    pub patterns: Option<PathBuf>,
    /// Where to write how often each row's label flips, as CSV
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where to write the report, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// No progress on the terminal
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, clap::Args)]
pub struct Preview {
    /// Template files (JSON)
    #[arg(long, short, required = true, num_args = 1.., value_name = "FILE")]
    pub template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, value_name = "FILE")]
    pub verbalizer: PathBuf,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub model: Model,
    /// How many rows to show
    #[arg(short, long, default_value_t = 3, value_name = "N")]
    pub n: usize,
    #[command(flatten)]
    pub demonstrations: Demonstrations,
}

#[derive(Debug, clap::Args)]
pub struct Data {
    /// Data file: .csv, .tsv or .jsonl; - for standard input
    #[arg(long, short, value_name = "FILE")]
    pub data: PathBuf,
    #[command(flatten)]
    pub reading: Reading,
}

#[derive(Debug, clap::Args)]
pub struct Reading {
    /// The data's format [default: by the file's name; csv on standard input]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<FormatName>,
    /// The column with the true labels [default: label, if there is one]
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct Limits {
    /// Model folder, or hub:NAME [default: models/cloze-minilm-l6, here or beside the program, or
    /// $CLOZE_MODEL]
    #[arg(long, short, value_name = "FOLDER")]
    pub model: Option<String>,
    /// Longest input in tokens; longer ones lose words of the fields marked |shorten [default: the model's
    /// limit, at most 512]
    #[arg(long, value_name = "N")]
    pub max_length: Option<usize>,
}

#[derive(Debug, clap::Args)]
pub struct Model {
    #[command(flatten)]
    pub limits: Limits,
    /// What runs the forward pass
    #[arg(long, value_enum, default_value_t = EngineName::Cloze)]
    pub engine: EngineName,
    /// Where it runs
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    pub device: DeviceName,
    /// CPU threads [default: one for each physical core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FormatName {
    Csv,
    Tsv,
    Jsonl,
}

impl FormatName {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            FormatName::Csv => "csv",
            FormatName::Tsv => "tsv",
            FormatName::Jsonl => "jsonl",
        }
    }

    /// The format of that name.
    pub fn of(name: &str) -> Option<FormatName> {
        FormatName::value_variants().iter().copied().find(|format| format.name() == name)
    }
}

impl From<Format> for FormatName {
    fn from(format: Format) -> FormatName {
        match format {
            Format::Csv => FormatName::Csv,
            Format::Tsv => FormatName::Tsv,
            Format::JsonLines => FormatName::Jsonl,
        }
    }
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Format {
        match name {
            FormatName::Csv => Format::Csv,
            FormatName::Tsv => Format::Tsv,
            FormatName::Jsonl => Format::JsonLines,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DtypeName {
    /// Single precision, as the weights are
    F32,
    /// bfloat16: half the memory for states, about three digits
    Bf16,
    /// int8 weights, and states quantised on the fly: two digits
    Int8,
    /// The fastest of them here whose scores on a sample are near f32's: measured once for a model and its
    /// label words
    Auto,
}

impl DtypeName {
    /// The type; none where it is to be chosen.
    pub fn dtype(self) -> Option<Dtype> {
        match self {
            DtypeName::F32 => Some(Dtype::F32),
            DtypeName::Bf16 => Some(Dtype::Bf16),
            DtypeName::Int8 => Some(Dtype::Int8),
            DtypeName::Auto => None,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EngineName {
    /// cloze's own encoder
    Cloze,
    /// rust-bert's BertForMaskedLM
    RustBert,
}

impl EngineName {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            EngineName::Cloze => "cloze",
            EngineName::RustBert => "rust-bert",
        }
    }

    /// The engine of that name.
    pub fn of(name: &str) -> Option<EngineName> {
        EngineName::value_variants().iter().copied().find(|engine| engine.name() == name)
    }
}

impl From<EngineName> for EngineChoice {
    fn from(name: EngineName) -> EngineChoice {
        match name {
            EngineName::Cloze => EngineChoice::Cloze,
            EngineName::RustBert => EngineChoice::RustBert,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceName {
    Cpu,
    Cuda,
}

impl From<DeviceName> for ensemble::Device {
    fn from(name: DeviceName) -> ensemble::Device {
        match name {
            DeviceName::Cpu => ensemble::Device::Cpu,
            DeviceName::Cuda => ensemble::Device::Cuda,
        }
    }
}

impl From<ensemble::Device> for DeviceName {
    fn from(device: ensemble::Device) -> DeviceName {
        match device {
            ensemble::Device::Cpu => DeviceName::Cpu,
            ensemble::Device::Cuda => DeviceName::Cuda,
        }
    }
}

impl DeviceName {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            DeviceName::Cpu => "cpu",
            DeviceName::Cuda => "cuda",
        }
    }
}
