//! `cloze check`: everything that could go wrong, all of it at once.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::ArgGroup;
use cloze::error::Errors;
use cloze::error::notes::listed;
use cloze::model::tokenizer::Tokenizer;
use cloze::predict::checkup::{Checkup, CheckupFiles};
use cloze::predict::label_words::LabelWords;
use cloze::study::pictures::strict_page;
use cloze::study::run::Run;
use cloze::text::data::{BadRows, Reading as DataReading};
use cloze::text::verbalizer::{LabelWord, Verbalizer};
use cloze::text::whole_file::WholeFile;

use super::args::{Limits, Reading, Trained};
use super::outputs::{self, Reads};
use super::pages::{self, PageArgs};
use super::render::{self, Align};
use super::setup;
use super::shipped;
use super::source;

/// Look for everything that could go wrong, and say what a first run would cost
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze check --template mine.json --verbalizer words.json --data mine.csv
  cloze check --verbalizer verbalizers/topic.json --model models/cloze-minilm-l6
  cloze check --template mine.json --verbalizer words.json --data mine.csv \\
      --strict
  cloze check --run runs/tickets --data mine.csv

Give any of the files, or a run; what can be checked with them is checked, and
all problems are shown at once.",
    group = ArgGroup::new("words").args(["verbalizer", "run"]).multiple(true))]
pub struct Check {
    /// Template files (JSON), or folders of them
    #[arg(long, short, num_args = 1.., value_name = "FILE", value_parser = shipped::path())]
    template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, value_name = "FILE", value_parser = shipped::path())]
    verbalizer: Option<PathBuf>,
    /// Data file: .csv, .tsv, .jsonl or .json; - for standard input
    #[arg(long, short, value_name = "FILE", value_parser = shipped::path())]
    data: Option<PathBuf>,
    #[command(flatten)]
    trained: Trained,
    /// Load the model too, and ask it: which classes it prefers without a row, how often it would say none of
    /// the label words in the first 200 rows, which label words it hardly says, and which are near to one of
    /// another class
    #[arg(long, requires = "words")]
    strict: bool,
    /// With --strict: where to write what the model says, as a page in one file that needs no network
    #[arg(long, value_name = "FILE.html", requires = "strict")]
    page: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    limits: Limits,
}

/// Runs the command.
pub fn run(args: &Check) -> Result<()> {
    ensure!(
        !args.strict || args.data.as_deref() != Some(Path::new("-")),
        "--strict reads the data's first rows again: give it a file, not standard input"
    );
    ensure!(
        args.trained.peft.is_none(),
        "no adapter is checked by itself: cloze score --peft checks it before any weights are loaded"
    );
    let given = [!args.template.is_empty(), args.verbalizer.is_some(), args.data.is_some()];
    ensure!(
        given.contains(&true) || args.limits.model.is_some() || args.trained.run.is_some(),
        "nothing to check: give a template, a verbalizer, data, a model, a run, or several of them"
    );
    let reads = args.template.iter().chain(&args.verbalizer).chain(&args.data);
    let reads = Reads::files(reads).folder(args.trained.run.as_deref());
    outputs::check(&[("page", args.page.as_deref())], &reads)?;
    let mut page = PageArgs { page: args.page.clone() }.open()?;
    // Whatever becomes of bad rows elsewhere: here they are listed.
    let reading =
        DataReading { bad_rows: BadRows::default(), ..source::reading_without_file(&args.reading)? };
    if let Some(run) = setup::run(&args.trained)? {
        return of_run(args, &run, &reading, page);
    }
    let files = CheckupFiles {
        templates: &args.template,
        verbalizer: args.verbalizer.as_deref(),
        data: args.data.as_deref().map(|path| (path, &reading)),
        max_length: args.limits.max_length,
    };
    let found = Checkup::of(&files, || setup::open_model(&args.limits));
    let mut text = summary(&found, args.strict, true, &mut page)?;
    if found.problems.is_empty() {
        text.push_str("no problems found\n");
    }
    render::print(&text)?;
    Ok(found.problems.none()?)
}

