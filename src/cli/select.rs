//! `cloze select`: which rows to label next.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use cloze::PromptClassifier;
use cloze::predict::calibrator::{CalibrationRequest, Calibrator};
use cloze::predict::selection::{Chosen, Pool, PoolRequest, Strategy, Wish};
use cloze::predict::task::{Task, TaskSet};
use cloze::text::data::{Columns, Example, Format, Reading};
use cloze::text::dataset::{Dataset, Labels};
use cloze::text::table::{Cell, Column, Destination, Holds, TableWriter};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use cloze::text::whole_file::WholeFile;

use super::answering;
use super::args::{Asked, Given, Model, Reading as ReadingArgs};
use super::outputs::{self, Reads};
use super::render::{self, Live};
use super::setup;
use super::shipped;
use super::source::{self, Source};

/// The heading of what says how rows are chosen.
const CHOICE: &str = "Choice";

/// The columns that are written beside the input's.
const ROW: &str = "row";
const CHOSEN_BY: &str = "chosen_by";
const SCORE: &str = "score";
/// The one that is left empty, for whoever labels, where the input has no column of labels.
const LABEL: &str = "label";

/// Choose the rows of a file that are best labelled next
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze select --template templates/tickets/*.json \\
      --verbalizer verbalizers/tickets.json --data data/tickets/unlabeled.csv \\
      -n 40 --out to-label.csv --random-out to-test.csv
  cloze select --run runs/tickets --data pool.csv --labelled labelled.csv \\
      --by entropy -n 40 --out to-label.csv

Out come the rows with the columns row, chosen_by and score in front, and an empty
column label, if the file has none. Rows that have a label already, there or in
--labelled, are not chosen again. A share of the rows is drawn at random, so that
accuracy can be measured on them: keep those apart as test rows (--random-out;
chosen_by is random). No answer of the model is written: it would lead people.")]
pub struct Select {
    #[command(flatten)]
    asked: Asked,
    /// Data file to choose rows of: .csv, .tsv, .jsonl or .json; - for standard input
    #[arg(long, short, value_name = "FILE", value_parser = shipped::path())]
    data: PathBuf,
    #[command(flatten)]
    reading: ReadingArgs,
    /// How many rows to choose
    #[arg(short, long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    n: u32,
    /// Where to write the rows: .csv, .tsv, .jsonl or .json; without it, as CSV on standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where to write the rows that are drawn at random, apart from the others: to test on
    #[arg(long, value_name = "FILE", requires = "out")]
    random_out: Option<PathBuf>,
    /// What rows are chosen by
    #[arg(long, value_enum, value_name = "STRATEGY", help_heading = CHOICE, default_value_t = Strategy::Clusters)]
    by: Strategy,
    /// Rows that are labelled already, in a file with the same columns: they are not chosen again
    #[arg(long, value_name = "FILE", help_heading = CHOICE, value_parser = shipped::path())]
    labelled: Option<PathBuf>,
    /// The share of the rows that is drawn at random, from 0 to 1
    #[arg(long, value_name = "SHARE", help_heading = CHOICE, default_value_t = 0.2)]
    random_share: f64,
    /// For what is drawn
    #[arg(long, value_name = "N", help_heading = CHOICE, default_value_t = 0)]
    choice_seed: u64,
    /// Take the model's answers as they are; else those of files are corrected by the rows, from 50 on
    #[arg(long)]
    no_correction: bool,
    /// No progress and no summary on the terminal
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    model: Model,
}

/// Runs the command.
pub fn run(args: &Select) -> Result<()> {
    setup::check_one_model(&args.asked.trained)?;
    ensure!((0.0..=1.0).contains(&args.random_share), "--random-share takes a number from 0 to 1");
    ensure!(
        args.random_out.as_deref() != Some(Path::new("-")),
        "--random-out needs a file: standard output is for the other rows"
    );
    let source = Source::new(Some(&args.data), &Given::default(), source::reading(&args.reading)?)?;
    let run = setup::run(&args.asked.trained)?;
    ensure!(
        setup::of_members(&args.asked.trained, run.as_ref()).is_none(),
        "rows are chosen by one model: name one of the members with --member"
    );
    let (blueprint, tasks, rows) = setup::classifier(&args.asked, run.as_ref(), &source, &args.model)?;
    blueprint.verbalizer.check_classes("cloze select")?;
    ensure!(
        tasks.tasks.iter().all(|task| task.template().demonstrations().is_none()),
        "rows are chosen without demonstrations: give patterns without {{demos:K}}"
    );
    let columns = rows.columns().clone();
    let out = answering::file(args.out.as_deref());
    let outputs = [
        ("bad rows", source::bad_rows_file(&args.reading.rows)),
        ("rows", out),
        ("rows at random", args.random_out.as_deref()),
    ];
    let inputs = std::iter::once(&args.data).chain(&args.labelled);
    outputs::check(&outputs, &Reads::asked(&args.asked, inputs).model(blueprint.folder.path()))?;
    let labelled = labelled(args, &source.reading, &blueprint.verbalizer, &tasks, &columns)?;
    let pool = Pool::read(PoolRequest { rows, labelled, tasks: &tasks.tasks })?;
    let method = pool.correction().filter(|_| run.is_none() && !args.no_correction);
    let request = CalibrationRequest { method, ..CalibrationRequest::default() };
    let mut calibrator = Calibrator::check(&request, &blueprint, &tasks.tasks, &columns)?;
    let table = Table::create(out, &pool)?;
    let apart = args.random_out.as_deref().map(|path| Table::create(Some(path), &pool)).transpose()?;
    let mut live = Live::start(args.quiet, "loading the model");
    let classifier = PromptClassifier::load(blueprint, setup::compute(&args.model), None)?;
    let wish = Wish {
        count: args.n as usize,
        strategy: args.by,
        random_share: args.random_share,
        seed: args.choice_seed,
    };
    let chosen = pool.select(&classifier, tasks.tasks, &mut calibrator, wish, &mut |share| {
        live.at(Some(share), || format!("looking at {} rows", pool.examples.len()));
    })?;
    drop(live);
    write(table, apart, &pool, &chosen)?;
    source.finish(args.quiet)?;
    if !args.quiet {
        let label_column = columns.label().unwrap_or(LABEL);
        let apart = args.random_out.as_deref();
        render::tell(&render::selection(&pool, &chosen, label_column, out, apart))?;
    }
    Ok(())
}

/// The rows that are labelled already, of a file of their own.
fn labelled(
    args: &Select,
    reading: &Reading,
    verbalizer: &Verbalizer,
    tasks: &TaskSet,
    columns: &Columns,
) -> Result<Vec<Example>> {
    let Some(path) = &args.labelled else { return Ok(Vec::new()) };
    let read = Template::columns_of_all(tasks.tasks.iter().map(Task::template));
    Ok(Dataset::read(path, reading, &read, verbalizer, Some(columns), Labels::Ignored)?.examples)
}

/// Writes the rows, those at random apart where they have a file of their own.
fn write(mut table: Table, apart: Option<Table>, pool: &Pool, chosen: &[Chosen]) -> Result<()> {
    let is_apart = |row: &&Chosen| apart.is_some() && row.by == Strategy::Random;
    let (at_random, others): (Vec<&Chosen>, Vec<&Chosen>) = chosen.iter().partition(is_apart);
    table.write(pool, &others)?;
    if let Some(mut apart) = apart {
        apart.write(pool, &at_random)?;
        apart.finish()?;
    }
    table.finish()
}

/// What is written.
struct Table {
    rows: TableWriter<WholeFile>,
    /// Whether a column for labels is added.
    adds_label: bool,
}

impl Table {
    fn create(out: Option<&Path>, pool: &Pool) -> Result<Table> {
        let to = out.map_or_else(|| Ok(Destination::stdout(Format::Csv)), Destination::create)?;
        let in_file = pool.columns.in_file();
        let mut header = [ROW, CHOSEN_BY, SCORE].map(str::to_owned).to_vec();
        if let Some(column) = in_file.iter().find(|column| header.contains(column)) {
            bail!("the data has a column {column:?}, which is written too: rename it in the data");
        }
        header.extend(in_file.iter().cloned());
        let adds_label = pool.columns.label().is_none() && !header.iter().any(|column| column == LABEL);
        header.extend(adds_label.then(|| LABEL.to_owned()));
        let holds = |name: &String| match name.as_str() {
            ROW => Holds::Whole,
            SCORE => Holds::Share,
            _ => Holds::Text,
        };
        let header: Vec<Column> = header.iter().map(|name| Column::new(name, holds(name))).collect();
        Ok(Table { rows: TableWriter::create(to, &header)?, adds_label })
    }

    fn write(&mut self, pool: &Pool, chosen: &[&Chosen]) -> Result<()> {
        for row in chosen {
            let example = &pool.examples[row.index];
            let score = row.score.map_or(Cell::Nothing, Cell::Share);
            let mut cells =
                vec![Cell::Number(example.record.to_string()), Cell::Text(row.by.name().to_owned()), score];
            cells.extend(example.fields.iter().cloned().map(Cell::Text));
            cells.extend(self.adds_label.then_some(Cell::Nothing));
            self.rows.write(&cells)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        Ok(self.rows.finish()?.commit()?)
    }
}
