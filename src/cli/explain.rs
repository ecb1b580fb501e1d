//! `cloze explain`: how much each word of a row moves its answer.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use cloze::predict::explain::{Explainer, Explanation, MOST_STEPS, Method, STEPS};
use cloze::study::pictures::explanations_page;
use cloze::text::data::{Example, Rows};
use cloze::text::whole_file::WholeFile;

use super::args::{Asked, Data, Demonstrations, Model};
use super::outputs::{self, Reads};
use super::pages::{self, PageArgs};
use super::render::{self, Live};
use super::setup;
use super::source::{self, Source};

/// The heading of what says how words are weighed.
const EXPLANATION: &str = "Explanation";

/// Show how much each word of a row moves the score of its class
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze explain --run runs/tickets --data mine.csv --row 7
  cloze explain --template templates/sentiment/it-was.json \\
      --verbalizer verbalizers/sentiment.json --text \"A lovely film\"
  cloze explain --run runs/tickets --data mine.csv --row 1-20 --page why.html
  cloze explain --run runs/tickets --data mine.csv --row 7 --method gradients

A class's score is the logarithm of its odds, in nats. leave-one-out compares it
with the score of the same row without a word; gradients adds the gradients up
from a row of masks to the row, and the words' sum is the difference of the two
scores. On a terminal a colour is the stronger the more a word moves; elsewhere,
and with NO_COLOR, words have marks: ++ and + for the class, -- and - against it.")]
pub struct Explain {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    data: Data,
    /// Which rows, by their numbers in the file, from 1, as 7 or 3,10-12 [default: 1]
    #[arg(long, value_name = "N,N-N,…", value_parser = numbers, default_value = "1", hide_default_value = true)]
    row: Numbers,
    /// The class whose score is explained [default: each row's answer]
    #[arg(long, help_heading = EXPLANATION, value_name = "LABEL")]
    class: Option<String>,
    /// How words are weighed
    #[arg(long, value_enum, value_name = "METHOD", help_heading = EXPLANATION, default_value_t = Weighing::LeaveOneOut)]
    method: Weighing,
    /// With --method gradients: places on the way from a row of masks to the row [default: 32]
    #[arg(long, help_heading = EXPLANATION, value_name = "N")]
    steps: Option<usize>,
    /// Where to write the words with what they add, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    page: PageArgs,
    /// No progress and no words on the terminal
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    demonstrations: Demonstrations,
    #[command(flatten)]
    model: Model,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Weighing {
    /// The score less that without the word
    LeaveOneOut,
    /// Integrated gradients (Sundararajan et al. 2017): slower, and the words' sum is known
    Gradients,
}

/// Ranges of rows' numbers, both ends counted.
#[derive(Debug, Clone)]
struct Numbers(Vec<(u64, u64)>);

impl Numbers {
    fn has(&self, number: u64) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&number))
    }

    fn last(&self) -> u64 {
        self.0.iter().map(|(_, to)| *to).max().unwrap_or(0)
    }
}

/// Rows' numbers, as they are typed.
fn numbers(text: &str) -> Result<Numbers, String> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (from.trim().parse::<u64>().ok()?, to.trim().parse::<u64>().ok()?);
        (1 <= from && from <= to).then_some((from, to))
    };
    let ranges = text.split(',').map(range).collect::<Option<Vec<_>>>();
    ranges.map(Numbers).ok_or_else(|| "rows are numbered from 1, as 7 or 3,10-12".to_owned())
}

/// Runs the command.
pub fn run(args: &Explain) -> Result<()> {
    setup::check_one_model(&args.asked.trained)?;
    let method = method(args)?;
    let source = Source::of(&args.data)?;
    let run = setup::run(&args.asked.trained)?;
    ensure!(
        setup::of_members(&args.asked.trained, run.as_ref()).is_none(),
        "members of an ensemble are explained one by one: name one with --member"
    );
    let (blueprint, tasks, rows) = setup::classifier(&args.asked, run.as_ref(), &source, &args.model)?;
    blueprint.verbalizer.check_classes("cloze explain")?;
    let columns = rows.columns().clone();
    let (verbalizer, reading) = (&blueprint.verbalizer, &source.reading);
    let showing = setup::showing(&args.demonstrations, reading, verbalizer, &tasks.tasks, &columns)?;
    let class = args.class.as_ref().map(|label| {
        let class = verbalizer.class_of(label).or_else(|| verbalizer.class_near(label));
        class.ok_or_else(|| {
            let labels = verbalizer.labels().collect::<Vec<_>>().join(", ");
            anyhow::anyhow!("--class {label:?} is none of the classes: {labels}")
        })
    });
    let class = class.transpose()?;
    let inputs = args.data.data.iter().chain(&args.demonstrations.demos);
    let outputs = [
        ("bad rows", source::bad_rows_file(&args.data.reading.rows)),
        ("JSON", args.json.as_deref()),
        ("page", args.page.path()),
    ];
    outputs::check(&outputs, &Reads::asked(&args.asked, inputs).model(blueprint.folder.path()))?;
    let examples = picked(rows, &args.row)?;
    let (json, page) = (args.json.as_deref().map(WholeFile::create).transpose()?, args.page.open()?);
    let mut live = Live::start(args.quiet, "loading the model");
    let threads = args.model.threads.map(usize::from);
    let explainer = Explainer::load(blueprint, tasks, columns, showing.as_ref(), threads)?;
    let mut explanations: Vec<Explanation> = Vec::with_capacity(examples.len());
    for (index, example) in examples.iter().enumerate() {
        let found = explainer.explain(example, class, method)?;
        if !args.quiet {
            live.beside(|| render::print_shaded(&render::explanation(&found, explainer.labels())))?;
        }
        explanations.push(found);
        let done = index + 1;
        live.at(Some(done as f64 / examples.len() as f64), || format!("{done} of {} rows", examples.len()));
    }
    drop(live);
    source.finish(args.quiet)?;
    json.map_or(Ok(()), |file| file.commit_json(&explanations))?;
    let data = args.data.data.as_ref().map_or_else(|| "a row".to_owned(), |path| path.display().to_string());
    let title = format!("What moves the answers to {data}");
    pages::write(page, || explanations_page(&title, explainer.labels(), &explanations))
}

fn method(args: &Explain) -> Result<Method> {
    match (args.method, args.steps) {
        (Weighing::LeaveOneOut, None) => Ok(Method::LeaveOneOut),
        (Weighing::LeaveOneOut, Some(_)) => bail!("--steps is for --method gradients: leave it out"),
        (Weighing::Gradients, steps) => {
            let steps = steps.unwrap_or(STEPS);
            ensure!((1..=MOST_STEPS).contains(&steps), "--steps takes a number from 1 to {MOST_STEPS}");
            Ok(Method::Gradients { steps })
        }
    }
}

/// The rows of some numbers.
fn picked(rows: Rows, numbers: &Numbers) -> Result<Vec<Example>> {
    let data = rows.columns().data().to_owned();
    let (mut found, mut last) = (Vec::new(), 0);
    for example in rows {
        let example = example?;
        last = example.record;
        if numbers.has(last) {
            found.push(example);
        }
        if last >= numbers.last() {
            break;
        }
    }
    ensure!(
        last >= numbers.last() || !found.is_empty(),
        "{data} has no row {}: its last is {last}",
        numbers.last()
    );
    ensure!(!found.is_empty(), "{data} has none of these rows");
    Ok(found)
}
