//! The flags. No logic.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use cloze::data::Format;
use cloze::prompt_model::EngineChoice;

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
  cat mine.jsonl | cloze score --template t.json --verbalizer v.json --data - --format jsonl --report report.json

The output has one row per input row, in the input's order: row, predicted, confidence, p_<label> for each class.
With several templates the probabilities are averaged, and the report shows each template by itself.")]
    Score(Score),
    /// Look for everything that could go wrong, before any weights are loaded
    #[command(after_help = "\
Examples:
  cloze check --template mine.json --verbalizer words.json --data mine.csv
  cloze check --verbalizer verbalizers/topic.json --model models/cloze-minilm-l6

Give any of the files; what can be checked with them is checked, and all problems are shown at once.")]
    Check(Check),
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
    #[arg(long, short, required = true, num_args = 1.., value_name = "FILE")]
    pub template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, value_name = "FILE")]
    pub verbalizer: PathBuf,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub model: Model,
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
    #[command(flatten)]
    pub reading: Reading,
    #[command(flatten)]
    pub limits: Limits,
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
    /// Model folder, or hub:NAME [default: models/cloze-minilm-l6, here or beside the program, or $CLOZE_MODEL]
    #[arg(long, short, value_name = "FOLDER")]
    pub model: Option<String>,
    /// Longest input in tokens; longer ones lose words of the fields marked |shorten [default: the model's limit, at most 512]
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
    /// Most tokens in a batch, padding counted
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_tokens: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FormatName {
    Csv,
    Tsv,
    Jsonl,
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
