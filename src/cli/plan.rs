//! `cloze plan`, `cloze run-cell` and `cloze collect`: a run that many processes do.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use cloze::error::{Error, RunError};
use cloze::learn::run::{MANIFEST, RunFolder, RunKind, kind_of};
use cloze::numbers::counted;
use cloze::study::again::Again;
use cloze::study::cells::{CellEnd, PLAN};

use super::ensemble::{self, Ensemble};
use super::train::{self, Train};
use super::{render, setup, shell};

/// Write a run as a list of cells, for many processes or machines, in place of running it
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example, on a cluster whose machines share a folder:
  cloze plan ensemble --template 'templates/tickets/*.json' \\
      --verbalizer verbalizers/tickets.json \\
      --train data/tickets/train.csv --unlabeled data/tickets/unlabeled.csv \\
      --test data/tickets/test.csv --shots 8 --out runs/pet
  cloze run-cell runs/pet 1        # and 2, 3, …: as many at once as you like
  cloze collect runs/pet

RUN/plan.json lists the cells. Those of a stage can be done at the same time;
a stage waits for the ones before it. The report is that of the command without
plan, but for the seconds in it.")]
pub enum Plan {
    /// Of cloze train: a cell for each seed, and for cls and setfit beside it where they are asked for
    Train(Box<Train>),
    /// Of cloze ensemble: a cell for each model
    Ensemble(Box<Ensemble>),
}

/// Do one cell of a planned run; one that is done is left as it is
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze run-cell runs/pet 3
  cloze run-cell runs/pet $SLURM_ARRAY_TASK_ID --threads 1

A cell that was killed goes on from its last checkpoint when it is started
again. Two processes never do the same cell.")]
pub struct RunCell {
    /// The folder of a run that cloze plan wrote
    #[arg(value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    run: PathBuf,
    /// The cell's number in RUN/plan.json, from 1
    #[arg(value_name = "K")]
    cell: usize,
    #[command(flatten)]
    place: PlaceArgs,
    /// No progress on the terminal
    #[arg(long, short)]
    quiet: bool,
}

/// Make the results of a planned run whose cells are all done
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cloze collect runs/pet

Refuses a run with cells that are not done. To do those here, one after the
other: cloze ensemble --resume --out RUN, or cloze train --resume --out RUN.")]
pub struct Collect {
    /// The folder of a run that cloze plan wrote
    #[arg(value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    run: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
    /// No progress and no table on the terminal
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, clap::Args)]
struct PlaceArgs {
    /// The base model, where it lies in another folder on this machine
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    model: Option<String>,
    /// CPU threads [default: as many as the plan says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

impl PlaceArgs {
    fn again(&self) -> Result<Again> {
        Ok(Again {
            model: self.model.as_ref().map(|model| setup::model_named(Some(model))).transpose()?,
            threads: self.threads.map(usize::from),
            command: setup::command(),
            allow_other_base: false,
        })
    }
}

/// Writes a plan.
pub fn run(plan: &Plan) -> Result<()> {
    let (written, out, quiet) = match plan {
        Plan::Train(args) => (train::plan(args)?, args.out(), args.quiet()),
        Plan::Ensemble(args) => (ensemble::plan(args)?, args.out(), args.quiet()),
    };
    if quiet {
        return Ok(());
    }
    let run = shell::path(out);
    let stages = written.stages();
    let mut text = format!(
        "{} in {}, listed in {}\n",
        counted(written.cells.len() as u64, "cell"),
        counted(stages.len() as u64, "stage"),
        out.join(PLAN).display(),
    );
    for (index, (first, last)) in stages.iter().enumerate() {
        let after = if index == 0 { "" } else { ", when those before are done" };
        text += &format!("  cloze run-cell {run} K, K from {first} to {last}{after}\n");
    }
    text += &format!("  cloze collect {run}\n");
    Ok(render::tell(&text)?)
}

/// Does a cell.
pub fn run_cell(args: &RunCell) -> Result<()> {
    let again = args.place.again()?;
    let end = match kind(&args.run)? {
        RunKind::Ensemble => ensemble::run_cell(&args.run, args.cell, &again, args.quiet)?,
        _ => train::run_cell(&args.run, args.cell, &again, args.quiet)?,
    };
    match end {
        CellEnd::Stopped => {
            let stopped = RunError::Interrupted { path: args.run.clone(), cell: Some(args.cell) };
            Err(Error::from(stopped).into())
        }
        CellEnd::Done | CellEnd::WasDone if args.quiet => Ok(()),
        CellEnd::Done => Ok(render::tell(&format!("cell {} is done\n", args.cell))?),
        CellEnd::WasDone => Ok(render::tell(&format!("cell {} was done before\n", args.cell))?),
    }
}

/// Makes the results.
pub fn collect(args: &Collect) -> Result<()> {
    let again = args.place.again()?;
    match kind(&args.run)? {
        RunKind::Ensemble => ensemble::collect(&args.run, &again, args.quiet),
        _ => train::collect(&args.run, &again, args.quiet),
    }
}

/// What kind of run it is; refused where its kind has no cells.
fn kind(run: &Path) -> Result<RunKind> {
    RunFolder::existing(run)?;
    match kind_of(&run.join(MANIFEST))? {
        Some(RunKind::Tasks) => Err(Error::from(RunError::WithoutCells { kind: "tasks" }).into()),
        Some(RunKind::Pretrain) => Err(Error::from(RunError::WithoutCells { kind: "pretrain" }).into()),
        Some(kind) => Ok(kind),
        None => Ok(RunKind::Train),
    }
}
