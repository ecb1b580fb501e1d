//! `cloze check`: everything that could go wrong, all of it at once.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use cloze::error::notes::listed;
use cloze::model::tokenizer::Tokenizer;
use cloze::predict::checkup::{Checkup, CheckupFiles};
use cloze::predict::label_words::LabelWords;
use cloze::text::verbalizer::{LabelWord, Verbalizer};

use super::args::{Limits, Reading};
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

Give any of the files; what can be checked with them is checked, and all problems are shown at once.")]
pub struct Check {
    /// Template files (JSON), or folders of them
    #[arg(long, short, num_args = 1.., value_name = "FILE", value_parser = shipped::path())]
    template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, value_name = "FILE", value_parser = shipped::path())]
    verbalizer: Option<PathBuf>,
    /// Data file: .csv, .tsv or .jsonl; - for standard input
    #[arg(long, short, value_name = "FILE", value_parser = shipped::path())]
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
    ensure!(
        !args.strict || args.data.as_deref() != Some(Path::new("-")),
        "--strict reads the data's first rows again: give it a file, not standard input"
    );
    let given = [!args.template.is_empty(), args.verbalizer.is_some(), args.data.is_some()];
    ensure!(
        given.contains(&true) || args.limits.model.is_some(),
        "nothing to check: give a template, a verbalizer, data, a model, or several of them"
    );
    let reading = source::reading(&args.reading)?;
    let files = CheckupFiles {
        templates: &args.template,
        verbalizer: args.verbalizer.as_deref(),
        data: args.data.as_deref().map(|path| (path, &reading)),
        max_length: args.limits.max_length,
    };
    let found = Checkup::of(&files, || setup::open_model(&args.limits));
    let mut summary = String::new();
    if let (Some(verbalizer), Some(folder), Some(label_words)) =
        (&found.verbalizer, &found.folder, &found.words)
    {
        summary = words(verbalizer, label_words, &folder.tokenizer);
        if let Some(left_out) = label_words.left_out() {
            summary += &format!("note: {left_out}\n\n");
        }
    }
    if !found.left_over.is_empty() {
        summary += &format!(
            "note: the weights have tensors that such a model has no place for, which are left out: {}\n\n",
            listed(&found.left_over)
        );
    }
    summary += &render::perhaps_labels(found.perhaps_labels.as_deref());
    if let Some(census) = &found.census {
        summary += &render::census(census, found.verbalizer.as_ref(), &found.tasks, found.max_length);
    }
    if args.strict
        && let Some(report) = found.ask()?
        && let Some(verbalizer) = &found.verbalizer
    {
        let report = render::strict(&report, &verbalizer.labels().collect::<Vec<_>>());
        summary += &if report.is_empty() { report } else { format!("{}\n\n", report.trim_end()) };
    }
    if let Some(cost) = found.cost()? {
        summary += &render::cost(&cost);
    }
    if found.problems.is_empty() {
        summary.push_str("no problems found\n");
    }
    render::print(&summary)?;
    Ok(found.problems.none()?)
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
    format!("{}\n\n{}\n{cost}", verbalizer.file(), render::table(&[Align::Left, Align::Words], &rows))
}
