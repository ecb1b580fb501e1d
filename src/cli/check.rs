//! `cloze check`: everything that could go wrong, all of it at once, before any weight is loaded.

use cloze::numbers::{count, counted};
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use cloze::error::Error;
use cloze::model::folder::ModelFolder;
use cloze::model::tokenizer::Tokenizer;
use cloze::predict::encode::encode;
use cloze::predict::label_words::LabelWords;
use cloze::predict::task::{Task, truth};
use cloze::text::data::{Columns, Rows};
use cloze::text::verbalizer::{LabelWord, Verbalizer};
use tch::Device;

use super::args::Check;
use super::render::{self, Align};
use super::setup::{self, Problems};
use super::strict::{self, Subject};

/// Row problems beyond so many are counted, not kept: a file with a million wrong labels must not fill the
/// memory.
const MOST_ROW_PROBLEMS: usize = 1000;

/// So many labels are shown, and so much of each: with the wrong label column, each row's whole text is one.
const MOST_LABELS: usize = 50;
const MOST_LABELS_KEPT: usize = 1000;
const MOST_LABEL_COLUMNS: usize = 40;

/// Runs the command.
pub fn run(args: &Check) -> Result<()> {
    let mut problems = Problems(Vec::new());
    let templates = setup::read_templates(&args.template, &mut problems);
    let verbalizer = args.verbalizer.as_ref().and_then(|path| problems.keep(Verbalizer::read(path)));
    let folder = problems.keep(setup::open_model(&args.limits));
    let max_length =
        folder.as_ref().and_then(|folder| problems.keep(folder.max_length(args.limits.max_length)));
    folder.as_ref().and_then(|folder| problems.keep(folder.check_weights()));
    let model = folder.as_ref().zip(max_length);
    let label_words = verbalizer.as_ref().zip(folder.as_ref());
    let label_words =
        label_words.map(|(verbalizer, folder)| LabelWords::check(verbalizer, &folder.tokenizer, Device::Cpu));
    let templates = if let Some(Ok(words)) = &label_words { words.room_in(templates) } else { templates };
    let (templates, soft) = setup::fitting(templates, 0, model, &mut problems);
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
        && let Some(rows) = problems.keep(setup::open_rows(path, &args.reading))
    {
        tasks = setup::check_tasks(templates.clone(), rows.columns(), &mut problems);
        let census = Census::take(rows, verbalizer.as_ref(), &tasks, model, &mut problems);
        summary += &census.summary(verbalizer.as_ref(), &tasks, max_length);
    }
    // What has problems cannot be asked about.
    if let (true, true, Some(verbalizer), Some(folder), Some(max_length)) =
        (args.strict, problems.0.is_empty(), &verbalizer, folder, max_length)
    {
        let rows = args.data.as_ref().map(|path| setup::open_rows(path, &args.reading)).transpose()?;
        let rows = rows.into_iter().flatten().take(strict::ROWS).collect::<Result<Vec<_>, Error>>()?;
        let subject = Subject {
            verbalizer,
            templates: &templates,
            soft: &soft,
            tasks: &tasks,
            rows: &rows,
            max_length,
        };
        let report = subject.report(folder)?;
        if !report.is_empty() {
            summary += &format!("{}\n\n", report.trim_end());
        }
    }
    if problems.0.is_empty() {
        summary.push_str("no problems found\n");
    }
    render::print(&summary)?;
    Ok(problems.none()?)
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

/// What the rows of a file are like.
struct Census {
    columns: std::sync::Arc<Columns>,
    rows: u64,
    unreadable: u64,
    labels: BTreeMap<String, u64>,
    /// Rows with a label beyond those that are kept.
    labels_unkept: u64,
    empty: Vec<u64>,
    truncated: Vec<u64>,
    unkept: u64,
}

impl Census {
    fn take(
        mut rows: Rows,
        verbalizer: Option<&Verbalizer>,
        tasks: &[Task],
        model: Option<(&ModelFolder, usize)>,
        problems: &mut Problems,
    ) -> Census {
        let columns = rows.columns().clone();
        let mut census = Census {
            rows: 0,
            unreadable: 0,
            labels: BTreeMap::new(),
            labels_unkept: 0,
            empty: vec![0; columns.names().len()],
            truncated: vec![0; tasks.len()],
            unkept: 0,
            columns: columns.clone(),
        };
        let mut keep = |error: Error, unkept: &mut u64| {
            if problems.0.len() < MOST_ROW_PROBLEMS {
                problems.0.push(error);
            } else {
                *unkept += 1;
            }
        };
        for row in &mut rows {
            let example = match row {
                Ok(example) => example,
                Err(error) => {
                    let ends = matches!(error.place(), cloze::error::Place::Nowhere);
                    keep(error, &mut census.unkept);
                    // An error without a row is one of reading: nothing more will come.
                    if ends {
                        break;
                    }
                    census.unreadable += 1;
                    continue;
                }
            };
            census.rows += 1;
            for (empty, field) in census.empty.iter_mut().zip(&example.fields) {
                *empty += u64::from(field.trim().is_empty());
            }
            if let Some(label) = &example.label {
                // With the wrong label column every row's text may be a label: enough are kept to show that.
                let kept = census.labels.len() < MOST_LABELS_KEPT || census.labels.contains_key(label);
                if kept {
                    *census.labels.entry(label.clone()).or_default() += 1;
                } else {
                    census.labels_unkept += 1;
                }
                // Each unknown label is told once, at its first row.
                if let Some(verbalizer) = verbalizer
                    && kept
                    && census.labels[label] == 1
                    && let Err(error) = truth(verbalizer, &columns, &example)
                {
                    keep(error, &mut census.unkept);
                }
            }
            let Some((folder, max_length)) = model else { continue };
            for (task, truncated) in tasks.iter().zip(&mut census.truncated) {
                match encode(&task.wrap(&example), &folder.tokenizer, max_length) {
                    Ok(features) => *truncated += u64::from(features.removed > 0),
                    Err(error) => keep(error.at(columns.place(&example, None)), &mut census.unkept),
                }
            }
        }
        census
    }

    fn summary(&self, verbalizer: Option<&Verbalizer>, tasks: &[Task], max_length: Option<usize>) -> String {
        let mut text = format!("{}: {}", self.columns.data(), counted(self.rows, "row"));
        if self.unreadable > 0 {
            text.push_str(&format!(", and {} that cannot be read", count(self.unreadable)));
        }
        text.push_str("\n\n");
        let mut rows = vec![vec!["column".to_owned(), "empty".to_owned(), String::new()]];
        for (name, empty) in self.columns.names().iter().zip(&self.empty) {
            let role = if self.columns.label() == Some(name) { "the label" } else { "" };
            rows.push(vec![name.clone(), count(*empty), role.to_owned()]);
        }
        text.push_str(&render::table(&[Align::Left, Align::Right, Align::Left], &rows));
        if !self.labels.is_empty() {
            let mut rows = vec![vec!["label".to_owned(), "rows".to_owned(), String::new()]];
            for (label, labelled) in self.labels.iter().take(MOST_LABELS) {
                let unknown = verbalizer.is_some_and(|verbalizer| verbalizer.class_of(label).is_none());
                let remark = if unknown { "not a class" } else { "" };
                rows.push(vec![
                    render::start_of(label, MOST_LABEL_COLUMNS),
                    count(*labelled),
                    remark.to_owned(),
                ]);
            }
            if self.labels.len() > MOST_LABELS {
                rows.push(vec![format!("… {} more labels", count((self.labels.len() - MOST_LABELS) as u64))]);
            }
            if self.labels_unkept > 0 {
                rows.push(vec!["others".to_owned(), count(self.labels_unkept)]);
            }
            for absent in verbalizer
                .iter()
                .flat_map(|verbalizer| verbalizer.labels())
                .filter(|label| !self.labels.contains_key(*label))
            {
                rows.push(vec![absent.to_owned(), "0".to_owned(), "a class without rows".to_owned()]);
            }
            text.push('\n');
            text.push_str(&render::table(&[Align::Left, Align::Right, Align::Left], &rows));
        }
        if let (Some(max_length), false) = (max_length, tasks.is_empty()) {
            let mut rows = vec![vec!["pattern".to_owned(), format!("rows cut to {max_length} tokens")]];
            rows.extend(
                tasks
                    .iter()
                    .zip(&self.truncated)
                    .map(|(task, cut)| vec![task.template().name().to_owned(), count(*cut)]),
            );
            text.push('\n');
            text.push_str(&render::table(&[Align::Left, Align::Right], &rows));
        }
        if self.unkept > 0 {
            text.push_str(&format!("\n{} more rows have problems\n", count(self.unkept)));
        }
        text.push('\n');
        text
    }
}
