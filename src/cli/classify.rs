//! `cloze classify`: texts and labels in, answers out; nothing else is needed.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::ArgGroup;
use cloze::predict::multi_label::Centring;
use cloze::predict::multi_label::zero_shot::{ManyZeroShot, ManyZeroShotRequest};
use cloze::predict::prompt_classifier::Compute;
use cloze::predict::starter::Starter;
use cloze::predict::zero_shot::{Correcting, Question, Truths, ZeroShot, ZeroShotRequest};
use cloze::study::pictures::score_page;
use cloze::text::data::{Format, Reading as DataReading, TEXT};
use cloze::text::labels::{self, NamedLabel};
use cloze::text::table::BETWEEN;
use cloze::text::whole_file::{WholeFile, free_folder};

use super::answering::{self, Answered, Answering, AnswersOut};
use super::args::{Given, LongTexts, Model, RowReading};
use super::multi_label::{self, Job, MultiLabelArgs};
use super::outputs::{self, Reads};
use super::pages::{self, PageArgs};
use super::render::{self, Worth};
use super::setup;
use super::shell;
use super::shipped;
use super::source::{self, Source};
use super::starting::{self, Starting};
use super::structure::StructureArgs;

/// Sort texts by labels, with nothing but the labels' names
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("what").args(["labels", "labels_file"]).required(true)))]
#[command(after_help = "\
Examples:
  cloze classify mail.csv --labels \"billing, technical, account\"
  cloze classify reviews.csv --labels \"negative, positive\" \\
      --ask sentiment --out answers.csv
  cloze classify news.jsonl --labels-file labels.txt --text-column title,body
  cloze classify mail.csv --labels-file labels.txt --out answers.csv --save my

A file of labels has one a line, with or without words of its own, and a
description behind them:
  billing: invoice, payment, refund: What was paid, or is to be paid.
  technical
A .csv has the columns label, words, description and examples; a .json a list of
objects with these keys, a .jsonl one on each line.

Probabilities are corrected for what the model prefers whatever it reads: by the
rows and random texts of their words, where there are 50 rows or more, else by
texts without content. This moves answers towards labels that are about as
frequent as each other; --prior says how frequent they are, --no-correction
corrects nothing.")]
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
    #[arg(long, short, value_name = "A, B, …")]
    labels: Option<String>,
    /// A file of labels: one a line, `label: word, word: description`; or .csv, .tsv, .json, .jsonl
    #[arg(long, value_name = "FILE")]
    labels_file: Option<PathBuf>,
    /// The column to read, or several [default: found in the data]
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    text_column: Vec<String>,
    /// What is asked: auto (what the labels' names say), general, topic, sentiment, emotion, intent, spam,
    /// yes-no, or words with a {mask}, as "This message is about {mask}."
    #[arg(long, value_name = "WHAT", default_value = "auto", value_parser = setup::question)]
    ask: Question,
    #[command(flatten)]
    reading: RowReading,
    /// Where to write the rows: .csv, .tsv, .jsonl, .json, .parquet or .arrow; without it, as CSV on standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The format of the rows [default: by the file's name; csv on standard output]
    #[arg(long, value_enum, value_name = "FORMAT")]
    out_format: Option<Format>,
    /// Where to write the report, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    page: PageArgs,
    /// Write templates, verbalizer and correction into a new folder, for cloze score and cloze train
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
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
    structure: StructureArgs,
    #[command(flatten)]
    several: MultiLabelArgs,
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    long: LongTexts,
}