/// Everything that could go wrong with a run. Members of an ensemble are looked at one after the other.
fn of_run(args: &Check, run: &Run, reading: &DataReading, mut page: Option<WholeFile>) -> Result<()> {
    let wanted = setup::part(&args.trained.part, args.trained.seed, &args.limits)?;
    let to_check = run.to_check(&wanted, args.trained.members, args.data.is_some())?;
    anyhow::ensure!(
        to_check.len() == 1 || page.is_none(),
        "a page shows one model: name one of the members with --member"
    );
    anyhow::ensure!(
        to_check.len() == 1 || args.data.as_deref() != Some(Path::new("-")),
        "each member reads the rows: give them as a file, not on standard input"
    );
    let data = args.data.as_deref().map(|path| (path, reading));
    let (mut text, mut problems, mut words_of) = (String::new(), Errors::new(), None);
    for (name, wanted) in to_check {
        let found = run.checkup(&wanted, data);
        text += &name.map_or_else(String::new, |name| format!("{name}\n\n"));
        let verbalizer = found.verbalizer.as_ref().map(|verbalizer| verbalizer.file().to_owned());
        text += &summary(&found, args.strict, verbalizer != words_of, &mut page)?;
        words_of = verbalizer;
        let file = args.data.as_deref().filter(|path| *path != Path::new("-"));
        if let Some((trained_on, rows)) = file.and_then(|path| run.trained_on(&wanted, path, reading)) {
            text += &format!("note: {}\n\n", render::trained_on(&trained_on, rows));
        }
        problems.extend(found.problems);
    }
    let problems = problems.distinct();
    if problems.is_empty() {
        text.push_str("no problems found\n");
    }
    render::print(&text)?;
    Ok(problems.none()?)
}

/// What was found, but for the problems.
fn summary(found: &Checkup, strict: bool, with_words: bool, page: &mut Option<WholeFile>) -> Result<String> {
    let mut summary = String::new();
    if let (Some(verbalizer), Some(folder), Some(label_words)) =
        (&found.verbalizer, &found.folder, &found.words)
    {
        if with_words {
            summary = words(verbalizer, label_words, &folder.tokenizer);
        }
        if let Some(left_out) = label_words.left_out() {
            summary += &format!("note: {left_out}\n\n");
        }
    }
    if !found.weights.left_over.is_empty() {
        summary += &format!(
            "note: the weights have tensors that such a model has no place for, which are left out: {}\n\n",
            listed(&found.weights.left_over)
        );
    }
    if let Some(remark) = found.weights.remark() {
        summary += &format!("note: {remark}\n\n");
    }
    summary += &render::perhaps_labels(found.perhaps_labels.as_deref());
    if let Some(census) = &found.census {
        summary += &render::census(census, found.verbalizer.as_ref(), &found.tasks, found.max_length);
    }
    if strict
        && let Some(report) = found.ask()?
        && let Some(verbalizer) = &found.verbalizer
    {
        let labels: Vec<&str> = verbalizer.labels().collect();
        let title = format!("What the model says of {}", verbalizer.file());
        pages::write(page.take(), || strict_page(&title, &labels, &report))?;
        let report = render::strict(&report, &labels);
        summary += &if report.is_empty() { report } else { format!("{}\n\n", report.trim_end()) };
    }
    if strict && !found.reads_words() {
        summary += "note: --strict asks nothing of what cls learned: it reads no label words\n\n";
    }
    if let Some(cost) = found.cost()? {
        summary += &render::cost(&cost);
    }
    Ok(summary)
}

/// The label words as the model's vocabulary has them: a model without capitals reads "World" as "world".
fn words(verbalizer: &Verbalizer, label_words: &LabelWords, tokenizer: &Tokenizer) -> String {
    let as_seen = |word: &LabelWord| {
        let pieces =
            |ids: Vec<i64>| ids.into_iter().map(|id| tokenizer.token(id)).collect::<Vec<_>>().join(" ");
        let seen = pieces(tokenizer.word_ids(word.word()));
        let bare = tokenizer.bare_word_ids(word.word()).filter(|_| label_words.has_bare()).map(pieces);
        match bare {
            Some(bare) => format!("{} (as {seen}; as {bare} where no space is before it)", word.word()),
            None if seen == word.word() => seen,
            None => format!("{} (as {seen})", word.word()),
        }
    };
    let mut rows = vec![vec!["class".to_owned(), "label words".to_owned()]];
    rows.extend(verbalizer.classes().iter().map(|class| {
        vec![class.label.clone(), class.words.iter().map(as_seen).collect::<Vec<_>>().join(", ")]
    }));
    let cost = match verbalizer.multi_token() {
        None => String::new(),
        Some(_) => match label_words.forwards() {
            1 => format!("{}: 1 forward pass for a row in a pattern\n\n", verbalizer.scoring()),
            forwards => {
                format!("{}: {forwards} forward passes for a row in a pattern\n\n", verbalizer.scoring())
            }
        },
    };
    format!("{}\n\n{}\n{cost}", verbalizer.file(), render::table(&[Align::Left, Align::Words], &rows))
}
