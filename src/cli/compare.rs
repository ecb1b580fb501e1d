//! `cloze compare`: methods against each other on the same rows, cloze's own or not.

use std::path::PathBuf;

use anyhow::Result;
use cloze::error::{Error, RunError};
use cloze::study::methods::{Method, ScoreFiles};
use cloze::text::data::Format;
use cloze::text::same_file::same_file;
use cloze::text::whole_file::WholeFile;

use super::outputs::{self, Reads};
use super::render;

/// Compare methods on the same labelled rows: runs, and files of scores that any tool wrote
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze compare runs/tickets runs/pet
  cloze compare mine.csv theirs.csv --predicted-column guess --id-column nr
  cloze compare runs/tickets seeds-of-theirs/ --true-labels test.csv

A file has a row for each test row, with the answer and the true label; a folder
of such files is one method with a file for each seed. Rows are joined by the id
column where both have one, else by their order.")]
pub struct Compare {
    /// Runs' folders, files of scores, or folders of these, one for each seed; two or more
    #[arg(required = true, num_args = 2.., value_name = "RUN|FILE|FOLDER")]
    given: Vec<PathBuf>,
    /// The files' column of answers
    #[arg(long, value_name = "COLUMN", default_value = "predicted")]
    predicted_column: String,
    /// The column with the true labels [default: label]
    #[arg(long, value_name = "COLUMN")]
    label_column: Option<String>,
    /// The column that says which row it is
    #[arg(long, value_name = "COLUMN", default_value = "id")]
    id_column: String,
    /// The test rows with their labels, for files that have none
    #[arg(long, value_name = "FILE")]
    true_labels: Option<PathBuf>,
    /// The files' format [default: by their names]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Where to write all numbers, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No tables on the terminal
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command.
pub fn run(args: &Compare) -> Result<()> {
    let twice =
        |(index, path): &(usize, &PathBuf)| args.given[..*index].iter().any(|other| same_file(other, path));
    if let Some((_, path)) = args.given.iter().enumerate().find(twice) {
        return Err(Error::from(RunError::SameRun { path: path.clone() }).into());
    }
    let folders = args.given.iter().filter(|path| path.is_dir());
    let files = args.given.iter().filter(|path| !path.is_dir()).chain(&args.true_labels);
    let reads = folders.fold(Reads::files(files), |reads, folder| reads.folder(Some(folder)));
    outputs::check(&[("JSON", args.json.as_deref())], &reads)?;
    let files = ScoreFiles {
        predicted_column: args.predicted_column.clone(),
        label_column: args.label_column.clone(),
        id_column: args.id_column.clone(),
        format: args.format,
        labels: args.true_labels.clone(),
    };
    let methods = args.given.iter().map(|path| files.method(path)).collect::<Result<Vec<Method>, _>>()?;
    let report = ScoreFiles::compared(&methods);
    if let Some(path) = &args.json {
        WholeFile::create(path)?.commit_json(&report)?;
    }
    if !args.quiet {
        render::print(&format!("{}{}", render::methods(&report), render::terms(&std::io::stdout())))?;
    }
    Ok(())
}
