//! What became of rows under harmless changes.

use std::fmt::Write as _;

use cloze::numbers::{counted, percent};
use cloze::study::compare::PairedDifference;
use cloze::study::robustness::{RobustnessReport, Target};

use super::paired::{between, signed};
use super::report::trained_on;
use super::table::{Align, table};

/// So many of the rows whose label flips most are shown.
const MOST_ROWS: usize = 10;

/// The report as tables; `labels` are the classes'.
pub fn robustness(report: &RobustnessReport, data: &str, labels: &[String]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{data}: {}, {}\n",
        counted(report.rows as u64, "row"),
        counted(report.changes.len() as u64, "change")
    );
    if let Some(found) = &report.trained_on {
        let _ = writeln!(text, "warning: {}\n", trained_on(found, report.rows as u64));
    }
    text.push_str(&changes(report));
    text.push_str(
        "  points: accuracy less that without a change; Δp: how far probabilities move, on average\n\n",
    );
    if let Some(spread) = &report.spread {
        let _ = writeln!(
            text,
            "  accuracy from {} to {}, standard deviation {} points",
            percent(spread.lowest),
            percent(spread.highest),
            percent(spread.standard_deviation)
        );
    }
    if let Some(always_right) = report.always_right {
        let _ = writeln!(
            text,
            "  right under every change: {} % of {}",
            percent(always_right),
            counted(report.labelled as u64, "labelled row")
        );
    }
    let _ = writeln!(text, "  never flipped: {} % of the rows", percent(report.steady));
    if !report.unseen.is_empty() {
        let _ = writeln!(text, "  no change to this model: {}", report.unseen.join(", "));
    }
    for left_out in &report.left_out {
        let _ = writeln!(text, "  not changed: {left_out}");
    }
    most_flipped(&mut text, report, labels);
    text
}

/// What each change did.
fn changes(report: &RobustnessReport) -> String {
    let mut rows =
        vec![["change", "accuracy", "points", "95 %", "flips, %", "Δp"].map(str::to_owned).to_vec()];
    rows.push(vec!["none".to_owned(), report.accuracy.map(percent).unwrap_or_default()]);
    let mut target = None;
    for change in &report.changes {
        if target != Some(change.target) {
            target = Some(change.target);
            rows.push(vec![heading(change.target).to_owned()]);
        }
        let (difference, interval) = match &change.difference {
            Some(PairedDifference { difference, difference_95, .. }) => {
                (signed(*difference), between(*difference_95))
            }
            None => (String::new(), String::new()),
        };
        let accuracy = change.accuracy.map(percent).unwrap_or_default();
        rows.push(vec![
            format!("  {}", change.name),
            accuracy,
            difference,
            interval,
            percent(change.flips),
            format!("{:.3}", change.probability_change),
        ]);
    }
    let right = Align::Right;
    table(&[Align::Left, right, right, right, right, right], &rows)
}

fn most_flipped(text: &mut String, report: &RobustnessReport, labels: &[String]) {
    let mut order: Vec<usize> = (0..report.rows).filter(|&row| report.by_row[row].flipped() > 0).collect();
    order.sort_by_key(|&row| std::cmp::Reverse(report.by_row[row].flipped()));
    if order.is_empty() {
        return;
    }
    let mut rows = vec![["row", "predicted", "flips", "to"].map(str::to_owned).to_vec()];
    for &row in order.iter().take(MOST_ROWS) {
        let found = &report.by_row[row];
        let to = found
            .flips
            .iter()
            .zip(labels)
            .filter(|(count, _)| **count > 0)
            .map(|(count, label)| format!("{label} {count}"));
        let to = to.collect::<Vec<_>>().join(", ");
        rows.push(vec![
            found.record.to_string(),
            labels[found.class].clone(),
            found.flipped().to_string(),
            to,
        ]);
    }
    let _ = write!(text, "\n{}", table(&[Align::Right, Align::Left, Align::Right, Align::Words], &rows));
    if order.len() > MOST_ROWS {
        let _ = writeln!(text, "  … {} more, all with --out FILE", order.len() - MOST_ROWS);
    }
}

fn heading(target: Target) -> &'static str {
    match target {
        Target::Rows => "of the rows",
        Target::Patterns => "of the pattern",
        Target::LabelWords => "of the label words",
        Target::Paraphrase => "another pattern",
    }
}
