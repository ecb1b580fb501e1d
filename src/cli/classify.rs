//! `cloze classify`: texts and labels in, answers out; nothing else is needed.

use std::path::{Path, PathBuf};

use anyhow::Result;
use cloze::predict::general::Ask;
use cloze::predict::zero_shot::{Correcting, Question, ZeroShot, ZeroShotRequest};
use cloze::text::labels::{self, NamedLabel};
use cloze::text::whole_file::WholeFile;

use super::answering::{self, Answering, AnswersOut};
use super::args::{Given, Model, RowReading};
use super::outputs::{self, Reads};
use super::render::{self, Worth};
use super::setup;
use super::shipped;
use super::source::{self, Source};

/// Sort texts by labels, with nothing but the labels' names
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze classify mail.csv --labels \"billing, technical, account\"
  cloze classify reviews.csv --labels \"negative, positive\" \\
      --ask sentiment --out answers.csv
  cloze classify news.jsonl --labels-file labels.txt --text-column title,body

A file of labels has one a line, with or without words of its own:
  billing: invoice, payment, refund
  technical

Probabilities are corrected for what the model prefers whatever it reads: by the rows, where there are 50 or more,
else by texts without content. What is corrected by the rows takes each label to be about as frequent as the
others; --prior says otherwise, --no-correction corrects nothing.")]
pub struct Classify {
    /// Data file: .csv, .tsv, .jsonl or .json; - for standard input
    #[arg(
        value_name = "FILE",
        required_unless_present_any = ["text", "field"],
        value_parser = shipped::path(),
    )]
    data: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
    /// The labels, between commas; quotes round one that has a comma itself
    #[arg(long, short, value_name = "A, B, …", required_unless_present = "labels_file")]
    labels: Option<String>,
    /// A file of labels: one a line, `label: word, word`; or .json
    #[arg(long, value_name = "FILE", conflicts_with = "labels")]
    labels_file: Option<PathBuf>,
    /// The column to read, or several [default: found in the data]
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    text_column: Vec<String>,
    /// What is asked: general, topic, sentiment, emotion, intent, spam, yes-no, or words with a {mask}, as "This
    /// message is about {mask}."
    #[arg(long, value_name = "WHAT", default_value = "general", value_parser = question)]
    ask: Question,
    #[command(flatten)]
    reading: RowReading,
    /// Where to write the rows, as CSV; - for standard output, as without it
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where to write the report, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the input's columns too, behind the others
    #[arg(long)]
    keep_columns: bool,
    /// No progress and no summary on the terminal
    #[arg(long, short)]
    quiet: bool,
    /// Leave the probabilities as they are
    #[arg(long)]
    no_correction: bool,
    /// How often each label is
    #[arg(long, value_name = "LABEL=SHARE,…", conflicts_with = "no_correction")]
    prior: Option<String>,
    #[command(flatten)]
    model: Model,
}

fn question(text: &str) -> Result<Question, String> {
    match <Ask as clap::ValueEnum>::from_str(text, false) {
        Ok(ask) => Ok(Question::Ask(ask)),
        Err(_) if text.contains("{mask}") => Ok(Question::Own(text.to_owned())),
        Err(_) => Err("neither a kind of question nor words with a {mask}".to_owned()),
    }
}

/// Runs the command.
pub fn run(args: &Classify) -> Result<()> {
    let out = answering::file(args.out.as_deref());
    let reads = Reads::files(args.data.iter().chain(&args.labels_file));
    let bad_rows = source::bad_rows_file(&args.reading);
    let written = [("rows", out), ("report", args.report.as_deref()), ("bad rows", bad_rows)];
    outputs::check(&written, &reads)?;
    let request = ZeroShotRequest {
        labels: named_labels(args)?,
        question: args.ask.clone(),
        text_columns: args.text_column.clone(),
        correcting: match &args.prior {
            Some(prior) => Correcting::ToPrior(prior.clone()),
            None if args.no_correction => Correcting::Not,
            None => Correcting::ByWhatThereIs,
        },
        max_length: args.model.limits.max_length,
        options: setup::options(&args.model)?,
    };
    let source = Source::new(args.data.as_deref(), &args.given, source::row_reading(&args.reading)?)?;
    let rows = source.open()?;
    let ready = ZeroShot::prepare(request, rows, || setup::open_model(&args.model.limits))?;
    outputs::check(&written, &Reads::default().model(ready.blueprint.folder.path()))?;
    if !args.quiet && args.data.is_some() {
        render::tell(&render::found(&ready.found))?;
    }
    let report_file = args.report.as_deref().map(WholeFile::create).transpose()?;
    let outputs = AnswersOut::open(out, &source)?;
    let mut worth = Worth::new(ready.rows.columns(), &ready.found.text_columns);
    let answering = Answering {
        blueprint: ready.blueprint,
        tasks: ready.tasks,
        rows: ready.rows,
        showing: None,
        calibrator: ready.calibrator,
        compute: setup::compute(&args.model),
        keep_columns: args.keep_columns,
        quiet: args.quiet,
        source,
    };
    let (report, _) = answering.run(outputs, &mut |example, answer| worth.see(example, answer))?;
    report_file.map_or(Ok(()), |file| file.commit_json(&report))?;
    if !args.quiet && args.data.is_some() {
        let text = render::summary(&report, &worth, &next(args, out));
        render::tell(&text)?;
    }
    Ok(())
}

fn named_labels(args: &Classify) -> Result<Vec<NamedLabel>> {
    Ok(match (&args.labels, &args.labels_file) {
        (Some(line), _) => labels::of_line(line)?,
        (None, Some(path)) => labels::read(path)?,
        (None, None) => unreachable!("clap asks for one of them"),
    })
}

/// What to do next.
fn next(args: &Classify, out: Option<&Path>) -> String {
    let correct = match (out, &args.data) {
        (Some(_), _) | (None, None) => "look at these rows first".to_owned(),
        (None, Some(data)) => {
            format!("write the rows to a file: cloze classify {} … --out answers.csv", data.display())
        }
    };
    format!("{correct}; a few labelled rows of each label make it much better: docs/training.md")
}
