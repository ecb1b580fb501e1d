//! What `cloze classify` found in the data, and a summary of its answers, for people.

use std::fmt::Write as _;

use clap::ValueEnum as _;
use cloze::error::notes::without_header;
use cloze::numbers::{count, counted, percent};
use cloze::predict::calibration::{Method, WITHOUT_CONTENT};
use cloze::predict::general::Ask;
use cloze::predict::output::Answer;
use cloze::predict::report::Report;
use cloze::predict::zero_shot::{Found, Truths};
use cloze::text::data::{Columns, Example};

use super::advice::label_map;
use super::alike;
use super::structure::structure;
use super::table::{Align, table};

/// So many rows of a kind are worth a look; fewer where all rows are in a file.
const ROWS: usize = 5;
const FEW: usize = 3;

/// Of more labels than these, the most frequent are shown.
const MOST_LABELS: usize = 20;

/// A label is rare if it has so many times fewer rows than its even share.
const RARE: f64 = 2.0;

/// So many letters of each are shown.
const LETTERS: usize = 60;

/// What is asked, as it is typed.
pub fn ask(ask: Ask) -> String {
    ask.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// What was found in the data, and what the labels are of, where that is known.
pub fn found(found: &Found, usual: Option<Ask>) -> String {
    let mut text = String::new();
    if let Some(asked) = usual {
        let _ = writeln!(
            text,
            "labels: usual ones ({}), for which cloze has words (--ask general takes their names alone)",
            ask(asked)
        );
    }
    if found.text_found {
        let _ = writeln!(text, "text: the column {}", found.text_columns.join(", "));
        if let Some((_, help)) = without_header(&found.text_columns) {
            let _ = writeln!(text, "note: {help}");
        }
    }
    let _ = match &found.truths {
        Truths::Nowhere => Ok(()),
        Truths::In(column) => writeln!(text, "true labels: the column {column}"),
        Truths::Others { column, label, classes } => writeln!(
            text,
            "note: the column {column} has other labels, such as {label:?}: answers are not evaluated by it{}",
            label_map(label, classes)
                .map_or_else(String::new, |map| format!("; say which each is, as --label-map {map}"))
        ),
        Truths::Perhaps(column) => {
            writeln!(
                text,
                "note: {column} may be a column of true labels: --label-column {column} evaluates by it"
            )
        }
    };
    text
}

/// Rows that are worth a look: those that the classifier is least sure of, and those of which it is surest
/// though their label is wrong, or, where no truth is known, rare.
pub struct Worth {
    columns: Vec<usize>,
    /// So many of each.
    most: usize,
    least_sure: Vec<Row>,
    /// Of wrong labels.
    wrong: Vec<Row>,
    /// Of each class.
    surest: Vec<Vec<Row>>,
    confidence: f64,
}

struct Row {
    confidence: f64,
    record: u64,
    class: usize,
    /// The true label, where it is known.
    truth: Option<String>,
    /// The beginning of its text.
    text: String,
}

impl Worth {
    /// None yet; `read` are the columns to show, and `few` asks for fewer rows.
    pub fn new(columns: &Columns, read: &[String], few: bool) -> Worth {
        let place = |name: &String| columns.names().iter().position(|column| column == name);
        Worth {
            columns: read.iter().filter_map(place).collect(),
            most: if few { FEW } else { ROWS },
            least_sure: Vec::new(),
            wrong: Vec::new(),
            surest: Vec::new(),
            confidence: 0.0,
        }
    }

    /// Takes a row's answer in; `labels` are the classes'.
    pub fn see(&mut self, example: &Example, answer: &Answer, labels: &[String]) {
        let (class, confidence) = (answer.prediction.class(), answer.prediction.confidence());
        self.confidence += confidence;
        self.surest.resize_with(labels.len(), Vec::new);
        let truth = &example.label;
        let most = self.most;
        let row = || {
            let fields = self.columns.iter().map(|column| example.fields[*column].as_str());
            let text: String =
                fields.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
            let short: String = text.chars().take(LETTERS).collect();
            let text = if short.len() < text.len() { format!("{short}…") } else { short };
            Row { confidence, record: example.record, class, truth: truth.clone(), text }
        };
        keep(&mut self.least_sure, most, confidence, |row| row.confidence, row);
        keep(&mut self.surest[class], most, -confidence, |row| -row.confidence, row);
        let is_class = |truth: &String| truth.trim().to_lowercase() == labels[class].trim().to_lowercase();
        if truth.as_ref().is_some_and(|truth| !is_class(truth)) {
            keep(&mut self.wrong, most, -confidence, |row| -row.confidence, row);
        }
    }

    /// The rows of which the classifier is surest though there is reason for doubt, with their heading.
    fn surprising(&self, report: &Report) -> Option<(String, &[Row])> {
        if report.evaluation.is_some() {
            return (!self.wrong.is_empty()).then(|| ("surest of wrong labels".to_owned(), &self.wrong[..]));
        }
        let named = report.predicted.iter().zip(&self.surest).filter(|(class, _)| class.rows > 0);
        let (rarest, rows) = named.min_by_key(|(class, _)| class.rows)?;
        // Where labels are even, none of them is surprising.
        let rare = rarest.rows as f64 * RARE * report.predicted.len() as f64 <= report.rows as f64;
        rare.then(|| (format!("surest of {}, the rarest label", rarest.label), &rows[..]))
    }
}

/// Puts a row where it belongs among the first of an order, if it belongs there.
fn keep(
    rows: &mut Vec<Row>,
    most: usize,
    place: f64,
    order: impl Fn(&Row) -> f64,
    row: impl FnOnce() -> Row,
) {
    let at = rows.partition_point(|other| order(other) <= place);
    if at < most {
        rows.insert(at, row());
        rows.truncate(most);
    }
}

/// The answers in short.
pub fn summary(report: &Report, worth: &Worth, next: &str) -> String {
    let mut text = String::new();
    let confidence = percent(worth.confidence / report.rows.max(1) as f64);
    let _ = writeln!(
        text,
        "{}: {} in {:.1} s, {:.0} rows/s (mean confidence {confidence} %)",
        report.run.data,
        counted(report.rows, "row"),
        report.seconds,
        report.rows_per_second
    );
    let _ = writeln!(text, "{}", corrected(report));
    text.extend(super::report::windows(report));
    labels(&mut text, report);
    evaluation(&mut text, report);
    shown(&mut text, report, "least sure, and worth a look", &worth.least_sure);
    if let Some((heading, rows)) = worth.surprising(report) {
        shown(&mut text, report, &heading, rows);
    }
    let help = match report.calibration {
        None => "leave --no-correction out, or say how frequent labels are with --prior",
        Some(_) => {
            "give labels other words (--labels-file), ask otherwise (--ask), or say how frequent they are (--prior)"
        }
    };
    text.push_str(&alike::notes(report, help));
    let _ = writeln!(text, "\nnext: {next}");
    text
}

/// How many rows each label got, the most frequent first where labels are many.
fn labels(text: &mut String, report: &Report) {
    let mut classes: Vec<_> = report.predicted.iter().collect();
    let many = classes.len() > MOST_LABELS;
    if many {
        classes.sort_by_key(|class| std::cmp::Reverse(class.rows));
    }
    let given = classes.iter().filter(|class| class.rows > 0).count();
    let rest = classes.split_off(if many { given.min(MOST_LABELS / 2) } else { classes.len() });
    let mut rows = vec![["label", "rows", "%"].map(str::to_owned).to_vec()];
    rows.extend(classes.iter().map(|class| {
        let share = percent(class.rows as f64 / report.rows.max(1) as f64);
        vec![class.label.clone(), count(class.rows), share]
    }));
    let _ = write!(text, "\n{}", table(&[Align::Left, Align::Right, Align::Right], &rows));
    if many {
        let others = counted(rest.len() as u64, "more label");
        let without = rest.iter().filter(|class| class.rows == 0).count();
        let _ = match without == rest.len() {
            true => writeln!(text, "  … and {others}, which no row got"),
            false => {
                let left = counted(rest.iter().map(|class| class.rows).sum(), "row");
                writeln!(text, "  … and {others} with {left}; {} of them no row got", count(without as u64))
            }
        };
    }
}

/// A table of rows.
fn shown(text: &mut String, report: &Report, heading: &str, rows: &[Row]) {
    let with_truth = report.evaluation.is_some();
    let mut header = vec!["row", "label", "% sure", "text"];
    let mut align = vec![Align::Right, Align::Left, Align::Right, Align::Text];
    if with_truth {
        header.insert(2, "true label");
        align.insert(2, Align::Left);
    }
    let mut cells = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    cells.extend(rows.iter().map(|row| {
        let label = report.predicted[row.class].label.clone();
        let truth = with_truth.then(|| row.truth.clone().unwrap_or_default());
        let rest = [percent(row.confidence), row.text.clone()];
        [row.record.to_string(), label].into_iter().chain(truth).chain(rest).collect()
    }));
    let _ = write!(text, "\n{heading}\n{}", table(&align, &cells));
}

fn corrected(report: &Report) -> String {
    let Some(calibration) = &report.calibration else { return "correction: none".to_owned() };
    if calibration.fitted_on == WITHOUT_CONTENT {
        return "correction: by texts that say nothing, as there are few rows (--no-correction leaves it out)".to_owned();
    }
    let what = if calibration.method == Method::Prior.name() {
        "to the prior"
    } else {
        "halfway towards labels that are equally frequent"
    };
    format!(
        "correction: {what}, by {} (--no-correction leaves it out, --prior says how frequent labels are)",
        counted(calibration.fitted_rows, "row")
    )
}

fn evaluation(text: &mut String, report: &Report) {
    let Some(evaluation) = &report.evaluation else { return };
    let majority = report.majority.as_ref();
    let _ = write!(text, "\n  accuracy {} %", percent(evaluation.accuracy));
    if let Some(majority) = majority {
        let _ = write!(text, "; always {}: {} %", majority.label, percent(majority.accuracy));
    }
    let _ = writeln!(text);
    text.push_str(&structure(evaluation));
}
