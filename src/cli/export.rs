//! `cloze export`: what a run learned, for other programs.

use std::path::PathBuf;

use anyhow::Result;
use clap::ArgGroup;
use cloze::model::folder::ModelFolder;
use cloze::model::tensor_file::Precision;
use cloze::study::export::ExportForm;
use cloze::study::run::{Run, Wanted};
use cloze::tune::average::Average;
use cloze::tune::export::Writing;

use super::args::Limits;
use super::render;
use super::{setup, signals};

/// Write what a run learned for other programs: as a Hugging Face model, or as a PEFT adapter
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze export --run runs/tickets --seed 13 --merged models/tickets
  cloze export --run runs/lora --seed 13 --peft adapters/tickets
  cloze export --run runs/pet --seed 13 --member it-was+sentiment \\
      --merged models/it-was

Of a run of cloze ensemble the student is exported, or the member that is named.",
    group = ArgGroup::new("form").required(true).args(["merged", "peft"]))]
pub struct Export {
    /// The folder of a run of cloze train or cloze ensemble
    #[arg(long, value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    run: PathBuf,
    /// Which of the run's seeds [default: the only one]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Of a run of several tasks some of which have vectors of their own: which
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Of a run of cloze ensemble: one of its members, as TEMPLATE+VERBALIZER [default: its student]
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    /// A new folder for a plain Hugging Face model, what was learned within its weights: full, head, bias,
    /// lora, ia3
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    merged: Option<PathBuf>,
    /// A new folder for an adapter that Python's PEFT reads: lora, ia3, prompt-tuning, p-tuning, prefix,
    /// p-tuning-v2
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    peft: Option<PathBuf>,
    /// With --merged: how the weights are written
    #[arg(long, value_enum, value_name = "TYPE", default_value_t = Precision::F32)]
    precision: Precision,
    /// With --merged: another model of the same kind and size, often the one that the training began with;
    /// each weight becomes an average of the two. What a training forgets comes back, and what it learned
    /// mostly stays (WiSE-FT)
    #[arg(long, value_name = "MODEL", requires = "merged", value_hint = clap::ValueHint::DirPath)]
    average_with: Option<String>,
    /// That model's share of the average, from 0 to 1
    #[arg(long, value_name = "X", default_value_t = 0.5, requires = "average_with")]
    average_share: f64,
    /// The base model's folder [default: the run's]
    #[arg(long, short, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    model: Option<String>,
    /// A base model whose weights are not those that the run was trained on
    #[arg(long)]
    allow_other_base: bool,
}

/// Another model that is averaged with, and its share.
fn average(model: &String, share: f64) -> cloze::error::Result<Average> {
    Average::new(ModelFolder::open_any_head(&setup::model_named(Some(model))?)?, share)
}

/// Runs the command.
pub fn run(args: &Export) -> Result<()> {
    let run = Run::open(&args.run)?;
    let limits = Limits { model: args.model.clone(), force_head: false, max_length: None };
    let wanted = Wanted {
        task: args.task.clone(),
        member: args.member.clone(),
        seed: args.seed,
        model: setup::other_model(&limits)?,
        allow_other_base: args.allow_other_base,
        ..Wanted::default()
    };
    let (form, out) = match (&args.peft, &args.merged) {
        (Some(out), _) => (ExportForm::Peft, out),
        (None, Some(out)) => {
            let average = args.average_with.as_ref().map(|model| average(model, args.average_share));
            let writing = Writing { precision: args.precision, average: average.transpose()? };
            (ExportForm::Merged(Box::new(writing)), out)
        }
        (None, None) => unreachable!("clap asks for one of them"),
    };
    signals::kept(format!("{} is not whole: delete it", out.display()));
    let exported = run.export(&wanted, &form, out)?;
    render::print(&format!(
        "{}: {}, seed {} of {}\n",
        out.display(),
        exported.method,
        exported.seed,
        args.run.display()
    ))?;
    Ok(())
}
