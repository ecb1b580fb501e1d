//! `cloze init`: files to start from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::ArgGroup;
use cloze::error::{Error, TemplateError};
use cloze::model::masked_lm::Options;
use cloze::predict::label_words::LabelWords;
use cloze::predict::starter::Starter;
use cloze::predict::zero_shot::{self, Question};
use cloze::text::data::Rows;
use cloze::text::labels::{self, NamedLabel};
use cloze::text::structured_labels;
use cloze::text::whole_file::free_folder;

use super::args::{Limits, RowReading};
use super::render;
use super::setup;
use super::shipped;
use super::source;
use super::starting::Starting;
use super::structure::StructureArgs;

/// Write templates and a verbalizer to start from
#[derive(Debug, clap::Args)]
// clap's own line would be wider than a terminal.
#[command(override_usage = "cloze init [OPTIONS] <--labels …|--labels-file …|--from …> <DIR>")]
#[command(group(ArgGroup::new("what").args(["labels", "labels_file", "from"]).required(true).multiple(true)))]
#[command(after_help = "\
Examples:
  cloze init my --labels \"billing, technical, account\" \\
      --text-column subject,body
  cloze init my --labels-file labels.csv --from mail.csv
  cloze init my --from labelled.csv --ask topic

The folder has the patterns of cloze classify as templates, the labels with
their words as a verbalizer, and a README.md with the commands that use them.
compared.json has no blank: score takes it, train and ensemble do not.")]
pub struct Init {
    /// The folder to make
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The labels, between commas; quotes round one that has a comma itself [default: those in --from's
    /// column of labels]
    #[arg(long, short, value_name = "A, B, …")]
    labels: Option<String>,
    /// A file of labels: one a line, `label: word, word: description`; or .csv, .tsv, .json, .jsonl
    #[arg(long, value_name = "FILE", conflicts_with = "labels", value_parser = shipped::path())]
    labels_file: Option<PathBuf>,
    /// The column to read, or several [default: found in --from, else text]
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    text_column: Vec<String>,
    /// A data file that they are for
    #[arg(long, value_name = "FILE", value_parser = shipped::path())]
    from: Option<PathBuf>,
    /// What is asked: auto (what the labels' names say), general, topic, sentiment, emotion, intent, spam,
    /// yes-no, or words with a {mask}, as "This message is about {mask}."
    #[arg(long, value_name = "WHAT", default_value = "auto", value_parser = setup::question)]
    ask: Question,
    #[command(flatten)]
    structure: StructureArgs,
    #[command(flatten)]
    reading: RowReading,
    #[command(flatten)]
    limits: Limits,
    /// Say nothing
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command.
pub fn run(args: &Init) -> Result<()> {
    free_folder(&args.folder)?;
    source::check_without_file(&args.reading)?;
    let reading = source::row_reading(&args.reading)?;
    let mut rows = args.from.as_ref().map(|from| reading.open(from)).transpose()?;
    let labels = match (&args.labels, &args.labels_file, &args.from) {
        (Some(line), ..) => labels::of_line(line)?,
        (None, Some(path), _) => labels::read(path)?,
        (None, None, Some(from)) => labels_of(reading.open(from)?)?,
        (None, None, None) => unreachable!("clap asks for one of them"),
    };
    let columns = match (&mut rows, args.text_column.is_empty()) {
        (Some(rows), _) => zero_shot::text_columns(rows, &args.text_column)?,
        (None, true) => vec!["text".to_owned()],
        (None, false) => args.text_column.clone(),
    };
    // The answer would stand in the question.
    let truth = rows.as_ref().and_then(|rows| rows.columns().label());
    if let Some(column) = columns.iter().find(|column| truth == Some(column)).cloned() {
        bail!(Error::from(TemplateError::UsesLabel { column }));
    }
    let (question, labels, _) = args.ask.clone().of(labels);
    let templates = question.templates(&columns)?;
    // A word that the model does not know is better told now.
    let folder = setup::open_model(&args.limits)?;
    let structure = args.structure.request()?;
    let verbalizer = structured_labels::verbalizer(&labels, &structure)?;
    LabelWords::check(&verbalizer, &folder.tokenizer, Options::default().device)?;
    let data = args.from.as_deref().unwrap_or(Path::new("data.csv"));
    let starting = Starting {
        folder: &args.folder,
        data,
        reading: &args.reading,
        labelled: false,
        corrected: false,
        limits: &args.limits,
        long: None,
    };
    let readme = starting.readme();
    let (templates, labels, structure) = (&templates, &labels, &structure);
    Starter { templates, labels, structure, calibration: None, readme: &readme }.write(&args.folder)?;
    source::finish(&reading, args.quiet)?;
    if !args.quiet {
        let (folder, columns) = (args.folder.display(), columns.join(", "));
        render::tell(&format!(
            "{folder}: {} templates of {columns}, and {} labels; README.md has the commands\nnext: {}\n",
            templates.len(),
            labels.len(),
            starting.score()
        ))?;
    }
    Ok(())
}

/// The labels that stand in a file's column of labels, in the order of their names.
fn labels_of(rows: Rows) -> Result<Vec<NamedLabel>> {
    let data = rows.columns().data().to_owned();
    let mut found = BTreeSet::new();
    for row in rows {
        found.extend(row?.label.map(|label| label.trim().to_owned()));
    }
    if found.is_empty() {
        bail!("{data} has no labels: give --labels or --labels-file");
    }
    Ok(labels::of_names(found)?)
}