/// Runs the command.
pub fn run(args: &Classify) -> Result<()> {
    if args.several.multi_label {
        return several_labels(args);
    }
    args.several.check_unused()?;
    let out = answering::file(args.out.as_deref());
    let reads = Reads::files(args.data.iter().chain(&args.labels_file));
    let bad_rows = source::bad_rows_file(&args.reading);
    let (report, save) = (args.report.as_deref(), args.save.as_deref());
    let written = [
        ("rows", out),
        ("report", report),
        ("page", args.page.path()),
        ("bad rows", bad_rows),
        ("files to start from", save),
    ];
    outputs::check(&written, &reads.folder(args.data.as_deref().filter(|data| data.is_dir())))?;
    save.map_or(Ok(()), free_folder)?;
    let long = setup::long(&args.long)?;
    let (question, labels, usual) = args.ask.clone().of(named_labels(args)?);
    let structure = args.structure.request()?;
    let request = ZeroShotRequest {
        labels: labels.clone(),
        structure: structure.clone(),
        question,
        text_columns: text_columns(args),
        correcting: match &args.prior {
            Some(prior) => Correcting::ToPrior(prior.clone()),
            None if args.no_correction => Correcting::Not,
            None => Correcting::ByWhatThereIs,
        },
        keeps: args.save.is_some(),
        max_length: args.model.limits.max_length,
        options: setup::options(&args.model)?,
    };
    let source = Source::new(args.data.as_deref(), &args.given, source::row_reading(&args.reading)?)?
        .keeping(args.keep_columns);
    let rows = source.open()?;
    let ready = ZeroShot::prepare(request, rows, || setup::open_model(&args.model.limits))?;
    outputs::check(&written, &Reads::default().model(ready.blueprint.folder.path()))?;
    if !args.quiet && args.data.is_some() {
        render::tell(&render::found(&ready.found, usual))?;
    }
    let report_file = report.map(WholeFile::create).transpose()?;
    let page_file = args.page.open()?;
    let outputs = AnswersOut::open(out, args.out_format, &source)?;
    let mut worth = Worth::new(ready.rows.columns(), &ready.found.text_columns, out.is_some());
    let names = ready.blueprint.labels();
    let (templates, truths) = (ready.templates, ready.found.truths);
    let answering = Answering {
        neighbours: None,
        blueprint: ready.blueprint,
        tasks: ready.tasks,
        rows: ready.rows,
        showing: None,
        calibrator: ready.calibrator,
        compute: Compute { long, ..setup::compute(&args.model) },
        keep_columns: args.keep_columns,
        quiet: args.quiet,
        page: page_file.is_some(),
        source,
    };
    let Answered { report, fitted, sample, .. } =
        answering.run(outputs, &mut |example, answer| worth.see(example, answer, &names))?;
    report_file.map_or(Ok(()), |file| file.commit_json(&report))?;
    if let Some(sample) = sample {
        pages::write(page_file, || score_page(&format!("Answers to {}", report.run.data), &report, &sample))?;
    }
    let labelled = matches!(truths, Truths::In(_));
    let reading = match truths {
        // Where labels are other ones, nothing but classify passes them over by itself.
        Truths::Others { .. } => RowReading {
            no_labels: true,
            format: args.reading.format,
            bad_rows: args.reading.bad_rows.clone(),
            ..RowReading::default()
        },
        _ => args.reading.clone(),
    };
    let starting = Starting {
        folder: &args.save.clone().unwrap_or_else(free_name),
        data: &data(args),
        reading: &reading,
        labelled,
        corrected: args.save.is_some() && fitted.method.is_some(),
        limits: &args.model.limits,
        long: Some(&args.long),
    };
    if let Some(folder) = &args.save {
        let readme = starting.readme();
        let calibration = Some(&fitted);
        let structure = &structure;
        Starter { templates: &templates, labels: &labels, structure, calibration, readme: &readme }
            .write(folder)?;
    }
    if !args.quiet && args.data.is_some() {
        render::tell(&render::summary(&report, &worth, &next(args, &starting, labelled)))?;
    }
    Ok(())
}

