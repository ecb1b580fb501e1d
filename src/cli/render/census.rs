//! What the rows of a file are like.

use std::time::Duration;

use cloze::numbers::{count, counted};
use cloze::predict::census::Census;
use cloze::predict::checkup::Cost;
use cloze::predict::task::Task;
use cloze::text::verbalizer::Verbalizer;

use super::screen::start_of;
use super::table::{Align, table};

/// So many labels are shown, and so much of each: with the wrong label column, each row's whole text is one.
const MOST_LABELS: usize = 50;
const MOST_LABEL_COLUMNS: usize = 40;

/// The census as tables.
pub fn census(
    census: &Census,
    verbalizer: Option<&Verbalizer>,
    tasks: &[Task],
    max_length: Option<usize>,
) -> String {
    let mut text = format!("{}: {}", census.columns.data(), counted(census.rows, "row"));
    if census.unreadable > 0 {
        text.push_str(&format!(", and {} that cannot be read", count(census.unreadable)));
    }
    text.push_str("\n\n");
    let mut rows = vec![vec!["column".to_owned(), "empty".to_owned(), String::new()]];
    for (name, empty) in census.columns.names().iter().zip(&census.empty) {
        let role = if census.columns.label() == Some(name) { "the label" } else { "" };
        rows.push(vec![name.clone(), count(*empty), role.to_owned()]);
    }
    text.push_str(&table(&[Align::Left, Align::Right, Align::Left], &rows));
    if !census.labels.is_empty() {
        let mut rows = vec![vec!["label".to_owned(), "rows".to_owned(), String::new()]];
        for (label, labelled) in census.labels.iter().take(MOST_LABELS) {
            let remark = verbalizer.map(|verbalizer| remark(verbalizer, label)).unwrap_or_default();
            rows.push(vec![start_of(label, MOST_LABEL_COLUMNS), count(*labelled), remark]);
        }
        if census.labels.len() > MOST_LABELS {
            rows.push(vec![format!("… {} more labels", count((census.labels.len() - MOST_LABELS) as u64))]);
        }
        if census.labels_unkept > 0 {
            rows.push(vec!["others".to_owned(), count(census.labels_unkept)]);
        }
        // The ends of a range of numbers are no labels of rows.
        let of_classes = verbalizer.filter(|verbalizer| verbalizer.structure().range.is_none());
        for absent in of_classes.iter().flat_map(|verbalizer| verbalizer.labels()).filter(|class| {
            !census.labels.keys().any(|label| label == class || is_near(verbalizer, label, class))
        }) {
            rows.push(vec![absent.to_owned(), "0".to_owned(), "a class without rows".to_owned()]);
        }
        text.push('\n');
        text.push_str(&table(&[Align::Left, Align::Right, Align::Left], &rows));
    }
    if let (Some(max_length), false) = (max_length, tasks.is_empty()) {
        let mut rows = vec![vec!["pattern".to_owned(), format!("rows cut to {max_length} tokens")]];
        rows.extend(
            tasks
                .iter()
                .zip(&census.truncated)
                .map(|(task, cut)| vec![task.template().name().to_owned(), count(*cut)]),
        );
        text.push('\n');
        text.push_str(&table(&[Align::Left, Align::Right], &rows));
    }
    if census.unkept > 0 {
        text.push_str(&format!("\n{} more rows have problems\n", count(census.unkept)));
    }
    text.push('\n');
    text
}

/// What is to be said of a label.
fn remark(verbalizer: &Verbalizer, label: &str) -> String {
    match (verbalizer.class_of(label), verbalizer.class_near(label)) {
        (Some(_), _) => String::new(),
        (None, Some(class)) => format!("taken for {}", verbalizer.classes()[class].label),
        (None, None) => "not a class".to_owned(),
    }
}

/// Whether a label is taken for this class.
fn is_near(verbalizer: Option<&Verbalizer>, label: &str, class: &str) -> bool {
    verbalizer.is_some_and(|verbalizer| {
        verbalizer.class_near(label).is_some_and(|near| verbalizer.classes()[near].label == class)
    })
}

/// A column that may hold the true labels, where none is taken for them.
pub fn perhaps_labels(column: Option<&str>) -> String {
    let note = |column: &str| {
        format!("note: {column} may be a column of true labels: --label-column {column} evaluates by it\n")
    };
    column.map(note).unwrap_or_default()
}

/// What a first run costs.
pub fn cost(cost: &Cost) -> String {
    let seconds = Duration::from_secs_f64(cost.seconds);
    let time = match cost.seconds {
        ..1.0 => "less than a second".to_owned(),
        _ => format!("about {}", indicatif::HumanDuration(seconds)),
    };
    let (rows, patterns) = (counted(cost.rows, "row"), counted(cost.patterns as u64, "pattern"));
    format!("cloze score: {rows}, {patterns}, {} tokens: {time} on this machine\n\n", count(cost.tokens))
}
