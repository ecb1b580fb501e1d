//! `cloze check`: everything that could go wrong, all of it at once, before any weight is loaded.

use std::path::{Path, PathBuf};

use anyhow::Result;
use cloze::error::{Error, Errors};
use cloze::model::folder::ModelFolder;
use cloze::model::masked_lm::{MaskedLm, Options};
use cloze::model::tokenizer::Tokenizer;
use cloze::predict::census::Census;
use cloze::predict::label_words::LabelWords;
use cloze::predict::pvp::{Patterns, SoftVectors};
use cloze::predict::strict::Subject;
use cloze::predict::task::{Task, check_columns};
use cloze::text::template::Template;
use cloze::text::verbalizer::{LabelWord, Verbalizer};
use tch::Device;

use super::args::{Limits, Reading};
use super::render::{self, Align};
use super::setup;

/// So many rows a model is asked about, from the first.
const STRICT_ROWS: usize = 200;

/// Look for everything that could go wrong, before any weights are loaded
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze check --template mine.json --verbalizer words.json --data mine.csv
  cloze check --verbalizer verbalizers/topic.json --model models/cloze-minilm-l6
  cloze check --template mine.json --verbalizer words.json --data mine.csv --strict

Give any of the files; what can be checked with them is checked, and all problems are shown at once.")]
pub struct Check {
    /// Template files (JSON)
    #[arg(long, short, num_args = 1.., value_name = "FILE")]
    template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, value_name = "FILE")]
    verbalizer: Option<PathBuf>,
    /// Data file: .csv, .tsv or .jsonl; - for standard input
    #[arg(long, short, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Load the model too, and ask it: which classes it prefers without a row, how often it would say none of
    /// the label words in the first 200 rows, which label words it hardly says, and which are near to one of
    /// another class
    #[arg(long, requires = "verbalizer")]
    strict: bool,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    limits: Limits,
}

/// Runs the command.
pub fn run(args: &Check) -> Result<()> {
    let mut problems = Errors::new();
    let templates: Vec<Template> =
        args.template.iter().filter_map(|path| problems.keep(Template::read(path))).collect();
    let verbalizer = args.verbalizer.as_ref().and_then(|path| problems.keep(Verbalizer::read(path)));
    let folder = problems.keep(setup::open_model(&args.limits));
    let max_length =
        folder.as_ref().and_then(|folder| problems.keep(folder.max_length(args.limits.max_length)));
    folder.as_ref().and_then(|folder| problems.keep(folder.check_weights()));
    let model = folder.as_ref().zip(max_length);
    let label_words = verbalizer.as_ref().zip(folder.as_ref());
    let label_words =
        label_words.map(|(verbalizer, folder)| LabelWords::check(verbalizer, &folder.tokenizer, Device::Cpu));
    let words_found = label_words.as_ref().and_then(|words| words.as_ref().ok());
    let patterns = model.map(|(folder, max_length)| {
        let (templates, vectors) = (templates.clone(), SoftVectors::Sampled);
        Patterns::bind_fitting(templates, words_found, folder, vectors, max_length, &mut problems)
    });
    anyhow::ensure!(
        !args.strict || args.data.as_deref() != Some(Path::new("-")),
        "--strict reads the data's first rows again: give it a file, not standard input"
    );
    let (mut summary, mut tasks) = (String::new(), Vec::new());
    if let (Some(verbalizer), Some(folder)) = (&verbalizer, &folder)
        && let Some(label_words) = label_words.and_then(|words| problems.keep(words))
    {
        summary = words(verbalizer, &label_words, &folder.tokenizer);
        if let Some(left_out) = label_words.left_out() {
            summary += &format!("note: {left_out}\n\n");
        }
    }
    if let Some(path) = &args.data
        && let Some(rows) = problems.keep(setup::reading(&args.reading).open(path))
    {
        match &patterns {
            Some(patterns) => tasks = patterns.on_fitting(rows.columns(), &mut problems).tasks,
            None => templates.iter().for_each(|template| {
                problems.keep(check_columns(template, rows.columns()));
            }),
        }
        let census = Census::take(rows, verbalizer.as_ref(), &tasks, model, &mut problems);
        summary += &render::census(&census, verbalizer.as_ref(), &tasks, max_length);
    }
    // What has problems cannot be asked about.
    if let (true, true, Some(verbalizer), Some(folder), Some(patterns)) =
        (args.strict, problems.is_empty(), &verbalizer, folder, &patterns)
    {
        summary += &strict(args, verbalizer, folder, patterns, &tasks)?;
    }
    if problems.is_empty() {
        summary.push_str("no problems found\n");
    }
    render::print(&summary)?;
    Ok(problems.none()?)
}

/// What the model itself says of patterns and label words, asked about the first rows.
fn strict(
    args: &Check,
    verbalizer: &Verbalizer,
    folder: ModelFolder,
    patterns: &Patterns,
    tasks: &[Task],
) -> Result<String> {
    let rows = args.data.as_ref().map(|path| setup::reading(&args.reading).open(path)).transpose()?;
    let rows = rows.into_iter().flatten().take(STRICT_ROWS).collect::<Result<Vec<_>, Error>>()?;
    let subject = Subject { verbalizer, patterns, tasks, rows: &rows };
    let report = subject.ask(&MaskedLm::of(folder, Options::default())?)?;
    let report = render::strict(&report, &verbalizer.labels().collect::<Vec<_>>());
    Ok(if report.is_empty() { report } else { format!("{}\n\n", report.trim_end()) })
}

/// The label words as the model's vocabulary has them: a model without capitals reads "World" as "world".
fn words(verbalizer: &Verbalizer, label_words: &LabelWords, tokenizer: &Tokenizer) -> String {
    let as_seen = |word: &LabelWord| {
        let seen = tokenizer
            .tokenize(word.word())
            .iter()
            .map(|token| tokenizer.token(token.id))
            .collect::<Vec<_>>()
            .join(" ");
        if seen == word.word() { seen } else { format!("{} (as {seen})", word.word()) }
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
    format!("{}\n\n{}\n{cost}", verbalizer.file(), render::table(&[Align::Left, Align::Left], &rows))
}
