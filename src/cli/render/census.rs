//! What the rows of a file are like.

use cloze::numbers::{count, counted};
use cloze::predict::census::Census;
use cloze::predict::task::Task;
use cloze::text::verbalizer::Verbalizer;

use super::table::{Align, table};
use super::text::start_of;

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
            let unknown = verbalizer.is_some_and(|verbalizer| verbalizer.class_of(label).is_none());
            let remark = if unknown { "not a class" } else { "" };
            rows.push(vec![start_of(label, MOST_LABEL_COLUMNS), count(*labelled), remark.to_owned()]);
        }
        if census.labels.len() > MOST_LABELS {
            rows.push(vec![format!("… {} more labels", count((census.labels.len() - MOST_LABELS) as u64))]);
        }
        if census.labels_unkept > 0 {
            rows.push(vec!["others".to_owned(), count(census.labels_unkept)]);
        }
        for absent in verbalizer
            .iter()
            .flat_map(|verbalizer| verbalizer.labels())
            .filter(|label| !census.labels.contains_key(*label))
        {
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
