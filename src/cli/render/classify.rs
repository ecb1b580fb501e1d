//! What `cloze classify` found in the data, and a summary of its answers, for people.

use std::fmt::Write as _;

use cloze::numbers::{count, counted, percent};
use cloze::predict::calibration::{Method, WITHOUT_CONTENT};
use cloze::predict::output::Answer;
use cloze::predict::report::Report;
use cloze::predict::zero_shot::{Found, Truths};
use cloze::text::data::{Columns, Example};

use super::alike;
use super::table::{Align, table};

/// So many rows are worth a look.
const ROWS: usize = 10;

/// So many letters of each are shown.
const LETTERS: usize = 60;

/// What was found in the data.
pub fn found(found: &Found) -> String {
    let mut text = String::new();
    if found.text_found {
        let _ = writeln!(text, "text: the column {}", found.text_columns.join(", "));
    }
    let _ = match &found.truths {
        Truths::Nowhere => Ok(()),
        Truths::In(column) => writeln!(text, "true labels: the column {column}"),
        Truths::Others { column, label } => writeln!(
            text,
            "note: the column {column} has other labels, such as {label:?}: answers are not evaluated by it"
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

/// Rows that are worth a look: those that the classifier is least sure of.
pub struct Worth {
    columns: Vec<usize>,
    /// Confidence, row, class and the beginning of the text; the least sure first.
    rows: Vec<(f64, u64, usize, String)>,
    confidence: f64,
}

impl Worth {
    /// None yet; `read` are the columns to show.
    pub fn new(columns: &Columns, read: &[String]) -> Worth {
        let place = |name: &String| columns.names().iter().position(|column| column == name);
        Worth { columns: read.iter().filter_map(place).collect(), rows: Vec::new(), confidence: 0.0 }
    }

    /// Takes a row's answer in.
    pub fn see(&mut self, example: &Example, answer: &Answer) {
        let (class, confidence) = (answer.prediction.class(), answer.prediction.confidence());
        self.confidence += confidence;
        let last = self.rows.last().filter(|_| self.rows.len() == ROWS);
        if last.is_some_and(|(least, ..)| *least <= confidence) {
            return;
        }
        let place = self.rows.partition_point(|(other, ..)| *other <= confidence);
        let fields = self.columns.iter().map(|column| example.fields[*column].as_str());
        let text: String =
            fields.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        let short: String = text.chars().take(LETTERS).collect();
        let shown = if short.len() < text.len() { format!("{short}…") } else { short };
        self.rows.insert(place, (confidence, example.record, class, shown));
        self.rows.truncate(ROWS);
    }
}

/// The answers in short.
pub fn summary(report: &Report, worth: &Worth, next: &str) -> String {
    let mut text = String::new();
    let confidence = percent(worth.confidence / report.rows.max(1) as f64);
    let _ = writeln!(
        text,
        "{}: {} in {:.1} s, {:.0} rows/s ({confidence} % sure on average)",
        report.run.data,
        counted(report.rows, "row"),
        report.seconds,
        report.rows_per_second
    );
    let _ = writeln!(text, "{}", corrected(report));
    let mut rows = vec![["label", "rows", "%"].map(str::to_owned).to_vec()];
    rows.extend(report.predicted.iter().map(|class| {
        let share = percent(class.rows as f64 / report.rows.max(1) as f64);
        vec![class.label.clone(), count(class.rows), share]
    }));
    let right = Align::Right;
    let _ = write!(text, "\n{}", table(&[Align::Left, right, right], &rows));
    evaluation(&mut text, report);
    let mut rows = vec![["row", "label", "% sure", "text"].map(str::to_owned).to_vec()];
    rows.extend(worth.rows.iter().map(|(confidence, record, class, shown)| {
        vec![record.to_string(), report.predicted[*class].label.clone(), percent(*confidence), shown.clone()]
    }));
    let _ = write!(
        text,
        "\nleast sure, and worth a look\n{}",
        table(&[right, Align::Left, right, Align::Text], &rows)
    );
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

fn corrected(report: &Report) -> String {
    let Some(calibration) = &report.calibration else { return "correction: none".to_owned() };
    if calibration.fitted_on == WITHOUT_CONTENT {
        return "correction: by texts without content (--no-correction leaves it out)".to_owned();
    }
    let what =
        if calibration.method == Method::Prior.name() { "to the prior" } else { "towards even labels" };
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
}
