//! `cloze merge`: the reports of shards put together.

use std::path::PathBuf;

use anyhow::Result;
use cloze::predict::shards;
use cloze::text::whole_file::WholeFile;

use super::outputs::{self, Reads};
use super::render;

/// Put the reports of all shards of a file together: the report that a single run would have made
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze merge shards/*.report.json
  cloze merge shards/*.report.json --report report.json

Counts are added up, so accuracies and all other measures are those of a single
run, not means. Reports of another model or other patterns, and shards that are
missing or there twice, are refused. The rows themselves need no merging: a
folder of them is one file to every command.")]
pub struct Merge {
    /// The reports that cloze score --shard I/N --report wrote, of all N shards
    #[arg(required = true, value_name = "FILE")]
    reports: Vec<PathBuf>,
    /// Where to write the report of all rows, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// No report on the terminal
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command.
pub fn run(args: &Merge) -> Result<()> {
    outputs::check(&[("report", args.report.as_deref())], &Reads::files(&args.reports))?;
    let report = shards::merge(&args.reports)?;
    if let Some(path) = &args.report {
        WholeFile::create(path)?.commit_json(&report)?;
    }
    if !args.quiet {
        render::print(&(render::report(&report) + &render::terms(&std::io::stdout())))?;
    }
    Ok(())
}