/// Gives each row several labels, or none.
fn several_labels(args: &Classify) -> Result<()> {
    multi_label::check_alone(&args.structure)?;
    ensure!(args.prior.is_none(), "--prior is for one label a row: with --multi-label fit thresholds");
    ensure!(args.save.is_none(), "--save writes files for one label a row: leave it or --multi-label out");
    let out = answering::file(args.out.as_deref());
    let report = args.report.as_deref();
    let reads = args.data.iter().chain(&args.labels_file).chain(args.several.reads());
    let written = [
        ("rows", out),
        ("report", report),
        ("page", args.page.path()),
        ("bad rows", source::bad_rows_file(&args.reading)),
        args.several.written(),
    ];
    let folder = args.data.as_deref().filter(|data| data.is_dir());
    outputs::check(&written, &Reads::files(reads).folder(folder))?;
    let way = args.several.way()?;
    let long = setup::long(&args.long)?;
    let (question, labels, usual) = args.ask.clone().of(named_labels(args)?);
    let reading = DataReading {
        lists: Some(args.several.separator().unwrap_or(BETWEEN).to_owned()),
        ..source::row_reading(&args.reading)?
    };
    let source = Source::new(args.data.as_deref(), &args.given, reading)?.keeping(args.keep_columns);
    let request = ManyZeroShotRequest {
        labels,
        question,
        way,
        reference: args.several.reference(),
        text_columns: text_columns(args),
        separator: args.several.separator(),
        adjust: &source.reading.adjust,
        max_length: args.model.limits.max_length,
        options: setup::options(&args.model)?,
    };
    let ready = ManyZeroShot::prepare(request, source.open()?, || setup::open_model(&args.model.limits))?;
    outputs::check(&written, &Reads::default().model(ready.parts.folder().path()))?;
    if !args.quiet && args.data.is_some() {
        let columns = ready.rows.columns();
        render::tell(&render::found_labels(&ready.text_columns, &ready.sets.columns(columns), usual))?;
    }
    let out = AnswersOut::open(out, args.out_format, &source)?;
    let job = Job {
        parts: ready.parts,
        rows: ready.rows,
        sets: ready.sets,
        args: &args.several,
        centring: if args.no_correction { Centring::Not } else { Centring::Rows },
        conformal: None,
        compute: Compute { long, ..setup::compute(&args.model) },
        report,
        page: &args.page,
        keep_columns: args.keep_columns,
        quiet: args.quiet,
        source,
    };
    job.run(out)
}

/// The columns to read, where they are named. A text on the command line needs not look like one.
fn text_columns(args: &Classify) -> Vec<String> {
    if args.given.text.is_some() { vec![TEXT.to_owned()] } else { args.text_column.clone() }
}

/// The rows' file, under a name that can be typed.
fn data(args: &Classify) -> PathBuf {
    let file = args.data.clone().filter(|path| path != Path::new("-"));
    file.unwrap_or_else(|| PathBuf::from(format!("rows.{}", starting::ending(&args.reading))))
}

/// A name that no folder has yet.
fn free_name() -> PathBuf {
    let names = (2..).map(|number| PathBuf::from(format!("my-{number}")));
    std::iter::once(PathBuf::from("my")).chain(names).find(|name| !name.exists()).unwrap_or_default()
}

fn named_labels(args: &Classify) -> Result<Vec<NamedLabel>> {
    Ok(match (&args.labels, &args.labels_file) {
        (Some(line), _) => labels::of_line(line)?,
        (None, Some(path)) => labels::read(path)?,
        (None, None) => unreachable!("clap asks for one of them"),
    })
}

/// What to do next: the commands that train on a few labelled rows.
fn next(args: &Classify, starting: &Starting<'_>, labelled: bool) -> String {
    let mut text = match labelled {
        true => "train on labelled rows, which helps much more than other words:".to_owned(),
        false => format!(
            "label 8 rows of each label in a file {} (the columns of {}, and one called label):",
            starting.labelled_file().display(),
            starting.data.display()
        ),
    };
    if args.save.is_none() {
        let labels = match (&args.labels, &args.labels_file) {
            (Some(line), _) => shell::flag("labels", Some(line)),
            (None, file) => {
                let file = file.as_ref().map(|file| file.display().to_string());
                shell::flag("labels-file", file.as_deref())
            }
        };
        let columns = (!args.text_column.is_empty()).then(|| args.text_column.join(","));
        let ask = match &args.ask {
            Question::ByLabels => None,
            Question::Ask(ask) => Some(render::ask(*ask)),
            Question::Own(pattern) => Some(pattern.clone()),
        };
        let (folder, data) = (shell::path(starting.folder), shell::path(starting.data));
        text.push_str(&format!("\n  cloze init {folder} --from {data}"));
        text.push_str(&starting::reading_flags(starting.reading));
        text.push_str(&labels);
        text.push_str(&args.structure.typed());
        text.push_str(&shell::flag("text-column", columns.as_deref()));
        text.push_str(&shell::flag("ask", ask.as_deref()));
        text.push_str(&starting::limit_flags(starting.limits));
    }
    format!("{text}\n  {}\n  {}", starting.train(), starting.score_run())
}
