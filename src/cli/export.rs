//! `cloze export`: what a run learned, for other programs.

use std::path::PathBuf;

use anyhow::Result;
use cloze::study::export::ExportForm;
use cloze::study::run::{Run, Wanted};

use super::args::Limits;
use super::render;
use super::{setup, shipped, signals};

/// Write what a run learned for other programs: as a Hugging Face model, or as a PEFT adapter
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze export --run runs/tickets --seed 13 --merged models/tickets
  cloze export --run runs/lora --seed 13 --peft adapters/tickets")]
pub struct Export {
    /// The folder of a run of cloze train
    #[arg(long, value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    run: PathBuf,
    /// Which of the run's seeds [default: the only one]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// A new folder for a plain Hugging Face model, what was learned within its weights: full, head, bias,
    /// lora, ia3
    #[arg(
        long,
        value_name = "DIR",
        value_hint = clap::ValueHint::DirPath,
        required_unless_present = "peft",
        conflicts_with = "peft",
    )]
    merged: Option<PathBuf>,
    /// A new folder for an adapter that Python's PEFT reads: lora, ia3, prompt-tuning, p-tuning, prefix,
    /// p-tuning-v2
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    peft: Option<PathBuf>,
    /// The base model's folder [default: the run's]
    #[arg(long, short, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    model: Option<String>,
    /// A base model whose weights are not those that the run was trained on
    #[arg(long)]
    allow_other_base: bool,
}

/// Runs the command.
pub fn run(args: &Export) -> Result<()> {
    let run = Run::open(&args.run)?;
    let limits = Limits { model: args.model.clone(), max_length: None };
    let wanted = Wanted {
        seed: args.seed,
        model: args.model.as_ref().map(|_| setup::model_path(&limits)).transpose()?,
        find: Some(shipped::found),
        allow_other_base: args.allow_other_base,
        ..Wanted::default()
    };
    let (form, out) = match (&args.peft, &args.merged) {
        (Some(out), _) => (ExportForm::Peft, out),
        (None, Some(out)) => (ExportForm::Merged, out),
        (None, None) => unreachable!("clap asks for one of them"),
    };
    signals::kept(format!("{} is not whole: delete it", out.display()));
    let exported = run.export(&wanted, form, out)?;
    render::print(&format!(
        "{}: {}, seed {} of {}\n",
        out.display(),
        exported.method,
        exported.seed,
        args.run.display()
    ))?;
    Ok(())
}
